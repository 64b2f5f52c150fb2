"""The table of true against predicted classes, from which every metric of labels follows."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, check_rows

Array = NDArray[Any]
AVERAGES = (None, "macro", "weighted", "micro")


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


def checked_table(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None, **options: Any
) -> Array:
    """As :func:`confusion`; Undefined where it is empty."""
    table = confusion(prediction, target, sample_weight, **options)
    if not table.sum() > 0:
        raise Undefined("all weights are 0" if len(np.asarray(target)) else "there are no rows")
    return table


def ratio(above: Array, below: Array) -> Array:
    """Quotients ``(C,)``, NaN where nothing is below."""
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


def averaged(above: Array, below: Array, rows: Array, lack: str, average: str | None) -> float:
    """One figure from each class's quotient.

    Args:
        above: ``(C,)``.
        below: ``(C,)``.
        rows: Rows of each class ``(C,)``.
        lack: What a class without quotient lacks, in words.
        average: None is the positive one of two classes, and macro beyond. ``"macro"`` is the mean over all
            classes; ``"weighted"`` that by their rows, hence over the classes that have some; ``"micro"`` the
            quotient of the sums.

    Raises:
        Undefined: A class that counts has no quotient.
        ValueError: Another average.
    """
    if average not in AVERAGES:
        raise ValueError(f"average={average!r} is unknown; use None, 'macro', 'weighted' or 'micro'")
    if average == "micro":
        above, below = above.sum(keepdims=True), below.sum(keepdims=True)
    if average is None and len(below) == 2:
        if not below[1] > 0:
            raise Undefined(f"the positive class {lack}")
        return float(above[1] / below[1])
    weight = rows if average == "weighted" else np.ones(len(below))
    counts = weight > 0
    missing = counts & ~(below > 0)
    if missing.any():
        raise Undefined(f"class {int(missing.argmax())} {lack}")
    return float(np.average(above[counts] / below[counts], weights=weight[counts]))
