"""The audit of a continuous target: each planted fault is found by its code, and clean data have no warnings."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.data.findings import register
from metabalance.judge.regions import make_regions
from metabalance.study.audit import audit_table
from metabalance.study.audit.parts import amount
from metabalance.study.values.audit.equal import noise_floor
from metabalance.study.values.audit.order import intraclass, value_drift
from metabalance.study.values.audit.quick_model import error_by_density, fit_value_model
from metabalance.study.values.audit.run import VALUES_ONLY
from metabalance.study.values.audit.shape import shape
from metabalance.study.values.audit.subject import ValuePlan, value_subject
from metabalance.study.values.audit.ties import coded, resolution, rounding

NO_MODEL = ("MB029", "MB031", "MB117")


def clean(rows=600, seed=0):
    """A target without ties, known from two of four columns but for some noise."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    frame["kind"] = rng.choice(["red", "green", "blue"], rows)
    return frame.assign(y=10 + 2 * frame["a"] - frame["b"] + rng.normal(size=rows))


def look(frame, target="y", *, mute=(), **options):
    """Without the quick model."""
    return audit_table(frame, target, mute=(*NO_MODEL, *mute), **options)


def codes(report):
    return {f.code for f in report.findings}


def only(report, code):
    (finding,) = [f for f in report.findings if f.code == code]
    return finding


# ------------------------------------------------------------------------------- classes or values?


def test_clean_data_have_no_warnings_but_that_of_few_rare_rows():
    report = audit_table(clean(1200), "y")
    assert {f.code for f in report.findings if f.severity != "info"} <= {"MB116", "MB117"}
    assert report.facts["source"]["task"] == "regression"
    assert report.facts["quick_model"]["models"]["ridge regression"]["r2"]["value"] == pytest.approx(
        5 / 6, abs=0.04
    )
    assert report.headline.startswith("Nothing stands in the way")


def test_what_was_an_audit_of_classes_stays_one():
    frame = clean().assign(y=lambda f: (f["y"] > 12).astype(int))
    report = audit_table(frame, "y", mute=("MB019", "MB022", "MB029", "MB031"))
    assert report.facts["source"]["task"] == "classification"
    assert not codes(report) & {*VALUES_ONLY, "MB108"}
    status = {c["code"]: c["reason"] for c in report.to_dict()["checks"]}
    assert {status[code] for code in VALUES_ONLY} == {"for values"}


def test_whole_numbers_are_asked_not_guessed():
    rng = np.random.default_rng(0)
    grade = clean().assign(y=rng.integers(3, 9, 600))
    mute = ("MB019", "MB022", "MB029", "MB031")
    as_classes = audit_table(grade, "y", mute=mute)
    assert "--task regression" in only(as_classes, "MB108").message
    assert "MB108" not in codes(audit_table(grade, "y", task="classification", mute=mute))
    assert "MB108" not in codes(audit_table(grade, "y", mute=(*mute, "MB108")))
    assert "--task classification" in only(look(grade, task="regression"), "MB108").message
    assert "MB108" not in codes(audit_table(grade.assign(y=[0, 1] * 300), "y", mute=mute))
    with pytest.raises(DataError, match="--task classification or --task regression"):
        look(clean(6000).assign(y=rng.integers(0, 200, 6000)))
    with pytest.raises(DataError, match="identifier"):
        look(clean().assign(y=range(600)))
    assert look(clean().assign(y=range(600)), task="regression").facts["source"]["task"] == "regression"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task": "clustering"}, "unknown"),
        ({"task": "regression", "positive": 1}, "positive"),
        ({"target": "kind", "task": "regression"}, "holds no numbers"),
        ({"target": "y,q"}, "q"),
        ({"target": "a,a"}, "twice"),
        ({"metric": "average_precision"}, "average_precision"),
        ({"folds": 1}, "folds"),
        ({"half_width": 0.9}, "half_width"),
        ({"groups": "y"}, "cannot also be the groups"),
    ],
)
def test_wrong_options_are_one_sentence(options, said):
    with pytest.raises(DataError, match=said) as raised:
        audit_table(clean(), **({"target": "y"} | options))
    assert "\n" not in str(raised.value)


# --------------------------------------------------------------------------------- density and shape


def test_density_is_that_of_the_regions():
    rng = np.random.default_rng(0)
    frame = clean(3000).assign(y=rng.lognormal(0, 1, 3000))
    report = look(frame)
    regions, told = make_regions(frame["y"].to_numpy()), report.facts["values"][0]
    few = int((regions.of(frame["y"].to_numpy()) == "few").sum())
    assert told["regions"]["few"]["rows"] == few > 0
    assert sum(part["share"] for part in told["regions"].values()) == pytest.approx(1)
    assert only(report, "MB101").message.startswith(f"{few:,} rows")
    assert report.facts["density"][0]["counts"] == regions.counts.tolist()


