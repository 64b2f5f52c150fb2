"""How good labels are: all of it follows from the table of true against predicted classes."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, check_probabilities, check_rows, nan_when_undefined

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "confusion",
    "expected_cost",
    "f_beta",
    "g_mean",
    "mcc",
    "precision",
    "recall",
    "recall_per_class",
    "specificity",
]

Array = NDArray[Any]


def confusion(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    num_classes: int | None = None,
) -> Array:
    """Counts, or summed weights, of each (true, predicted) pair of classes.

    Args:
        prediction: Class indices ``(N,)``; or floats: ``(N,)`` probabilities of the positive class, positive
            above one half, or ``(N, C)`` scores, the highest of which wins.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        num_classes: C, when indices are given and the last class may not occur.

    Returns:
        ``(C, C)``, float64, rows true, columns predicted.

    Raises:
        ValueError: NaN, negative weights, indices that do not fit, or shapes that do not.

    >>> confusion([0, 1, 1, 0], [0, 0, 1, 1])
    array([[1., 1.],
           [1., 1.]])
    """
    given = np.asarray(prediction)
    s, y, w = check_rows(given, target, sample_weight)
    if s.ndim == 2:
        size, label = s.shape[1], s.argmax(1) if len(s) else np.zeros(0, np.int64)
    elif given.dtype.kind in "biu":
        label = given.astype(np.int64)
        size = max(2, int(label.max(initial=0)) + 1, int(y.max(initial=0)) + 1)
    else:
        if s.size and not (s.min() >= 0 and s.max() <= 1):
            raise ValueError(
                "floats (N,) are read as probabilities of the positive class, but some lie outside [0, 1]; "
                "give class indices as integers, or scores as (N, C)"
            )
        # Not >=: a tie goes to the first class, as it does in the argmax of two columns.
        size, label = 2, (s > 0.5).astype(np.int64)
    size = num_classes or size
    if (label.size and (label.min() < 0 or label.max() >= size)) or int(y.max(initial=0)) >= size:
        highest = max(int(label.max(initial=0)), int(y.max(initial=0)))
        raise ValueError(f"class indices must lie between 0 and {size - 1}, but {highest} was given")
    return np.bincount(y * size + label, w, size * size).reshape(size, size)


@nan_when_undefined
def accuracy(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Share of right labels. Arguments and errors of all decision metrics are those of :func:`confusion`.

    >>> accuracy([0, 1, 1, 0], [0, 0, 1, 0])
    0.75
    """
    table = _table(prediction, target, sample_weight, **options)
    return float(np.trace(table) / table.sum())


