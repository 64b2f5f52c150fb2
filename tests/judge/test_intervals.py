"""Intervals: identities, naive twins, and the coverage they claim."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metabalance.judge import (
    Interval,
    accuracy,
    bootstrap_interval,
    corrected_resampled_interval,
    delong_interval,
    roc_auc,
    wilson_interval,
)


def scored(seed, positives=40, negatives=160, gap=1.0):
    rng = np.random.default_rng(seed)
    y = np.repeat([1, 0], [positives, negatives])
    return rng.normal(size=len(y)) + gap * y, y


def naive_percentile(metric, s, y, n_boot, seed):
    """Rows drawn class by class and handed to the metric as rows, not as weights."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(n_boot):
        rows = np.concatenate([rng.choice(np.flatnonzero(y == c), (y == c).sum()) for c in (0, 1)])
        values.append(metric(s[rows], y[rows]))
    return np.quantile(values, [0.025, 0.975])


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_bootstrap_agrees_with_drawing_rows(name):
    from metabalance.judge import get_metric

    s, y = scored(0)
    ours = bootstrap_interval(name, s, y, method="percentile", n_boot=3000)
    twin = naive_percentile(get_metric(name), s, y, 3000, seed=1)
    assert [ours.low, ours.high] == pytest.approx(twin, abs=0.012)


def test_bca_agrees_with_scipy_on_a_skewed_mean():
    x = np.random.default_rng(0).exponential(size=60)

    def mean(scores, target, weight):
        return np.average(scores, weights=weight)

    ours = bootstrap_interval(mean, x, np.zeros(60), n_boot=5000, stratified=False)
    twin = stats.bootstrap((x,), np.mean, method="BCa", n_resamples=5000, rng=1).confidence_interval
    plain = bootstrap_interval(mean, x, np.zeros(60), n_boot=5000, stratified=False, method="percentile")
    assert [ours.low, ours.high] == pytest.approx([twin.low, twin.high], abs=0.025)
    assert ours.high > plain.high + 0.01  # the correction moves towards the long tail


def test_the_jackknife_of_a_long_table_fits_in_memory():
    rows = 20_000
    y = np.arange(rows) % 2
    tracemalloc.start()
    bootstrap_interval("accuracy", y, y ^ (np.arange(rows) % 7 == 0), n_boot=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 8 * rows  # 200 blocks' weights at once would be five times that


def test_the_same_seed_gives_the_same_interval_and_another_another():
    s, y = scored(1)
    first = bootstrap_interval("roc_auc", s, y, n_boot=200, seed=3)
    assert first == bootstrap_interval("roc_auc", s, y, n_boot=200, seed=3)
    assert first != bootstrap_interval("roc_auc", s, y, n_boot=200, seed=4)


def test_rows_may_come_in_any_order():
    s, y = scored(2)
    order = np.random.default_rng(0).permutation(len(y))
    a = bootstrap_interval("roc_auc", s, y, n_boot=2000)
    b = bootstrap_interval("roc_auc", s[order], y[order], n_boot=2000)
    assert [a.value, a.low, a.high] == pytest.approx([b.value, b.low, b.high], abs=0.012)


def test_a_higher_level_is_wider():
    s, y = scored(3)
    narrow = bootstrap_interval("roc_auc", s, y, level=0.8, method="percentile")
    wide = bootstrap_interval("roc_auc", s, y, level=0.99, method="percentile")
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_stratified_resamples_never_lack_the_rare_class():
    s, y = scored(4, positives=3, negatives=300)
    assert bootstrap_interval("roc_auc", s, y, n_boot=500).reason == ""
    plain = bootstrap_interval("roc_auc", s, y, n_boot=500, stratified=False)
    assert "resamples, which were left out" in plain.reason


def test_stratification_fixes_the_class_shares():
    y = np.repeat([1, 0], [20, 80])

    def share(scores, target, weight):
        return np.average(target, weights=weight)

    fixed = bootstrap_interval(share, y, y, method="percentile")
    free = bootstrap_interval(share, y, y, method="percentile", stratified=False)
    assert fixed.low == fixed.high == 0.2
    assert free.high - free.low == pytest.approx(2 * 1.96 * 0.04, rel=0.15)


def test_groups_are_resampled_whole():
    # 20 groups of 50 equal rows know as much as 20 rows.
    s, y = scored(5, positives=10, negatives=10)
    few = bootstrap_interval("roc_auc", s, y, n_boot=2000, method="percentile")
    grouped = bootstrap_interval(
        "roc_auc",
        np.repeat(s, 50),
        np.repeat(y, 50),
        groups=np.repeat(np.arange(20), 50),
        n_boot=2000,
        method="percentile",
    )
    assert [grouped.low, grouped.high] == pytest.approx([few.low, few.high], abs=0.03)
    naive = bootstrap_interval("roc_auc", np.repeat(s, 50), np.repeat(y, 50), n_boot=500)
    assert naive.high - naive.low < (grouped.high - grouped.low) / 3


def test_a_group_counts_for_its_rarest_class():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 10)
    y = ((groups < 3) & (np.arange(300) % 10 == 0)).astype(int)  # three groups hold one positive each
    result = bootstrap_interval("roc_auc", rng.normal(size=300), y, groups=groups, n_boot=300)
    assert result.reason == ""


