"""Ranking metrics of histograms: the value when each bin is tied, and what the order within bins could make of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.judge.checks import Undefined
from metabalance.judge.metrics import METRICS, Metric
from metabalance.judge.operating import (
    lift,
    precision_at_k,
    precision_at_recall,
    recall_at_fpr,
    recall_at_k,
    recall_at_precision,
)
from metabalance.judge.partial import h_measure, partial_auc
from metabalance.judge.ranking import average_precision, roc_auc

__all__ = ["Bounded", "binned_value"]

Array = NDArray[Any]
# Better the more each bin's positives stand above its negatives.
RANKINGS = (
    roc_auc, average_precision, partial_auc, h_measure, precision_at_k, recall_at_k, lift, recall_at_precision,
    precision_at_recall, recall_at_fpr,
)  # fmt: skip


@dataclass(frozen=True)
class Bounded:
    """A value, and the ends between which the one of all rows lies.

    Attributes:
        value: Taking rows in one bin as tied; NaN where the metric is undefined.
        low: Lower end; the value itself where it is exact.
        high: Upper end.
        reason: Why the value is NaN, else empty.
    """

    value: float
    low: float
    high: float
    reason: str = ""

    @property
    def error(self) -> float:
        """The largest distance of the value from the one of all rows."""
        return max(self.high - self.value, self.value - self.low)


def binned_value(metric: Metric, counts: Array) -> Bounded:
    """A ranking metric of histograms.

    Args:
        metric: One that improves as positives move up among the rows of their bin.
        counts: Summed weights ``(K, 2, bins)`` of the other rows and of its own rows, for the positive class of two
            (K = 1) or for each class against the rest; bins from the lowest scores up.

    Raises:
        ValueError: Another metric.

    >>> counts = np.array([[[2.0, 1.0, 0.0], [0.0, 1.0, 1.0]]])
    >>> binned_value(METRICS["roc_auc"], counts)
    Bounded(value=0.9166666666666666, low=0.8333333333333334, high=1.0, reason='')
    """
    if metric.function not in RANKINGS or metric.options.get("average", "macro") != "macro":
        known = ", ".join(sorted(n for n, m in METRICS.items() if m.function in RANKINGS))
        raise ValueError(
            f"{metric.name} does not follow from histograms of scores; use brier, log_loss, ece, {known}, or a "
            "ConfusionStream for decisions"
        )
    try:
        ends = [_bounds(metric, own[:, own.sum(0) > 0]) for own in counts]
    except Undefined as lack:
        nan = float("nan")
        return Bounded(nan, nan, nan, str(lack))
    value, low, high = np.mean(ends, axis=0).tolist()
    return Bounded(value, min(low, value), max(high, value))


def _bounds(metric: Metric, counts: Array) -> tuple[float, float, float]:
    """Value with each bin tied; with its positives below its negatives; and with them above."""
    measure = getattr(metric.function, "__wrapped__", metric.function)
    negatives, positives = counts
    bins = np.arange(len(positives), dtype=np.float64)
    target, weight = np.repeat([0, 1], len(bins)), np.append(negatives, positives)

    def moved(shift: float) -> float:
        return measure(np.append(bins, bins + shift), target, weight, **metric.options)

    value = moved(0)
    try:
        low = moved(-0.25)
    except Undefined:  # a precision that is then not reached
        low = 0.0
    if metric.function is average_precision:
        low = _lowest_average_precision(negatives[::-1], positives[::-1])
    return value, low, moved(0.25)


def _lowest_average_precision(negatives: Array, positives: Array) -> float:
    """With the positives of each bin one after the other below its negatives: as a tied block they would do better."""
    found, start = positives > 0, np.cumsum(negatives) + np.cumsum(positives) - positives
    x, a = positives[found], start[found]
    hits = (np.cumsum(positives) - positives)[found]
    # The integral of (hits + t) / (a + t) over the x positives of the bin.
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = np.where(a > hits, (a - hits) * np.log1p(x / a), 0)
    return float((x - missed).sum() / positives.sum())


def _halves(bins: Array) -> Array:
    """Targets ``(2 * bins,)``: all negatives, then all positives."""
    return np.repeat([0, 1], len(bins))