def recall_per_class(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> Array:
    """Share of each class's rows that are found, ``(C,)``; NaN for a class without rows.

    >>> recall_per_class([0, 1, 1, 0], [0, 0, 1, 0])
    array([0.66666667, 1.        ])
    """
    table = confusion(prediction, target, sample_weight, **options)
    return _ratio(np.diag(table), table.sum(1))


@nan_when_undefined
def precision(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Share of right ones among those called positive; macro beyond two classes.

    NaN when none is called positive, and also without positives, when it could only be 0.

    >>> precision([0, 1, 1, 0], [0, 0, 1, 0])
    0.5
    """
    table = _table(prediction, target, sample_weight, **options)
    _positive_or_macro(np.diag(table), table.sum(1), "has no rows")
    return _positive_or_macro(np.diag(table), table.sum(0), "is never predicted")


@nan_when_undefined
def recall(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Share of the positives that are found (sensitivity); macro beyond two classes.

    >>> recall([0, 1, 1, 0], [0, 0, 1, 0])
    1.0
    """
    table = _table(prediction, target, sample_weight, **options)
    return _positive_or_macro(np.diag(table), table.sum(1), "has no rows")


@nan_when_undefined
def specificity(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Share of the negatives that are left alone; beyond two classes, macro over each class's negatives.

    >>> round(specificity([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.6667
    """
    table = _table(prediction, target, sample_weight, **options)
    negatives = table.sum() - table.sum(1)
    return _positive_or_macro(
        negatives - (table.sum(0) - np.diag(table)),
        negatives,
        "has all the rows, so that no negatives are left",
    )


@nan_when_undefined
def f_beta(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    beta: float = 1.0,
    **options: Any,
) -> float:
    """Harmonic mean of precision and recall, recall with weight ``beta**2``; macro beyond two classes.

    0 when positives exist and none is found. NaN without positives, whatever is predicted: scikit-learn's 0
    would say something about the model that the data cannot.

    Args:
        prediction: See :func:`confusion`.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        beta: Above 0.
        options: ``num_classes``.

    >>> round(f_beta([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.6667
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, but {beta} was given")
    table = _table(prediction, target, sample_weight, **options)
    true, called = table.sum(1), table.sum(0)
    # An absent class gets the denominator 0 even if it is predicted.
    below = np.where(true > 0, beta**2 * true + called, 0)
    return _positive_or_macro((1 + beta**2) * np.diag(table), below, "has no rows")


@nan_when_undefined
def balanced_accuracy(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Mean of all classes' recalls; one half, or 1/C, for a constant answer.

    >>> round(balanced_accuracy([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.8333
    """
    return float(np.mean(_recalls(prediction, target, sample_weight, **options)))


@nan_when_undefined
def g_mean(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Geometric mean of all classes' recalls: 0 as soon as one class is never found.

    Kubat & Matwin, ICML 1997.

    >>> round(g_mean([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.8165
    """
    recalls = _recalls(prediction, target, sample_weight, **options)
    return float(np.prod(recalls) ** (1 / len(recalls)))


@nan_when_undefined
def mcc(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Matthews correlation of labels and truth, -1 to 1, in its form for any number of classes.

    Matthews, Biochimica et Biophysica Acta 1975; Gorodkin, Computational Biology and Chemistry 2004. A
    constant prediction scores 0, the value of any prediction made without looking; a constant *target* NaN.

    >>> round(mcc([0, 1, 1, 0], [0, 0, 1, 0]), 4)
    0.5774
    """
    table = _table(prediction, target, sample_weight, **options)
    true, called, total = table.sum(1), table.sum(0), table.sum()
    if np.count_nonzero(true) < 2:
        raise Undefined(f"all rows are of class {int(true.argmax())}")
    if np.count_nonzero(called) < 2:
        return 0.0
    spread = (total**2 - called @ called) * (total**2 - true @ true)
    return float((np.trace(table) * total - called @ true) / np.sqrt(spread))


@nan_when_undefined
def expected_cost(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, cost: ArrayLike
) -> float:
    """Mean cost of a row, each paying ``cost[true, predicted]``.

    Given probabilities ``(N,)`` or ``(N, C)`` instead of labels, each row takes the class of least expected
    cost (Elkan, IJCAI 2001).

    Args:
        prediction: Class indices ``(N,)``, or probabilities.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        cost: ``(C, C)``, rows true, columns predicted, in any currency.

    Raises:
        ValueError: A matrix that is not square or not finite; otherwise see :func:`confusion`.

    >>> expected_cost([0, 1, 1, 0], [0, 0, 1, 1], cost=[[0, 1], [50, 0]])
    12.75
    """
    price = np.asarray(cost, dtype=np.float64)
    if price.ndim != 2 or price.shape[0] != price.shape[1] or not np.isfinite(price).all():
        raise ValueError(
            f"cost must be a finite square matrix (true, predicted), but has shape {price.shape}"
        )
    given = np.asarray(prediction)
    if given.ndim == 2 or given.dtype.kind == "f":
        p, *_ = check_probabilities(given, target, None)
        full = np.stack([1 - p, p], 1) if p.ndim == 1 else p
        if full.shape[1] != len(price):
            raise ValueError(f"cost is for {len(price)} classes, but the scores have {full.shape[1]}")
        given = (full @ price).argmin(1)
    table = _table(given, target, sample_weight, num_classes=len(price))
    return float((table * price).sum() / table.sum())


def _table(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None, **options: Any
) -> Array:
    table = confusion(prediction, target, sample_weight, **options)
    if not table.sum() > 0:
        raise Undefined("all weights are 0" if len(np.asarray(target)) else "there are no rows")
    return table


def _recalls(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None, **options: Any
) -> Array:
    table = _table(prediction, target, sample_weight, **options)
    return _defined(np.diag(table), table.sum(1), "has no rows")


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


def _defined(above: Array, below: Array, lack: str) -> Array:
    if not (below > 0).all():
        raise Undefined(f"class {int((below > 0).argmin())} {lack}")
    return above / below


def _positive_or_macro(above: Array, below: Array, lack: str) -> float:
    if len(below) > 2:
        return float(np.mean(_defined(above, below, lack)))
    if not below[1] > 0:
        raise Undefined(f"the positive class {lack}")
    return float(above[1] / below[1])
