"""Intervals by region: the fast resampling against the metrics themselves, coverage, pairing, too few rows."""

import numpy as np
import pytest

from metabalance.judge import (
    bootstrap_interval,
    make_regions,
    value_differences,
    value_estimates,
    value_metrics,
)
from metabalance.judge.value_intervals import _Resampled


def data(seed=0, rows=300, targets=1):
    rng = np.random.default_rng(seed)
    train, y = rng.gamma(1.5, 2.0, (2000, targets)), rng.gamma(1.5, 2.0, (rows, targets))
    return 0.8 * y + rng.normal(size=y.shape), y, [make_regions(train[:, t]) for t in range(targets)]


@pytest.mark.parametrize("targets", [1, 2])
def test_resampled_figures_are_the_metrics_with_weights(targets):
    p, y, regions = data(1, 120, targets)
    y[:10] = y[0]
    p[:20] = np.round(p[:20])
    base = np.random.default_rng(0).random(120)
    source = _Resampled(
        [p, p + 0.5], y, regions, ["mae", "rmse", "gm", "bmae", "r2", "pearson", "spearman"], base, None, 0
    )
    weights = np.random.default_rng(1).integers(0, 3, (6, 120)) * base
    fast = source._measure(weights)
    for b, w in enumerate(weights):
        slow = [value_metrics(q, y, regions, sample_weight=w) for q in (p, p + 0.5)]
        expected = [s[key] for s in slow for key in source.keys]
        np.testing.assert_allclose(fast[b], expected, rtol=1e-9)


def test_values_are_those_of_the_metrics_and_intervals_hold_them():
    p, y, regions = data(2, targets=2)
    found = value_estimates(p, y, regions, n_boot=200, target_names=["a", "b"])
    known = value_metrics(p, y, regions, target_names=["a", "b"])
    assert set(found) == set(known)
    for key, interval in found.items():
        assert interval.value == pytest.approx(known[key], nan_ok=True)
        assert np.isnan(interval.low) or interval.low <= interval.value <= interval.high


def test_agrees_with_the_bootstrap_of_rows():
    p, y, regions = data(3, 500)
    mine = value_estimates(p, y, regions, ["mae"], n_boot=4000, method="percentile")["mae"]
    rows = bootstrap_interval("mae", p[:, 0], y[:, 0], n_boot=4000, method="percentile")
    assert (mine.low, mine.high) == pytest.approx((rows.low, rows.high), rel=0.02)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    hits = 0
    regions = make_regions(np.repeat([0.0, 1.0, 2.0], [150, 50, 10]), bin_width=1.0)
    y = np.repeat([0.0, 1.0, 2.0], [60, 60, 60])
    for seed in range(200):
        error = np.random.default_rng(seed).exponential(size=180)
        interval = value_estimates(y + error, y, regions, ["mae@few"], n_boot=200, seed=seed)["mae@few"]
        hits += interval.low <= 1.0 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99  # 60 exponential errors: a little below 95 %


def test_too_few_rows_have_no_interval_and_say_so():
    y = np.repeat([1.0, 2.0, 3.0], [150, 30, 4])
    regions = make_regions(np.repeat([1.0, 2.0, 3.0], [150, 50, 4]), bin_width=1.0)
    p = y + np.random.default_rng(0).normal(size=len(y))
    found = value_estimates(p, y, regions, ["mae"], n_boot=50)
    assert found["mae"].reason == ""
    assert np.isfinite(found["mae@many"].low)
    assert "30 rows" in found["mae@medium"].reason
    assert np.isfinite(found["mae@medium"].low)
    few = found["mae@few"]
    assert few.reason == "the region has 4 rows, too few for an interval"
    assert np.isfinite(few.value)
    assert np.isnan([few.low, few.high]).all()
    gap = value_differences(p, y, y, regions, ["mae"], n_boot=50)["mae@few"]
    assert np.isnan([gap.p_value, gap.interval.low]).all()
    assert "4 rows" in gap.interval.reason
    gone = value_estimates(p[:150], y[:150], regions, ["mae", "r2"], n_boot=50)
    assert gone["mae@few"].reason == "no row lies in the region 'few'"
    assert np.isnan(gone["mae@few"].value)
    assert gone["r2"].reason == "the target is constant"


def test_differences_are_paired():
    p, y, regions = data(4)
    shifted = p + np.sign(p - y) * 0.01  # every error grows by a hundredth: alone nobody could tell
    found = value_differences(p, shifted, y, regions, ["mae"])["mae"]
    assert found.interval.value == pytest.approx(-0.01)
    assert found.interval.high < 0
    assert found.p_value < 0.01
    same = value_differences(p, p, y, regions, ["mae"])["mae"]
    assert (same.interval.value, same.p_value) == (0, 1)
    back = value_differences(shifted, p, y, regions, ["mae"])["mae"]
    assert back.interval.value == pytest.approx(-found.interval.value)


def test_same_seed_same_interval_and_bad_settings():
    p, y, regions = data(5, 80)
    a, b = (value_estimates(p, y, regions, n_boot=60, seed=3) for _ in range(2))
    assert str(a) == str(b)
    assert str(a) != str(value_estimates(p, y, regions, n_boot=60, seed=4))
    with pytest.raises(ValueError, match="n_boot"):
        value_estimates(p, y, regions, n_boot=1)
    with pytest.raises(ValueError, match="level"):
        value_differences(p, p, y, regions, level=95)
    empty = value_estimates([], [], regions, n_boot=10)["mae"]
    assert np.isnan(empty.value)
    assert empty.reason == "there are no rows"
