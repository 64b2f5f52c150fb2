"""How far labels agree with the truth beyond chance."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metabalance.judge.checks import Undefined, nan_when_undefined
from metabalance.judge.tables import checked_table

__all__ = ["kappa", "mcc"]


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
    table = checked_table(prediction, target, sample_weight, **options)
    true, called, total = table.sum(1), table.sum(0), table.sum()
    if np.count_nonzero(true) < 2:
        raise Undefined(f"all rows are of class {int(true.argmax())}")
    if np.count_nonzero(called) < 2:
        return 0.0
    spread = (total**2 - called @ called) * (total**2 - true @ true)
    return float((np.trace(table) * total - called @ true) / np.sqrt(spread))


@nan_when_undefined
def kappa(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    weights: str | None = None,
    **options: Any,
) -> float:
    """Cohen's kappa: agreement of labels and truth, 0 for what their shares alone would give, at most 1.

    Cohen, Educational and Psychological Measurement 1960; with ``weights`` Cohen, Psychological Bulletin 1968.
    It falls with the share of positives at the same recall and specificity: compare it within one data set.

    Args:
        prediction: See :func:`~metabalance.judge.confusion`.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        weights: None; or, for ordered classes, ``"linear"`` or ``"quadratic"`` in their distance.
        options: ``num_classes``.

    >>> kappa([0, 1, 1, 0], [0, 0, 1, 0])
    0.5
    """
    if weights not in (None, "linear", "quadratic"):
        raise ValueError(f"weights={weights!r} is unknown; use None, 'linear' or 'quadratic'")
    table = checked_table(prediction, target, sample_weight, **options)
    true, called = table.sum(1), table.sum(0)
    if np.count_nonzero(true) < 2:
        raise Undefined(f"all rows are of class {int(true.argmax())}")
    place = np.arange(len(table))
    distance = np.abs(place[:, None] - place)
    price = (distance > 0) * 1.0 if weights is None else distance ** (1.0 if weights == "linear" else 2.0)
    return float(1 - (price * table).sum() / ((price * np.outer(true, called)).sum() / table.sum()))
