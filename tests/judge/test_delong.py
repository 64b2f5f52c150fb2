"""DeLong's covariance and Newcombe's interval: the pairwise formula, and what the areas obey."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metabalance.judge import (
    delong_covariance,
    delong_difference,
    delong_interval,
    newcombe_interval,
    paired_bootstrap,
    roc_auc,
)


def scored(seed, positives=15, negatives=25, decimals=8):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([1, 0], [positives, negatives]))
    shared = rng.normal(size=len(y)) + y
    return [(shared + rng.normal(size=len(y))).round(decimals) for _ in range(3)], y


def naive_covariance(scores, y):
    """Pair by pair, as the paper writes it: psi, V10, V01, S10, S01."""
    v10, v01 = [], []
    for s in scores:
        x, z = s[y == 1], s[y == 0]
        psi = [[1.0 if b < a else 0.5 if b == a else 0.0 for b in z] for a in x]
        v10.append([sum(row) / len(z) for row in psi])
        v01.append([sum(column) / len(x) for column in zip(*psi, strict=True)])
    theta = [sum(v) / len(v) for v in v10]

    def s(v, r, q):
        return sum((a - theta[r]) * (b - theta[q]) for a, b in zip(v[r], v[q], strict=True)) / (len(v[r]) - 1)

    size = range(len(scores))
    m, n = len(v10[0]), len(v01[0])
    return theta, [[s(v10, r, q) / m + s(v01, r, q) / n for q in size] for r in size]


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_the_covariance_is_the_pairwise_one(decimals):
    scores, y = scored(0, decimals=decimals)
    areas, covariance = delong_covariance(scores, y)
    theta, naive = naive_covariance(scores, y)
    np.testing.assert_allclose(areas, theta, atol=1e-12)
    np.testing.assert_allclose(covariance, naive, atol=1e-12)


def test_the_difference_follows_from_the_covariance():
    scores, y = scored(1)
    theta, naive = naive_covariance(scores[:2], y)
    spread = np.sqrt(naive[0][0] + naive[1][1] - 2 * naive[0][1])
    z = (theta[0] - theta[1]) / spread
    d = delong_difference(scores[0], scores[1], y)
    assert d.p_value == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert d.interval.high - d.interval.value == pytest.approx(stats.norm.ppf(0.975) * spread)
    back = delong_difference(scores[1], scores[0], y)
    assert back.p_value == pytest.approx(d.p_value)
    assert back.interval.low == pytest.approx(-d.interval.high)


def test_it_agrees_with_the_paired_bootstrap():
    scores, y = scored(2, 150, 300)
    one = delong_difference(*scores[:2], y).interval
    two = paired_bootstrap("roc_auc", *scores[:2], y, n_boot=4000).interval
    assert [one.low, one.high] == pytest.approx([two.low, two.high], abs=0.006)


def test_models_that_order_the_rows_alike_do_not_differ():
    scores, y = scored(3)
    d = delong_difference(scores[0], np.exp(scores[0]), y)
    assert (d.interval.value, d.interval.low, d.interval.high, d.p_value) == (0, 0, 0, 1)


def test_a_model_and_its_opposite_have_one_variance():
    scores, y = scored(4)
    areas, covariance = delong_covariance([scores[0], -scores[0]], y)
    assert areas.sum() == pytest.approx(1)
    assert covariance[0, 1] == pytest.approx(-covariance[0, 0])


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 0, 0], []])
def test_too_few_rows_have_no_test(y):
    s = [0.1, 0.2, 0.3][: len(y)]
    d = delong_difference(s, s[::-1], y)
    assert np.isnan([d.p_value, d.interval.low]).all()
    assert "two rows" in d.interval.reason


def test_opposite_separations_have_no_variance_to_judge_by():
    d = delong_difference([0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1])
    assert d.interval.value == 1
    assert np.isnan(d.p_value)
    assert "more rows" in d.interval.reason


def test_two_columns_are_read_as_the_second():
    scores, y = scored(5)
    p = 1 / (1 + np.exp(-scores[0]))
    assert delong_interval(np.stack([1 - p, p], 1), y) == delong_interval(p, y)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_ties_agree_with_the_area_and_the_pairs(rows):
    a, b, y = (np.array(column) for column in zip(*rows, strict=True))
    areas, covariance = delong_covariance([a, b], y)
    assert areas == pytest.approx([roc_auc(a, y), roc_auc(b, y)], nan_ok=True)
    if min(y.sum(), (1 - y).sum()) > 1:
        np.testing.assert_allclose(covariance, naive_covariance([a, b], y)[1], atol=1e-12)
    else:
        assert np.isnan(covariance).all()


# ------------------------------------------------------------------------------------------ Newcombe


@pytest.mark.parametrize("area", [0.3, 0.5, 0.86, 0.98])
@pytest.mark.parametrize(("m", "n"), [(5, 100), (20, 20), (300, 40)])
def test_newcombes_ends_lie_z_standard_errors_away(area, m, n):
    result = newcombe_interval(area, m, n, level=0.9)
    assert 0 < result.low < area < result.high < 1
    half = (m + n) / 2 - 1
    for end in (result.low, result.high):
        spread = end * (1 - end) * (1 + half * (1 - end) / (2 - end) + half * end / (1 + end)) / (m * n)
        assert abs(end - area) == pytest.approx(1.6448536 * np.sqrt(spread), rel=1e-6)


def test_newcombes_interval_is_turned_over_with_the_classes():
    a, b = newcombe_interval(0.8, 10, 90), newcombe_interval(0.2, 90, 10)
    assert [a.low, a.high] == pytest.approx([1 - b.high, 1 - b.low], abs=1e-9)


def test_separated_classes_have_an_end_that_rises_with_the_rows():
    ends = [newcombe_interval(1.0, m, 1000) for m in (1, 5, 50, 500)]
    assert [e.high for e in ends] == [1.0] * 4
    lows = [e.low for e in ends]
    assert lows == sorted(lows)
    assert 0 < lows[0] < 0.7 < 0.97 < lows[-1] < 1
    assert newcombe_interval(0.0, 5, 1000).high == pytest.approx(1 - lows[1], abs=1e-9)


@pytest.mark.parametrize("arguments", [(1.1, 5, 5), (float("nan"), 5, 5), (0.5, 0, 5)])
def test_newcombe_refuses_what_is_no_area(arguments):
    with pytest.raises(ValueError, match="rows of both classes"):
        newcombe_interval(*arguments)


@pytest.mark.slow
def test_newcombe_covers_where_delong_does_not():
    rng, y, truth = np.random.default_rng(0), np.repeat([1, 0], [20, 380]), stats.norm.cdf(3 / np.sqrt(2))
    hits = np.zeros(2)
    for _ in range(1000):
        s = rng.normal(size=400) + 3 * y
        ends = delong_interval(s, y), newcombe_interval(roc_auc(s, y), 20, 380)
        hits += [e.low <= truth <= e.high for e in ends]
    assert hits[0] < 900 < 945 < hits[1]
