"""How well scores put positives above negatives: areas under the ROC and precision-recall curves."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import check_scores, nan_when_undefined
from metabalance.judge.curves import NEGATIVE, POSITIVE, binary_curve

__all__ = ["average_precision", "pr_auc", "roc_auc", "roc_auc_ovo"]

Array = NDArray[Any]
AVERAGES = ("macro", "weighted", "micro")


@nan_when_undefined
def roc_auc(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, average: str = "macro"
) -> float:
    """Chance that a positive outranks a negative, ties counting half; macro beyond two classes.

    Macro is one-versus-rest: the mean, over the classes, of the area of each against all others. That is also
    the multi-class mean of Buda, Maki & Mazurowski, Neural Networks 2018, arXiv 1710.05381.

    Args:
        scores: ``(N,)`` or ``(N, C)``, in any unit: only their order counts.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``, not negative; a weight of 2 counts like two rows.
        average: Beyond two classes ``"macro"``; ``"weighted"``, by the classes' rows; or ``"micro"``, every row
            once for each class, all pooled.

    Returns:
        The area, 0 to 1; NaN when a class, or all other classes, have no rows.

    Raises:
        ValueError: Scores with NaN, an unknown average, or shapes that do not fit.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    return _one_versus_rest(_binary_auc, scores, target, sample_weight, average)


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
def average_precision(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, average: str = "macro"
) -> float:
    """Precision averaged over the positives found, from the highest score down; macro beyond two classes.

    The step-wise sum, not the trapezoids that flatter (Davis & Goadrich, ICML 2006). A useless ranking scores
    the share of positives. Arguments and errors as for :func:`roc_auc`.

    >>> round(average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 4)
    0.8333
    """
    return _one_versus_rest(_binary_ap, scores, target, sample_weight, average)


@nan_when_undefined
def pr_auc(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    interpolation: str = "step",
    average: str = "macro",
) -> float:
    """Area under the precision-recall curve by a stated interpolation; macro beyond two classes.

    The three differ most with few positives or many ties, so say which one a figure is.

    Args:
        scores: See :func:`roc_auc`.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        interpolation: ``"step"`` is :func:`average_precision`. ``"trapezoid"`` joins the points by straight
            lines, which no classifier can follow. ``"davis_goadrich"`` lets true and false alarms grow in
            proportion between two points, as drawing at random between two thresholds does (Davis & Goadrich,
            ICML 2006; its closed form: Keilwagen, Grosse & Grau, PLoS ONE 2014).
        average: See :func:`roc_auc`.

    >>> scores, target = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    >>> [round(pr_auc(scores, target, interpolation=i), 4) for i in ("step", "trapezoid", "davis_goadrich")]
    [0.8333, 0.7917, 0.7973]
    """
    areas = {"step": _binary_ap, "trapezoid": _binary_trapezoid, "davis_goadrich": _binary_davis_goadrich}
    if interpolation not in areas:
        raise ValueError(f"interpolation={interpolation!r} is unknown; use one of {', '.join(areas)}")
    return _one_versus_rest(areas[interpolation], scores, target, sample_weight, average)


def _one_versus_rest(
    binary: Callable[..., float],
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None,
    average: str,
) -> float:
    if average not in AVERAGES:
        raise ValueError(f"average={average!r} is unknown; use one of {', '.join(AVERAGES)}")
    s, y, w = check_scores(scores, target, sample_weight)
    if s.ndim == 1:
        return binary(s, y, w)
    size = s.shape[1]
    if average == "micro":
        every = (y[:, None] == np.arange(size)).ravel()
        return binary(s.ravel(), every, np.repeat(w, size), "every class", "the rest of every class")
    rows = np.bincount(y, w, size)
    judged = [c for c in range(size) if average == "macro" or rows[c] > 0]
    areas = [binary(s[:, c], y == c, w, f"class {c}", f"every class but class {c}") for c in judged]
    return float(np.average(areas, weights=None if average == "macro" else rows[judged]))


def _binary_auc(s: Array, y: Array, w: Array, positive: str = POSITIVE, negative: str = NEGATIVE) -> float:
    above, true = binary_curve(s, y, w, positive, negative)
    false = above - true
    # Trapezoids: within a run of ties each pair counts half.
    area = np.diff(false, prepend=0) @ (true + np.append(0, true[:-1])) / 2
    return float(area / (true[-1] * false[-1]))


def _binary_ap(s: Array, y: Array, w: Array, positive: str = POSITIVE, negative: str = NEGATIVE) -> float:
    above, true = binary_curve(s, y, w, positive, negative)
    # The highest scores may have weight 0: nothing above them, and nothing found there.
    precisions = np.divide(true, above, out=np.zeros_like(true), where=above > 0)
    return float(np.diff(true, prepend=0) @ precisions / true[-1])


def _binary_trapezoid(
    s: Array, y: Array, w: Array, positive: str = POSITIVE, negative: str = NEGATIVE
) -> float:
    above, true = binary_curve(s, y, w, positive, negative)
    above, true = above[above > 0], true[above > 0]
    precisions = true / above
    # The curve starts at recall 0 with precision 1, as scikit-learn draws it.
    return float(np.diff(true, prepend=0) @ (precisions + np.append(1, precisions[:-1])) / 2 / true[-1])


def _binary_davis_goadrich(
    s: Array, y: Array, w: Array, positive: str = POSITIVE, negative: str = NEGATIVE
) -> float:
    above, true = binary_curve(s, y, w, positive, negative)
    found, called = np.diff(true, prepend=0), np.diff(above, prepend=0)
    rises = found > 0
    found, called, below, hit = found[rises], called[rises], above[rises], true[rises]
    start = below - called  # alarms before the segment
    slope = called / found  # alarms for each positive found on it
    offset = start - slope * (hit - found)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The integral of hit / alarms over hit; on the first segment there is no offset, and log(0) is not needed.
        bent = np.where(start > 0, offset / slope**2 * np.log1p(called / start), 0)
    return float((found / slope - bent).sum() / true[-1])
