"""Watching a model of values: alarms for what has moved or grown worse, none for chance."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.judge.regions import GROUPS, make_regions
from metabalance.judge.values import value_metrics
from metabalance.judge.wilson import wilson_interval
from metabalance.study.artifact import read_artifact
from metabalance.study.load import make_values
from metabalance.study.promise import AS_PROMISED, CANNOT_TELL, WORSE
from metabalance.study.values.monitor import MonitoredValues, monitor_values
from metabalance.study.values.promise import compare_errors, compared_coverage, difference_of, told
from metabalance.study.values.reference import ValueReference, make_value_reference, rarest_region
from metabalance.study.values.ship import TrainedRegressor
from metabalance.study.values.train import train_values
from metabalance.study.values.watch import known_values

UNIT = 1e-9


def houses(rows, seed=0, shift=0.0, noise=0.4):
    """A skewed price in a tiny unit, and a second target."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "area": rng.normal(shift, 1, rows),
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(40, 10, rows)),
            "city": rng.choice(["Bonn", "Rome", "Oslo"], rows),
        }
    )
    frame["price"] = UNIT * np.exp(0.6 * frame["area"] + noise * rng.normal(size=rows))
    frame["rent"] = 5 + frame["area"] + noise * rng.normal(size=rows)
    return frame


@pytest.fixture(scope="module")
def model():
    return train_values(make_values(houses(3000), "price,rent"), "ridge", holdout=0.3).model


@pytest.fixture(scope="module")
def single():
    return train_values(make_values(houses(3000).drop(columns="rent"), "price"), "ridge", holdout=0.3).model


@pytest.fixture(scope="module")
def folder(single, tmp_path_factory):
    goal = tmp_path_factory.mktemp("fit") / "model"
    single.save(goal)
    return goal


def watch(model, frame, *, target=True, **options):
    names = list(model.names)
    given = known_values(frame, names) if target else None
    return monitor_values(model, frame.drop(columns=["price", "rent"]), given, **({"n_boot": 200} | options))


def said(found, kind=None):
    return [f.message for f in found.alarms() if kind in (None, f.kind)]


def verdicts(found):
    return {one.metric: one.verdict for one in found.kept}


# ------------------------------------------------------------------------------------------ the pieces


def test_the_rarest_region_of_several_targets():
    y = np.column_stack([np.repeat([1.0, 2.0, 3.0], [150, 50, 5]), np.repeat([1.0, 2.0, 3.0], [5, 50, 150])])
    regions = [make_regions(column, bin_width=1.0) for column in y.T]
    found = rarest_region(y, regions)
    naive = [max(GROUPS.index(r.of([v])[0]) for r, v in zip(regions, row)) for row in y]
    assert found.tolist() == naive
    assert set(found) == {1, 2}


def test_a_difference_of_shares_is_newcombes():
    """Newcombe, Statistics in Medicine 1998, table II: method 10."""
    for a, n, b, m, low, high in (
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (10, 10, 0, 20, 0.6791, 1.0),
    ):
        found = difference_of(wilson_interval(a, n), wilson_interval(b, m))
        assert (found.low, min(found.high, 1.0)) == pytest.approx((low, high), abs=1e-4)


def test_known_values():
    frame = pd.DataFrame({"y": ["1.5", None, "2"], "z": [1.0, 2.0, np.inf], "w": ["1", "two", "3"]})
    np.testing.assert_array_equal(known_values(frame, ["y"])[:, 0], [1.5, np.nan, 2.0])
    for name, value in (("z", "inf"), ("w", "two")):
        with pytest.raises(DataError, match=value):
            known_values(frame, [name])


# ------------------------------------------------------------------------------------------- the reference


def test_the_reference_survives_the_folder(single, folder):
    again = TrainedRegressor.load(folder).reference
    assert isinstance(again, ValueReference)
    assert again.part == "held-out"
    for name in ("prediction", "target", "region", "counts", "inside"):
        np.testing.assert_array_equal(getattr(again, name), getattr(single.reference, name))
    assert again.columns == single.reference.columns
    assert {c["name"] for c in again.columns} == {"area", "age", "city"}
    assert not any(str(row).startswith("Bonn") for row in read_artifact(folder)[1])
    assert again.inside.mean() == pytest.approx(0.9, abs=0.05)


def test_many_rows_are_thinned_out_and_stand_for_all(single):
    rows = houses(50_000, seed=7)
    kept = make_value_reference(
        single, rows.drop(columns=["price", "rent"]), rows[["price"]].to_numpy(), "reference"
    )
    assert len(kept.prediction) <= 60_000
    assert len(kept.prediction) < 50_000
    assert kept.stands_for().sum() == pytest.approx(50_000)
    region = rarest_region(rows[["price"]].to_numpy(), single.regions)
    assert kept.counts.tolist() == np.bincount(region, minlength=3).tolist()
    assert (kept.region == 2).sum() == min((region == 2).sum(), 20_000)
    assert kept.stands_for(np.array([1, 0, 0])).sum() == pytest.approx(1)


