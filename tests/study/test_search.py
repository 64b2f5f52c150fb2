"""``--tune``: one budget for all, defaults first, nothing of the test part, and a killed search ends with the same bits."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.methods import METHODS
from metabalance.recipes import RECIPES
from metabalance.study import search as searching
from metabalance.study.candidates import Candidate, check_options, parse_candidates
from metabalance.study.compare import Plan
from metabalance.study.fitting import Settings, fit_candidate, rehearse
from metabalance.study.jobs import FoldData, fit_fold
from metabalance.study.search import Attempt, Searched, import_optuna, quiet, search
from metabalance.study.spaces import NETWORK, SPACES, Choice, Real, SearchSpace, Whole, search_space
from metabalance.study.store import RunStore

optuna = pytest.importorskip("optuna")

X, Y = make_classification(600, n_features=5, n_informative=3, weights=[0.85], flip_y=0.1, random_state=3)
X = X.astype(np.float32)
TRAIN, VALID = (X[:300], Y[:300]), (X[300:], Y[300:])
SETTINGS = Settings(network={"epochs": 3, "batch_size": 64, "hidden": (8,)}, tune=4)
LINE = SearchSpace({"kept": 1}, {"x": Real(-2.0, 2.0), "k": Choice((None, (1, 2)))}, {"x": 1.5, "k": None})


def candidate(text) -> Candidate:
    return parse_candidates(text)[0]


def fitted(text="logistic", tune=4, path=None, seed=0, **settings):
    chosen = dataclasses.replace(SETTINGS, tune=tune, **settings)
    return fit_candidate(candidate(text), TRAIN, VALID, 2, seed, chosen, path)


class Parabola:
    """Stands for a training: best at x = 0.3; keeps what it was asked."""

    def __init__(self, epochs=0, until=None, fails=()):
        self.asked, self.epochs, self.until, self.fails = [], epochs, until, fails

    def __call__(self, options, watch):
        number = len(self.asked)
        if number == self.until:
            raise KeyboardInterrupt
        self.asked.append(options)
        if number in self.fails:
            raise FloatingPointError("the loss is not finite")
        value = -((options.get("x", 1.5) - 0.3) ** 2)
        for epoch in range(self.epochs if watch is not None else 0):
            watch(epoch, value)
        return Attempt(options, value, options, None)


# --------------------------------------------------------------------------------------------- the search itself


def test_the_first_trial_is_the_defaults_and_the_budget_is_kept():
    train = Parabola()
    found = search(train, LINE, 8, 0, "line")
    assert isinstance(found, Searched)
    assert train.asked[0] == {"kept": 1}
    assert found.record == {"trials": 8, "pruned": 0, "failed": 0, "best": found.record["best"]}
    assert len(train.asked) == 8
    assert all(options["kept"] == 1 and options["k"] in (None, (1, 2)) for options in train.asked[1:])
    assert all(-2 <= options["x"] <= 2 for options in train.asked[1:])
    values = [-((o.get("x", 1.5) - 0.3) ** 2) for o in train.asked]
    assert found.best.value == max(values)
    assert found.record["best"] == int(np.argmax(values))


def test_one_trial_is_no_search():
    found = search(Parabola(), LINE, 1, 0, "line")
    assert found.best.options == {"kept": 1}
    assert found.record["best"] == 0


def test_a_search_follows_from_seed_and_label_alone():
    def asked(seed, label):
        train = Parabola()
        search(train, LINE, 7, seed, label)
        return train.asked

    assert asked(0, "a") == asked(0, "a")
    assert asked(0, "a") != asked(1, "a")
    assert asked(0, "a") != asked(0, "b")


def test_a_search_learns():
    tuned = [search(Parabola(), LINE, 40, seed, "line").best.value for seed in range(3)]
    assert min(tuned) > -0.003  # forty even draws come that near in about two of three cases, not always


@pytest.mark.parametrize("killed", [0, 1, 3, 6])
def test_a_killed_search_goes_on_to_the_same_bits(tmp_path, killed):
    whole = Parabola(epochs=8)
    expected = search(whole, LINE, 8, 0, "line", path=tmp_path / "whole.db", identity="x")
    memory = Parabola(epochs=8)
    assert search(memory, LINE, 8, 0, "line").best == expected.best
    assert memory.asked == whole.asked
    path = tmp_path / "a ?#%" / "killed.db"
    with pytest.raises(KeyboardInterrupt):
        search(Parabola(epochs=8, until=killed), LINE, 8, 0, "line", path=path, identity="x")
    rest = Parabola(epochs=8)
    found = search(rest, LINE, 8, 0, "line", path=path, identity="x")
    assert (found.best, found.record) == (expected.best, expected.record)
    assert rest.asked[: 8 - killed] == whole.asked[killed:]
    again = Parabola()
    assert search(again, LINE, 8, 0, "line", path=path, identity="x").best == expected.best
    assert again.asked == [expected.best.options]  # its model alone


def test_the_file_is_an_optuna_storage_with_finished_trials_only(tmp_path):
    path = tmp_path / "search.db"
    with pytest.raises(KeyboardInterrupt):
        search(Parabola(until=3), LINE, 8, 0, "line", path=path)
    with quiet(optuna):
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        trials = optuna.load_study(study_name="tuning", storage=storage).trials
        storage.scoped_session.remove()
        storage.engine.dispose()
    assert [t.state.name for t in trials] == ["COMPLETE"] * 3
    assert trials[0].params == {"x": 1.5, "k": "null"}


def test_a_file_of_another_search_or_a_damaged_one_is_dropped(tmp_path):
    path = tmp_path / "search.db"
    expected = search(Parabola(), LINE, 5, 0, "line", path=path, identity="x")
    other = Parabola()
    search(other, LINE, 5, 0, "line", path=path, identity="other")
    assert len(other.asked) == 5
    for content in (b"not a database, " * 500, path.read_bytes()[:5000], b""):
        path.write_bytes(content)
        train = Parabola()
        assert search(train, LINE, 5, 0, "line", path=path, identity="x").best == expected.best
        assert len(train.asked) == 5
    searching.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_costs_the_memory_of_it_alone(tmp_path):
    (tmp_path / "file").write_text("")
    train = Parabola()
    found = search(train, LINE, 3, 0, "line", path=tmp_path / "file" / "search.db")
    assert found.record["trials"] == len(train.asked) == 3


def test_a_bad_trial_is_stopped_and_counts():
    found = search(Parabola(epochs=10), LINE, 20, 0, "line")
    assert 0 < found.record["pruned"] < 16
    assert found.record["trials"] == 20
    early = search(Parabola(epochs=searching.WARM_UP), LINE, 20, 0, "line")  # over before anyone is stopped
    assert early.record["pruned"] == 0


def test_the_defaults_are_never_stopped_and_an_undefined_epoch_says_nothing():
    def train(options, watch):
        if watch is not None:
            for epoch in range(10):
                watch(epoch, float("nan"))
        return Attempt(options, -np.inf, None, np.zeros((1, 2)))

    found = search(train, LINE, 8, 0, "line")
    assert found.record == {"trials": 8, "pruned": 0, "failed": 0, "best": 0}
    assert found.best.options == LINE.untouched


def test_a_trial_that_fails_counts_and_is_told_but_the_defaults_have_to_train():
    train = Parabola(fails=(2, 3))
    found = search(train, LINE, 6, 0, "line")
    assert found.record["failed"] == 2
    assert len(train.asked) == 6
    assert found.notes == ("2 of 6 trials failed: the loss is not finite",)
    with pytest.raises(FloatingPointError):
        search(Parabola(fails=(0,)), LINE, 6, 0, "line")


def test_what_was_tried_is_not_trained_again():
    space = SearchSpace({}, {"k": Choice((1, 2))}, {"k": 1})
    train = Parabola()
    found = search(train, space, 12, 0, "choice")
    assert found.record["trials"] == 12
    assert [o.get("k", 1) for o in train.asked] == [1, 2]
    assert search(Parabola(), SearchSpace({"x": 1}, {}, {}), 9, 0, "none").notes == (
        "every option was given: nothing was left to tune",
    )


def test_optuna_keeps_its_voice():
    before = optuna.logging.get_verbosity()
    with quiet(import_optuna()):
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    assert optuna.logging.get_verbosity() == before


# --------------------------------------------------------------------------------------------- spaces


def test_every_recipe_and_baseline_has_a_space_of_options_that_it_has():
    assert set(SPACES) == set(RECIPES) | {m.name for m in METHODS if m.recipe and "classes" in m.kinds}
    for name, space in SPACES.items():
        check_options(Candidate(name, tuple((option, (0,)) for option in space)))
        found = search_space(Candidate(name))
        wanted = set(space) | (
            set() if name in ("logistic", "lightgbm", "xgboost") else {*NETWORK, "batch_size"}
        )
        assert set(found.spaces) == set(found.start) == wanted
        assert found.untouched == {}


def test_every_default_lies_in_its_space_as_it_is_written():
    for name, space in SPACES.items():
        found = search_space(Candidate(name))
        assert {option: found.spaces[option] for option in space} == space, name


def test_given_options_stay_and_several_values_are_a_choice():
    found = search_space(candidate("metabalance(order=2,inner_lr=0.1|0.3,lr=0.01)"))
    assert found.untouched == {"order": 2, "inner_lr": 0.1, "lr": 0.01}
    assert found.spaces["inner_lr"] == Choice((0.1, 0.3))
    assert not {"order", "lr"} & set(found.spaces)
    preset = search_space(candidate("metabalance(preset=credit_card)"))
    assert not {"inner_lr", "leak", "lr", "batch_size"} & set(preset.spaces)


def test_the_search_starts_from_the_study_s_own_network():
    found = search_space(
        Candidate("erm"), {"lr": 0.1, "weight_decay": 0.0, "batch_size": 512, "hidden": (5,)}, (3,)
    )
    assert found.start == {"lr": 0.1, "dropout": 0.0, "batch_size": 512, "hidden": (5,)}
    assert found.spaces["lr"] == Real(1e-4, 0.1, log=True)
    assert found.spaces["batch_size"] == Choice((128, 256, 512, 1024))
    assert found.spaces["hidden"].values[0] == (5,)
    images = search_space(Candidate("erm"), {"batch_size": 32}, (1, 8, 8))
    assert set(images.spaces) == {"lr", "weight_decay", "batch_size"}
    assert images.spaces["batch_size"] == Choice((16, 32, 64))


def end(space, last):
    if isinstance(space, Choice):
        return space.values[-1 if last else 0]
    return space.high if last else space.low


# A sample of every kind of space; the slow test below knows them all.
SOME = (
    "lightgbm",
    "xgboost",
    "class_weight",
    "focal",
    "cdb",
    "ldam_drw",
    "metabalance",
    "simplified",
    "lws",
    "dice",
)


def rehearsed(name, shape=None):
    for last in (False, True):
        options = {k: end(space, last) for k, space in search_space(Candidate(name)).spaces.items()}
        rehearse(Candidate(name, tuple((k, (v,)) for k, v in options.items())), shape)


@pytest.mark.parametrize("name", SOME)
def test_the_ends_of_a_space_can_be_trained(name):
    rehearsed(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SPACES) - set(SOME)))
def test_the_ends_of_every_space_can_be_trained(name):
    rehearsed(name, (1, 8, 8) if name in ("cutmix", "rotation_pretraining") else None)


def test_whole_numbers_stay_whole():
    train = Parabola()
    search(train, SearchSpace({}, {"n": Whole(2, 9)}, {"n": 6}), 5, 0, "whole")
    assert all(isinstance(o["n"], int) and 2 <= o["n"] <= 9 for o in train.asked[1:])


# --------------------------------------------------------------------------------------------- in a fit


@pytest.mark.parametrize("text", ["erm", "focal", "logistic", "lightgbm", "xgboost"])
def test_the_budget_is_the_same_for_every_candidate(text):
    found = fitted(text, tune=3)
    assert found.tuning["trials"] == 3
    plain = fitted(text, tune=0)
    assert plain.tuning is None
    assert found.validation["average_precision"] >= plain.validation["average_precision"]
    first = fitted(text, tune=1)
    assert first.options == {}
    np.testing.assert_array_equal(first.predict_proba(X), plain.predict_proba(X))


def test_the_model_is_that_of_the_chosen_options():
    weak = SETTINGS.network | {"lr": 1e-5}
    found = fitted("focal(gamma=2)", tune=4, network=weak)
    assert found.options["gamma"] == 2
    assert {"lr", "batch_size"} <= set(found.options)
    written = Candidate("focal", tuple((key, (value,)) for key, value in found.options.items()))
    alone = fit_candidate(written, TRAIN, VALID, 2, 0, dataclasses.replace(SETTINGS, tune=0, network=weak))
    np.testing.assert_array_equal(alone.predict_proba(X), found.predict_proba(X))
    assert alone.validation == found.validation


def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    from metabalance.study import fitting

    whole = fitted("erm", tune=5)
    train, calls = fitting.train_one, []

    def killed(*given):
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train(*given)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "train_one", killed)
        with pytest.raises(KeyboardInterrupt):
            fitted("erm", tune=5, path=tmp_path / "erm.db")
    calls.clear()
    monkeypatch.setattr(fitting, "train_one", lambda *given: calls.append(given) or train(*given))
    rest = fitted("erm", tune=5, path=tmp_path / "erm.db")
    assert len(calls) in (2, 3)  # two trials, and the best model if it was an earlier one
    assert (rest.options, rest.tuning, rest.validation) == (whole.options, whole.tuning, whole.validation)
    np.testing.assert_array_equal(rest.predict_proba(X), whole.predict_proba(X))
    calls.clear()
    fitted("erm", tune=5, path=tmp_path / "erm.db", seed=1)  # another split's seed: nothing of it counts
    assert len(calls) == 5


def test_a_network_is_stopped_by_its_epochs_but_not_before_a_deferred_remedy_acts():
    slow = dataclasses.replace(SETTINGS, tune=9, network={"epochs": 8, "batch_size": 64, "patience": None})
    found = fit_candidate(candidate("erm"), TRAIN, VALID, 2, 0, slow)
    assert found.tuning["pruned"] > 0
    rows = []
    from metabalance import MetaBalanceClassifier

    def fit(recipe, **options):
        rows.clear()
        model = MetaBalanceClassifier(
            recipe, recipe_options=options, epochs=10, patience=None, random_state=0
        )
        model.fit(*TRAIN, validation_data=VALID, callback=rows.append)
        return [row["selectable"] for row in rows]

    assert fit("drw", start=0.6) == [False] * 6 + [True] * 4
    assert fit("crt") == [False] * 9 + [True]  # the first phase is not the model


def test_too_few_validation_rows_leave_the_defaults():
    told = fitted("erm", min_positives=1000)
    assert told.notes[0] == "too few validation rows to tune: the defaults were used"
    assert told.options == {}
    assert told.tuning is None


def test_nothing_of_the_test_part_is_touched(tmp_path):
    records = []
    for name, test in (("a", X[:50]), ("b", 1e3 * np.ones_like(X[:50]))):
        folder = tmp_path / name
        folder.mkdir()
        data = FoldData(folder, seed=2, fold=1)
        for part, (inputs, target) in {"fit": TRAIN, "validation": VALID, "test": (test, Y[:50])}.items():
            np.save(data.path(f"{part}-x"), inputs)
            np.save(data.path(f"{part}-y"), target if name == "a" or part != "test" else 1 - target)
        files = RunStore(folder / "run").files("erm", 2, 1)
        records.append(fit_fold(data, candidate("erm"), 2, SETTINGS, *files))
        assert files[1].name.endswith("-seed2-fold1.db")
        assert files[1].is_file()
    one, two = ({k: v for k, v in r.items() if k != "seconds"} for r in records)
    assert one == two
    assert one["tuning"]["trials"] == 4


# --------------------------------------------------------------------------------------------- in the commands


def test_the_budget_is_part_of_the_protocol_and_older_runs_had_none(tmp_path):
    import pandas as pd

    from metabalance.study.load import make_table

    table = make_table(pd.DataFrame(X, columns=list("abcde")).assign(y=Y), "y")
    plan = Plan((Candidate("erm"),), tune=3)
    store = RunStore(tmp_path)
    store.open(plan.protocol(table))
    with pytest.raises(DataError, match=r"another tune \(3, now 0\)"):
        store.open(dataclasses.replace(plan, tune=0).protocol(table))
    old = {k: v for k, v in dataclasses.replace(plan, tune=0).protocol(table).items() if k != "tune"}
    (tmp_path / "run.json").write_text(json.dumps(old))
    store.open(dataclasses.replace(plan, tune=0).protocol(table))
    with pytest.raises(DataError, match=r"another tune \(0, now 3\)"):
        store.open(plan.protocol(table))


def invoked(*arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.slow
def test_compare_and_fit_with_a_budget(tmp_path):
    import pandas as pd

    pd.DataFrame(X, columns=list("abcde")).assign(y=Y).to_csv(tmp_path / "data.csv", index=False)
    given = (tmp_path / "data.csv", "--target", "y", "--epochs", "2", "--tune", "2")
    run = tmp_path / "run"
    done = invoked(
        "compare", *given, "--recipes", "erm", "--folds", 2, "--seeds", 1, "--workers", 2, "--out", run
    )
    assert done.exit_code == 0, done.output
    assert "Each was tuned in 2 trials a fold, erm too." in " ".join(done.output.split())
    result = json.loads((run / "advice.json").read_text())
    assert result["protocol"]["tune"] == 2
    assert "tuned in 2 trials" in " ".join(result["advice"]["details"])
    assert result["recipes"][0]["label"] == "erm (tuned)"
    rows = pd.read_parquet(run / "results.parquet")
    assert rows["trials"].tolist() == [2] * 2
    assert len(list((run / "tuning").glob("*.db"))) == 2
    assert "2 trials a fit" in (run / "report.html").read_text()

    done = invoked("fit", *given, "--recipe", "logistic", "--out", tmp_path / "model")
    assert done.exit_code == 0, done.output
    assert "tuned in 2 trials: " in done.output
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["content"]["tuning"]["trials"] == 2
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("budget", ["0", "-1", "many", "2.5"])
@pytest.mark.parametrize("command", ["compare", "fit"])
def test_a_budget_is_a_whole_number_from_1(tmp_path, command, budget):
    done = invoked(command, tmp_path / "none.csv", "--target", "y", f"--tune={budget}")
    assert done.exit_code == 2
    assert "invalid value for '--tune'" in done.output


@pytest.mark.parametrize("command", ["compare", "fit"])
def test_without_optuna_it_says_what_brings_it(tmp_path, monkeypatch, command):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    done = invoked(command, tmp_path / "none.csv", "--target", "y", "--tune", "3", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "pip install 'metabalance[search]'" in done.output
    assert not (tmp_path / "out").exists()
