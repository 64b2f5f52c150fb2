"""Watching a model in use: alarms for what has moved, none for chance, and nothing lost of the history."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from metabalance.cli import app
from metabalance.data.errors import DataError
from metabalance.study import drift, monitor, watch
from metabalance.study.artifact import read_artifact, write_artifact
from metabalance.study.drift import FLOOR, Drift, binned_drift, kolmogorov_p, level_drift, psi, score_drift
from metabalance.study.expected import expected_performance
from metabalance.study.history import append_entry, read_entries
from metabalance.study.load import make_table
from metabalance.study.monitor import Monitored
from metabalance.study.promise import AS_PROMISED, CANNOT_TELL, WORSE, Kept, compare_with_promise
from metabalance.study.reference import Reference, make_reference, summarise_column, summarise_rows
from metabalance.study.rows import Finding, compare_columns, readable_rows
from metabalance.study.ship import TrainedModel
from metabalance.study.sources import ImageTable
from metabalance.study.train import train_table
from metabalance.study.watch import FINE, FOUND, class_indices, monitor_command


def people(rows, rate=0.15, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < rate
    return pd.DataFrame(
        {
            "amount": rng.normal(1.8 * y, spread),
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(40, 10, rows)),
            "city": rng.choice(["Bonn", "Rome", "Oslo"], rows),
            "member": rng.choice([True, False], rows),
            "when": pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D"),
            "y": np.where(y, "bad", "good"),
        }
    )


@pytest.fixture(scope="module")
def model():
    table = make_table(people(5000), "y")
    return train_table(table, "logistic", holdout=0.3).model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    goal = tmp_path_factory.mktemp("fit") / "model"
    model.save(goal)
    return goal


def monitor_rows(*arguments, n_boot=80, **options):
    return monitor.monitor_rows(*arguments, n_boot=n_boot, **options)


def said(found, kind=None):
    return [f.message for f in found.alarms() if kind in (None, f.kind)]


# ---------------------------------------------------------------------------------------- one by one


def test_nothing_moves_between_equal_rows():
    counts = [30.0, 50.0, 20.0]
    for made in (binned_drift, level_drift):
        same = made("x", counts, counts, (5.0, 5.0))
        assert (same.distance, same.psi, same.p) == (0.0, 0.0, 1.0)
        assert same.missing[0] == same.missing[1]
        assert same.effect == 0.0
    scores = np.random.default_rng(0).normal(size=300)
    same = score_drift(scores, scores)
    assert (same.distance, same.wasserstein) == (0.0, 0.0)
    assert same.psi < 1e-12


def test_distances_are_those_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=400).round(1), rng.normal(0.3, size=300).round(1)
    found = score_drift(a, b)
    reference = stats.ks_2samp(a, b, method="asymp")
    assert found.distance == pytest.approx(reference.statistic, abs=1e-12)
    assert found.p == pytest.approx(reference.pvalue, rel=0.2)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(a, b))
    counts = np.array([[30, 50, 20], [20, 40, 40]])
    assert level_drift("x", *counts, (0, 0)).p == pytest.approx(
        stats.chi2_contingency(counts, correction=False).pvalue
    )
    assert kolmogorov_p(0.1, 0, 10) != kolmogorov_p(0.1, 0, 10)  # NaN


def test_a_weight_is_worth_as_many_rows():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=50), rng.normal(size=80)
    weight = rng.integers(1, 4, 50)
    found, twin = score_drift(a, b, weight), score_drift(np.repeat(a, weight), b)
    assert found.distance == pytest.approx(twin.distance, abs=1e-12)
    assert found.wasserstein == pytest.approx(twin.wasserstein)
    assert found.p >= twin.p  # weighted rows are fewer


def test_psi_by_hand():
    p, q = np.array([50.5, 50.5]) / 101, np.array([25.5, 75.5]) / 101
    assert psi([50, 50], [25, 75]) == pytest.approx(sum((q - p) * np.log(q / p)))
    assert psi([1, 2], [3, 4]) == pytest.approx(psi([2, 1], [4, 3]))
    assert np.isfinite(psi([100, 0], [0, 100]))


def test_under_no_change_tests_keep_their_level():
    rng = np.random.default_rng(1)
    found = {"ks": 0, "chi2": 0, "missing": 0}
    for _ in range(250):
        old, new = rng.normal(size=(2, 300))
        edges = np.quantile(old, np.arange(1, 20) / 20)
        counts = [np.bincount(np.searchsorted(edges, v), minlength=20) for v in (old, new)]
        found["ks"] += binned_drift("x", *counts, (0, 0)).p < 0.05
        levels = [rng.multinomial(300, [0.5, 0.3, 0.15, 0.04, 0.01]) for _ in range(2)]
        found["chi2"] += level_drift("x", *levels, (0, 0)).p < 0.05
        gone = rng.binomial(300, 0.1, 2)
        found["missing"] += level_drift("x", [300 - gone[0]], [300 - gone[1]], tuple(gone)).p < 0.05
    assert found["ks"] <= 0.07 * 250
    assert 0.02 * 250 <= found["chi2"] <= 0.08 * 250
    assert found["missing"] <= 0.07 * 250


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.integers(0, 50), st.integers(0, 50), st.data()
)
def test_any_counts_give_a_p_value_or_none(before, gone, now_gone, data):
    now = data.draw(st.lists(st.integers(0, 1000), min_size=len(before), max_size=len(before)))
    for made in (binned_drift, level_drift):
        found = made("x", before, now, (gone, now_gone))
        assert isinstance(found, Drift)
        assert np.isnan(found.p) or 0 <= found.p <= 1
        assert found.effect >= 0


def test_summaries_count_every_row():
    values = np.array([1.0, 2.0, np.nan, 2.0, np.inf, -np.inf])
    told = summarise_column("x", "number", values, np.ones(6))
    assert sum(told["counts"]) + told["missing"] == 6
    again = summarise_column("x", "number", values[:2], np.ones(2), like=told)
    assert again["edges"] == told["edges"]
    assert sum(again["counts"]) == 2
    levels = np.array(["a", "b", None, "a"], dtype=object)
    told = summarise_column("x", "category", levels, np.ones(4))
    assert (told["levels"], told["counts"], told["missing"]) == (["a", "b"], [2.0, 1.0], 1.0)
    new = summarise_column("x", "category", np.array(["b", "z", "z"], dtype=object), np.ones(3), like=told)
    assert (new["counts"], new["others"], new["new"]) == ([0.0, 1.0], 2.0, {"z": 2})


# ------------------------------------------------------------------------------- without labels


def test_expected_metrics_are_those_of_drawn_classes():
    rng = np.random.default_rng(0)
    p = rng.beta(0.4, 3, 1500)
    p = np.stack([1 - p, p], axis=1)
    decision = (p[:, 1] > 0.3).astype(int)
    cost = [[0, 1], [8, 0]]
    found = expected_performance(p, decision, 1, cost=cost)
    from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

    drawn = {name: [] for name in found}
    for _ in range(80):
        y = (rng.random(len(p)) < p[:, 1]).astype(int)
        drawn["precision"].append(precision_score(y, decision))
        drawn["recall"].append(recall_score(y, decision))
        drawn["roc_auc"].append(roc_auc_score(y, p[:, 1]))
        drawn["average_precision"].append(average_precision_score(y, p[:, 1]))
        drawn["expected_cost"].append(np.asarray(cost)[y, decision].mean())
    for name in ("precision", "recall", "roc_auc", "average_precision", "expected_cost"):
        assert found[name].value == pytest.approx(np.mean(drawn[name]), abs=0.01 + 0.01 * found[name].value)
        inside = np.mean(
            (np.array(drawn[name]) >= found[name].low) & (np.array(drawn[name]) <= found[name].high)
        )
        assert 0.85 <= inside <= 1


def test_expected_metrics_with_ties_and_repeated_rows():
    p = np.repeat([[0.9, 0.1], [0.4, 0.6]], [30, 10], axis=0)
    found = expected_performance(p, p.argmax(1), 1, draws=20)
    positives, called = 30 * 0.1 + 10 * 0.6, 10
    assert found["precision"].value == pytest.approx(0.6)
    assert found["recall"].value == pytest.approx(6 / positives)
    assert found["f1"].value == pytest.approx(2 * 6 / (called + positives))
    concordant = 6 / 9 * 27 / 31 + 0.5 * (6 / 9 * 4 / 31 + 3 / 9 * 27 / 31)
    assert found["roc_auc"].value == pytest.approx(concordant)


def test_an_uncertain_calibration_widens_the_interval():
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 2, 3000)
    p = np.stack([1 - p, p], axis=1)
    few = slice(0, 60)
    y = (rng.random(3000) < p[:, 1]).astype(int)
    widths = []
    for rows in (few, slice(None), None):
        reference = None if rows is None else (p[rows], y[rows], np.ones(len(y[rows])))
        found = expected_performance(p, p.argmax(1), 1, reference=reference)["recall"]
        widths.append(found.high - found.low)
    assert widths[0] > 1.5 * widths[1] > 1.5 * widths[2] * 0.9


def test_expected_metrics_of_several_classes_and_of_none_called():
    p = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
    found = expected_performance(p, np.array([0, 1]), 2, draws=50)
    assert found["accuracy"].value == pytest.approx(0.65)
    assert found["balanced_accuracy"].value == pytest.approx((0.8 / 1 + 0.5 / 0.6 + 0) / 3)
    none = expected_performance(p[:, :2] / p[:, :2].sum(1, keepdims=True), np.array([0, 0]), 1)
    assert np.isnan(none["precision"].value)
    assert none["precision"].reason
    assert none["recall"].value == 0


# ------------------------------------------------------------------------------------ the whole


def test_rows_of_the_same_kind_raise_no_alarm(model):
    fresh = people(4000, seed=1)
    found = monitor_rows(model, fresh, class_indices(fresh["y"], model.classes, "y"))
    assert isinstance(found, Monitored)
    assert said(found) == []
    assert {k.verdict for k in found.kept} <= {AS_PROMISED, CANNOT_TELL}
    for name, kept in ((k.metric, k) for k in found.kept if k.metric in found.expected):
        assert found.expected[name].low <= kept.now.value <= found.expected[name].high


def test_another_prior_is_told_as_such(model):
    fresh = people(4000, rate=0.4, seed=2)
    found = monitor_rows(model, fresh, class_indices(fresh["y"], model.classes, "y"))
    bad = model.classes.index("bad")
    true = (fresh["y"] == "bad").mean()
    assert found.prior["bbse"]["low"][bad] < true < found.prior["bbse"]["high"][bad]
    assert found.prior["em"]["prior"][bad] == pytest.approx(true, abs=0.05)
    assert len(said(found, "prior")) == 1
    # Precision rises with the share alone: the promise is restated, and the model is as good as ever.
    assert said(found, "performance") == []
    true = next(k for k in found.kept if k.metric == "average_precision")
    assert (
        found.expected["average_precision"].low <= true.now.value <= found.expected["average_precision"].high
    )


def test_a_column_that_moves_is_named_and_the_estimates_are_not_believed(model):
    fresh = people(4000, seed=3)
    fresh["amount"] += 2
    found = monitor_rows(model, fresh)
    assert any("'amount' has moved" in text for text in said(found, "drift"))
    assert any("the scores have moved" in text for text in said(found, "drift"))
    assert said(found, "prior") == []
    assert any("not to be trusted" in note for note in found.notes)
    assert sum("has moved" in text for text in said(found)) == 1  # not age, nor city


def test_a_model_that_has_got_worse_is_told(model):
    fresh = people(4000, seed=4)
    rng = np.random.default_rng(0)
    flipped = fresh["y"].where(rng.random(len(fresh)) > 0.4, rng.permutation(fresh["y"]))
    found = monitor_rows(model, fresh, class_indices(flipped, model.classes, "y"))
    assert any("roc_auc is worse than promised" in text for text in said(found, "performance"))
    few = slice(0, 40)
    unsure = monitor_rows(model, fresh[few], class_indices(fresh["y"][few], model.classes, "y"))
    assert CANNOT_TELL in {k.verdict for k in unsure.kept}
    assert WORSE not in {k.verdict for k in unsure.kept}


def test_with_many_rows_a_small_change_is_no_alarm(model):
    fresh = people(120_000, seed=5)
    fresh["age"] += 1.0  # a tenth of a deviation: significant, and of no matter
    found = monitor_rows(model, fresh, n_boot=20)
    age = next(c for c in found.columns if c["name"] == "age")
    assert age["p_holm"] < 0.01
    assert age["effect"] < FLOOR
    assert said(found) == []


def test_missing_and_unreadable_columns_are_findings(model):
    fresh = people(500, seed=6).drop(columns="age")
    fresh["amount"] = fresh["amount"].astype(object)
    fresh.loc[3, "amount"] = "a lot"
    fresh.loc[::5, "city"] = "Wien"
    fresh["when"] += pd.Timedelta(days=4000)
    found = monitor_rows(model, fresh)
    text = " | ".join(said(found))
    assert "'age' is absent" in text
    assert "'amount' counts as missing" in text
    assert "never seen before: 'Wien' (100)" in text
    assert "'when'" not in text  # time goes on
    assert any("100% of the dates in 'when'" in f.message for f in found.findings)
    with pytest.raises(DataError, match="none of the model's"):
        monitor_rows(model, pd.DataFrame({"other": [1, 2]}))
    with pytest.raises(DataError, match="no new rows"):
        monitor_rows(model, fresh[:0])


def test_the_reference_is_small_and_survives_the_folder(model, folder):
    again = TrainedModel.load(folder).reference
    assert isinstance(again, Reference)
    assert again.part == "held-out"
    np.testing.assert_array_equal(again.probabilities, model.reference.probabilities)
    np.testing.assert_array_equal(again.target, model.reference.target)
    assert again.columns == model.reference.columns
    assert again.counts.sum() == 1500
    np.testing.assert_array_equal(again.stands_for(), 1.0)
    assert again.weight(np.array([0.5, 0.5])) @ (again.target == 1) == pytest.approx(750)
    assert {c["name"] for c in again.columns} == {"amount", "age", "city", "member", "when"}


def test_many_rows_are_thinned_out_and_keep_their_weight(model):
    rows = people(80_000, seed=7)
    target = class_indices(rows["y"], model.classes, "y")
    kept = make_reference(model, rows, target, "reference")
    assert len(kept.probabilities) < 40_000
    assert kept.stands_for().sum() == pytest.approx(80_000)
    assert len(summarise_rows(model.preprocessor, rows, np.ones(len(rows)))) == 5
    found = score_drift(kept.probabilities[:, 0], model.predict_proba(rows)[:, 0], kept.stands_for())
    assert found.distance < 0.01


def test_reference_rows_follow_a_given_prior():
    table = make_table(people(4000), "y")
    bad = table.classes.index("bad")
    prior = np.array([0.9, 0.9])
    prior[bad] = 0.1
    prior[1 - bad] = 0.9
    fitted = train_table(table, "logistic", prior=prior).model
    rate = people(6000, rate=0.1, seed=9)
    assert said(monitor_rows(fitted, rate)) == []
    assert fitted.reference.thinning < 1


def test_images_are_watched_by_brightness(tmp_path):
    rng = np.random.default_rng(0)
    y = (np.arange(300) % 4 == 0).astype(int)
    pixels = (rng.integers(0, 100, (300, 1, 6, 6)) + 100 * y[:, None, None, None]).astype(np.uint8)
    fitted = train_table(ImageTable("squares", pixels, y, ("a", "b"), 1), "logistic").model
    assert said(monitor_rows(fitted, pixels)) == []
    found = monitor_rows(fitted, np.minimum(pixels, 20))
    assert any("'brightness' has moved" in text for text in said(found))


def test_an_interval_of_the_promise_by_hand(model):
    rows = people(3000, seed=9)
    target = class_indices(rows["y"], model.classes, "y")
    kept = compare_with_promise(model, model.reference, model.predict_proba(rows), target, n_boot=100)
    assert all(isinstance(k, Kept) for k in kept)
    for one in kept:
        sign = -1 if one.metric == "brier" else 1
        assert one.difference.value == pytest.approx(sign * (one.now.value - one.promised.value))
        assert one.now.low <= one.now.value <= one.now.high
    from sklearn.metrics import roc_auc_score

    assert kept[0].now.value == pytest.approx(
        roc_auc_score(rows["y"] == "bad", model.predict_proba(rows)[:, model.positive])
    )


# --------------------------------------------------------------------------------------- history


def test_entries_are_added_and_none_is_lost(tmp_path):
    path = tmp_path / "new" / "history.json"
    assert read_entries(path) == []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: append_entry(path, {"when": "now", "i": i}), range(40)))
    assert sorted(e["i"] for e in read_entries(path)) == list(range(40))
    assert [p.name for p in path.parent.iterdir()] == ["history.json"]


@pytest.mark.parametrize("content", ["", "[{", '{"when": 1}', "[1]", '[{"x": 1}]', "\x00"])
def test_a_damaged_history_is_refused_and_left_alone(content, tmp_path):
    path = tmp_path / "history.json"
    path.write_text(content)
    with pytest.raises(DataError, match="left as it is"):
        append_entry(path, {"when": "now"})
    assert path.read_text() == content


# --------------------------------------------------------------------------------------- command


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    where = tmp_path_factory.mktemp("tables")
    people(1500, seed=11).to_csv(where / "same.csv", index=False)
    moved = people(1500, seed=12)
    moved["amount"] += 3
    moved.loc[::2, "y"] = None
    moved.to_csv(where / "moved.csv", index=False)
    return where


def test_the_status_is_for_pipelines(folder, tables, tmp_path):
    history = tmp_path / "history.json"
    fine = run("monitor", folder, tables / "same.csv", "--target", "y", "--json", history, "--tolerance", 0.2)
    assert fine.exit_code == FINE == 0, fine.output
    assert "as promised" in fine.output
    assert "No alarm" in fine.output
    found = run("monitor", folder, tables / "moved.csv", "--target", "y", "--json", history)
    assert found.exit_code == FOUND == 1, found.output
    assert "750 of 1,500 rows have no class yet" in found.output
    entries = read_entries(history)
    assert [e["status"] for e in entries] == [0, 1]
    assert entries[1]["columns"]
    assert entries[1]["findings"]
    json.dumps(entries, allow_nan=False)
    assert run("monitor", folder, tables / "moved.csv", "--fail-on", "prior").exit_code == 0
    assert run("monitor", folder, tables / "moved.csv", "--fail-on", "prior,drift").exit_code == 1
    assert run("monitor", folder, tables / "moved.csv", "--fail-on", "nothing").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--fail-on", "rain"], "drift, prior, performance"),
        (["--target", "nothing"], "nothing"),
        (["--json", "broken.json"], "left as it is"),
        (["--reference", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_bad_input_is_status_2(folder, tables, arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    done = run("monitor", folder, tables / "same.csv", *arguments)
    assert done.exit_code == 2, done.output
    assert text in done.stderr


def test_an_unknown_class_is_refused(model):
    with pytest.raises(DataError, match="the model's classes are"):
        class_indices(pd.Series(["bad", "ugly"]), model.classes, "y")


def test_a_model_of_an_earlier_release_asks_for_a_reference(folder, tables, tmp_path):
    content, tensors, files = read_artifact(folder)
    files.pop("reference.json")
    write_artifact(
        tmp_path / "old", content, {k: v for k, v in tensors.items() if "reference" not in k}, files
    )
    done = run("monitor", tmp_path / "old", tables / "moved.csv")
    assert done.exit_code == 2
    assert "--reference" in done.stderr
    people(1500, seed=13).to_csv(tmp_path / "ref.csv", index=False)
    for extra in (["--target", "y"], []):
        done = run(
            "monitor", tmp_path / "old", tables / "moved.csv", "--reference", tmp_path / "ref.csv", *extra
        )
        assert done.exit_code == 1, done.output
        assert "against the reference rows" in done.output
    assert callable(monitor_command)
    assert isinstance(Finding("drift", "x"), Finding)
    assert callable(compare_columns)
    assert callable(readable_rows)
    assert drift.FLOOR == FLOOR
    assert watch.FINE == FINE
