"""How well scores put positives above negatives: areas under curves, and precision at the top."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, check_scores, nan_when_undefined

__all__ = ["average_precision", "precision_at_k", "roc_auc", "roc_auc_ovo"]

Array = NDArray[Any]


@nan_when_undefined
def roc_auc(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Chance that a positive outranks a negative, ties counting half; macro beyond two classes.

    Macro is one-versus-rest: the mean, over the classes, of the area of each against all others.

    Args:
        scores: ``(N,)`` or ``(N, C)``, in any unit: only their order counts.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``, not negative; a weight of 2 counts like two rows.

    Returns:
        The area, 0 to 1; NaN when a class, or all other classes, have no rows.

    Raises:
        ValueError: Scores with NaN, or shapes that do not fit.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    return _one_versus_rest(_binary_auc, scores, target, sample_weight)


@nan_when_undefined
def roc_auc_ovo(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean AUC over all ordered pairs of classes, each pair on its own rows: free of the class shares.

    Hand & Till, Machine Learning 2001. For two classes, and in its arguments, it is :func:`roc_auc`.

    >>> scores = [[0.8, 0.1, 0.1], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7], [0.5, 0.2, 0.3]]
    >>> roc_auc_ovo(scores, [0, 1, 2, 0])
    1.0
    """
    s, y, w = check_scores(scores, target, sample_weight)
    if s.ndim == 1:
        return _binary_auc(s, y, w)
    areas = []
    for a in range(s.shape[1]):
        for b in range(s.shape[1]):
            if a != b:
                rows = (y == a) | (y == b)
                areas.append(_binary_auc(s[rows, a], y[rows] == a, w[rows], f"class {a}", f"class {b}"))
    return float(np.mean(areas))


@nan_when_undefined
def average_precision(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Precision averaged over the positives found, from the highest score down; macro beyond two classes.

    The step-wise sum, not the trapezoids that flatter (Davis & Goadrich, ICML 2006). A useless ranking scores
    the share of positives. Arguments and errors as for :func:`roc_auc`.

    >>> round(average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 4)
    0.8333
    """
    return _one_versus_rest(_binary_ap, scores, target, sample_weight)


@nan_when_undefined
def precision_at_k(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, k: float = 100
) -> float:
    """Share of positives among the ``k`` highest scores: what an alert budget of ``k`` rows finds.

    Ties at the edge give the mean over their random order. With weights, ``k`` counts summed weight.

    Args:
        scores: ``(N,)`` or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.
        k: Budget in rows, above 0.

    Returns:
        A share; NaN when there are fewer than ``k`` rows or no positives.

    >>> precision_at_k([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0], k=2)
    0.5
    """
    s, y, w = check_scores(scores, target, sample_weight)
    if s.ndim != 1:
        raise ValueError(f"precision_at_k is for two classes, but the scores have {s.shape[1]} columns")
    if k <= 0:
        raise ValueError(f"k must be above 0, but {k} was given")
    if w.sum() < k:
        raise Undefined(f"{w.sum():g} rows are fewer than k={k:g}")
    if not (w * y).sum() > 0:
        raise Undefined("the positive class has no rows")
    above, found = _cumulated_from_top(s, w, y)
    # Between two distinct scores the count of positives grows linearly: the mean over random tie orders.
    return float(np.interp(k, np.append(0, above), np.append(0, found)) / k)


def _one_versus_rest(
    binary: Callable[..., float], scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None
) -> float:
    s, y, w = check_scores(scores, target, sample_weight)
    if s.ndim == 1:
        return binary(s, y, w)
    return float(
        np.mean(
            [
                binary(s[:, c], y == c, w, f"class {c}", f"every class but class {c}")
                for c in range(s.shape[1])
            ]
        )
    )


def _cumulated_from_top(scores: Array, weight: Array, target: Array) -> tuple[Array, Array]:
    """Summed weight, and summed weight of positives, at or above each distinct score, highest first."""
    # Stable: on rows that are already in order (a bootstrap sorts once) it takes linear time.
    order = np.argsort(-scores, kind="stable")
    s, w = scores[order], weight[order]
    last = np.flatnonzero(np.append(s[1:] != s[:-1], True))  # of each run of ties
    return np.cumsum(w)[last], np.cumsum(w * target[order])[last]


def _curve(s: Array, y: Array, w: Array, positive: str, negative: str) -> tuple[Array, Array]:
    """As :func:`_cumulated_from_top`, or Undefined where positives or negatives are missing."""
    y = y.astype(np.float64)
    for name, weight in ((positive, w * y), (negative, w * (1 - y))):
        if not weight.sum() > 0:
            raise Undefined(f"{name} has no rows")
    return _cumulated_from_top(s, w, y)


def _binary_auc(
    s: Array, y: Array, w: Array, positive: str = "the positive class", negative: str = "the negative class"
) -> float:
    above, true = _curve(s, y, w, positive, negative)
    false = above - true
    # Trapezoids: within a run of ties each pair counts half.
    area = np.diff(false, prepend=0) @ (true + np.append(0, true[:-1])) / 2
    return float(area / (true[-1] * false[-1]))


def _binary_ap(
    s: Array, y: Array, w: Array, positive: str = "the positive class", negative: str = "the negative class"
) -> float:
    above, true = _curve(s, y, w, positive, negative)
    found = np.diff(true, prepend=0)
    # The highest scores may have weight 0: nothing above them, and nothing found there.
    precisions = np.divide(true, above, out=np.zeros_like(true), where=above > 0)
    return float(found @ precisions / true[-1])