def test_a_single_region_is_said():
    report = look(
        pd.DataFrame({"x": np.arange(1000) % 7, "z": np.arange(1000) % 11, "y": [0.5, 1.5] * 500}),
        task="regression",
    )
    assert "one region" in only(report, "MB101").message
    assert report.facts["values"][0]["regions"]["few"]["rows"] == 0


def test_a_constant_target():
    report = look(clean().assign(y=3.5), task="regression")
    assert only(report, "MB106").severity == "error"
    assert report.headline.startswith("Training would be refused")
    assert (
        audit_table(clean().assign(y=3.5), "y", task="regression").skipped["MB029"]
        == "the target does not vary"
    )


def test_moments_are_those_of_scipy_at_any_scale():
    y = np.random.default_rng(0).gamma(2.0, size=2000)
    for unit in (1e-12, 1.0, 1e12):
        told = shape(y * unit)
        assert told["skewness"] == pytest.approx(stats.skew(y))
        assert told["excess_kurtosis"] == pytest.approx(stats.kurtosis(y))
        assert told["skewness_of_logarithm"] == pytest.approx(stats.skew(np.log(y)))
    report = look(clean(2000).assign(y=np.exp(2 * np.random.default_rng(1).normal(size=2000))))
    assert "logarithm" in only(report, "MB102").message
    assert "MB102" not in codes(look(clean(2000)))


def test_values_far_out_are_named_farthest_first():
    frame = clean()
    frame.loc[[7, 99], "y"] = [5000.0, -900.0]
    finding = only(look(frame), "MB104")
    assert finding.rows[:2] == (7, 99)
    assert "5,000 in row 8" in finding.message


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_any_unit_gives_the_same_audit(unit):
    frame = clean(800)
    assert codes(look(frame)) == codes(look(frame.assign(y=frame["y"] * unit)))


# ---------------------------------------------------------------------------------------------- ties


def test_heaps_rounding_and_caps():
    rng = np.random.default_rng(0)
    y = rng.gamma(3.0, 20.0, 4000).round(1) + 0.1
    heaped = y.copy()
    heaped[:300] = 40.0
    assert "40" in only(look(clean(4000).assign(y=heaped)), "MB103").message
    rounded = np.where(rng.random(4000) < 0.4, y.round(), y)
    assert "multiples of 1," in only(look(clean(4000).assign(y=rounded)), "MB103").message
    capped = only(look(clean(4000).assign(y=np.minimum(y, 100.0))), "MB111")
    assert capped.severity == "warning"
    assert "largest value" in capped.message
    assert not {"MB103", "MB111", "MB105"} & codes(look(clean(4000).assign(y=y)))


def test_codes_for_missing_values():
    frame = clean()
    for value, rows in ((-999.0, 2), (9999.0, 1), (-1.0, 5)):
        planted = frame.copy()
        planted.loc[planted.index[:rows], "y"] = value
        finding = only(look(planted), "MB105")
        assert finding.rows == tuple(range(rows))
    assert "MB105" not in codes(look(frame))
    assert coded(np.array([-999.0, 0.0, 2e5, 4e5]), np.array([5, 9, 9, 9])) == [-999.0]
    two = np.array([-999.0, -99.0, 1.0, 2.0, 3.0])
    assert coded(two, np.array([2, 2, 9, 9, 9])) == [-999.0, -99.0]
    assert coded(np.array([0.0, 100.0, 150.0]), np.array([3, 9, 9])) == [0.0]
    assert coded(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 99.0]), np.full(7, 9)) == [99.0]
    assert coded(np.arange(0, 100.0), np.full(100, 9)) == []  # ages up to 99


@settings(max_examples=60, deadline=None)
@given(st.integers(-6, 6), st.lists(st.integers(-999, 999), min_size=2, max_size=30))
def test_the_resolution_is_the_coarsest_power_of_ten(exponent, numbers):
    values = np.array(numbers, dtype=float)
    if not values.any():
        return
    wanted = next(e for e in (2, 1, 0) if (values % 10**e == 0).all())
    found = resolution(values * 10.0**exponent)
    assert found is not None
    assert np.log10(found) == pytest.approx(wanted + exponent)


