"""Better or not: two models on the same rows or the same splits, and many comparisons at once.

A difference is always ``a - b``. What both models share (hard rows, lucky splits) cancels in it, which is why
two overlapping intervals say nothing about the difference.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, stdtr, stdtrit
from scipy.stats import binom

from metabalance.judge.bootstrap import check_settings, interval_of
from metabalance.judge.delong import delong_covariance, difference_of_areas
from metabalance.judge.interval import Interval, check_level
from metabalance.judge.metrics import Metric
from metabalance.judge.replicates import replicates
from metabalance.judge.resampled import corrected_moments

__all__ = ["Difference", "delong_difference", "holm", "mcnemar", "paired_bootstrap", "paired_difference"]


@dataclass(frozen=True)
class Difference:
    """The difference ``a - b`` with its interval and test.

    Args:
        interval: Of the difference.
        p_value: Two-sided, of no difference; NaN when there is no test, the interval's ``reason`` says why.
    """

    interval: Interval
    p_value: float


def paired_difference(
    values_a: ArrayLike, values_b: ArrayLike, test_fraction: float, level: float = 0.95
) -> Difference:
    """Corrected resampled t-test of two models on the same splits.

    Nadeau & Bengio, Machine Learning 2003; see :func:`~metabalance.judge.corrected_resampled_interval`.

    Args:
        values_a: One value per split ``(J,)``.
        values_b: Likewise, in the same order. A split where either is not finite is left out.
        test_fraction: Share of the rows in each test part.
        level: Nominal coverage of the interval.

    Raises:
        ValueError: Different lengths, or settings out of range.

    >>> d = paired_difference([0.82, 0.85, 0.84, 0.86], [0.80, 0.82, 0.83, 0.82], test_fraction=0.25)
    >>> print(d.interval, round(d.p_value, 4))
    0.0250 [-0.0064, 0.0564] 0.085
    """
    a, b = np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(
            f"both models need one value per split, but shapes {a.shape} and {b.shape} were given"
        )
    check_level(level)
    mean, spread, df, reason = corrected_moments(a - b, test_fraction)
    nan, name = float("nan"), "corrected resampled t"
    if df == 0:
        return Difference(Interval(mean, nan, nan, level, name, reason), nan)
    if spread == 0:
        # Identical models differ by 0, p = 1. Another constant would get p = 0, from two splits: no test.
        reason = "the difference is the same on every split"
        return Difference(Interval(mean, mean, mean, level, name, reason), 1.0 if mean == 0 else nan)
    half = float(stdtrit(df, (1 + level) / 2)) * spread
    p_value = 2 * float(stdtr(df, -abs(mean / spread)))
    return Difference(Interval(mean, mean - half, mean + half, level, name, reason), p_value)


def paired_bootstrap(
    metric: str | Metric | Callable[..., float],
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_boot: int = 1000,
    level: float = 0.95,
    method: str = "percentile",
    stratified: bool = True,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Difference:
    """Bootstrap of ``metric(a) - metric(b)``: both models meet the same resampled rows.

    The p-value is twice the smaller share of resampled differences on either side of 0, so it agrees with the
    percentile interval; it cannot fall below ``2 / (n_boot + 1)``. It speaks of these two fitted models, not
    of training again: for that, see :func:`paired_difference`.

    Args:
        metric: As for :func:`~metabalance.judge.bootstrap_interval`, like all other arguments.
        scores_a: Scores of the first model.
        scores_b: Scores of the second model, on the same rows.
        target: ``(N,)``.
        sample_weight: Weights ``(N,)``.
        n_boot: Resamples.
        level: Nominal coverage.
        method: ``"percentile"`` or ``"bca"``.
        stratified: Resample each class on its own.
        groups: Labels ``(N,)`` of rows that belong together.
        seed: Of the resamples.

    >>> y, a, b = [0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.5, 0.4, 0.8, 0.9], [0.3, 0.6, 0.5, 0.4, 0.2, 0.9]
    >>> paired_bootstrap("roc_auc", a, b, y).interval.value.__round__(4)
    0.4444
    """
    check_settings(n_boot, level, method)
    source = replicates(
        metric, [scores_a, scores_b], target, sample_weight, stratified=stratified, groups=groups, seed=seed
    )
    drawn = source.draw(n_boot, np.random.default_rng(seed))
    interval, values = interval_of(source, drawn, lambda v: v[..., 0] - v[..., 1], level, method)
    return Difference(interval, bootstrap_p_value(interval, values))


def bootstrap_p_value(interval: Interval, values: NDArray[np.float64]) -> float:
    """Two-sided, from the finite resampled differences; NaN where there is no interval."""
    if np.isnan(interval.low):
        return float("nan")
    side = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (side + 1) / (len(values) + 1))


def delong_difference(
    scores_a: ArrayLike, scores_b: ArrayLike, target: ArrayLike, level: float = 0.95
) -> Difference:
    """DeLong's test of the ROC AUCs of two models on the same rows, with their covariance.

    DeLong, DeLong & Clarke-Pearson, Biometrics 1988: the difference is taken to be normal.

    Args:
        scores_a: ``(N,)`` of the positive class, in any unit.
        scores_b: Likewise, of the second model.
        target: 0 or 1, ``(N,)``.
        level: Nominal coverage of the interval.

    Returns:
        The difference of the areas; without ends where a class has fewer than two rows, or where both models
        separate the classes in different ways that leave no variance.

    Raises:
        ValueError: NaN scores, more than two classes, or shapes that do not fit.

    >>> y, a, b = [0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.5, 0.4, 0.8, 0.9], [0.3, 0.6, 0.5, 0.4, 0.2, 0.9]
    >>> d = delong_difference(a, b, y)
    >>> print(d.interval, round(d.p_value, 4))
    0.4444 [-0.1715, 1.0604] 0.1573
    """
    check_level(level)
    areas, covariance = delong_covariance([scores_a, scores_b], target)
    interval, p_value, _ = difference_of_areas(areas, covariance, 0, 1, level)
    return Difference(interval, p_value)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values ``(M,)`` adjusted for M comparisons: those below 0.05 are jointly safe at 5 %.

    Holm, Scandinavian Journal of Statistics 1979. NaN stays NaN and does not count as a comparison.

    Raises:
        ValueError: A value outside ``[0, 1]``.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64).reshape(-1)
    tested = np.flatnonzero(~np.isnan(p))
    if len(tested) and not (p[tested].min() >= 0 and p[tested].max() <= 1):
        raise ValueError(f"p-values must lie between 0 and 1, but {p.tolist()} were given")
    adjusted = np.full(len(p), np.nan)
    order = tested[np.argsort(p[tested], kind="stable")]
    factor = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(factor * p[order]), 1)
    return adjusted


def mcnemar(
    prediction_a: ArrayLike, prediction_b: ArrayLike, target: ArrayLike, *, mid_p: bool = False
) -> float:
    """Exact two-sided p-value that two classifiers err equally often, from the rows where one of them does.

    McNemar, Psychometrika 1947, with the binomial instead of his chi-square. No such rows: 1.

    Args:
        prediction_a: Class indices ``(N,)``.
        prediction_b: Likewise.
        target: Likewise.
        mid_p: Count the observed table half (Fagerland, Lydersen & Laake, BMC Medical Research Methodology
            2013). The exact test errs less often than it may, the more so the fewer the rows; this one keeps
            close to its level.

    Raises:
        ValueError: Shapes that do not fit.

    >>> round(mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1], [1] * 6), 4)  # 5 rows against 1
    0.2188
    >>> round(mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1], [1] * 6, mid_p=True), 4)
    0.125
    """
    a, b, y = np.asarray(prediction_a), np.asarray(prediction_b), np.asarray(target)
    if not a.shape == b.shape == y.shape or y.ndim != 1:
        raise ValueError(
            f"labels must be (N,) three times, but have shapes {a.shape}, {b.shape} and {y.shape}"
        )
    only_a, only_b = int(((a == y) & (b != y)).sum()), int(((a != y) & (b == y)).sum())
    fewer, n = min(only_a, only_b), only_a + only_b
    # The mid-p subtracts the probability of the observed table, which both tails hold.
    observed = float(binom.pmf(fewer, n, 0.5)) if mid_p else 0.0
    return min(1.0, 2 * float(bdtr(fewer, n, 0.5)) - observed)
