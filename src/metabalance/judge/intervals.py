"""How sure: intervals for one figure, from its rows (bootstrap, DeLong, Wilson) or from repeated splits.

Every one is an :class:`Interval`. Where none exists its ends are NaN and ``reason`` says why; where it exists
but should not be trusted far, ``reason`` says that.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtrit

from metabalance.judge.metrics import Metric, get_metric

__all__ = [
    "Interval",
    "bootstrap_interval",
    "corrected_resampled_interval",
    "delong_interval",
    "wilson_interval",
]

Array = NDArray[Any]
BLOCKS = 200  # of the jackknife: its error in BCa's acceleration is then below .005


@dataclass(frozen=True)
class Interval:
    """A value between two ends.

    Args:
        value: The estimate.
        low: Lower end, NaN when there is none.
        high: Upper end, NaN when there is none.
        level: Nominal coverage, 0 to 1.
        method: How it was made.
        reason: Why there is no interval, or what is doubtful about it; else empty.

    >>> print(Interval(0.9, 0.85, 0.93, 0.95, "wilson"))
    0.9000 [0.8500, 0.9300]
    """

    value: float
    low: float
    high: float
    level: float
    method: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


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
    skewness (Efron, JASA 1987); its acceleration comes from a jackknife over about 200 blocks of rows.

    Few positives make them too narrow. In simulations of the ROC AUC, 95 % intervals covered 89 % (BCa) and
    86 % (percentile) with 10 positives, 200 negatives and an area of 0.86, but 93 to 96 % and 92 to 95 %
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
    plan = Resampling(target, sample_weight, stratified, groups, n_boot, level, method, seed)
    return plan.interval(weighted_statistic(metric, scores, target))[0]


def weighted_statistic(
    metric: str | Metric | Callable[..., float], scores: ArrayLike, target: ArrayLike
) -> Callable[[Array], float]:
    """The metric as a function of the row weights ``(N,)`` alone."""
    measure = get_metric(metric) if isinstance(metric, str) else metric
    s, y = np.asarray(scores), np.asarray(target)
    if len(s) != len(y):
        raise ValueError(f"scores and target must have one row each, but have {len(s)} and {len(y)}")
    # Sorted once, here: a ranking metric then sorts in linear time in each of a thousand resamples.
    order = np.argsort(s if s.ndim == 1 else s[:, -1], kind="stable")[::-1]
    s, y = s[order], y[order]
    return lambda weight: float(measure(s, y, weight[order]))


class Resampling:
    """The resamples of an interval, as row weights, so that the same ones serve two models that are compared.

    The arguments are those of :func:`bootstrap_interval`.
    """

    def __init__(
        self,
        target: ArrayLike,
        sample_weight: ArrayLike | None,
        stratified: bool,
        groups: ArrayLike | None,
        n_boot: int,
        level: float,
        method: str,
        seed: int,
    ) -> None:
        check_level(level)
        if n_boot < 2:
            raise ValueError(f"n_boot must be at least 2, but {n_boot} was given")
        if method not in ("bca", "percentile"):
            raise ValueError(f"method={method!r} is unknown; use 'bca' or 'percentile'")
        self.y = np.asarray(target)
        self.weight = (
            np.ones(len(self.y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        )
        self.n_boot, self.level, self.method, self.seed = n_boot, level, method, seed
        self.unit = _units(groups, len(self.y))
        self.strata = _strata(self.y, self.unit, stratified)

    def weights(self) -> Iterator[Array]:
        """Row weights ``(N,)`` of each resample."""
        rng = np.random.default_rng(self.seed)
        count = np.zeros(int(self.unit.max(initial=-1)) + 1)
        for _ in range(self.n_boot):
            for members in self.strata:
                drawn = rng.integers(len(members), size=len(members))
                count[members] = np.bincount(drawn, minlength=len(members))
            yield count[self.unit] * self.weight

    def leave_outs(self) -> Iterator[Iterator[Array]]:
        """For each stratum, the row weights with one block of its units left out, block after block."""
        rng = np.random.default_rng(self.seed)
        for members in self.strata:
            size = min(len(members), BLOCKS // len(self.strata) + 1)
            if size > 1:
                block = np.full(int(self.unit.max()) + 1, -1)
                block[members] = rng.permutation(len(members)) % size
                # Made as they are asked for: 200 copies of a long table's weights would not fit in memory.
                yield map(partial(self._without, block[self.unit]), range(size))

    def _without(self, block: Array, left_out: int) -> Array:
        return np.where(block == left_out, 0.0, self.weight)

    def interval(self, statistic: Callable[[Array], float]) -> tuple[Interval, Array]:
        """The interval of ``row weights (N,) -> value``, and the finite resampled values, sorted."""
        nan = float("nan")
        value = statistic(self.weight)
        if not np.isfinite(value):
            return Interval(nan, nan, nan, self.level, self.method, "undefined on these data"), np.empty(0)
        values = np.array([statistic(w) for w in self.weights()])
        finite = np.sort(values[np.isfinite(values)])
        lost = self.n_boot - len(finite)
        if lost >= self.n_boot / 2:
            reason = f"undefined on {lost} of {self.n_boot} resamples"
            return Interval(value, nan, nan, self.level, self.method, reason), finite
        reason = f"undefined on {lost} of {self.n_boot} resamples, which were left out" if lost else ""
        if finite[0] == finite[-1]:
            reason = "every resample gave the same value: the truth is less certain than this"
        tail = (1 - self.level) / 2
        tails = np.array([tail, 1 - tail])
        if self.method == "bca" and finite[0] < finite[-1]:
            tails = self._bca(tails, value, finite, statistic)
        low, high = np.quantile(finite, tails)
        return Interval(value, float(low), float(high), self.level, self.method, reason), finite

    def _bca(self, tails: Array, value: float, finite: Array, statistic: Callable[[Array], float]) -> Array:
        below = np.mean(finite < value) + np.mean(finite == value) / 2
        # With all resamples on one side the correction would be infinite.
        bias = ndtri(np.clip(below, 1 / len(finite), 1 - 1 / len(finite)))
        square, cube = 0.0, 0.0
        for stratum in self.leave_outs():
            every = np.array([statistic(w) for w in stratum])
            left = every[np.isfinite(every)]
            pull = (left.mean() - left) * (1 - 1 / len(every)) if len(left) else left
            square, cube = square + float((pull**2).sum()), cube + float((pull**3).sum())
        skew = cube / (6 * square**1.5) if square > 0 else 0.0
        z = bias + ndtri(tails)
        # With a handful of rows the denominator can reach 0; the quantile is then the outermost value.
        return ndtr(bias + z / np.maximum(1 - skew * z, 1e-6))


def wilson_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's interval of a share: sound for few trials and for shares near 0 or 1.

    Wilson, JASA 1927.

    Args:
        successes: Between 0 and ``n``.
        n: Trials; 0 gives NaN.
        level: Nominal coverage.

    Raises:
        ValueError: ``successes`` is outside ``[0, n]``, or ``level`` outside ``(0, 1)``.

    >>> print(wilson_interval(9, 10))
    0.9000 [0.5958, 0.9821]
    """
    check_level(level)
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n={n}, but {successes} was given")
    if n == 0:
        nan = float("nan")
        return Interval(nan, nan, nan, level, "wilson", "there are no trials")
    share, z2 = successes / n, float(ndtri((1 + level) / 2)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # Exactly 0 and 1 at the edges, where rounding would leave 1e-17.
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == n else float(centre + half)
    return Interval(share, low, high, level, "wilson")


def delong_interval(scores: ArrayLike, target: ArrayLike, level: float = 0.95) -> Interval:
    """DeLong's interval of the ROC AUC, from its variance over rows, made on the logit scale.

    DeLong, DeLong & Clarke-Pearson, Biometrics 1988. On the logit scale (Pepe, Oxford University Press 2003)
    the ends stay within 0 and 1, and cover better near them than the authors' normal interval.

    Args:
        scores: ``(N,)`` of the positive class, in any unit.
        target: 0 or 1, ``(N,)``.
        level: Nominal coverage.

    Returns:
        The interval; NaN ends when a class has fewer than two rows, or when the classes are separated, where
        the variance is 0.

    Raises:
        ValueError: NaN scores, or shapes that do not fit.

    >>> print(delong_interval([0.1, 0.4, 0.35, 0.8, 0.3, 0.7], [0, 0, 1, 1, 0, 1]))
    0.8889 [0.2614, 0.9945]
    """
    check_level(level)
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(target)
    nan = float("nan")
    value = get_metric("roc_auc")(s, y)
    if s.ndim != 1:
        raise ValueError(
            f"delong_interval is for two classes and scores (N,), but the scores have shape {s.shape}"
        )
    positive, negative = s[y == 1], s[y == 0]
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        reason = f"{m} positive and {n} negative rows; it takes two of each"
        return Interval(value, nan, nan, level, "delong", reason)
    v10 = _share_below(positive, negative)
    v01 = 1 - _share_below(negative, positive)
    spread = np.sqrt(v10.var(ddof=1) / m + v01.var(ddof=1) / n)
    if not 0 < value < 1 or spread == 0:
        return Interval(value, nan, nan, level, "delong", "the variance is 0; more rows are needed")
    logit = np.log(value / (1 - value))
    half = float(ndtri((1 + level) / 2)) * spread / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(logit + np.array([-half, half]))))
    return Interval(value, float(low), float(high), level, "delong")