def test_rounding_that_chance_explains_is_none():
    rng = np.random.default_rng(0)
    assert rounding(rng.integers(0, 500, 3000).astype(float)) is None
    assert rounding(rng.normal(size=100)) is None
    told = rounding(np.r_[rng.integers(0, 5000, 500), 50 * rng.integers(0, 100, 500)].astype(float))
    assert told["multiple"] == 50.0
    assert told["share"] == pytest.approx(0.51, abs=0.02)


# ----------------------------------------------------------------------------------- columns and rows


def test_columns_that_give_the_target_away():
    frame = clean(1000)
    rng = np.random.default_rng(1)
    frame["celsius"] = frame["y"] * 1.8 + 32
    frame["noisy"] = frame["y"] + rng.normal(size=1000) * 0.05
    frame["gaps"] = (frame["y"] * 3 + rng.normal(size=1000) * 0.01).where(rng.random(1000) < 0.7)
    report = audit_table(frame, "y", mute=("MB117",))
    assert only(report, "MB006").columns == ("celsius",)
    assert only(report, "MB109").columns == ("noisy", "gaps")
    assert set(report.facts["quick_model"]["without_columns"]) == {"celsius", "noisy", "gaps"}
    assert report.facts["quick_model"]["models"]["ridge regression"]["r2"]["value"] < 0.9


def test_one_row_far_out_makes_no_leak():
    frame = clean()
    frame.loc[0, ["y", "c"]] = 1e9
    assert not {"MB006", "MB109"} & codes(look(frame))


