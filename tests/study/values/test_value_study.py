"""compare and fit for a continuous target: the same house, another kind."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.judge.values import value_metrics
from metabalance.run import Run
from metabalance.study.candidates import Candidate, check_names, parse_candidates
from metabalance.study.choosing import choose_options, fit_record, rehearsed
from metabalance.study.compare import Plan, run_comparison
from metabalance.study.divide import carve, deal, divide
from metabalance.study.fit_command import fit_command
from metabalance.study.kinds import KINDS, FitSettings, Kind, Measure, kind_of
from metabalance.study.load import kind_asked, load_data, make_table, make_values
from metabalance.study.opening import load_model
from metabalance.study.search import Attempt
from metabalance.study.sources import Studied, ValueTable
from metabalance.study.spaces import VALUE_SPACES, search_space
from metabalance.study.store import RunStore
from metabalance.study.summary import summarise, write_results
from metabalance.study.tracking import logged_values
from metabalance.study.values import fitting
from metabalance.study.values.fitting import (
    FittedValues,
    ValueSettings,
    fit_value_candidate,
    rehearse_values,
)
from metabalance.study.values.kind import KIND
from metabalance.study.values.summary import regions_of
from metabalance.study.values.train import ValueTraining, train_values, value_protocol

QUICK = {"epochs": 3, "batch_size": 64}


def made(rows=300, targets=1, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=list("abc"))
    for t in range(targets):
        noise = 0.1 * rng.normal(size=rows)
        frame[f"y{t}" if targets > 1 else "y"] = scale * np.exp(frame["abc"[t]] + noise)
    return frame


@pytest.fixture(scope="module")
def table():
    return make_values(made(), "y", name="made")


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    plan = Plan(
        tuple(parse_candidates("erm,lds,ridge", "values")),
        folds=2,
        seeds=2,
        metric="bmae",
        network=QUICK,
        workers=2,
    )
    return run_comparison(table, plan, tmp_path_factory.mktemp("values") / "run")


def test_kinds_have_the_same_face(table):
    for name in KINDS:
        kind: Kind = kind_of(name)
        assert kind.name == name
        measure = kind.measure(kind.metric)
        assert isinstance(measure, Measure)
        assert kind.known_metric(kind.metric) == kind.metric
        assert parse_candidates(kind.recipes, name)
    settings: FitSettings = KIND.settings(Plan((), network=QUICK), table)
    studied: Studied = table
    assert settings.monitor
    assert studied.kind == "values"
    assert KIND.measure("r2").low is None
    assert KIND.measure("spearman").low == -1
    assert KIND.measure("mae@few").high is None


def test_a_fit_of_a_comparison_is_judged_by_regions_of_its_own_training_part(run, table):
    split = run.splits[0]
    record = run.store.load("erm", split.seed, split.fold)
    outputs = record["outputs"]
    assert outputs.shape == (len(split.test), 1, 3)
    assert outputs.dtype == np.float64
    found = KIND.fit_metrics(record, table, split, run.plan)
    twin = value_metrics(outputs[:, :, 0], table.target[split.test], regions_of(table.target[split.train]))
    assert {name: found[name] for name in twin} == pytest.approx(twin, nan_ok=True)


def test_the_summary_is_of_values_alone(run, tmp_path):
    result = summarise(run, "metabalance compare")
    assert result["kind"] == "values"
    assert result["protocol"]["metric"] == "bmae"
    assert [r["fits"] for r in result["recipes"]] == [4, 4, 4]
    assert result["data"]["targets"] == ["y"]
    assert "classes" not in result["data"]
    ridge = next(r for r in result["recipes"] if r["name"] == "ridge")
    gap = ridge["difference"]["bmae"]
    assert gap["low"] < gap["value"] < gap["high"]
    assert set(ridge["metrics"]) >= {"mae", "rmse", "gm", "r2", "pearson", "spearman", "mae@few"}
    drawn = ridge["values"]["targets"][0]
    assert drawn["rows"] == len(run.table.target)
    assert drawn["coverage"]
    told = " ".join([result["advice"]["headline"], *result["advice"]["details"]])
    assert "few-shot" in told
    for word in ("class", "threshold", "positive"):
        assert word not in told
    write_results(result, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "confusion matrix" not in text.lower()


def test_a_stored_fit_is_not_fitted_again(run, table, tmp_path):
    before = {p.name: p.stat().st_mtime_ns for p in (run.store.folder / "fits").iterdir()}
    again = run_comparison(table, run.plan, run.store.folder)
    assert {p.name: p.stat().st_mtime_ns for p in (run.store.folder / "fits").iterdir()} == before
    assert not again.failures
    other = make_values(made(seed=1), "y", name="made")
    with pytest.raises(DataError, match="values changed in the target"):
        run_comparison(other, run.plan, run.store.folder)


def test_every_part_has_its_share_of_the_ends(table):
    splits, inner = divide(table, folds=3, seeds=1, validation_fraction=0.2, groups=None)
    top = np.argsort(table.target[:, 0])[-30:]
    for split in splits:
        assert 8 <= np.isin(split.test, top).sum() <= 12
        fit, validation = inner[split.seed, split.fold]
        assert not set(fit) & set(validation)
        assert not set(split.test) & {*fit, *validation}
        assert 3 <= np.isin(validation, top).sum() <= 6


def test_one_repetition_is_that_of_a_comparison(table):
    splits, _ = divide(table, folds=3, seeds=2, validation_fraction=0.2, groups=None)
    for one, other in zip(deal(table, folds=3, seed=1), splits[3:]):
        np.testing.assert_array_equal(one.test, other.test)


def test_what_a_rehearsal_meets_is_told_in_a_sentence():
    seen = []

    def train(options, network):
        seen.append((options, network))
        if options["alpha"] == 2:
            raise RuntimeError("no\n  way")
        return options["alpha"]

    candidate = parse_candidates("ridge(alpha=1|3)", "values")[0]
    assert rehearsed(candidate, {"hidden": (4,), "module": "mlp"}, train) == [1, 3]
    assert seen[0][1] == {"module": "mlp", "epochs": 1}
    with pytest.raises(ValueError, match=r"ridge cannot be trained with alpha=2: no way$"):
        rehearsed(parse_candidates("ridge(alpha=1|2)", "values")[0], None, train)


def test_a_record_is_plain(table):
    X, y = table.frame.to_numpy(np.float32), table.target
    fitted = fit_value_candidate(
        Candidate("dummy"), (X[:200], y[:200]), (X[200:], y[200:]), 0, ValueSettings()
    )
    record = fit_record(fitted, 1, 2, "bmae")
    assert json.loads(json.dumps(record)) == record
    assert (record["label"], record["seed"], record["fold"]) == ("dummy", 1, 2)
    np.testing.assert_allclose(fitted.outputs(X)[0], y[:200].mean())


def test_names_are_checked_before_any_data_are_read(tmp_path):
    for command, option in (("compare", "--recipes"), ("fit", "--recipe")):
        out = run_cli(
            command, tmp_path / "gone.csv", "--target", "y", option, "nonsense", "--out", tmp_path / "o"
        )
        assert out.exit_code == 2
        assert "'nonsense' is unknown" in out.output.replace("\n", " ")
    with pytest.raises(ValueError, match="'lds' is for a target of values"):
        check_names("smote,lds")


def test_groups_and_times_are_kept_apart(table):
    frame = made()
    frame["who"] = np.repeat(np.arange(30), 10)
    frame["when"] = np.arange(300)
    grouped = make_values(frame.drop(columns="when"), "y", groups="who")
    splits, _ = divide(grouped, folds=3, seeds=1, validation_fraction=0.2, groups=grouped.groups)
    for split in splits:
        assert not set(grouped.groups[split.train]) & set(grouped.groups[split.test])
    two = make_values(frame.assign(who=np.arange(300) // 150).drop(columns="when"), "y", groups="who")
    with pytest.raises(DataError, match="cannot be divided so with groups kept whole"):
        divide(two, folds=3, seeds=1, validation_fraction=0.2, groups=two.groups)
    timed = make_values(frame.drop(columns="who"), "y", time="when")
    for split in divide(timed, folds=3, seeds=1, validation_fraction=0.2, groups=None)[0]:
        assert split.train.max() < split.test.min()
    fit, held = carve(timed, np.arange(300), 0.2, seed=0)
    assert fit.max() < held.min()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_fit_does_not_know_the_unit(scale, table):
    def fitted(unit):
        y = made(scale=1.0)["y"].to_numpy()[:, None] * unit
        X = made()[list("abc")].to_numpy(np.float32)
        settings = ValueSettings(network=QUICK)
        return fit_value_candidate(Candidate("lds"), (X[:200], y[:200]), (X[200:], y[200:]), 0, settings)

    one, other = fitted(1.0), fitted(scale)
    X = made()[list("abc")].to_numpy(np.float32)
    assert isinstance(other, FittedValues)
    np.testing.assert_allclose(other.outputs(X)[0], one.outputs(X)[0] * scale, rtol=1e-4)
    assert other.validation["bmae"] == pytest.approx(one.validation["bmae"] * scale, rel=1e-3)


def test_options_are_chosen_on_the_validation_part():
    seen = []

    def attempt(options, watch=None, checkpoint=None):
        seen.append(options)
        return Attempt(options, -abs(options["alpha"] - 2.0), None, None, ())

    candidate = parse_candidates("ridge(alpha=1|2|3)", "values")[0]
    best, found, notes = choose_options(
        candidate, attempt, ValueSettings(), enough=True, train=None, validation=None, seed=0, kind="values"
    )
    assert best.options == {"alpha": 2}
    assert found is None
    assert len(seen) == 3
    best, _, notes = choose_options(
        candidate, attempt, ValueSettings(), enough=False, train=None, validation=None, seed=0, kind="values"
    )
    assert best.options == {"alpha": 1}
    assert "too few" in notes[0]


def test_a_search_tries_the_defaults_first_and_keeps_the_best(table):
    X, y = table.frame.to_numpy(np.float32), table.target
    train, validation = (X[:200], y[:200]), (X[200:], y[200:])
    plain = fit_value_candidate(Candidate("ridge"), train, validation, 0, ValueSettings())
    tuned = fit_value_candidate(Candidate("ridge"), train, validation, 0, ValueSettings(tune=4))
    assert tuned.tuning["trials"] == 4
    assert tuned.validation["bmae"] <= plain.validation["bmae"]
    assert set(tuned.options) == {"alpha"}


def test_every_recipe_for_values_has_a_search_space_of_options_it_has():
    from metabalance.recipes import VALUE_RECIPES

    assert {*VALUE_RECIPES, "ridge", "lightgbm", "xgboost"} <= set(VALUE_SPACES)
    for name in (*VALUE_RECIPES, "ridge", "lightgbm", "xgboost"):
        space = search_space(Candidate(name), {}, (3,), "values")
        assert set(VALUE_SPACES[name]) <= set(space.spaces) | {"metabalance"}, name


def test_a_candidate_is_tried_before_an_hour_of_fits():
    assert rehearse_values(parse_candidates("lds(kernel_size=3|5)", "values")[0], 2)
    with pytest.raises(ValueError, match="lds cannot be trained with kernel_size=4"):
        rehearse_values(parse_candidates("lds(kernel_size=4)", "values")[0])


def test_a_killed_training_goes_on_to_the_same_bits(table, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    finished, kill = [], [True]
    original = Run.finish_epoch

    def dying(self, report):
        original(self, report)
        if self.path is not None:  # not the rehearsal
            finished.append(report["epoch"])
            if kill and len(finished) == 2:
                raise Killed

    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0.0)
    whole = train_values(table, "fds", network=QUICK, seed=3, holdout=0.2)
    assert isinstance(whole, ValueTraining)
    assert len(whole.held_out) == pytest.approx(60, abs=6)
    monkeypatch.setattr(Run, "finish_epoch", dying)
    with pytest.raises(Killed):
        train_values(table, "fds", network=QUICK, seed=3, holdout=0.2, checkpoint=tmp_path)
    kill.clear()
    again = train_values(table, "fds", network=QUICK, seed=3, holdout=0.2, checkpoint=tmp_path)
    assert finished == [0, 1, 2]
    frame = made(50, seed=9)
    np.testing.assert_array_equal(whole.model.predict(frame), again.model.predict(frame))
    assert value_protocol(table, "erm", {"seed": 1}) != value_protocol(table, "erm", {"seed": 2})


def test_a_tracker_is_told_of_held_out_rows(table, tmp_path):
    training = train_values(table, "ridge", holdout=0.2)
    told = logged_values(training, "made", tmp_path)
    assert told.params["recipe"] == "ridge"
    held = {row["name"]: row["value"] for row in training.model.evidence["held_out"]["estimates"]}
    assert told.figures["held_out/mae/value"] == [(0, held["mae"])]


def test_a_quantity_is_not_streamed(tmp_path):
    made().to_parquet(tmp_path / "made.parquet")
    out = run_cli(
        "fit",
        tmp_path / "made.parquet",
        "--target",
        "y",
        "--task",
        "regression",
        "--stream",
        "--out",
        tmp_path / "m",
    )
    assert out.exit_code == 2
    assert "--stream is for classes" in out.output.replace("\n", " ")
    assert fit_command.__module__ == "metabalance.study.fit_command"


def run_cli(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_from_a_file_to_a_model_and_back(tmp_path):
    frame = made(400, targets=2)
    frame.to_csv(tmp_path / "made.csv", index=False)
    out = run_cli(
        "fit", tmp_path / "made.csv", "--target", "y0,y1", "--recipe", "lds", "--epochs", 3, "--holdout", 0.25, "--out",
        tmp_path / "model",
    )  # fmt: skip
    assert out.exit_code == 0, out.output
    assert "held-out bmae" in out.output
    assert "mae@few" in out.output
    model = load_model(tmp_path / "model")
    assert model.names == ("y0", "y1")
    assert model.predict(frame).shape == (400, 2)
    out = run_cli("predict", tmp_path / "model", tmp_path / "made.csv", "--out", tmp_path / "p.csv")
    assert out.exit_code == 0, out.output
    found = pd.read_csv(tmp_path / "p.csv")
    assert {"prediction_y0", "prediction_y1"} <= set(found.columns)
    np.testing.assert_allclose(found["prediction_y1"], model.predict(frame)[:, 1])


def test_a_comparison_of_two_targets_on_the_command_line(tmp_path):
    made(240, targets=2).to_csv(tmp_path / "made.csv", index=False)
    out = run_cli(
        "compare", tmp_path / "made.csv", "--target", "y0,y1", "--recipes", "erm,sqrt_inverse_density", "--folds", 2,
        "--seeds", 1, "--epochs", 2, "--out", tmp_path / "run", "--workers", 1,
    )  # fmt: skip
    assert out.exit_code == 0, out.output
    advice = json.loads((tmp_path / "run" / "advice.json").read_text())
    assert advice["kind"] == "values"
    assert advice["data"]["targets"] == ["y0", "y1"]
    assert advice["recipes"][0]["fits"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "age"], "may be classes or a quantity; say which with --task"),
        (["--target", "y", "--positive", "3"], "looks like a quantity"),
        (["--target", "y", "--task", "guess"], "--task 'guess' is unknown"),
        (["--target", "y", "--cost", "fn=2,fp=1"], "--cost is for classes"),
        (["--target", "y", "--metric", "roc_auc"], "roc_auc"),
        (["--target", "y", "--recipes", "smote"], "is for a target of classes"),
        (["--target", "y,age,y"], "twice"),
        (["--target", "y,age", "--task", "classification"], "classes have one"),
        (["--target", "word", "--task", "regression"], "no numbers"),
        (["--target", "flat", "--task", "regression"], "in every row"),
        (["--target", "y", "--folds", "80"], "too few for 80 folds"),
        (["--target", "word", "--metric", "bmae"], "the target holds classes"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(words, said, tmp_path):
    frame = made()
    frame["age"], frame["word"], frame["flat"] = np.arange(300) % 50, np.array(["a", "b", "c"] * 100), 1.5
    frame.to_csv(tmp_path / "made.csv", index=False)
    out = run_cli("compare", tmp_path / "made.csv", "--out", tmp_path / "run", *words)
    assert out.exit_code == 2, out.output
    assert said in out.output.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_options_for_classes_are_refused_by_fit(tmp_path):
    made().to_csv(tmp_path / "made.csv", index=False)
    for words in (
        ["--objective", "f1"],
        ["--prior", "0.1"],
        ["--calibration", "isotonic"],
        ["--cost", "fn=1,fp=1"],
    ):
        out = run_cli("fit", tmp_path / "made.csv", "--target", "y", "--out", tmp_path / "model", *words)
        assert out.exit_code == 2
        assert f"{words[0]} is for classes" in out.output.replace("\n", " ")
    assert not (tmp_path / "model").exists()


def test_the_same_file_may_be_either(tmp_path):
    frame = made()
    frame["age"] = np.arange(300) % 50
    path = tmp_path / "made.csv"
    frame.to_csv(path, index=False)
    assert kind_asked(frame, "y", None) == "values"
    assert kind_asked(frame, "age", "classification") == "classes"
    values = load_data(path, "age", task="regression")
    assert isinstance(values, ValueTable)
    assert values.target.shape == (300, 1)
    classes = load_data(path, "age", task="classification")
    assert len(classes.classes) == 50
    assert make_table(frame, "age").kind == "classes"


def test_a_run_of_values_is_stored_in_doubles(tmp_path):
    store = RunStore(tmp_path)
    from metabalance.study.store import save_fit

    values = np.array([[[1 / 3, 0.0, 1e12]]])
    save_fit(store.path("erm", 0, 0), {"label": "erm"}, values)
    np.testing.assert_array_equal(store.load("erm", 0, 0)["outputs"], values)
