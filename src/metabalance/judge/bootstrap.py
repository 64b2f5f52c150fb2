"""Bootstrap intervals: percentile and BCa, of rows or groups, stratified by class or not."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from metabalance.judge.interval import Interval, check_level
from metabalance.judge.metrics import Metric
from metabalance.judge.replicates import Replicates, replicates

__all__ = ["bootstrap_interval"]

Array = NDArray[Any]


def bootstrap_interval(
    metric: str | Metric | Callable[..., float],
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_boot: int = 1000,
    level: float = 0.95,
    method: str = "bca",
    stratified: bool = True,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of any metric that takes weights: a resampled row is a row with a weight.

    ``"percentile"`` reads the quantiles of the resampled values. ``"bca"`` corrects them for bias and
    skewness (Efron, JASA 1987); its acceleration comes from leaving out rows, or about 200 blocks of them.

    ROC AUC, average precision and metrics of labels are resampled as counts (see
    :mod:`metabalance.judge.replicates`): the same distribution as drawing rows, hundreds of times faster on a
    long table. With weights or groups, and for other metrics, rows are drawn.

    Few positives make intervals too narrow. In simulations of the ROC AUC, 95 % intervals covered 89 % (BCa)
    and 86 % (percentile) with 10 positives, 200 negatives and an area of 0.86, but 93 to 96 % and 92 to 95 %
    with 30 or 100 positives.

    Args:
        metric: A name, a :class:`~metabalance.judge.Metric`, or ``(scores, target, sample_weight) -> float``.
        scores: ``(N,)`` or ``(N, C)``, as the metric takes them.
        target: ``(N,)``.
        sample_weight: Weights ``(N,)``.
        n_boot: Resamples.
        level: Nominal coverage, between 0 and 1.
        method: ``"bca"`` or ``"percentile"``.
        stratified: Resample each class on its own, so that no resample lacks the rare one. The class shares
            then count as known, which narrows the interval of a metric that depends on them (accuracy,
            precision). Without effect on targets that are not whole numbers.
        groups: Labels ``(N,)`` of rows that belong together (a customer, a bag): whole groups are resampled,
            stratified by the rarest class in each.
        seed: Of the resamples.

    Returns:
        The interval; NaN ends when the metric is undefined on the data or on half the resamples.

    Raises:
        ValueError: Settings out of range, or data that the metric refuses.

    >>> print(bootstrap_interval("roc_auc", [0.1, 0.4, 0.35, 0.8, 0.3, 0.7], [0, 0, 1, 1, 0, 1]))
    0.8889 [0.3333, 1.0000]
    """
    check_settings(n_boot, level, method)
    source = replicates(
        metric, [scores], target, sample_weight, stratified=stratified, groups=groups, seed=seed
    )
    values = source.draw(n_boot, np.random.default_rng(seed))
    return interval_of(source, values, lambda v: v[..., 0], level, method)[0]


def check_settings(n_boot: int, level: float, method: str) -> None:
    """Refuses what no bootstrap can do."""
    check_level(level)
    if n_boot < 2:
        raise ValueError(f"n_boot must be at least 2, but {n_boot} was given")
    if method not in ("bca", "percentile"):
        raise ValueError(f"method={method!r} is unknown; use 'bca' or 'percentile'")


def interval_of(
    source: Replicates, drawn: Array, contrast: Callable[[Array], Array], level: float, method: str
) -> tuple[Interval, Array]:
    """The interval of a ``contrast`` ``(..., M) -> (...)`` of M models, and its finite resampled values, sorted.

    Args:
        source: What was resampled.
        drawn: Its values on resamples ``(n_boot, M)``.
        contrast: One model's value, or the difference of two.
        level: Nominal coverage.
        method: ``"bca"`` or ``"percentile"``.
    """
    nan = float("nan")
    value, values = float(contrast(source.value)), contrast(drawn)
    if not np.isfinite(value):
        return Interval(nan, nan, nan, level, method, "undefined on these data"), np.empty(0)
    finite = np.sort(values[np.isfinite(values)])
    lost = len(values) - len(finite)
    if lost >= len(values) / 2:
        reason = f"undefined on {lost} of {len(values)} resamples"
        return Interval(value, nan, nan, level, method, reason), finite
    reason = f"undefined on {lost} of {len(values)} resamples, which were left out" if lost else ""
    if finite[0] == finite[-1]:
        reason = "every resample gave the same value: the truth is less certain than this"
    tail = (1 - level) / 2
    tails = np.array([tail, 1 - tail])
    if method == "bca" and finite[0] < finite[-1]:
        strata = ((contrast(v), count) for v, count in source.leave_outs())
        tails = bca_tails(tails, value, finite, strata)
    low, high = np.quantile(finite, tails)
    return Interval(value, float(low), float(high), level, method, reason), finite


def bca_tails(tails: Array, value: float, finite: Array, strata: Iterator[tuple[Array, Array]]) -> Array:
    """The quantiles to read instead of ``tails``: bias from the resamples, acceleration from the jackknife."""
    # Rounding must not decide on which side of the value a resample of the very same rows lies.
    near = 1e-12 * max(abs(finite[0]), abs(finite[-1]))
    same = np.abs(finite - value) <= near
    below = np.mean((finite < value) & ~same) + np.mean(same) / 2
    # With all resamples on one side the correction would be infinite.
    bias = ndtri(np.clip(below, 1 / len(finite), 1 - 1 / len(finite)))
    square, cube = 0.0, 0.0
    for every, count in strata:
        known = np.isfinite(every) & (count > 0)
        left, times = every[known], count[known]
        if times.sum() > 0:
            pull = (np.average(left, weights=times) - left) * (1 - 1 / count.sum())
            square, cube = square + float(times @ pull**2), cube + float(times @ pull**3)
    skew = cube / (6 * square**1.5) if square > 0 else 0.0
    z = bias + ndtri(tails)
    # With a handful of rows the denominator can reach 0; the quantile is then the outermost value.
    return ndtr(bias + z / np.maximum(1 - skew * z, 1e-6))
