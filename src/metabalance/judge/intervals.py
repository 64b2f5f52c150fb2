"""How sure: intervals for one figure, from its rows (bootstrap, DeLong, Wilson) or from repeated splits.

Every one is an :class:`Interval`. Where none exists its ends are NaN and ``reason`` says why; where it exists
but should not be trusted far, ``reason`` says that.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge import balance, decision, ranking
from metabalance.judge.bootstrap import bootstrap_interval
from metabalance.judge.delong import delong_interval
from metabalance.judge.interval import Interval, check_level
from metabalance.judge.metrics import Metric, get_metric
from metabalance.judge.newcombe import newcombe_interval
from metabalance.judge.replicates import all_one
from metabalance.judge.resampled import corrected_resampled_interval
from metabalance.judge.wilson import wilson_interval

__all__ = [
    "Interval",
    "bootstrap_interval",
    "corrected_resampled_interval",
    "delong_interval",
    "interval_for",
    "newcombe_interval",
    "wilson_interval",
]

Array = NDArray[Any]
METHODS = ("auto", "wilson", "delong", "newcombe", "bca", "percentile")
FEW = 50  # rows of the rarest class, below which a bootstrap visibly covers less than it claims
MISRANKED = 5  # positives' worth of misranked rows, below which DeLong's variance is a guess
_RATES = (decision.accuracy, decision.precision, decision.recall, decision.specificity)
AREAS = (ranking.roc_auc, ranking.roc_auc_ovo)
# What the shares of the classes cannot move: drawing each class on its own then leaves out nothing.
_UNMOVED_BY_SHARES = (
    *AREAS,
    balance.balanced_accuracy,
    balance.g_mean,
    balance.index_balanced_accuracy,
    decision.recall,
    decision.specificity,
)


def interval_for(
    metric: str | Metric | Callable[..., float],
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    level: float = 0.95,
    method: str = "auto",
    groups: ArrayLike | None = None,
    stratified: bool | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """The interval that suits a metric and its rows.

    ======================================  =====================================================================
    recall, specificity, precision of two   Wilson's interval of a share
    classes; accuracy
    ROC AUC of two classes                  DeLong's; Newcombe's where fewer than five positives' worth of rows
                                            are misranked (positives × (1 - area) < 5)
    everything else; rows with weights      BCa bootstrap, of whole groups where there are groups
    or groups
    ======================================  =====================================================================

    `docs/results/coverage.md` shows how often each holds the truth with 20, 50 and 500 positives.

    Args:
        metric: A name, a :class:`~metabalance.judge.Metric`, or ``(scores, target, sample_weight) -> float``.
        scores: ``(N,)`` or ``(N, C)``, as the metric takes them.
        target: ``(N,)``.
        sample_weight: Weights ``(N,)``.
        level: Nominal coverage.
        method: ``"auto"``, or one of ``"wilson"``, ``"delong"``, ``"newcombe"``, ``"bca"``, ``"percentile"``.
        groups: Labels ``(N,)`` of rows that belong together (a customer); they are resampled as a whole.
        stratified: Of the bootstrap: resample each class on its own, which takes the class shares for known.
            None does so only where they cannot move the metric: a sample of transactions has as many frauds as
            chance wills, and intervals of average precision, F1 or Brier score that ignore it are too narrow.
        n_boot: Resamples.
        seed: Of the resamples.

    Returns:
        The interval with the method taken, and a reason where it is doubtful or missing.

    Raises:
        ValueError: A method that does not fit the metric, settings out of range, data the metric refuses.

    >>> print(interval_for("recall", [1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 0, 0]))
    0.7500 [0.3006, 0.9544]
    >>> interval_for("auc", [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).method
    'newcombe'
    """
    check_level(level)
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; use one of {', '.join(METHODS)}")
    measure = get_metric(metric) if isinstance(metric, str) else metric
    function = measure.function if isinstance(measure, Metric) else measure
    even = groups is None and (sample_weight is None or all_one(np.asarray(sample_weight)))
    s, y = np.asarray(scores), np.asarray(target)
    # An average over classes is no share of rows, though its function may be that of one.
    options = measure.options if isinstance(measure, Metric) else {}
    share = function is decision.accuracy or (
        options.get("average") is None and options.get("num_classes", 2) == 2
    )
    trials = _trials(function, s, y) if even and share and method in ("auto", "wilson") else None
    if trials is not None:
        return wilson_interval(*trials, level=level)
    closed = even and any(known is function for known in AREAS) and (s.ndim == 1 or s.shape[1] == 2)
    if closed and method in ("auto", "delong", "newcombe"):
        return _of_area(s if s.ndim == 1 else s[:, 1], y, level, method)
    if method not in ("auto", "bca", "percentile"):
        raise ValueError(
            f"method={method!r} does not fit {getattr(measure, 'name', 'this metric')!r} on these rows; wilson is "
            "for rates, delong and newcombe for the ROC AUC of two classes, none for weights or groups: use 'bca'"
        )
    if stratified is None:
        stratified = free_of_shares(function)
    found = bootstrap_interval(
        measure, s, y, sample_weight, n_boot=n_boot, level=level,
        method="bca" if method == "auto" else method, stratified=stratified, groups=groups, seed=seed,
    )  # fmt: skip
    return _few(found, y)


def free_of_shares(function: Callable[..., float]) -> bool:
    """Whether the shares of the classes leave this metric alone, as they do the ROC AUC."""
    return any(known is function for known in _UNMOVED_BY_SHARES)


def _trials(function: Callable[..., float], s: Array, y: Array) -> tuple[float, float] | None:
    """Successes and trials where the metric is a share of rows; else None."""
    if not any(known is function for known in _RATES):
        return None
    table = decision.confusion(s, y)
    if function is decision.accuracy:
        return float(np.trace(table)), float(table.sum())
    if len(table) != 2:
        return None  # a mean over classes is no share
    if function is decision.specificity:
        return float(table[0, 0]), float(table[0].sum())
    if not table[1].sum():
        return 0.0, 0.0  # without positives the metric is undefined, alarms or not
    called = table[1] if function is decision.recall else table[:, 1]
    return float(table[1, 1]), float(called.sum())


def _of_area(s: Array, y: Array, level: float, method: str) -> Interval:
    delong = delong_interval(s, y, level)
    m, n, area = int((y == 1).sum()), int((y != 1).sum()), delong.value
    if method == "delong" or not min(m, n):
        return delong
    if method == "auto" and min(m, n) * min(area, 1 - area) >= MISRANKED:
        return delong
    return newcombe_interval(area, m, n, level)


def _few(interval: Interval, y: Array) -> Interval:
    """Says so where the rarest class is too small for its bootstrap to be trusted."""
    if np.isnan(interval.low) or y.dtype.kind not in "biu":
        return interval
    rarest = int(np.unique(y, return_counts=True)[1].min())
    if rarest >= FEW:
        return interval
    said = f"the rarest class has {rarest} rows: the truth is less certain than this"
    return replace(interval, reason="; ".join(filter(None, (interval.reason, said))))