def corrected_resampled_interval(values: ArrayLike, test_fraction: float, level: float = 0.95) -> Interval:
    r"""Interval of a mean over repeated splits of the same data, whose training parts overlap.

    Student's t with the variance :math:`(1/J + n_\text{test}/n_\text{train})\, s^2`: the plain
    :math:`s^2/J` of J splits takes them for independent, and finds differences that are not there. Nadeau &
    Bengio, Machine Learning 2003; for repeated cross-validation Bouckaert & Frank, PAKDD 2004.

    Args:
        values: One per split ``(J,)``, all folds of all repetitions; or differences of two models on the same
            splits. Values that are not finite are left out.
        test_fraction: Share of the rows in each test part, between 0 and 1: 0.2 for five folds.
        level: Nominal coverage.

    Returns:
        The mean with its interval; NaN ends with fewer than two finite values.

    Raises:
        ValueError: ``test_fraction`` or ``level`` is outside ``(0, 1)``.

    >>> print(corrected_resampled_interval([0.80, 0.82, 0.78, 0.81, 0.79], test_fraction=0.2))
    0.8000 [0.7706, 0.8294]
    """
    mean, spread, df, reason = corrected_moments(values, test_fraction)
    check_level(level)
    half = float(stdtrit(df, (1 + level) / 2)) * spread if df > 0 else float("nan")
    return Interval(mean, mean - half, mean + half, level, "corrected resampled t", reason)


