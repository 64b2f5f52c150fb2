"""Each figure is the metric's own, and its interval that of the slow, plain way."""

import numpy as np
import pytest

from metabalance.judge import bootstrap_interval, delong_interval, get_metric, wilson_interval
from metabalance.study.estimates import class_estimates, estimates, group_estimates


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    target = (rng.random(900) < 0.1).astype(int)
    scores = 1 / (1 + np.exp(-(rng.normal(size=900) + 2 * target - 3)))
    return scores, target, (scores > 0.2).astype(int)


def by_name(found):
    return {estimate["name"]: estimate for estimate in found}


def test_values_are_the_metrics(rows):
    scores, target, decided = rows
    cost = [[0, 1], [20, 0]]
    for name, e in by_name(estimates(scores, target, decided, num_classes=2, cost=cost)).items():
        metric = get_metric(name, cost=cost)
        expected = metric(scores if metric.kind == "score" and name != "expected_cost" else decided, target)
        assert e["value"] == pytest.approx(expected, abs=1e-12), name
        assert e["reason"] or e["low"] <= e["value"] <= e["high"], name


def test_intervals_are_those_of_resampling_all_rows(rows):
    scores, target, decided = rows
    found = by_name(estimates(scores, target, decided, num_classes=2))
    for name, given in (("average_precision", scores), ("f1", decided), ("mcc", decided), ("brier", scores)):
        plain = bootstrap_interval(name, given, target, n_boot=2_000, method="percentile", seed=1)
        width = plain.high - plain.low
        assert found[name]["low"] == pytest.approx(plain.low, abs=0.1 * width), name
        assert found[name]["high"] == pytest.approx(plain.high, abs=0.1 * width), name
    assert found["roc_auc"]["low"] == delong_interval(scores, target).low
    both = int((decided & target).sum())
    assert found["recall"]["high"] == wilson_interval(both, target.sum()).high


def test_positive_may_be_the_first_class(rows):
    scores, target, decided = rows
    one = by_name(estimates(scores, target, decided, num_classes=2))
    other = by_name(estimates(scores, 1 - target, 1 - decided, num_classes=2, positive=0))
    assert one == other


def test_weights_count_as_rows(rows):
    scores, target, decided = rows
    twice = [np.concatenate([a, a[:300]]) for a in (scores, target, decided)]
    weight = np.ones(900)
    weight[:300] = 2
    one = by_name(estimates(*rows, weight, num_classes=2))
    other = by_name(estimates(*twice, num_classes=2))
    for name in one:
        assert one[name]["value"] == pytest.approx(other[name]["value"]), name


def test_several_classes():
    rng = np.random.default_rng(0)
    target = rng.choice(3, 400, p=[0.7, 0.2, 0.1])
    scores = rng.dirichlet(np.ones(3), 400) + np.eye(3)[target] / 3
    scores /= scores.sum(1, keepdims=True)
    decided = scores.argmax(1)
    found = by_name(estimates(scores, target, decided, num_classes=3))
    assert {"roc_auc", "average_precision", "brier", "log_loss", "f1", "balanced_accuracy"} <= set(found)
    assert all(e["low"] < e["value"] < e["high"] for n, e in found.items() if n != "ece")
    each = class_estimates(scores, target, decided, 3)
    assert [row["rows"] for row in each] == np.bincount(target).tolist()
    assert each[2]["recall"]["value"] == (decided[target == 2] == 2).mean()
    groups, left_out = group_estimates(np.repeat(["a", "b"], 200), scores, target, decided, 3)
    assert [g["rows"] for g in groups] == [200, 200]
    assert left_out == 0


@pytest.mark.parametrize("positives", [0, 1])
def test_what_is_undefined_says_why(positives):
    target = np.zeros(40, dtype=int)
    target[:positives] = 1
    found = by_name(estimates(np.linspace(0, 1, 40), target, np.zeros(40, dtype=int), num_classes=2))
    auc = found["roc_auc"]
    assert np.isnan(auc["low"]) == (positives == 0)
    assert bool(auc["reason"]) == (positives == 0)
    if positives:  # ranked last: little is known, and the interval says so
        assert auc["low"] == 0
        assert auc["high"] > 0.5
    assert np.isnan(found["recall"]["value"]) == (positives == 0)


def test_groups_of_two_classes(rows):
    scores, target, decided = rows
    groups = np.where(np.arange(900) < 500, "big", "small")
    found, hidden = group_estimates(groups, scores, target, decided, 2)
    assert [row["group"] for row in found] == ["big", "small"]
    assert found[0]["positives"] == target[:500].sum()
    assert found[0]["predicted"] == pytest.approx(scores[:500].mean())
    assert found[1]["roc_auc"]["value"] == pytest.approx(get_metric("roc_auc")(scores[500:], target[500:]))
    assert group_estimates(np.arange(900) % 45, scores, target, decided, 2)[1] == 15
    assert hidden == 0


def test_a_long_table_is_resampled_by_its_points(rows, monkeypatch):
    scores, target, _ = rows
    plain = by_name(estimates(scores, target, num_classes=2))["average_precision"]
    monkeypatch.setattr("metabalance.study.estimates.LONG", 100)
    quick = by_name(estimates(scores, target, num_classes=2))["average_precision"]
    assert quick["value"] == plain["value"]
    width = plain["high"] - plain["low"]
    assert quick["low"] == pytest.approx(plain["low"], abs=0.1 * width)
    assert quick["high"] == pytest.approx(plain["high"], abs=0.1 * width)
