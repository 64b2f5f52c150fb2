"""Calibration errors and the parts of the Brier score: identities, naive twins, pinned values."""

import numpy as np
import pytest
from scipy.stats import norm

from metabalance import judge
from metabalance.judge import get_metric, undefined_reason

EXACT = {"rel": 1e-9, "abs": 1e-9}


def data(seed, n=300):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 3, n)
    y = (rng.random(n) < p**1.3).astype(int)
    y[:2] = 0, 1
    return p, y, rng.random(n) + 0.1


def many(seed, n=200, classes=3):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.4] * classes, n)
    return p, np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)]), rng.random(n)


def naive_smooth(p, y, w, sigma, points=4001):
    """Residuals under a Gaussian reflected at both ends, summed image by image, then the area by trapezoids."""
    t = np.linspace(0, 1, points)
    height = np.zeros(points)
    for stated, hit, weight in zip(p, y, w):
        for shift in range(-4, 5):
            for image in (stated + 2 * shift, 2 * shift - stated):
                height += weight * (hit - stated) * norm.pdf(t, image, sigma)
    return np.trapezoid(np.abs(height), t) / w.sum()


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.7])
def test_kernel_error_equals_a_sum_of_reflected_gaussians(sigma):
    p, y, w = data(0, 40)
    assert judge.ece_kernel(p, y, w, bandwidth=sigma) == pytest.approx(naive_smooth(p, y, w, sigma), abs=2e-5)


def test_kernel_error_is_its_own_bandwidth_and_falls_as_that_grows():
    p, y, w = data(1)
    value = judge.ece_kernel(p, y, w)
    assert judge.ece_kernel(p, y, w, bandwidth=value) == pytest.approx(value, rel=1e-4)
    sweep = [judge.ece_kernel(p, y, w, bandwidth=s) for s in (0.01, 0.05, 0.2, 1, 5)]
    assert sweep == sorted(sweep, reverse=True)
    gap = abs(np.average(p - y, weights=w))
    assert sweep[-1] == pytest.approx(gap, rel=1e-3)  # all smeared out, only the mean gap is left


def test_kernel_error_does_not_jump_where_a_binned_one_does():
    p, y = np.full(20, 0.4), np.array([0, 1] * 10)
    moved = p + 1e-9
    assert judge.ece_kernel(moved, y) == pytest.approx(judge.ece_kernel(p, y), abs=1e-6)
    q = np.append(np.full(10, 0.2), np.full(10, 0.2 + 1e-9))
    t = np.repeat([0, 1], 10)
    assert judge.ece(q, t, n_bins=5) == pytest.approx(0.5)  # the edge is between them
    assert judge.ece(np.full(20, 0.2), t, n_bins=5) == pytest.approx(0.3)
    assert judge.ece_kernel(q, t) == pytest.approx(judge.ece_kernel(np.full(20, 0.2), t), abs=1e-6)
    with pytest.raises(ValueError, match="bandwidth must be above 0"):
        judge.ece_kernel(p, y, bandwidth=0)


def test_errors_per_class_are_those_of_each_column():
    p, y, w = many(2)
    each = judge.ece_per_class(p, y, w)
    for c in range(3):
        assert each[c] == pytest.approx(judge.ece(p[:, c], (y == c).astype(int), w), **EXACT)
    kernel = judge.ece_per_class(p, y, w, kernel=True)
    assert kernel[1] == pytest.approx(judge.ece_kernel(p[:, 1], (y == 1).astype(int), w))
    assert judge.ece_classwise(p, y, w) == pytest.approx(each.mean())
    q, t, v = data(3)
    np.testing.assert_allclose(
        judge.ece_per_class(q, t, v, equal_mass=True),
        judge.ece_per_class(np.stack([1 - q, q], 1), t, v, equal_mass=True),
    )


def test_a_class_without_rows_has_no_calibration_error():
    p, y, w = many(4)
    rows = y != 2
    assert np.isnan(judge.ece_per_class(p[rows], y[rows], w[rows])).tolist() == [False, False, True]
    assert undefined_reason("ece_classwise", p[rows], y[rows]) == "class 2 has no rows"
    assert np.isnan(judge.ece_per_class(np.zeros((0, 3)), [])).all()


@pytest.mark.parametrize("n_bins", [None, 1, 4, 15])
@pytest.mark.parametrize("equal_mass", [False, True])
def test_the_parts_add_up_to_the_brier_score(n_bins, equal_mass):
    for p, y, w in (data(5), many(5)):
        parts = judge.brier_decomposition(p, y, w, n_bins=n_bins, equal_mass=equal_mass)
        total = (
            parts.reliability
            - parts.resolution
            + parts.uncertainty
            + parts.within_variance
            - parts.within_covariance
        )
        assert total == pytest.approx(parts.brier, **EXACT)
        assert parts.brier == pytest.approx(judge.brier(p, y, w), **EXACT)
        if n_bins is None:
            assert (parts.within_variance, parts.within_covariance) == pytest.approx((0, 0), abs=1e-12)


def test_murphys_parts_in_loops():
    p = np.array([0.1, 0.1, 0.1, 0.6, 0.6, 0.9])
    y = np.array([0, 0, 1, 1, 0, 1])
    reliability = resolution = 0.0
    for value in np.unique(p):
        rows = p == value
        reliability += rows.mean() * (value - y[rows].mean()) ** 2
        resolution += rows.mean() * (y[rows].mean() - y.mean()) ** 2
    parts = judge.brier_decomposition(p, y, n_bins=None)
    assert (parts.reliability, parts.resolution, parts.uncertainty) == pytest.approx(
        (reliability, resolution, 0.25)
    )
    assert isinstance(parts, judge.BrierParts)
    assert np.isnan(judge.brier_decomposition([], []).brier)
    with pytest.raises(ValueError, match="n_bins must be at least 1"):
        judge.brier_decomposition(p, y, n_bins=0)


def test_skill_is_zero_for_the_class_shares_and_one_for_the_truth():
    _, y, w = data(6)
    share = np.average(y, weights=w)
    assert judge.brier_skill(np.full(len(y), share), y, w) == pytest.approx(0, abs=1e-12)
    assert judge.brier_skill(y.astype(float), y) == 1
    p, t, v = many(6)
    shares = np.bincount(t, v) / v.sum()
    assert judge.brier_skill(np.tile(shares, (len(t), 1)), t, v) == pytest.approx(0, abs=1e-12)
    assert judge.brier_skill(p, t, v) == pytest.approx(
        1 - judge.brier(p, t, v) / judge.brier(np.tile(shares, (len(t), 1)), t, v)
    )


def test_a_small_brier_score_of_rare_positives_may_be_without_skill():
    y = np.array([1] + [0] * 999)
    nobody = np.zeros(1000)
    assert judge.brier(nobody, y) == pytest.approx(0.001)
    assert judge.brier_skill(nobody, y) < 0
    assert undefined_reason("brier_skill", nobody, np.zeros(1000, int)) == "all rows are of class 0"
    assert get_metric("brier_skill").greater_is_better