def corrected_moments(values: ArrayLike, test_fraction: float) -> tuple[float, float, int, str]:
    """Mean, corrected standard error, degrees of freedom, and what is to be said about them."""
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, but {test_fraction} was given")
    v = np.asarray(values, dtype=np.float64).reshape(-1)
    finite = v[np.isfinite(v)]
    j, lost = len(finite), len(v) - len(finite)
    mean = float(finite.mean()) if j else float("nan")
    if j < 2:
        return mean, float("nan"), 0, f"{j} of {len(v)} splits have a value; it takes two"
    spread = float(finite.std(ddof=1)) * np.sqrt(1 / j + test_fraction / (1 - test_fraction))
    return (
        mean,
        float(spread),
        j - 1,
        f"{lost} of {len(v)} splits have no value and were left out" if lost else "",
    )


def check_level(level: float) -> None:
    """Refuses a coverage outside ``(0, 1)``."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95, but {level} was given")


def _share_below(values: Array, others: Array) -> Array:
    """Share of ``others`` below each value, ties counting half: sorted, not pair by pair."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")) / (
        2 * len(others)
    )


def _units(groups: ArrayLike | None, rows: int) -> Array:
    """Index ``(N,)`` of what is resampled: each row's own, or its group's."""
    if groups is None:
        return np.arange(rows)
    labels = np.asarray(groups)
    if labels.shape != (rows,):
        raise ValueError(f"groups must be ({rows},), one label per row, but have shape {labels.shape}")
    return np.unique(labels, return_inverse=True)[1]


def _strata(target: Array, unit: Array, stratified: bool) -> list[Array]:
    """The units of each stratum."""
    every = np.arange(int(unit.max(initial=-1)) + 1)
    if not stratified or target.dtype.kind not in "biu" or not len(target):
        return [every]
    _, label, count = np.unique(target, return_inverse=True, return_counts=True)
    # Classes from frequent to rare; the last assignment wins, so a unit takes its rarest class.
    stratum = np.zeros(len(every), dtype=np.int64)
    for c in np.argsort(-count, kind="stable"):
        stratum[unit[label == c]] = c
    return [every[stratum == c] for c in np.unique(stratum)]
