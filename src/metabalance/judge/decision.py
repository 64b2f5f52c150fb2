"""How good labels are, as precision, recall and what is made of them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import nan_when_undefined
from metabalance.judge.tables import averaged, checked_table, confusion, ratio

__all__ = [
    "accuracy",
    "confusion",
    "f_beta",
    "f_beta_per_class",
    "precision",
    "precision_per_class",
    "recall",
    "recall_per_class",
    "specificity",
]

Array = NDArray[Any]


@nan_when_undefined
def accuracy(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Share of right labels. Arguments and errors of all decision metrics are those of :func:`confusion`.

    >>> accuracy([0, 1, 1, 0], [0, 0, 1, 0])
    0.75
    """
    table = checked_table(prediction, target, sample_weight, **options)
    return float(np.trace(table) / table.sum())


@nan_when_undefined
def precision(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    average: str | None = None,
    **options: Any,
) -> float:
    """Share of right ones among those called positive; macro beyond two classes.

    NaN when none is called positive, and also without positives, when it could only be 0.

    Args:
        prediction: See :func:`confusion`.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        average: None is the positive one of two classes, macro beyond; else ``"macro"``, ``"weighted"`` (by the
            rows of the classes) or ``"micro"`` (of all classes together, which is the accuracy).
        options: ``num_classes``.

    >>> precision([0, 1, 1, 0], [0, 0, 1, 0])
    0.5
    """
    table = checked_table(prediction, target, sample_weight, **options)
    rows, right = table.sum(1), np.diag(table)
    averaged(right, rows, rows, "has no rows", average)
    return averaged(right, table.sum(0), rows, "is never predicted", average)


@nan_when_undefined
def recall(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    average: str | None = None,
    **options: Any,
) -> float:
    """Share of the positives that are found (sensitivity); macro beyond two classes.

    Arguments as for :func:`precision`.

    >>> recall([0, 1, 1, 0], [0, 0, 1, 0])
    1.0
    """
    table = checked_table(prediction, target, sample_weight, **options)
    rows = table.sum(1)
    return averaged(np.diag(table), rows, rows, "has no rows", average)


@nan_when_undefined
def specificity(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    average: str | None = None,
    **options: Any,
) -> float:
    """Share of the negatives that are left alone; beyond two classes, macro over each class's negatives.

    Arguments as for :func:`precision`.

    >>> round(specificity([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.6667
    """
    table = checked_table(prediction, target, sample_weight, **options)
    rows = table.sum(1)
    negatives = table.sum() - rows
    spared = negatives - (table.sum(0) - np.diag(table))
    return averaged(spared, negatives, rows, "has all the rows, so that no negatives are left", average)


@nan_when_undefined
def f_beta(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    beta: float = 1.0,
    average: str | None = None,
    **options: Any,
) -> float:
    """Harmonic mean of precision and recall, recall with weight ``beta**2``; macro beyond two classes.

    0 when positives exist and none is found. NaN without positives, whatever is predicted: scikit-learn's 0
    would say something about the model that the data cannot. Macro is the mean of the classes' values, not the
    value of the mean precision and recall.

    Args:
        prediction: See :func:`confusion`.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        beta: Above 0.
        average: See :func:`precision`.
        options: ``num_classes``.

    >>> round(f_beta([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.6667
    """
    table = checked_table(prediction, target, sample_weight, **options)
    return averaged(*_f_parts(table, beta), table.sum(1), "has no rows", average)


def recall_per_class(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> Array:
    """Share of each class's rows that are found, ``(C,)``; NaN for a class without rows.

    >>> recall_per_class([0, 1, 1, 0], [0, 0, 1, 0])
    array([0.66666667, 1.        ])
    """
    table = confusion(prediction, target, sample_weight, **options)
    return ratio(np.diag(table), table.sum(1))


def precision_per_class(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> Array:
    """Share of right ones among those called each class, ``(C,)``; NaN where none is, or the class has no rows.

    >>> precision_per_class([0, 1, 1, 0], [0, 0, 1, 0])
    array([1. , 0.5])
    """
    table = confusion(prediction, target, sample_weight, **options)
    return ratio(np.diag(table), np.where(table.sum(1) > 0, table.sum(0), 0))


def f_beta_per_class(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    beta: float = 1.0,
    **options: Any,
) -> Array:
    """F-beta of each class against all others, ``(C,)``; NaN for a class without rows.

    >>> f_beta_per_class([0, 1, 1, 0], [0, 0, 1, 0])
    array([0.8       , 0.66666667])
    """
    return ratio(*_f_parts(confusion(prediction, target, sample_weight, **options), beta))


def _f_parts(table: Array, beta: float) -> tuple[Array, Array]:
    if not beta > 0:
        raise ValueError(f"beta must be above 0, but {beta} was given")
    true, called = table.sum(1), table.sum(0)
    # An absent class gets the denominator 0 even if it is predicted.
    return (1 + beta**2) * np.diag(table), np.where(true > 0, beta**2 * true + called, 0)
