"""Claims about continuous targets: tables divided honestly, errors by training density, verdicts by the same rule."""

import io
import json
import lzma
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from metabalance.data.errors import DataError
from metabalance.judge import mae
from metabalance.methods import get_method
from metabalance.study.reproduce.base import AnySetup, Arm, Claim, Fit, Published, fits_of
from metabalance.study.reproduce.claims import CLAIMS, EXPERIMENTS, VALUE_CLAIMS
from metabalance.study.reproduce.claims.balanced_mse_line import fit_line, line_task
from metabalance.study.reproduce.claims.value_setups import lower
from metabalance.study.reproduce.command import every, where_it_runs
from metabalance.study.reproduce.experiment import run_experiment
from metabalance.study.reproduce.page import as_markdown
from metabalance.study.reproduce.places import at_hand, is_here, name_of, refuse
from metabalance.study.reproduce.run import conditions_of, reproduce
from metabalance.study.reproduce.sentences import pair_features, read_pairs, read_similarities
from metabalance.study.reproduce.value_measure import GROUPS, regions_of, run_value_fit, value_record
from metabalance.study.reproduce.value_sets import (
    FOLDER,
    TABLES,
    ValueSplit,
    ValueTable,
    age_labels,
    first_of_each,
    is_there,
    make_value_split,
    open_values,
    target_bins,
)
from metabalance.study.reproduce.values import ValueData, ValueSetup, ValueTraining

QUICK = ValueSetup(ValueData("diabetes"), ValueTraining(hidden=(8,), epochs=2, batch_size=32))


def toy(**changes):
    plain = Claim(
        name="toy",
        paper="lds",
        statement="Weights help.",
        published=Published("7.67.", "AgeDB-DIR.", "confirmed", "README"),
        arms={"plain": Arm("erm"), "LDS": Arm("lds")},
        contrasts=(lower("LDS < plain", "LDS", "plain", "mae@few"),),
        small={"diabetes": QUICK},
        full={"diabetes": QUICK},
        shown=("mae", "mae@few"),
        seeds=2,
    )
    return replace(plain, **changes)


# ------------------------------------------------------------------------------------------------- tables


def packed(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())


def pairs(rows=60):
    rng = np.random.default_rng(0)
    words = ["cat", "dog", "man", "woman", "runs", "eats", "plays", "guitar", "ball", "road"]
    sentence = lambda: " ".join(rng.choice(words, 5))  # noqa: E731
    return [(sentence(), sentence(), rng.choice([0.0, 1.25, 3.0, 5.0])) for _ in range(rows)]


def write_similarities(path, rows=60):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name in ("train", "dev", "test"):
            lines = ["index\tsentence1\tsentence2\tscore"]
            lines += [f'{i}\t{a} "\t{b}\t{y}' for i, (a, b, y) in enumerate(pairs(rows))]
            content = "\n".join(lines).encode()
            info = tarfile.TarInfo(f"{name}_new.tsv")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_every_format_is_read(tmp_path):
    folder = tmp_path / FOLDER
    packed(folder / "abalone.csv.xz", "M,0.4,0.3,0.1,0.5,0.2,0.1,0.15,15\nI,0.3,0.3,0.1,0.2,0.1,0.1,0.05,7\n")
    packed(folder / "winequality-red.csv.xz", "7.4,0.7,5\n6,0.1,8\n")
    packed(folder / "boston_housing.csv", ",".join(map(str, range(14))) + "\n")
    packed(
        folder / "cal_housing.arff.xz",
        "@relation h\n@attribute a real\n@attribute v real\n@data\n1,452600\n2,100000\n",
    )
    packed(folder / "agedb_splits.csv.xz", "age,path,split\n31,a.jpg,train\n59,b.jpg,val\n")
    abalone = open_values("abalone", tmp_path)
    assert abalone.X[:, :3].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert abalone.target.tolist() == [15, 7]
    assert open_values("winequality-red", tmp_path).target.tolist() == [5, 8]
    assert open_values("boston", tmp_path).X[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]
    assert open_values("california", tmp_path).target.tolist() == [4.526, 1.0]
    age, part = age_labels(folder / "agedb_splits.csv.xz")
    assert (age.tolist(), part.tolist()) == ([31, 59], ["train", "val"])


def test_a_table_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(DataError, match=r"'abalone' is not there: .*--data or METABALANCE_DATA"):
        open_values("abalone", tmp_path)
    assert not is_there("abalone", None)
    assert is_there("diabetes", None)
    packed(tmp_path / FOLDER / "winequality-white.csv.xz", "7,x,6\n")
    with pytest.raises(DataError, match=r"winequality-white\.csv\.xz cannot be read"):
        open_values("winequality-white", tmp_path)


