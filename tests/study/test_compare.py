"""A comparison: the same splits for all, resumable, honest about failures, no leak from the test part."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification

from metabalance.data.errors import DataError
from metabalance.study.candidates import parse_candidates
from metabalance.study.classes import fit_metrics
from metabalance.study.compare import BASELINE, Plan, Progress, Table, run_comparison
from metabalance.study.given import parse_duration, parse_prior
from metabalance.study.load import make_table
from metabalance.study.store import RunStore
from metabalance.study.summary import advice, summarise, write_results


def frame(rows=400, seed=0, **options):
    X, y = make_classification(
        rows, n_features=5, weights=[0.85], random_state=seed, **{"class_sep": 1.5} | options
    )
    table = pd.DataFrame(X, columns=list("abcde"))
    table["kind"] = np.where(X[:, 0] > 0, "left", "right")
    table["y"] = np.where(y == 1, "bad", "good")
    return table


def plan(recipes="erm,oversample,logistic", **options):
    defaults = {"folds": 3, "seeds": 1, "network": {"epochs": 3, "batch_size": 64}, "workers": 2}
    return Plan(tuple(parse_candidates(recipes)), **defaults | options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    table = make_table(frame(), "y", name="made")
    return run_comparison(table, plan(cost=((0, 1), (10, 0))), folder), folder


def test_everything_is_fitted_and_summarised(finished, tmp_path):
    run, _ = finished
    assert run.complete
    result = summarise(run, "metabalance compare made --target y")
    by_name = {r["name"]: r for r in result["recipes"]}
    assert list(by_name) == ["erm", "oversample", "logistic"]
    for recipe in by_name.values():
        assert recipe["fits"] == 3
        for name in ("average_precision", "roc_auc", "f1", "balanced_accuracy", "brier", "expected_cost"):
            found = recipe["metrics"][name]
            assert found["low"] <= found["value"] <= found["high"]
        assert np.sum(recipe["confusion"]) == 400
    assert by_name["erm"]["difference"] == {}
    gap = by_name["logistic"]["difference"]["roc_auc"]
    assert gap["value"] == pytest.approx(
        by_name["logistic"]["metrics"]["roc_auc"]["value"] - by_name["erm"]["metrics"]["roc_auc"]["value"]
    )
    assert gap["p"] <= gap["p_holm"] <= 1
    write_results(result, tmp_path)
    assert (
        json.loads((tmp_path / "advice.json").read_text())["advice"]["headline"]
        == result["advice"]["headline"]
    )
    assert len(pd.read_parquet(tmp_path / "results.parquet")) == 9
    html = (tmp_path / "report.html").read_text()
    assert result["advice"]["headline"].split(".")[0] in html
    assert "http://" not in html.replace("http://www.w3.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("http://purl.org", "")


def test_every_row_is_tested_once_and_the_probabilities_are_those_of_its_fold(finished):
    run, _ = finished
    tested = np.concatenate([s.test for s in run.splits])
    assert sorted(tested) == list(range(400))
    for split in run.splits:
        assert not set(split.train) & set(split.test)
        assert len(run.store.load("erm", split.seed, split.fold)["outputs"]) == len(split.test)


def test_a_second_run_fits_nothing_and_more_recipes_may_join(finished):
    run, folder = finished
    seen: list[Progress] = []
    again = run_comparison(run.table, run.plan, folder, seen.append)
    assert [p.status for p in seen] == ["stored"]
    assert summarise(again)["recipes"] == summarise(run)["recipes"]
    more = Plan(
        **{**run.plan.__dict__, "candidates": tuple(parse_candidates("erm,oversample,logistic,undersample"))}
    )
    seen.clear()
    run_comparison(run.table, more, folder, seen.append)
    assert {p.label for p in seen} == {"", "undersample"}


def test_another_table_or_protocol_in_the_same_folder_is_refused(finished):
    run, folder = finished
    with pytest.raises(DataError, match="another data fingerprint"):
        run_comparison(make_table(frame(seed=1), "y"), run.plan, folder)
    with pytest.raises(DataError, match="another folds"):
        run_comparison(run.table, plan(folds=4, cost=((0, 1), (10, 0))), folder)


def test_test_rows_do_not_reach_the_training(tmp_path):
    """Spoiling the test rows' features changes no fitted thing: same calibrator, decisions and validation metric."""
    table = make_table(frame(), "y")
    first = run_comparison(table, plan("erm,smote", folds=3), tmp_path / "a")
    split = first.splits[0]
    spoiled = table.frame.copy()
    spoiled.iloc[split.test, :5] = 1e6
    other = Table(**{**table.__dict__, "frame": spoiled})
    second = run_comparison(other, plan("erm,smote", folds=3), tmp_path / "b")
    for name in ("erm", "smote"):
        a, b = first.store.load(name, 0, split.fold), second.store.load(name, 0, split.fold)
        assert {k: a[k] for k in ("calibrator", "decisions", "validation")} == {
            k: b[k] for k in ("calibrator", "decisions", "validation")
        }
        assert not np.array_equal(a["outputs"], b["outputs"])


