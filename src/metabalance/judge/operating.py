"""Points of the curve at which people work: an alert budget, a wanted precision, a bearable false-alarm rate.

All are for two classes. Only thresholds that separate different scores exist: rows that tie are called together.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, nan_when_undefined
from metabalance.judge.curves import binary_curve, check_binary, cumulated_from_top

__all__ = [
    "lift",
    "precision_at_k",
    "precision_at_recall",
    "recall_at_fpr",
    "recall_at_k",
    "recall_at_precision",
]

Array = NDArray[Any]
ROUNDING = 1e-12  # summed weights of a bound that is met exactly may miss it by as much


@nan_when_undefined
def precision_at_k(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    k: float = 100,
    share: float | None = None,
) -> float:
    """Share of positives among the ``k`` highest scores: what an alert budget of ``k`` rows finds.

    Ties at the edge give the mean over their random order. With weights, ``k`` counts summed weight.

    Args:
        scores: ``(N,)`` or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.
        k: Budget in rows, above 0.
        share: Budget as a share of all rows, above 0 and at most 1, in place of ``k``.

    Returns:
        A share; NaN when there are fewer than ``k`` rows or no positives.

    Raises:
        ValueError: A budget out of range, more than two classes, or shapes that do not fit.

    >>> precision_at_k([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0], k=2)
    0.5
    """
    found, budget, *_ = _found(scores, target, sample_weight, k, share, "precision_at_k")
    return float(found / budget)


@nan_when_undefined
def recall_at_k(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    k: float = 100,
    share: float | None = None,
) -> float:
    """Share of the positives that are among the ``k`` highest scores; see :func:`precision_at_k`.

    >>> recall_at_k([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0], share=0.75)
    1.0
    """
    found, _, positives, _ = _found(scores, target, sample_weight, k, share, "recall_at_k")
    return float(found / positives)


@nan_when_undefined
def lift(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, share: float = 0.01
) -> float:
    """How many times more positives the highest ``share`` of rows holds than as many rows at random.

    1 for a useless ranking, at most ``1 / max(share, share of positives)``. Arguments and errors as for
    :func:`precision_at_k`.

    >>> lift([0.9, 0.8, 0.3, 0.1], [1, 0, 0, 0], share=0.25)
    4.0
    """
    found, budget, positives, rows = _found(scores, target, sample_weight, 0, share, "lift")
    return float((found / budget) / (positives / rows))


@nan_when_undefined
def recall_at_precision(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, precision: float = 0.9
) -> float:
    """The highest recall at a threshold whose precision is at least ``precision``.

    NaN when no threshold reaches it: the reason tells the best precision there is. (A 0 would say that there is
    such a threshold, and that it finds nothing.)

    Args:
        scores: ``(N,)`` or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.
        precision: Above 0, at most 1.

    Raises:
        ValueError: ``precision`` out of range, more than two classes, or shapes that do not fit.

    >>> recall_at_precision([0.9, 0.8, 0.7, 0.1], [1, 1, 0, 1], precision=0.7)
    1.0
    """
    _check_share(precision, "precision")
    above, true = _curve(scores, target, sample_weight, "recall_at_precision")
    reached = true >= precision * above * (1 - ROUNDING)
    if not reached.any():
        best = (true / above).max()
        raise Undefined(f"no threshold reaches a precision of {precision:g}; the best is {best:.4g}")
    return float(true[reached].max() / true[-1])


@nan_when_undefined
def precision_at_recall(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, recall: float = 0.8
) -> float:
    """The highest precision at a threshold whose recall is at least ``recall``; one always exists.

    Arguments and errors as for :func:`recall_at_precision`.

    >>> precision_at_recall([0.9, 0.8, 0.7, 0.1], [1, 1, 0, 1], recall=0.6)
    1.0
    """
    _check_share(recall, "recall")
    above, true = _curve(scores, target, sample_weight, "precision_at_recall")
    reached = true >= recall * true[-1] * (1 - ROUNDING)
    return float((true[reached] / above[reached]).max())


@nan_when_undefined
def recall_at_fpr(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, fpr: float = 0.01
) -> float:
    """The highest recall at a threshold that calls at most a share ``fpr`` of the negatives.

    Also known as sensitivity at specificity ``1 - fpr``. Calling nothing is a threshold too, so the value may be
    0. Arguments and errors as for :func:`recall_at_precision`; ``fpr`` may be 0.

    >>> recall_at_fpr([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 1], fpr=0)
    0.3333333333333333
    """
    if not 0 <= fpr <= 1:
        raise ValueError(f"fpr must lie between 0 and 1, but {fpr} was given")
    above, true = _curve(scores, target, sample_weight, "recall_at_fpr")
    false = above - true
    # An absolute allowance: above - true may leave dust where no negative is.
    allowed = false <= fpr * false[-1] + ROUNDING * above[-1]
    return float(true[allowed].max(initial=0) / true[-1])


def _curve(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None, what: str
) -> tuple[Array, Array]:
    above, true = binary_curve(*check_binary(scores, target, sample_weight, what))
    return above[above > 0], true[above > 0]


def _found(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None,
    k: float,
    share: float | None,
    what: str,
) -> tuple[float, float, float, float]:
    """Positives within the budget, the budget, all positives, all rows: summed weights."""
    s, y, w = check_binary(scores, target, sample_weight, what)
    rows, positives = float(w.sum()), float((w * y).sum())
    if share is None:
        budget = k
        if k <= 0:
            raise ValueError(f"k must be above 0, but {k} was given")
    else:
        _check_share(share, "share")
        budget = share * rows
    if rows < budget:
        raise Undefined(f"{rows:g} rows are fewer than k={k:g}")
    if not positives > 0:
        raise Undefined("the positive class has no rows")
    above, true = cumulated_from_top(s, w, y)
    # Between two distinct scores the count of positives grows linearly: the mean over random tie orders.
    return float(np.interp(budget, np.append(0, above), np.append(0, true))), budget, positives, rows


def _check_share(value: float, name: str) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be above 0 and at most 1, but {value} was given")