def test_a_model_without_holdout_promises_by_its_validation_part():
    made = train_values(make_values(houses(1500).drop(columns="rent"), "price"), "ridge").model
    assert made.reference.part == "validation"
    found = watch(made, houses(1500, seed=5))
    assert any("optimistic" in note for note in found.notes)
    coverage = next(one for one in found.kept if one.metric == "coverage")
    assert coverage.promised.value == 0.9
    assert coverage.promised.low < 0.9 < coverage.promised.high


# ---------------------------------------------------------------------------------------------- the whole


@pytest.mark.parametrize("seed", range(1, 4))
def test_rows_of_the_same_kind_raise_no_alarm(single, seed):
    found = watch(single, houses(3000, seed=seed))
    assert isinstance(found, MonitoredValues)
    assert said(found) == []
    assert set(verdicts(found)) == {"mae", "rmse", "mae@many", "mae@medium", "mae@few", "bmae", "coverage"}
    assert set(verdicts(found).values()) <= {AS_PROMISED, CANNOT_TELL}


def test_errors_are_those_of_the_metrics(single):
    fresh = houses(2000, seed=1)
    found = watch(single, fresh)
    wanted = value_metrics(
        single.predict(fresh), fresh[["price"]].to_numpy(), single.regions, ["mae", "rmse"]
    )
    kept = {one.metric: one for one in found.kept}
    for key in ("mae", "rmse", "mae@many", "mae@few"):
        assert kept[key].now.value == pytest.approx(wanted[key])
        assert kept[key].now.low < wanted[key] < kept[key].now.high


def test_more_rare_rows_are_no_fault_of_the_model(single):
    pool = houses(20_000, seed=2)
    region = rarest_region(pool[["price"]].to_numpy(), single.regions)
    fresh = pd.concat([pool[region == 2].head(200), pool[region == 0].head(1500)])
    found = watch(single, fresh)
    wanted = value_metrics(single.predict(fresh), fresh[["price"]].to_numpy(), single.regions, ["mae"])["mae"]
    plain = np.abs(single.reference.prediction - single.reference.target)
    assert wanted > 1.2 * np.average(plain[:, 0], weights=single.reference.stands_for())
    assert verdicts(found)["mae"] != WORSE
    assert verdicts(found)["mae@few"] != WORSE
    assert any("of the targets" in text for text in said(found, "prior"))


def test_a_model_that_has_got_worse_where_values_are_rare(single):
    fresh = houses(6000, seed=3)
    rare = rarest_region(fresh[["price"]].to_numpy(), single.regions) == 2
    columns = fresh.columns.difference(["price", "rent"])
    fresh.loc[rare, columns] = fresh.loc[~rare, columns].sample(rare.sum(), random_state=0).to_numpy()
    found = watch(single, fresh)
    assert verdicts(found)["mae@few"] == WORSE
    assert verdicts(found)["mae@many"] != WORSE
    assert any("mae@few is worse than promised" in text for text in said(found, "performance"))
    unsure = watch(single, fresh.head(60))
    assert verdicts(unsure)["mae@few"] == CANNOT_TELL


def test_noise_breaks_the_promise_of_the_intervals(single):
    found = watch(single, houses(3000, seed=4, noise=0.9))
    assert verdicts(found)["coverage"] == WORSE
    (told_,) = found.coverage
    assert told_["promised"] == 0.9
    assert set(told_["regions"]) == set(GROUPS)
    fresh = houses(3000, seed=4, noise=0.9)
    ends = single.intervals(fresh)[:, 0]
    inside = (fresh["price"] >= ends[:, 0]) & (fresh["price"] <= ends[:, 1])
    coverage = next(one for one in found.kept if one.metric == "coverage")
    assert coverage.now.value == pytest.approx(inside.mean())


def test_coverage_that_is_as_uncertain_as_the_calibration(single):
    inside = np.ones((100_000, 1), dtype=bool)
    inside[:13_000] = False  # 87 % of very many rows
    few = ValueReference(
        "validation", np.zeros((60, 1)), np.zeros((60, 1)), np.zeros(60, int), np.array([60, 0, 0]), ()
    )
    many = ValueReference("validation", np.zeros((1, 1)), None, np.zeros(1, int), np.array([10**6, 0, 0]), ())
    (by_few,), (by_many,) = (compared_coverage(r, inside, None, 0.9, ["y"]) for r in (few, many))
    assert by_few.verdict == CANNOT_TELL
    assert by_many.verdict == WORSE