def test_weights_are_kept_in_the_resamples():
    s, y = scored(6)
    w = np.random.default_rng(0).random(len(y))
    result = bootstrap_interval("roc_auc", s, y, w, n_boot=300)
    assert result.value == pytest.approx(roc_auc(s, y, w))
    assert result.low < result.value < result.high


def test_targets_need_not_be_classes():
    def error(scores, target, weight):
        return np.average(abs(scores - target), weights=weight)

    rng = np.random.default_rng(0)
    target = rng.normal(size=400)
    result = bootstrap_interval(error, target + rng.normal(size=400), target)
    assert result.low < np.sqrt(2 / np.pi) < result.high  # the mean of |N(0, 1)|


def test_many_classes_and_labels():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    p = rng.dirichlet(np.ones(3), 120)
    assert np.isfinite(bootstrap_interval("roc_auc", p, y, n_boot=100).low)
    labels = bootstrap_interval("accuracy", p.argmax(1), y, n_boot=100)
    assert labels.value == accuracy(p, y)


def test_what_is_undefined_has_no_ends():
    result = bootstrap_interval("roc_auc", [0.1, 0.2], [0, 0], n_boot=10)
    assert np.isnan([result.value, result.low, result.high]).all()
    assert result.reason


def test_constant_resamples_are_called_doubtful():
    result = bootstrap_interval("roc_auc", [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], n_boot=50)
    assert result.low == result.high == 1
    assert "less certain" in result.reason


def test_a_single_row_of_a_class_still_gives_an_interval():
    result = bootstrap_interval("roc_auc", [0.1, 0.3, 0.2, 0.5, 0.25], [0, 0, 0, 0, 1], n_boot=200)
    assert 0 <= result.low < result.high <= 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": 1.0}, "level must lie"),
        ({"n_boot": 1}, "n_boot must be"),
        ({"method": "basic"}, "'bca' or 'percentile'"),
        ({"groups": [1]}, "groups must be"),
        ({"sample_weight": [-1.0, 1.0]}, "not negative"),
    ],
)
def test_bad_settings_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        bootstrap_interval("roc_auc", [0.1, 0.2], [0, 1], **options)


def test_scores_and_target_must_match():
    with pytest.raises(ValueError, match="one row each"):
        bootstrap_interval("roc_auc", [0.1, 0.2, 0.3], [0, 1])


