"""Claims about measures: measured once and kept, on what is there, with pools and drifts that are what they say."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.judge.label_noise import confusion_table, metric_of_table, noisy_confusion
from metabalance.methods import get_method
from metabalance.study.reproduce.base import Experiment, Published, greater
from metabalance.study.reproduce.claims import CLAIMS, EXPERIMENTS
from metabalance.study.reproduce.claims.auroc_auprc import measure as drifts
from metabalance.study.reproduce.claims.noisy_metrics import (
    BOTH,
    CRITERIA,
    FRAUDS,
    HYPOTHETICAL,
    ROWS,
    hypothetical_pool,
    judged,
    real_pool,
)
from metabalance.study.reproduce.experiment import conditions_here, file_of, run_experiment
from metabalance.study.reproduce.page import as_markdown
from metabalance.study.reproduce.tables import open_table
from metabalance.study.reproduce.verdict import HELD


def toy(**changes):
    calls = []

    def measure(condition, seed, folder):
        calls.append((condition, seed))
        return {"a": {"x": 1.0 + seed / 10}, "b": {"x": math.nan if condition == "odd" else seed / 10}}

    plain = Experiment(
        name="toy",
        paper="auroc_auprc",
        statement="a is more than b.",
        published=Published("2 to 1.", "Nowhere.", "confirmed", "README"),
        arms={"a": "one", "b": "other"},
        conditions={"even": "an even field.", "real": "a table"},
        measure=measure,
        contrasts=(greater("a > b", "a", "b", "x"),),
        shown=("x",),
        needs={"real": "tables/real.npz"},
        fallback={"odd": "an odd field"},
        seeds=3,
    )
    return replace(plain, **changes), calls


def test_it_is_measured_once_and_kept(tmp_path):
    experiment, calls = toy()
    seen = []
    result = run_experiment(replace(experiment, fallback={}), tmp_path, report=seen.append)
    assert result["verdict"] == HELD
    assert result["fallback"]
    assert calls == [("even", 0), ("even", 1), ("even", 2)]
    assert (seen[-1].done, seen[-1].total) == (3, 3)
    again = run_experiment(replace(experiment, fallback={}), tmp_path)
    assert len(calls) == 3
    assert again["contrasts"] == result["contrasts"]
    assert json.loads((tmp_path / "toy.json").read_text())["contrasts"][0]["interval"][
        "value"
    ] == pytest.approx(1)
    text = (tmp_path / "toy.md").read_text()
    assert text == as_markdown(result)
    assert all(part in text for part in ("Here, even: an even field.", "| even | a | 1.100", "3 seeds"))


def test_what_is_not_there_is_stood_in_for_and_no_value_is_no_verdict(tmp_path):
    experiment, calls = toy()
    assert conditions_here(experiment, None) == ({"even": "an even field.", "odd": "an odd field"}, True)
    result = run_experiment(experiment, tmp_path / "out", seeds=2)
    assert ("odd", 1) in calls
    by_condition = {c["condition"]: c["verdict"] for c in result["contrasts"]}
    assert by_condition == {"even": HELD, "odd": "not distinguishable here"}
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "real.npz").touch()
    assert conditions_here(experiment, tmp_path) == (dict(experiment.conditions), False)
    assert file_of(experiment, "real", tmp_path) is not None
    full = run_experiment(experiment, tmp_path / "out", seeds=2, full=True)
    assert "one size" in full["notes"][-1]
    assert (tmp_path / "out" / "toy-full.md").exists()


def test_a_damaged_measurement_is_named(tmp_path):
    experiment, _ = toy()
    run_experiment(experiment, tmp_path)
    next((tmp_path / "fits").iterdir()).write_text("{half")
    with pytest.raises(DataError, match="cannot be read"):
        run_experiment(experiment, tmp_path)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_whole(name):
    it = EXPERIMENTS[name]
    assert it.name == name
    assert name not in CLAIMS
    assert get_method(it.paper).papers
    assert it.published.status in ("confirmed", "secondary", "unconfirmed")
    conditions = it.conditions.keys() | it.fallback.keys() | it.full.keys()
    assert it.needs.keys() <= it.conditions.keys()
    for contrast in it.contrasts:
        assert {arm for _, arm, _ in contrast.terms} <= it.arms.keys()
        assert {c for c, _, _ in contrast.terms} <= conditions | {"*"}
        assert contrast.metric in it.shown


def test_the_command_runs_one(tmp_path, monkeypatch):
    experiment, _ = toy()
    monkeypatch.setitem(EXPERIMENTS, "toy", experiment)
    environment = {"METABALANCE_DATA": None, "COLUMNS": "200"}
    done = CliRunner().invoke(
        app, ["reproduce", "toy", "--out", str(tmp_path), "--seeds", "2"], env=environment
    )
    assert done.exit_code == 0, done.output
    assert "what ships with scikit-learn stands in" in done.output
    assert "Verdict" in done.output
    listed = CliRunner().invoke(app, ["reproduce"], env=environment)
    assert "even, odd" in listed.output


# ------------------------------------------------------------------------------------------ noisy metrics


def test_the_hypothetical_pool_has_the_rates_and_its_errors_are_those_of_the_annotators():
    rates = HYPOTHETICAL["30 % missed, 0.2 % false alarms"]
    true, given = hypothetical_pool(rates, seed=0)
    assert all(t.sum() == g.sum() == ROWS for t, g in zip(true, given))
    assert all(t[1].sum() == FRAUDS for t in true)
    assert len({g[1].sum() for g in given}) == 1  # the same labels for every classifier
    assert all((t.sum(0) == g.sum(0)).all() for t, g in zip(true, given))  # predictions are free of noise
    expected = noisy_confusion(sum(true), rates)
    np.testing.assert_allclose(sum(given) / expected, 1, atol=0.05)


def test_criteria_are_the_metrics_and_choose_by_what_is_given():
    quiet, loud = confusion_table(0.01, 0.6, 0.0005), confusion_table(0.01, 0.9, 0.02)
    true = [quiet * 1e5, loud * 1e5, confusion_table(0.01, 0.1, 0.0) * 1e5]
    found = judged(true, true)
    assert set(found) == {BOTH, *CRITERIA}
    assert all(figures["agreement"] == 1 for figures in found.values())
    assert found["F1"]["alarms"] == pytest.approx(quiet[0, 1] / quiet[1, 1])
    assert found["G-mean"]["alarms"] == pytest.approx(loud[0, 1] / loud[1, 1])
    assert min(figures["excess_cost"] for figures in found.values()) == 0
    costs = [10 * t[1, 0] + t[0, 1] for t in true]  # 1 / sqrt(0.01)
    assert found["G-mean"]["excess_cost"] == pytest.approx(costs[1] / min(costs) - 1)


def test_g_mean_decides_within_half_a_point_of_f1():
    tables = [confusion_table(492 / 284807, *rates) * 284807 for rates in ((0.369, 9.2e-5), (0.942, 0.0029))]
    f1 = [metric_of_table("f1", t) for t in tables]
    assert abs(f1[0] - f1[1]) < 0.002
    found = judged(tables, tables)
    assert found[BOTH]["alarms"] == found["G-mean"]["alarms"]


def test_trained_models_alert_at_the_levels_and_labels_err():
    true, given = real_pool("digits", 0, None)
    assert len(true) == len(given) == 7 * 8
    positives = true[0][1].sum()
    alerts = sorted({t[:, 1].sum() for t in true})
    assert alerts == sorted({float(round(k * positives)) for k in (0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8)})
    assert any((t != g).any() for t, g in zip(true, given))
    assert max(metric_of_table("mcc", t) for t in true) > 0.8


def test_tables_are_read_as_they_are_stored(tmp_path):
    import lzma

    with lzma.open(tmp_path / "t.csv.xz", "wt") as file:
        file.write("0.5,1.5,'-1'\n2.5,3.5,'1'\n")
    X, y = open_table("t", "t.csv.xz", tmp_path)
    assert X.tolist() == [[0.5, 1.5], [2.5, 3.5]]
    assert y.tolist() == [0, 1]
    np.savez(tmp_path / "t.npz", X=X, y=y)
    assert open_table("t", "t.npz", tmp_path)[1].tolist() == [0, 1]
    (tmp_path / "t.csv").write_text("0.5,a,1\n")
    with pytest.raises(DataError, match="fetch the file again"):
        open_table("t", "t.csv", tmp_path)
    with pytest.raises(DataError, match="is not there"):
        open_table("t", "nothing.csv", tmp_path)


def test_the_tables_of_the_claim_are_what_it_says(real_data):
    it = EXPERIMENTS["noisy-metrics"]
    for condition, shape in (("mammography", (11183, 260)), ("thyroid", (3772, 93))):
        if file_of(it, condition, real_data):
            X, y = open_table(condition, it.needs[condition], real_data)
            assert (len(X), int(y.sum())) == shape
            assert f"{shape[0]:,} rows with {shape[1]} positives" in it.conditions[condition]


# -------------------------------------------------------------------------------------------- auroc-auprc


@pytest.mark.parametrize("condition", list(EXPERIMENTS["auroc-auprc"].conditions)[:2])
def test_average_precision_leaves_the_rare_group_behind(condition):
    found = [drifts(condition, seed, None) for seed in range(3)]
    assert all(f["average precision"]["gap_change"] > f["ROC AUC"]["gap_change"] for f in found)
    for figures in found[0].values():
        gap = figures["frequent_change"] - figures["rare_change"]
        assert figures["gap_change"] == pytest.approx(gap)