@pytest.mark.parametrize("data", [ValueData("diabetes"), ValueData("diabetes", rows=50)])
def test_a_division_has_no_row_twice_and_the_same_test_rows(data):
    one, same, other = (make_value_split(data, seed, None) for seed in (0, 0, 1))
    assert isinstance(one, ValueSplit)
    np.testing.assert_array_equal(one.train[0], same.train[0])
    assert one.train[1].tolist() != other.train[1].tolist()
    np.testing.assert_array_equal(one.test[1], other.test[1])
    raw = open_values("diabetes", None)
    rest = len(one.validation[1]) + len(one.test[1])
    assert len(one.train[1]) == (442 - rest if data.rows is None else 50)
    for split in (one, other):
        # Standardised by the training rows alone; so a row is told by its features in their first unit.
        np.testing.assert_allclose(split.train[0].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(split.train[0].std(axis=0), 1, atol=1e-4)
        X = np.vstack([split.train[0], split.validation[0], split.test[0]])
        assert len(np.unique(X, axis=0)) == len(X)
        assert set(split.test[1]) <= set(raw.target)


def test_the_test_rows_are_even_over_the_target():
    table = TABLES["diabetes"]
    assert isinstance(table, ValueTable)
    bins = target_bins(open_values("diabetes", None).target, table)
    n = np.bincount(bins, minlength=table.num_bins)
    assert len(n) == table.num_bins
    test = target_bins(
        make_value_split(ValueData("diabetes"), 0, None).test[1], table
    )  # the ends are in it or not
    assert len(test) == np.minimum(n // 3, table.most).sum()


def test_rows_are_drawn_from_every_bin_and_none_that_is_taken():
    bins = np.array([0] * 50 + [1] * 5 + [3] * 2)
    most = np.array([10, 1, 0, 0])
    first = first_of_each(bins, most, np.random.default_rng(0))
    second = first_of_each(bins, most, np.random.default_rng(1), but=first)
    assert not (first & second).any()
    for chosen in (first, second):
        assert np.bincount(bins[chosen], minlength=4).tolist() == [10, 1, 0, 0]


def test_similarities_are_told_by_the_training_text(tmp_path):
    write_similarities(tmp_path / FOLDER / "stsb_dir.tar.xz")
    first, second, score, part = read_pairs(tmp_path / FOLDER / "stsb_dir.tar.xz")
    assert (len(first), len(second), len(score)) == (180, 180, 180)
    assert first[0].endswith(' "')  # a quotation mark is text
    X, y, p = read_similarities(tmp_path / FOLDER / "stsb_dir.tar.xz")
    assert X.shape[0] == len(y) == len(p) == 180
    assert p.tolist().count("train") == 60
    train = part == "train"
    changed = [s if t else "zebra" for s, t in zip(first, train)]
    np.testing.assert_allclose(pair_features(changed, second, train)[train], X[train], atol=1e-9)
    split = make_value_split(ValueData("stsb-dir"), 0, tmp_path)
    assert [len(part[1]) for part in (split.train, split.validation, split.test)] == [60, 60, 60]


def test_equal_sentences_are_at_no_distance_and_order_decides_only_the_first_halves():
    words = ["the cat sat here", "a dog runs", "men play guitar", "road and ball"] * 5
    others = words[1:] + words[:1]
    n = len(words)
    X = pair_features(
        words + others + words, others + words + words, np.ones(3 * n, dtype=bool), dimensions=3
    )
    np.testing.assert_allclose(X[:n, 6:], X[n : 2 * n, 6:], atol=1e-9)
    np.testing.assert_allclose(X[:n, :3], X[n : 2 * n, 3:6], atol=1e-9)
    np.testing.assert_allclose(X[2 * n :, 6:9], 0, atol=1e-9)
    np.testing.assert_allclose(X[2 * n :, 9:].sum(axis=1), 1, atol=1e-6)  # u * v sums to the cosine


def test_the_real_tables_have_their_published_sizes(real_data):
    sizes = {"abalone": (4177, 10), "winequality-red": (1599, 11), "winequality-white": (4898, 11),
             "california": (20640, 8), "boston": (506, 12)}  # fmt: skip
    for name, shape in sizes.items():
        if is_there(name, real_data):
            assert open_values(name, real_data).X.shape == shape


# ---------------------------------------------------------------------------------------------- measuring


def test_a_record_is_the_errors_by_training_density():
    split = make_value_split(QUICK.data, 0, None)
    regions = regions_of(QUICK, split)
    guess = np.full(len(split.test[1]), 150.0)
    record = value_record(split, regions, np.full(len(split.validation[1]), 150.0), guess)
    assert record["raw"]["mae"] == pytest.approx(mae(guess, split.test[1]))
    for k, group in enumerate(GROUPS):
        rows = regions.of(split.test[1]) == group
        assert record["raw"][f"mae@{group}"] == pytest.approx(np.abs(150 - split.test[1][rows]).mean())
        assert record["counts"]["test"][k] == rows.sum()
    assert sum(record["counts"]["train"]) == len(split.train[1])
    assert record["validation"] < 0
    exact = value_record(split, regions, split.validation[1], split.test[1])
    assert exact["validation"] == 0 > record["validation"]  # better is more


def test_fits_repeat_and_arms_differ():
    records = [run_value_fit(Fit(QUICK, recipe, {}, 1), None) for recipe in ("erm", "erm", "balanced_mse")]
    assert records[0]["raw"] == records[1]["raw"] != records[2]["raw"]
    assert records[0]["counts"] == records[2]["counts"]


def test_training_lowers_the_error():
    short, long = (run_value_fit(Fit(QUICK.but(epochs=e), "erm", {}, 0), None)["raw"]["mae"] for e in (1, 60))
    assert long < short


# ------------------------------------------------------------------------------------------------- running


def test_a_claim_about_values_runs_once_and_is_kept(tmp_path, monkeypatch):
    result = reproduce(toy(), tmp_path)
    monkeypatch.setattr(
        "metabalance.study.reproduce.value_measure.run_value_fit",
        lambda *_: pytest.fail("a finished fit was repeated"),
    )
    assert reproduce(toy(), tmp_path) == result
    stored = json.loads((tmp_path / "toy.json").read_text())
    assert stored["contrasts"][0]["metric"] == "mae@few"
    text = (tmp_path / "toy.md").read_text()
    assert all(
        part in text for part in ("diabetes", "points of progression", "MAE, few", "8 units", "LDS < plain")
    )
    assert as_markdown(result) == text


def test_lower_is_the_other_way_round():
    contrast = lower("a < b", "a", "b", "mae")
    assert {arm: c for _, arm, c in contrast.terms} == {"b": 1.0, "a": -1.0}


def test_tables_are_found_as_images_are(tmp_path):
    setup = QUICK.but(table="abalone")
    assert isinstance(setup, AnySetup)
    assert name_of(setup) == "abalone"
    assert at_hand(setup, None) is setup
    assert is_here(QUICK, None)
    assert not is_here(setup, tmp_path)
    with pytest.raises(DataError, match="'abalone' is not there"):
        refuse(setup, tmp_path)
    wanted = toy(small={"abalone": setup}, full={"abalone": setup}, fallback={"diabetes": QUICK})
    assert conditions_of(wanted, tmp_path, full=False) == ({"diabetes": QUICK}, True)
    assert where_it_runs(wanted, tmp_path) == "diabetes"
    with pytest.raises(DataError, match="'abalone' is not there"):
        conditions_of(wanted, tmp_path, full=True)


# ------------------------------------------------------------------------------------------------- claims


@pytest.mark.parametrize("name", VALUE_CLAIMS)
def test_every_claim_about_values_is_whole(name):
    from metabalance.recipes import recipe_options

    it = VALUE_CLAIMS[name]
    assert name == it.name
    assert get_method(it.paper).papers
    assert it.published.status in ("confirmed", "secondary", "unconfirmed")
    assert it.seeds >= 3
    assert it.contrasts
    for contrast in it.contrasts:
        assert sum(coefficient for _, _, coefficient in contrast.terms) == 0
        assert {arm for _, arm, _ in contrast.terms} <= it.arms.keys()
        assert {c for c, _, _ in contrast.terms} <= it.small.keys() | {"*"}
    for setups in (it.small, it.fallback, it.full):
        for condition, setup in setups.items():
            assert setup.data.table in TABLES
            for arm in it.arms_of(condition).values():
                for fit in fits_of(arm, setup, 0):
                    assert set(fit.options) <= recipe_options(fit.recipe, kind="values").keys()
    assert [s.data.table for s in it.fallback.values()] == ["diabetes"]


@pytest.mark.parametrize("name", VALUE_CLAIMS)
def test_every_arm_trains(name):
    it = VALUE_CLAIMS[name]
    for setup in it.fallback.values():
        for arm in it.arms.values():
            for fit in fits_of(arm, setup.but(hidden=(8,), epochs=2, rows=64), 0)[:1]:
                raw = run_value_fit(fit, None)["raw"]
                assert np.isfinite([raw[m] for m in it.shown]).all(), (fit.recipe, raw)


def test_no_name_is_given_twice():
    assert len(every()) == len(CLAIMS) + len(VALUE_CLAIMS) + len(EXPERIMENTS)


def test_the_line_has_its_closed_form():
    """Least squares: the variance of y over that of x, which is 0.2 in the limit of many rows."""
    x, y = line_task(3, rows=500)
    slope, intercept = fit_line(x, y, lambda p, t: (p - t).square().mean())
    wanted = np.polyfit(x.numpy(), y.numpy(), 1)
    assert [slope, intercept] == pytest.approx(wanted, rel=1e-6)
    assert slope == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("name", ["balanced-mse-line", "lds-weights"])
def test_claims_without_a_network_give_a_verdict(name, tmp_path):
    it = EXPERIMENTS[name]
    result = run_experiment(it, tmp_path, data=None, seeds=3)
    assert set(result["parts"]) == {c.part for c in it.contrasts}
    if name == "balanced-mse-line":
        slopes = {row["arm"]: row["slope"]["value"] for row in result["table"]}
        assert slopes["squared error"] == pytest.approx(0.2, abs=0.03)
        assert slopes["GAI, true prior"] == pytest.approx(1, abs=0.1)
    else:
        assert result["parts"]["iii. and still 1 on average"] == "held"