def test_levels_that_give_the_target_away():
    frame = clean().assign(grade=lambda f: (f["y"] // 2).astype(int).astype(str))
    assert "MB109" not in codes(look(frame))
    frame["y"] = frame["grade"].astype(float) + np.random.default_rng(0).normal(size=600) * 0.001
    assert only(look(frame), "MB109").columns == ("grade",)


def test_missing_values_that_tell_the_target():
    frame = clean(2000)
    rng = np.random.default_rng(1)
    frame["income"] = pd.Series(rng.normal(size=2000)).where(
        rng.random(2000) > np.where(frame["y"] > 12, 0.5, 0.05)
    )
    frame["age"] = pd.Series(rng.normal(size=2000)).where(rng.random(2000) > 0.3)
    report = look(frame)
    assert only(report, "MB110").columns == ("income",)
    lines = {line["column"]: line for line in report.facts["missing"]}
    gone = frame["income"].isna()
    test = stats.mannwhitneyu(frame["y"][gone], frame["y"][~gone], method="asymptotic")
    assert lines["income"]["p"] == pytest.approx(test.pvalue)
    assert lines["income"]["larger"] == pytest.approx(test.statistic / (gone.sum() * (~gone).sum()))
    assert not lines["age"]["material"]


def test_the_noise_floor_beside_loops():
    rng = np.random.default_rng(0)
    code, y = rng.integers(0, 40, 100), rng.normal(size=100)
    squares, freedom, errors = 0.0, 0, []
    for c in set(code):
        part = y[code == c]
        if len(part) > 1:
            squares += sum((v - part.mean()) ** 2 for v in part)
            freedom += len(part) - 1
            errors += [abs(v - np.median(part)) for v in part]
    told = noise_floor(y * 1e9, code)
    assert told["deviation"] == pytest.approx(1e9 * np.sqrt(squares / freedom))
    assert told["error"] == pytest.approx(1e9 * np.mean(errors))
    assert noise_floor(y[:3], np.arange(3)) is None


def test_equal_rows_with_different_values():
    frame = pd.concat([clean(400)] * 3, ignore_index=True)
    assert "MB112" not in codes(look(frame))
    frame["y"] += np.random.default_rng(0).normal(size=1200) * 2
    finding, facts = only(look(frame), "MB112"), look(frame).facts["equal_rows"]["y"]
    assert finding.severity == "warning"
    assert facts["deviation"] == pytest.approx(2, rel=0.1)
    assert facts["rows"] == facts["differing"] == 1200


def test_near_copies_and_how_far_their_values_differ():
    frame = clean()
    frame.loc[5, list("abcd")] = frame.loc[9, list("abcd")] + 1e-5
    frame.loc[5, ["kind", "y"]] = [frame.loc[9, "kind"], frame.loc[9, "y"] + 7]
    report = look(frame)
    assert set(only(report, "MB113").rows) == {5, 9}
    assert report.facts["near_duplicates"]["median_difference"]["y"] == pytest.approx(7)


def test_rows_without_a_value_are_left_out_and_keep_their_numbers():
    frame = clean().astype({"y": object})
    frame.loc[3, "y"], frame.loc[10, "y"], frame.loc[11, "y"] = None, "n/a", np.inf
    frame.loc[20, "y"] = 1e6
    report = look(frame, task="regression")
    assert only(report, "MB107").rows == (3, 10, 11)
    assert report.facts["source"]["rows"] == 597
    assert only(report, "MB104").rows[0] == 20


# ------------------------------------------------------------------------------------ times and groups


def test_a_target_that_drifts():
    frame = clean(1000)
    when = pd.date_range("2024-01-01", periods=1000, freq="h")
    drifting = frame.assign(when=when, y=frame["y"] + np.linspace(0, 6, 1000))
    undeclared = look(drifting)
    assert "median of the target goes from" in only(undeclared, "MB025").message
    assert undeclared.skipped["MB115"] == "the rows are in the order of 'when'"
    declared = look(drifting, time="when")
    assert only(declared, "MB114").columns == ("when",)
    assert "MB025" not in codes(declared)
    assert "MB114" not in codes(look(frame.assign(when=when), time="when"))
    assert "sorted" in only(look(frame.sort_values("y", ignore_index=True)), "MB115").message
    assert "MB115" not in codes(look(frame))


def test_drift_is_the_rank_test_over_tenths():
    y = np.random.default_rng(0).normal(size=500).round(1)
    told = value_drift(y, np.arange(500))
    test = stats.kruskal(*np.split(y, 10))
    assert told["p"] == pytest.approx(test.pvalue)
    assert not told["material"]
    assert told["medians"] == [np.median(part) for part in np.split(y, 10)]
    assert value_drift(np.ones(500), np.arange(500))["p"] == 1.0


def test_intraclass_correlation_beside_its_definition():
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(60), 5)
    effect = rng.normal(size=60)[code] * 2 + rng.normal(size=300)
    groups = [effect[code == g] for g in range(60)]
    between = 5 * np.var([g.mean() for g in groups], ddof=1)
    within = np.mean([np.var(g, ddof=1) for g in groups])
    assert intraclass(effect, code) == pytest.approx((between - within) / (between + 4 * within))
    assert intraclass(1e12 * effect - 1e11, code) == pytest.approx(intraclass(effect, code))
    assert np.isnan(intraclass(effect, np.arange(300)))


def test_groups_declared_and_not():
    frame = clean()
    frame["customer_id"] = np.arange(600) // 4
    frame["y"] += np.random.default_rng(0).normal(size=150)[frame["customer_id"]] * 8
    undeclared = look(frame)
    assert "in common" in only(undeclared, "MB026").message
    declared = look(frame, groups="customer_id")
    assert "independent" in only(declared, "MB028").message
    assert declared.facts["groups"]["intraclass"] == pytest.approx(0.92, abs=0.05)
    rare = np.argsort(frame["y"].to_numpy())[-20:]
    few = frame.assign(site=np.where(np.isin(np.arange(600), rare), 0, 1 + np.arange(600) % 30))
    few["y"] = np.random.default_rng(0).uniform(0, 5, 600)
    few.loc[rare, "y"] = 300 + np.arange(20.0)
    assert only(look(few, groups="site"), "MB028").severity == "warning"


# ------------------------------------------------------------------------------------------- planning


def test_folds_and_rare_rows():
    rng = np.random.default_rng(0)
    frame = clean(2000).assign(y=rng.lognormal(0, 1.2, 2000))
    report = look(frame)
    fewest = report.facts["plan"]["fewest_in_a_test_part"]["few"]
    rare = report.facts["values"][0]["regions"]["few"]["rows"]
    assert 0 < fewest <= rare // 5
    assert ("MB116" in codes(report)) == (fewest < 10)
    assert only(look(clean(30).assign(y=np.arange(30.0) + 0.5), folds=31), "MB016").severity == "error"


def test_rows_that_an_interval_needs():
    rng = np.random.default_rng(0)
    frame = clean(1500).assign(y=lambda f: np.exp(f["a"] + 0.3 * rng.normal(size=1500)))
    wide, narrow = (audit_table(frame, "y", half_width=h) for h in (0.45, 0.05))
    told = narrow.facts["rare"]
    assert told["needed"] == int(np.ceil((stats.norm.ppf(0.975) * told["deviation_of_error"] / 0.05) ** 2))
    assert only(narrow, "MB117").severity == "warning"
    assert wide.facts["rare"]["needed"] * 81 == pytest.approx(told["needed"], rel=0.1)


@pytest.mark.parametrize(
    ("metric", "told"), [("mae", True), ("r2", True), ("bmae", False), ("mae@few", False), (None, False)]
)
def test_a_metric_that_hides_the_rare_values(metric, told):
    frame = clean(3000).assign(y=np.random.default_rng(0).lognormal(size=3000))
    report = look(frame, metric=metric)
    assert ("MB118" in codes(report)) == told
    assert report.facts["metric"]["planned"] == (metric or "bmae")


# -------------------------------------------------------------------------------------- the quick model


def test_no_signal_and_one_column():
    frame = clean(700)
    noise = audit_table(frame.assign(y=np.random.default_rng(3).normal(size=700)), "y")
    assert "R²" in only(noise, "MB029").message
    gold = audit_table(frame.assign(fee=frame["y"] + np.random.default_rng(0).normal(size=700) * 0.5), "y")
    assert only(gold, "MB031").columns == ("fee",)
    assert not {"MB029", "MB031"} & codes(audit_table(frame, "y"))


def test_predictions_are_of_rows_not_seen_and_a_sample_keeps_the_rare():
    frame = clean(1500).assign(y=np.random.default_rng(0).lognormal(size=1500))
    subject, plan = value_subject(frame, "y"), ValuePlan(model_rows=1000)
    model = fit_value_model(subject, plan)
    assert len(model.rows) <= 1000
    assert subject.rare[model.rows].sum() == subject.rare.sum()
    assert np.average(subject.y[model.rows, 0], weights=model.weight) == pytest.approx(
        frame["y"].mean(), rel=0.15
    )
    # A target that is chance cannot be known by who did not see it.
    assert all(told["r2"].value < 0.05 for told in model.estimates.values())
    bins = error_by_density(model.predictions[model.best][:, 0], subject.y[model.rows, 0], model.regions[0])
    error = np.abs(model.predictions[model.best][:, 0] - subject.y[model.rows, 0])
    first = subject.y[model.rows, 0] < bins[0]["high"]
    assert bins[0]["mae"] == pytest.approx(error[first].mean(), rel=0.05)


# -------------------------------------------------------------------------------------- several targets


def test_several_targets():
    frame = clean(800).assign(z=lambda f: f["c"] * 1e6, w=lambda f: f["c"] * 2 + 1)
    report = audit_table(frame.drop(columns="c"), "y,z,w")
    assert report.facts["source"]["targets"] == ["y", "z", "w"]
    assert [v["target"] for v in report.facts["values"]] == ["y", "z", "w"]
    assert "'z' and 'w'" in only(report, "MB119").message
    assert "mae[z]" in report.facts["quick_model"]["models"]["ridge regression"]
    matrix = audit_table(frame[list("abd")].to_numpy(), frame[["y", "z"]].to_numpy(), mute=NO_MODEL)
    assert matrix.facts["source"]["targets"] == ["target 1", "target 2"]
    named = look(frame, ["y", "z"])
    assert named.facts["source"]["targets"] == ["y", "z"]


# ------------------------------------------------------------------------------------------ the interface


def test_json_is_plain_and_the_same_twice():
    report = audit_table(clean(), "y")
    told = report.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told == audit_table(clean(), "y").to_dict()
    assert set(told["facts"]) == {
        "source", "values", "density", "shape", "ties", "plan", "metric", "equal_rows", "near_duplicates", "missing", "time",
        "groups", "quick_model", "rare",
    }  # fmt: skip
    status = {c["code"]: c["status"] for c in told["checks"]}
    assert list(status) == list(register())
    assert status["MB008"] == status["MB015"] == "skipped"
    assert {status[code] for code in VALUES_ONLY} <= {"found", "clear", "skipped"}


def test_the_command(tmp_path):
    path = tmp_path / "rings.csv"
    frame = clean(400)
    frame.loc[4, "y"] = -999
    frame.to_csv(path, index=False)
    mute = ",".join(NO_MODEL)

    def run(*arguments):
        return CliRunner().invoke(app, ["audit", str(path), "--target", "y", "--mute", mute, *arguments])

    done = run()
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "rings.csv: 400 rows, 5 features, target y"
    assert "MB105 warning Values that look like codes" in done.output
    assert "for classes" not in done.output
    assert run("--strict").exit_code == 1
    printed = json.loads(run("--json", "-").stdout)
    assert printed["facts"]["source"]["task"] == "regression"
    assert run("--task", "classification").exit_code == 2
    assert "bmae" in run("--metric", "accuracy").stderr


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 19, 21])
def test_few_rows_are_no_error(rows):
    frame = clean(rows)
    audit_table(frame, "y", task="regression").to_dict()


def test_amounts():
    assert [amount(v) for v in (0, 9.0, -1234.5, 123456.0, 1e-7, 3e15)] == [
        "0",
        "9",
        "-1,234",
        "123,500",
        "1e-07",
        "3e+15",
    ]
