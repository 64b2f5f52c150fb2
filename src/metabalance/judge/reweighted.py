"""One metric under many class shares at once: what depends on the scores alone is done once, not for each resample."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.judge.checks import check_scores
from metabalance.judge.label_noise import labels_of, metric_of_table
from metabalance.judge.metrics import METRICS, Metric
from metabalance.judge.tables import confusion

__all__ = ["evaluator"]

Array = NDArray[Any]
Evaluate = Callable[[Array], Array]  # row weights (N,) -> values (K,)


def evaluator(measure: Metric, told: list[Array], y: Array, priors: Array, shifted: bool) -> Evaluate:
    """The metric at all priors as a function of row weights, with what does not change done once.

    Args:
        measure: The metric.
        told: Its scores under each prior, K of them.
        y: Class indices ``(N,)``.
        priors: ``(K, C)``.
        shifted: Whether the scores differ between priors.
    """
    if measure.name in METRICS and measure.kind == "decision" and not shifted:
        return _decisions(measure, told[0], y, priors)
    if measure.name == "average_precision" and priors.shape[1] == 2:
        return _average_precision(told[0], y, priors)  # no shift changes an order of two classes
    order = [np.argsort(s if s.ndim == 1 else s[:, -1], kind="stable")[::-1] for s in told]
    # Sorted once: a ranking metric then sorts in linear time for each of the weights.
    ready = [(s[o], y[o], o) for s, o in zip(told, order)]

    def evaluate(weight: Array) -> Array:
        totals = np.bincount(y, weight, priors.shape[1])
        factors = np.divide(
            priors * totals.sum(),
            totals,
            out=np.zeros_like(priors),
            where=np.broadcast_to(totals > 0, priors.shape),
        )
        return np.array([measure(s, t, factor[t] * weight[o]) for (s, t, o), factor in zip(ready, factors)])

    return evaluate


def _decisions(measure: Metric, s: Array, y: Array, priors: Array) -> Evaluate:
    """Labels do not move with the prior: one table of the rates of each class does for all priors."""
    size = priors.shape[1]
    confusion(s, y, num_classes=size)  # refuses what it would
    cell = y * size + labels_of(s)

    def evaluate(weight: Array) -> Array:
        table = np.bincount(cell, weight, size * size).reshape(size, size)
        true = table.sum(axis=1, keepdims=True)
        rates = np.divide(table, true, out=np.zeros_like(table), where=true > 0)
        return np.array([metric_of_table(measure, prior[:, None] * rates) for prior in priors])

    return evaluate


def _average_precision(s: Array, y: Array, priors: Array) -> Evaluate:
    """Only scores at which positives stand have a term: a column of them against a row of priors."""
    s, y, _ = check_scores(s, y, None)
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(s[order][1:] != s[order][:-1], True))
    positive = y[order]
    terms = np.flatnonzero(np.diff(np.cumsum(positive)[last], prepend=0) > 0)
    share, rest = priors[:, 1], priors[:, 0]

    def evaluate(weight: Array) -> Array:
        w = weight[order]
        true, false = np.cumsum(w * positive)[last], np.cumsum(w * (1 - positive))[last]
        if not (true[-1:] > 0).all() or not (false[-1:] > 0).all():
            return np.full(len(priors), np.nan)
        found = np.diff(true, prepend=0)[terms] / true[-1]
        recall, alarms = (true[terms] / true[-1])[:, None], (false[terms] / false[-1])[:, None]
        above = share * recall + rest * alarms
        precision = np.divide(share * recall, above, out=np.zeros_like(above), where=above > 0)
        value = found @ precision
        return np.where((share > 0) & (rest > 0), value, np.nan)

    return evaluate