def test_failures_are_reported_and_cost_one_recipe(tmp_path):
    table = make_table(frame(class_sep=50, flip_y=0, n_clusters_per_class=1), "y")
    run = run_comparison(table, plan("erm,adasyn"), tmp_path / "run")
    result = summarise(run)
    adasyn = next(r for r in result["recipes"] if r["name"] == "adasyn")
    assert adasyn["status"] == "failed"
    assert "smote" in adasyn["note"]
    assert any("adasyn" in line for line in result["advice"]["details"])
    write_results(result, tmp_path)


def test_multi_class_and_groups_and_time(tmp_path):
    rng = np.random.default_rng(0)
    table = frame(600)
    table["y"] = np.array(["a", "b", "c"])[np.digitize(table["a"] + rng.normal(size=600), [0.5, 2.0])]
    table["customer"] = rng.integers(0, 150, 600)
    table["day"] = pd.date_range("2024-01-01", periods=600, freq="h").astype(str)
    run = run_comparison(
        make_table(table, "y", groups="customer"), plan("erm,metabalance"), tmp_path / "groups"
    )
    groups = run.table.groups
    assert all(not set(groups[s.train]) & set(groups[s.test]) for s in run.splits)
    result = summarise(run)
    assert np.isfinite(result["recipes"][1]["difference"]["average_precision"]["value"])
    write_results(result, tmp_path / "groups")
    run = run_comparison(make_table(table, "y", time="day"), plan("erm"), tmp_path / "time")
    assert all(run.table.time[s.train].max() < run.table.time[s.test].min() for s in run.splits)
    assert "customer" in run.table.frame.columns
    assert "day" not in run.table.frame.columns


