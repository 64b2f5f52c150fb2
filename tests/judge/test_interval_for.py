"""One entry for all metrics: which interval it takes, and that it says when to doubt it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.judge import (
    METRICS,
    bootstrap_interval,
    delong_interval,
    get_metric,
    interval_for,
    newcombe_interval,
    wilson_interval,
)


def scored(seed=0, positives=60, negatives=240):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([1, 0], [positives, negatives]))
    return 1 / (1 + np.exp(-rng.normal(size=len(y)) - 1.5 * y + 1)), y


@pytest.mark.parametrize("metric", ["recall", "precision", "specificity", "accuracy"])
def test_rates_get_wilsons_interval(metric):
    p, y = scored()
    label = (p > 0.5).astype(int)
    cells = {
        "recall": (label * y, y), "precision": (label * y, label),
        "specificity": ((1 - label) * (1 - y), 1 - y), "accuracy": (label == y, np.ones(len(y))),
    }  # fmt: skip
    hits, trials = cells[metric]
    for scores in (p, label, np.stack([1 - p, p], 1)):
        result = interval_for(metric, scores, y)
        assert result == wilson_interval(float(hits.sum()), float(trials.sum()))
        assert result.value == pytest.approx(get_metric(metric)(scores, y))


def test_the_area_gets_delongs_or_newcombes_interval():
    p, y = scored()
    assert interval_for("auc", p, y) == delong_interval(p, y)
    assert interval_for("roc_auc_ovo", np.stack([1 - p, p], 1), y) == delong_interval(p, y)
    few, labels = scored(1, 8, 300)
    result = interval_for("auc", few, labels)
    assert result == newcombe_interval(result.value, 8, 300)
    separated = interval_for("auc", [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    assert separated.value == separated.high == 1
    assert 0 < separated.low < 0.8
    assert np.isnan(interval_for("auc", [0.1, 0.2], [0, 0]).low)


def test_all_else_gets_the_bootstrap_of_rows():
    p, y = scored()
    for metric in ("average_precision", "brier", "f1"):
        ours = interval_for(metric, p, y, n_boot=200)
        assert ours == bootstrap_interval(metric, p, y, n_boot=200, stratified=False)
    for metric in ("balanced_accuracy", "g_mean"):
        assert interval_for(metric, p, y, n_boot=200) == bootstrap_interval(metric, p, y, n_boot=200)
    assert interval_for("f1", p, y, n_boot=200, method="percentile").method == "percentile"
    assert interval_for("f1", p, y, n_boot=200, stratified=True) == bootstrap_interval("f1", p, y, n_boot=200)


def test_weights_and_groups_are_for_the_bootstrap():
    p, y = scored()
    w = np.random.default_rng(0).random(len(y))
    groups = np.arange(len(y)) // 3
    assert interval_for("recall", p, y, w, n_boot=100) == bootstrap_interval("recall", p, y, w, n_boot=100)
    found = interval_for("auc", p, y, groups=groups, n_boot=100)
    assert found == bootstrap_interval("auc", p, y, groups=groups, n_boot=100)
    assert interval_for("auc", p, y, np.ones(len(y))).method == "delong"


def test_a_mean_over_classes_is_no_share():
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(3), 150), rng.integers(0, 3, 150)
    assert interval_for("recall", p, y, n_boot=50).method == "bca"
    assert interval_for("auc", p, y, n_boot=50).method == "bca"
    assert interval_for("accuracy", p, y).method == "wilson"


def test_few_rows_of_a_class_are_said():
    p, y = scored(2, 12, 200)
    assert interval_for("average_precision", p, y, n_boot=100).reason.startswith(
        "the rarest class has 12 rows"
    )
    assert interval_for("average_precision", *scored(), n_boot=100).reason == ""


@pytest.mark.parametrize(("metric", "method"), [("f1", "wilson"), ("f1", "delong"), ("recall", "newcombe")])
def test_a_method_that_does_not_fit_is_refused(metric, method):
    with pytest.raises(ValueError, match="use 'bca'"):
        interval_for(metric, *scored(), method=method)
    with pytest.raises(ValueError, match="unknown; use one of auto"):
        interval_for(metric, *scored(), method="basic")


@given(
    rows=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), max_size=8),
    metric=st.sampled_from(sorted(METRICS)),
)
@settings(max_examples=150, deadline=None)
def test_every_metric_has_an_interval_or_a_reason(rows, metric):
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], dtype=int)
    value = get_metric(metric)(p, y)
    result = interval_for(metric, p, y, n_boot=10)
    assert result.value == pytest.approx(value, nan_ok=True)
    if np.isnan(result.low):
        assert result.reason
    else:
        # A bootstrap of a few rows may leave out its own value (a calibration error of resamples is larger).
        assert result.low <= result.high
        assert result.method in ("bca", "percentile") or result.low <= value <= result.high
