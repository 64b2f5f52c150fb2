"""Two models on the same rows or splits, and many comparisons at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metabalance.judge import (
    Difference,
    corrected_resampled_interval,
    get_metric,
    holm,
    mcnemar,
    paired_bootstrap,
    paired_difference,
)


def models(seed, n=200, better=0.8):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    shared = rng.normal(size=n)
    return shared + better * y, shared + 0.3 * rng.normal(size=n), y


def test_paired_difference_is_the_interval_of_the_differences():
    a, b = np.random.default_rng(0).normal(size=(2, 15))
    d = paired_difference(a, b, 0.2)
    assert isinstance(d, Difference)
    assert d.interval == corrected_resampled_interval(a - b, 0.2)


def test_the_p_value_and_the_interval_agree():
    rng = np.random.default_rng(1)
    for shift in (0.1, 0.8):
        a, b = rng.normal(size=(2, 10))
        d = paired_difference(a + shift, b, 0.1)
        at_p = corrected_resampled_interval(a + shift - b, 0.1, level=1 - d.p_value)
        assert min(abs(at_p.low), abs(at_p.high)) == pytest.approx(0, abs=1e-9)


def test_a_vanishing_test_part_gives_the_paired_t_test():
    a, b = np.random.default_rng(2).normal(size=(2, 9))
    assert paired_difference(a, b, 1e-13).p_value == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-6)


def test_exchanging_the_models_turns_the_sign():
    a, b = np.random.default_rng(3).normal(size=(2, 9))
    one, two = paired_difference(a, b, 0.3), paired_difference(b, a, 0.3)
    assert one.p_value == two.p_value
    assert one.interval.low == pytest.approx(-two.interval.high)


def test_splits_where_either_is_undefined_are_left_out():
    d = paired_difference([1.0, np.nan, 2.0, 3.0], [0.5, 0.1, np.nan, 1.0], 0.2)
    assert d.interval.value == pytest.approx(1.25)
    assert "2 of 4 splits" in d.interval.reason


def test_no_test_where_none_is_possible():
    assert np.isnan(paired_difference([1.0], [2.0], 0.2).p_value)
    same = paired_difference([0.5, 0.6], [0.5, 0.6], 0.2)
    assert (same.p_value, same.interval.low, same.interval.high) == (1.0, 0.0, 0.0)
    shifted = paired_difference([0.75, 1.0], [0.5, 0.75], 0.2)
    assert np.isnan(shifted.p_value)
    assert "the same on every split" in shifted.interval.reason


def test_both_models_need_the_same_splits():
    with pytest.raises(ValueError, match="one value per split"):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0], 0.2)


def test_the_bootstrap_of_a_model_with_itself_is_zero():
    a, _, y = models(0)
    d = paired_bootstrap("roc_auc", a, a, y, n_boot=50)
    assert (d.interval.value, d.interval.low, d.interval.high, d.p_value) == (0, 0, 0, 1)


def test_pairing_is_narrower_than_two_separate_intervals():
    from metabalance.judge import bootstrap_interval

    a, b, y = models(1, better=0.2)
    d = paired_bootstrap("roc_auc", a, b, y, n_boot=500).interval
    alone = bootstrap_interval("roc_auc", a, y, n_boot=500, method="percentile")
    assert d.high - d.low < (alone.high - alone.low) / 2


def test_the_bootstrap_equals_redrawing_rows():
    a, b, y = models(2)
    metric, rng = get_metric("average_precision"), np.random.default_rng(0)
    values = []
    for _ in range(2000):
        rows = np.concatenate([rng.choice(np.flatnonzero(y == c), (y == c).sum()) for c in (0, 1)])
        values.append(metric(a[rows], y[rows]) - metric(b[rows], y[rows]))
    d = paired_bootstrap("average_precision", a, b, y, n_boot=2000).interval
    assert [d.low, d.high] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.02)


def test_the_bootstraps_p_value_sides_with_its_interval():
    for better, found in ((2.0, True), (0.0, False)):
        a, b, y = models(3, better=better)
        d = paired_bootstrap("roc_auc", a, b, y, n_boot=400)
        assert (d.p_value < 0.05) == found == (not d.interval.low <= 0 <= d.interval.high)


def test_the_bootstraps_p_value_is_never_zero():
    y = [0, 0, 0, 1, 1, 1]
    d = paired_bootstrap("roc_auc", np.array(y), 1.0 - np.array(y), y, n_boot=99)  # 1 - 0 on every resample
    assert (d.interval.low, d.interval.high, d.p_value) == (1, 1, 2 / 100)


def test_undefined_on_one_class():
    d = paired_bootstrap("roc_auc", [0.1, 0.2], [0.2, 0.1], [0, 0], n_boot=10)
    assert np.isnan([d.interval.value, d.p_value]).all()


# ---------------------------------------------------------------------------------------------- Holm


def naive_holm(p):
    """Step down: the smallest times M, the next times M - 1, never falling, at most 1."""
    adjusted, running = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        running = max(running, (len(p) - rank) * p[i])
        adjusted[i] = min(1.0, running)
    return adjusted


@given(st.lists(st.floats(0, 1), max_size=8))
@settings(max_examples=100, deadline=None)
def test_holm_equals_its_step_down_procedure(p):
    adjusted = holm(p)
    np.testing.assert_allclose(adjusted, naive_holm(p))
    assert (adjusted >= np.array(p)).all()


def test_holm_leaves_nan_alone():
    np.testing.assert_array_equal(holm([0.04, np.nan, 0.01]), [0.04, np.nan, 0.02])


def test_holm_refuses_what_is_no_p_value():
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])


# ------------------------------------------------------------------------------------------- McNemar


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_mcnemar_is_the_binomial_test_of_the_discordant_rows(only_a, only_b, both):
    a = np.repeat([1, 0, 1], [only_a, only_b, both])
    b = np.repeat([0, 1, 1], [only_a, only_b, both])
    twin = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar(a, b, np.ones(len(a), int)) == pytest.approx(twin)


@given(st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_the_mid_p_halves_what_was_observed(only_a, only_b):
    a, b = np.repeat([1, 0], [only_a, only_b]), np.repeat([0, 1], [only_a, only_b])
    n = only_a + only_b
    # Probability of a more extreme split, plus half that of one as extreme.
    weight = [stats.binom.pmf(k, n, 0.5) for k in range(n + 1)]
    apart = [abs(k - n / 2) for k in range(n + 1)]
    here = abs(only_a - n / 2)
    twin = sum(w for w, d in zip(weight, apart, strict=True) if d > here)
    twin += sum(w for w, d in zip(weight, apart, strict=True) if d == here) / 2
    if only_a == only_b:
        twin = 1.0  # both tails meet
    assert mcnemar(a, b, np.ones(n, int), mid_p=True) == pytest.approx(twin, abs=1e-12)
    assert mcnemar(a, b, np.ones(n, int), mid_p=True) <= mcnemar(a, b, np.ones(n, int)) + 1e-12


def test_mcnemar_refuses_other_shapes():
    with pytest.raises(ValueError, match="three times"):
        mcnemar([1], [1, 0], [1, 0])


@pytest.mark.slow
def test_under_no_difference_the_corrected_test_rarely_finds_one():
    # Two useless predictors of one sample, judged on 15 overlapping test parts.
    rng, runs, found, plain = np.random.default_rng(0), 1000, 0, 0
    for _ in range(runs):
        difference = rng.normal(size=120)
        values = [difference[p[:24]].mean() for p in (rng.permutation(120) for _ in range(15))]
        found += paired_difference(values, np.zeros(15), 0.2).p_value < 0.05
        plain += stats.ttest_1samp(values, 0).pvalue < 0.05
    assert found / runs <= 0.07
    assert plain / runs > 0.2