@pytest.mark.slow  # test_nothing_lost kills at exact moments in the fast suite
def test_killed_at_any_moment_it_goes_on_to_the_same_numbers(finished, tmp_path):
    _run, _ = finished
    path = tmp_path / "made.csv"
    frame().to_csv(path, index=False)
    command = [sys.executable, "-m", "metabalance.cli", "compare", str(path), "--target", "y",
               "--recipes", "erm,oversample,logistic",
               "--folds", "3", "--seeds", "1", "--epochs", "3", "--batch-size", "64", "--cost", "fn=10,fp=1"]  # fmt: skip
    folder = tmp_path / "run"
    for seconds in (4, 6):
        process = subprocess.Popen(
            [*command, "--out", str(folder)], stdout=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for out in (folder, tmp_path / "whole"):
        assert (
            subprocess.run([*command, "--out", str(out)], stdout=subprocess.DEVNULL, check=False).returncode
            == 0
        )
    columns = ["recipe", "seed", "fold", "average_precision", "roc_auc", "f1", "brier", "expected_cost"]
    a, b = (pd.read_parquet(out / "results.parquet")[columns] for out in (folder, tmp_path / "whole"))
    pd.testing.assert_frame_equal(a, b)
    assert not list(folder.rglob("*.tmp"))
    assert not (folder / "scratch").exists()


def test_a_full_disk_stops_the_run_in_one_sentence(tmp_path):
    made_plan = plan("erm,logistic", workers=1)
    table = make_table(frame(), "y")
    store = RunStore(tmp_path / "run")
    store.open(made_plan.protocol(table))
    (store.folder / "fits").write_text("no folder, so no fit can be stored here")
    with pytest.raises(DataError, match=r"npz cannot be written .*choose another folder with --out"):
        run_comparison(table, made_plan, store.folder)
    assert not (store.folder / "scratch").exists()


def test_a_feature_may_be_called_target(tmp_path):
    table = frame().rename(columns={"a": "target", "b": "target_", "c": "__target__"})
    odd = run_comparison(make_table(table, "y"), plan("logistic"), tmp_path / "odd")
    plain = run_comparison(make_table(frame(), "y"), plan("logistic"), tmp_path / "plain")
    for one, other in zip(odd.splits, plain.splits):
        np.testing.assert_array_equal(
            odd.store.load("logistic", one.seed, one.fold)["outputs"],
            plain.store.load("logistic", other.seed, other.fold)["outputs"],
        )


def test_repetitions_of_splits_in_time_are_no_new_evidence(tmp_path):
    """The splits are the same rows for every seed: the interval is that of the means over seeds."""
    from metabalance.judge.paired import paired_difference

    table = frame(600).assign(day=np.arange(600))
    run = run_comparison(
        make_table(table, "y", time="day"), plan("erm,oversample", seeds=2), tmp_path / "run"
    )
    result = summarise(run)
    rows = pd.DataFrame(result["rows"]).pivot_table("average_precision", "fold", "recipe")
    share = np.mean([len(s.test) / (len(s.test) + len(s.train)) for s in run.splits])
    expected = paired_difference(rows["oversample"], rows["erm"], share)
    found = result["recipes"][1]["difference"]["average_precision"]
    assert result["recipes"][1]["fits"] == 6
    assert (found["value"], found["low"], found["p"]) == pytest.approx(
        (expected.interval.value, expected.interval.low, expected.p_value)
    )


def test_a_time_column_is_read_in_one_format():
    days = pd.date_range("2024-01-01", periods=60).strftime("%d/%m/%Y")  # 05/02 is in February, as 13/02 is
    table = make_table(frame(60).assign(day=days), "y", time="day")
    assert (np.diff(table.time) > 0).all()
    zones = [f"2024-01-{1 + i // 2:02d}T12:00:00+0{2 if i % 2 else 4}:00" for i in range(60)]
    assert (np.diff(make_table(frame(60).assign(day=zones), "y", time="day").time) > 0).all()
    with pytest.raises(DataError, match="no readable time in row 3: 'soon'"):
        make_table(frame(60).assign(day=["2024-01-01", "2024-01-02", *["soon"] * 58]), "y", time="day")
    with pytest.raises(DataError, match="missing or infinite"):
        make_table(frame(60).assign(day=[np.inf, *range(59)]), "y", time="day")


def test_the_budget_ends_the_run_cleanly(tmp_path):
    run = run_comparison(make_table(frame(), "y"), plan(budget=0.01), tmp_path / "run")
    assert not run.complete
    result = summarise(run)
    assert "Nothing can be said yet" in result["advice"]["headline"]
    write_results(result, tmp_path / "run")


# ------------------------------------------------------------------------------------------------ the advice


def made(differences: dict[str, tuple[float, float]], metric="average_precision", better=True):
    def recipe(name, gap=None):
        value = 0.5 + (gap[0] if gap else 0)
        found = {"value": value, "low": value - 0.1, "high": value + 0.1}
        difference = (
            {}
            if gap is None
            else {
                metric: {
                    "value": gap[0],
                    "low": gap[0] - 0.01,
                    "high": gap[0] + 0.01,
                    "p": gap[1],
                    "p_holm": gap[1],
                }
            }
        )
        return {
            "name": name,
            "label": name,
            "status": "ok",
            "note": "",
            "fits": 15,
            "metrics": {metric: found},
            "difference": difference,
        }

    return {
        "protocol": {"metric": metric, "level": 0.95, "folds": 5},
        "metrics": {metric: {"title": "Average precision", "greater_is_better": better}},
        "recipes": [recipe(BASELINE), *(recipe(n, g) for n, g in differences.items())],
        "data": {"duplicates": {}, "counts": [900, 100]},
        "complete": True,
    }


def test_no_winner_is_said_plainly():
    said = advice(made({"smote": (0.05, 0.2), "focal": (-0.05, 0.001)}))
    assert said["winner"] is None
    assert said["headline"].startswith("None of these beats the plain baseline with a tuned threshold")
    assert any("Worse than the baseline: focal" in d for d in said["details"])


def test_the_best_significant_recipe_wins_not_the_largest_difference():
    said = advice(made({"smote": (0.09, 0.2), "focal": (0.02, 0.01), "oversample": (0.04, 0.01)}))
    assert said["winner"] == "oversample"
    assert "focal" in said["details"][0]


def test_lower_is_better_for_losses():
    assert advice(made({"smote": (-0.05, 0.01)}, "brier", better=False))["winner"] == "smote"
    assert advice(made({"smote": (0.05, 0.01)}, "brier", better=False))["winner"] is None


def test_a_tree_that_wins_is_no_remedy():
    said = advice(made({"lightgbm": (0.2, 0.001), "smote": (0.05, 0.2)}))
    assert said["winner"] == "lightgbm"
    assert any("none beats the plain baseline" in d for d in said["details"])


def test_the_plain_network_with_other_settings_is_no_remedy_either():
    said = advice(made({"erm(lr=0.01)": (0.2, 0.001)}))
    assert said["winner"] == "erm(lr=0.01)"
    assert any("same plain network" in d for d in said["details"])
    assert not any("another kind of model" in d for d in said["details"])


def test_times_and_shares():
    assert [parse_duration(t, "--budget") for t in (None, "90", "90s", "1.5m", "2h")] == [
        None,
        90,
        90,
        90,
        7200,
    ]
    for text in ("", "-1", "0", "ten", "1d"):
        with pytest.raises(DataError, match="is no time"):
            parse_duration(text, "--budget")
    np.testing.assert_allclose(parse_prior("0.25", ("no", "yes"), 1), [0.75, 0.25])
    np.testing.assert_allclose(parse_prior("0.25", ("no", "yes"), 0), [0.25, 0.75])
    np.testing.assert_allclose(parse_prior("a=0.2,b=0.3,c=0.5", ("a", "b", "c"), 0), [0.2, 0.3, 0.5])
    np.testing.assert_allclose(parse_prior('"a, b=c"=0.2,d=0.8', ("a, b=c", "d"), 0), [0.2, 0.8])
    for text in ("2", "0", "x", "a=0.2", "z=1", "a=0.5,b=0.6"):
        with pytest.raises(DataError, match="--prior"):
            parse_prior(text, ("a", "b"), 1)


def test_fit_metrics_twin(finished):
    """Each decision metric at its own threshold, worked out with scikit-learn."""
    from sklearn.metrics import average_precision_score, f1_score

    from metabalance.adjust.decision import Decision

    run, _ = finished
    split = run.splits[0]
    record = run.store.load("erm", split.seed, split.fold)
    decisions = {n: Decision.from_dict(d) for n, d in record["decisions"].items()}
    probabilities = record["outputs"].astype(float)
    target, positive = run.table.target[split.test], run.table.positive
    found = fit_metrics(probabilities, target, positive, decisions, run.plan.cost)
    truth = target == positive
    assert found["average_precision"] == pytest.approx(
        average_precision_score(truth, probabilities[:, positive])
    )
    chosen = decisions["f1"].decide(probabilities) == positive
    assert found["f1"] == pytest.approx(f1_score(truth, chosen))
    chosen = decisions["cost"].decide(probabilities)
    assert found["expected_cost"] == pytest.approx(
        np.mean([run.plan.cost[t][c] for t, c in zip(target, chosen)])
    )


def test_a_gain_that_only_the_correction_takes_away_is_told_as_such():
    result = made({"smote": (0.05, 0.2), "focal": (0.0, 0.9)})
    result["recipes"][1]["difference"]["average_precision"] |= {"low": 0.01, "high": 0.09}
    assert "stands out alone, but not among 2 recipes" in advice(result)["details"][0]