def test_a_column_that_moves_moves_the_predictions(single):
    found = watch(single, houses(3000, seed=5, shift=1.0), target=False)
    text = said(found, "drift")
    assert any("'area' has moved" in t for t in text)
    assert any("the predictions have moved" in t for t in text)
    assert not any("'age'" in t or "'city'" in t for t in text)
    assert any("of the predictions" in t for t in said(found, "prior"))
    assert any("nobody can say" in note for note in found.notes)
    (line,) = found.regions["predictions"]
    assert sum(line["now"].values()) == pytest.approx(1)
    assert line["now"]["few"] == pytest.approx(
        np.mean(single.regions[0].of(single.predict(houses(3000, seed=5, shift=1.0))[:, 0]) == "few")
    )


def test_with_many_rows_a_small_change_is_no_alarm(single):
    fresh = houses(60_000, seed=6)
    fresh["age"] += 1.0
    found = watch(single, fresh, target=False)
    assert next(c for c in found.columns if c["name"] == "age")["p_holm"] < 0.01
    assert said(found) == []


def test_missing_columns_targets_and_rows(single):
    fresh = houses(500, seed=7).drop(columns="age")
    fresh.loc[::2, "price"] = np.nan
    found = watch(single, fresh)
    assert any("'age' is absent" in text for text in said(found))
    assert any("250 of 500 rows have no value yet" in note for note in found.notes)
    nothing = watch(single, fresh.assign(price=np.nan))
    assert nothing.kept == []
    assert "no row's value is known yet" in nothing.notes
    with pytest.raises(DataError, match="no new rows"):
        watch(single, fresh[:0])
    bare = make_value_reference(single, houses(300).drop(columns=["price", "rent"]), None, "reference")
    assert bare.target is None
    with pytest.raises(DataError, match="no promise"):
        watch(single, fresh, reference=bare)
    assert watch(single, fresh, target=False, reference=bare).kept == []


def test_several_targets(model):
    found = watch(model, houses(2500, seed=8))
    assert said(found) == []
    assert {"mae", "mae[price]", "mae@few[rent]", "bmae[rent]", "coverage[price]"} <= set(verdicts(found))
    fresh = houses(2500, seed=8)
    fresh["rent"] = fresh["rent"].sample(frac=1, random_state=0).to_numpy()
    worse = verdicts(watch(model, fresh))
    assert worse["mae[rent]"] == WORSE
    assert worse["mae[price]"] != WORSE
    kept = compare_errors(
        model, model.reference, model.reference.prediction, model.reference.target, n_boot=100
    )
    assert all(one.now.value == pytest.approx(one.promised.value) for one in kept if "@" in one.metric)


def test_json_is_plain(single):
    entry = watch(single, houses(800, seed=9)).to_dict()
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    assert list(entry) == [
        "when", "version", "kind", "rows", "findings", "regions", "predictions", "columns", "performance", "coverage", "notes",
    ]  # fmt: skip
    assert told(next(one for one in watch(single, houses(800, seed=9)).kept).now).count("e-1") == 3


# --------------------------------------------------------------------------------------------- the command


def test_the_command(folder, tmp_path):
    fine, moved, history = tmp_path / "fine.csv", tmp_path / "moved.csv", tmp_path / "history.json"
    houses(1500, seed=1).to_csv(fine, index=False)
    houses(1500, seed=1, shift=1.5).drop(columns="price").to_csv(moved, index=False)

    def run(*arguments):
        return CliRunner().invoke(app, ["monitor", str(folder), *map(str, arguments)])

    done = run(fine, "--target", "price", "--json", history)
    assert done.exit_code == 0, done.output
    assert "against the held-out rows" in done.output
    assert "mae@few" in done.output
    assert "No alarm" in done.output
    assert run(moved, "--json", history).exit_code == 1
    assert run(moved, "--fail-on", "performance", "--json", history).exit_code == 0
    entries = json.loads(history.read_text())
    assert [e["status"] for e in entries] == [0, 1, 0]
    assert entries[0]["kind"] == "values"
    by_rows = run(fine, "--target", "price", "--reference", fine)
    assert by_rows.exit_code == 0, by_rows.output
    assert "against the reference rows" in by_rows.output
    assert run(fine, "--target", "nothing").exit_code == 2
    several = run(fine, "--target", "price,rent")
    assert several.exit_code == 2
    assert "names 2 columns" in several.stderr
    words = run(fine, "--target", "city")
    assert words.exit_code == 2
    assert "leave the cell empty" in words.stderr
