"""How good labels are on every class alike: metrics made of each class's recall, free of the class shares."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, nan_when_undefined
from metabalance.judge.tables import checked_table

__all__ = ["balanced_accuracy", "g_mean", "index_balanced_accuracy"]

Array = NDArray[Any]


@nan_when_undefined
def balanced_accuracy(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Mean of all classes' recalls; one half, or 1/C, for a constant answer.

    >>> round(balanced_accuracy([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.8333
    """
    return float(np.mean(_recalls(checked_table(prediction, target, sample_weight, **options))))


@nan_when_undefined
def g_mean(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    correction: float = 0.0,
    **options: Any,
) -> float:
    """Geometric mean of all classes' recalls: 0 as soon as one class is never found.

    Kubat & Matwin, ICML 1997.

    Args:
        prediction: See :func:`~metabalance.judge.confusion`.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        correction: What a recall of 0 counts as. Above 0, models that miss one of many classes can still be told
            apart; say so beside the figure.
        options: ``num_classes``.

    >>> round(g_mean([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.8165
    >>> g_mean([0, 0, 0, 0], [0, 0, 1, 0], correction=0.01)
    0.1
    """
    if not 0 <= correction <= 1:
        raise ValueError(f"correction must lie between 0 and 1, but {correction} was given")
    recalls = _recalls(checked_table(prediction, target, sample_weight, **options))
    return float(np.prod(np.where(recalls == 0, correction, recalls)) ** (1 / len(recalls)))


@nan_when_undefined
def index_balanced_accuracy(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    alpha: float = 0.1,
    **options: Any,
) -> float:
    r"""Squared G-mean, more where the positives are the ones found: :math:`(1+\alpha(r-s))\,r\,s` of recall r and
    specificity s; macro beyond two classes, each against all others.

    Garcia, Mollineda & Sanchez, IbPRIA 2009; alpha as in imbalanced-learn. The value may exceed 1 by no more
    than a few thousandths at the default.

    Args:
        prediction: See :func:`~metabalance.judge.confusion`.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        alpha: How much the difference counts, 0 to 1; 0 gives the squared G-mean.
        options: ``num_classes``.

    >>> round(index_balanced_accuracy([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.6889
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie between 0 and 1, but {alpha} was given")
    table = checked_table(prediction, target, sample_weight, **options)
    found = _recalls(table)
    negatives = table.sum() - table.sum(1)
    spared = 1 - (table.sum(0) - np.diag(table)) / negatives
    each = (1 + alpha * (found - spared)) * found * spared
    return float(each[1] if len(each) == 2 else each.mean())


def _recalls(table: Array) -> Array:
    rows = table.sum(1)
    if not (rows > 0).all():
        raise Undefined(f"class {int((rows > 0).argmin())} has no rows")
    return np.diag(table) / rows