# -------------------------------------------------------------------------------------------- Wilson


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 20), (20, 20), (450, 1000)])
def test_wilson_equals_scipy(k, n):
    twin = stats.binomtest(k, n).proportion_ci(0.9, method="wilson")
    ours = wilson_interval(k, n, level=0.9)
    assert [ours.low, ours.high] == pytest.approx([twin.low, twin.high], abs=1e-12)


def test_wilson_edges():
    assert wilson_interval(0, 5).low == 0
    assert wilson_interval(5, 5).high == 1
    assert wilson_interval(0, 0).reason == "there are no trials"
    with pytest.raises(ValueError, match="between 0 and n=5"):
        wilson_interval(6, 5)


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0.01, 0.999))
@settings(max_examples=100, deadline=None)
def test_wilson_holds_the_share_within_0_and_1(n, fraction, level):
    result = wilson_interval(round(n * fraction), n, level)
    assert 0 <= result.low <= result.value <= result.high <= 1


# -------------------------------------------------------------------------------------------- DeLong


def naive_delong_variance(s, y):
    """The placement values of the paper, pair by pair."""
    pos, neg = s[y == 1], s[y == 0]
    win = np.array([[(a > b) + 0.5 * (a == b) for b in neg] for a in pos])
    return win.mean(1).var(ddof=1) / len(pos) + win.mean(0).var(ddof=1) / len(neg)


@pytest.mark.parametrize("decimals", [1, 8])
def test_delong_equals_the_pairwise_formula(decimals):
    s, y = scored(7, 15, 25)
    s = s.round(decimals)
    ours, area = delong_interval(s, y), roc_auc(s, y)
    half = 1.959963984540054 * np.sqrt(naive_delong_variance(s, y)) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    assert ours.value == area
    assert [ours.low, ours.high] == pytest.approx(
        [1 / (1 + np.exp(-logit + half)), 1 / (1 + np.exp(-logit - half))]
    )


def test_delong_agrees_with_the_bootstrap():
    s, y = scored(8, 100, 400)
    a, b = delong_interval(s, y), bootstrap_interval("roc_auc", s, y, n_boot=2000)
    assert [a.low, a.high] == pytest.approx([b.low, b.high], abs=0.01)


def test_delong_is_turned_over_with_the_classes():
    s, y = scored(9, 20, 30)
    a, b = delong_interval(s, y), delong_interval(s, 1 - y)
    assert [a.low, a.high] == pytest.approx([1 - b.high, 1 - b.low])


@pytest.mark.parametrize(
    ("s", "y", "said"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], "variance is 0"),
        ([0.1, 0.2, 0.8], [0, 0, 1], "1 positive"),
        ([0.1, 0.2], [0, 0], "0 positive"),
    ],
)
def test_delong_without_a_variance_has_no_ends(s, y, said):
    result = delong_interval(s, y)
    assert np.isnan(result.low)
    assert said in result.reason


def test_delong_is_for_two_classes():
    with pytest.raises(ValueError, match="two classes"):
        delong_interval(np.full((4, 3), 1 / 3), [0, 1, 2, 0])


# ----------------------------------------------------------------------------------- repeated splits


def test_corrected_interval_by_hand():
    # mean 3, s^2 = 2.5, 5 splits, test:train = 1:4, t(4, .975) = 2.776445: 2.776445 * sqrt((1/5 + 1/4) * 2.5)
    result = corrected_resampled_interval([1, 2, 3, 4, 5], test_fraction=0.2)
    assert result.value == 3
    assert result.high - 3 == pytest.approx(2.776445 * np.sqrt(0.45 * 2.5), abs=1e-5)
    assert 3 - result.low == pytest.approx(result.high - 3)


def test_a_vanishing_test_part_gives_students_t():
    values = np.random.default_rng(0).normal(size=12)
    ours = corrected_resampled_interval(values, test_fraction=1e-12)
    twin = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert [ours.low, ours.high] == pytest.approx([twin.low, twin.high], rel=1e-6)


