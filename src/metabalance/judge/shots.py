"""How well the frequent and the rare classes are served: many, medium and few shots, and top-k accuracy."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, check_scores, nan_when_undefined
from metabalance.judge.decision import recall_per_class

__all__ = ["shot_recall", "shots", "top_k_accuracy"]

Array = NDArray[Any]


def shots(train_counts: ArrayLike, many: float = 100, few: float = 20) -> Array:
    """Group of each class by its rows in *training* ``(C,)``: ``"many"`` (above), ``"medium"`` or ``"few"`` (below).

    The limits are those of Liu et al., CVPR 2019, arXiv 1904.05160; the same as
    :func:`metabalance.counts.shot_groups`.

    >>> shots([500, 100, 20, 5])
    array(['many', 'medium', 'medium', 'few'], dtype='<U6')
    """
    n = np.asarray(train_counts, dtype=np.float64)
    if n.ndim != 1 or not np.isfinite(n).all() or (n < 0).any() or few > many:
        raise ValueError("train_counts must be (C,), finite and not negative, and few not above many")
    return np.where(n > many, "many", np.where(n < few, "few", "medium"))


def shot_recall(
    prediction: ArrayLike,
    target: ArrayLike,
    train_counts: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    many: float = 100,
    few: float = 20,
) -> dict[str, float]:
    """Mean recall of the classes in each group: what papers on long tails call many-, medium- and few-shot accuracy.

    On a test set with equally many rows of each class ``"all"`` is the accuracy.

    Args:
        prediction: Class indices ``(N,)``, or scores ``(N, C)``.
        target: Class indices ``(N,)``.
        train_counts: Rows of each class in training ``(C,)``; they alone make the groups.
        sample_weight: Weights ``(N,)``.
        many: Above it, a class is many-shot.
        few: Below it, a class is few-shot.

    Returns:
        ``all``, ``many``, ``medium`` and ``few``; NaN for a group without classes, or with a class that has no
        rows to judge it by.

    Raises:
        ValueError: Counts that are unsound, or see :func:`~metabalance.judge.confusion`.

    >>> shot_recall([0, 0, 1, 2, 1], [0, 0, 1, 2, 2], train_counts=[500, 50, 5])
    {'all': 0.8333333333333334, 'many': 1.0, 'medium': 1.0, 'few': 0.5}
    """
    group = shots(train_counts, many, few)
    recalls = recall_per_class(prediction, target, sample_weight, num_classes=len(group))
    nan = float("nan")
    return {"all": float(recalls.mean())} | {
        name: float(recalls[group == name].mean()) if (group == name).any() else nan
        for name in ("many", "medium", "few")
    }


@nan_when_undefined
def top_k_accuracy(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, k: int = 5
) -> float:
    """Share of rows whose true class is among the ``k`` highest scores; ties at the edge count by chance.

    Args:
        scores: ``(N, C)``, or ``(N,)`` probabilities of the positive class.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        k: From 1; NaN from C on, where every row would be right.

    Raises:
        ValueError: ``k`` below 1, or shapes that do not fit.

    >>> top_k_accuracy([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8]], [0, 1, 2], k=2)
    0.8333333333333334
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, but {k} was given")
    s, y, w = check_scores(scores, target, sample_weight)
    s = np.stack([1 - s, s], 1) if s.ndim == 1 else s
    if k >= s.shape[1]:
        raise Undefined(f"with k={k} of {s.shape[1]} classes every row would be right")
    own = s[np.arange(len(y)), y][:, None]
    higher, equal = (s > own).sum(1), (s == own).sum(1)
    return float(np.average(np.clip((k - higher) / equal, 0, 1), weights=w))