def test_repetitions_alone_do_not_shrink_it_to_nothing():
    values = np.random.default_rng(0).normal(size=10_000)
    result = corrected_resampled_interval(values, test_fraction=0.2)
    assert result.high - result.value == pytest.approx(1.96 * np.sqrt(0.25), rel=0.05)


def test_values_that_are_not_finite_are_left_out_and_counted():
    full = corrected_resampled_interval([1.0, 2.0, 4.0], 0.2)
    holed = corrected_resampled_interval([1.0, np.nan, 2.0, 4.0], 0.2)
    assert (holed.low, holed.high) == (full.low, full.high)
    assert holed.reason == "1 of 4 splits have no value and were left out"


@pytest.mark.parametrize("values", [[], [1.0], [np.nan, 2.0, np.nan]])
def test_fewer_than_two_values_have_no_interval(values):
    result = corrected_resampled_interval(values, 0.2)
    assert np.isnan(result.low)
    assert "it takes two" in result.reason


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 20])
def test_the_test_fraction_is_a_share(fraction):
    with pytest.raises(ValueError, match="test_fraction must lie"):
        corrected_resampled_interval([1, 2], fraction)


def test_an_interval_prints_itself():
    assert str(Interval(0.5, 0.25, 0.75, 0.95, "x")) == "0.5000 [0.2500, 0.7500]"


# ------------------------------------------------------------------------------------------ coverage


def coverage(interval, truth, positives, negatives, gap, runs):
    """Share of samples of two normals whose interval holds the true area; each has its own seed."""
    rng, y, hits = np.random.default_rng(0), np.repeat([1, 0], [positives, negatives]), 0
    for seed in range(runs):
        found = interval(rng.normal(size=len(y)) + gap * y, y, seed)
        hits += found.low <= truth <= found.high
    return hits / runs


@pytest.mark.slow
@pytest.mark.parametrize(("positives", "negatives"), [(30, 300), (100, 100)])
@pytest.mark.parametrize("gap", [0.5, 1.5])
def test_auc_intervals_cover(positives, negatives, gap):
    truth, setting = stats.norm.cdf(gap / np.sqrt(2)), (positives, negatives, gap)

    def delong(s, y, seed):
        return delong_interval(s, y)

    assert coverage(delong, truth, *setting, runs=2000) == pytest.approx(0.95, abs=0.02)
    for method in ("bca", "percentile"):

        def boot(s, y, seed, method=method):
            return bootstrap_interval("roc_auc", s, y, n_boot=400, method=method, seed=seed)

        # A bootstrap of so few rows is known to cover a little less than it claims.
        assert coverage(boot, truth, *setting, runs=300) == pytest.approx(0.94, abs=0.035)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "share"), [(10, 0.1), (50, 0.02), (200, 0.5)])
def test_wilson_covers(n, share):
    # Exact, by summing over all outcomes; Wilson's coverage swings about its level when n * share is small.
    k = np.arange(n + 1)
    inside = [w.low <= share <= w.high for w in (wilson_interval(int(i), n) for i in k)]
    assert stats.binom.pmf(k, n, share)[inside].sum() == pytest.approx(0.95, abs=0.035)


@pytest.mark.slow
def test_the_corrected_interval_covers_where_the_plain_one_does_not():
    # A mean of the test part over 10 random splits of one sample: the splits share their rows.
    rng, runs, n, test = np.random.default_rng(0), 1000, 100, 20
    corrected = plain = 0
    for _ in range(runs):
        x = rng.normal(size=n)
        values = [(x[p[:test]] - 0.0).mean() for p in (rng.permutation(n) for _ in range(10))]
        c = corrected_resampled_interval(values, test / n)
        t = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        corrected += c.low <= 0 <= c.high
        plain += t.low <= 0 <= t.high
    assert plain / runs < 0.9
    assert corrected / runs >= 0.93
