"""Unlabelled rows made to measure: how many, and how imbalanced, beside a labelled set.

Yang & Xu, "Rethinking the Value of Labels for Improving Class-Imbalanced Learning", NeurIPS 2020, arXiv 2006.07529.
Labels choose the rows and are then forgotten.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from metabalance.data.imbalance import take_counts

__all__ = ["make_unlabeled", "unlabeled_counts"]


def unlabeled_counts(
    labeled_counts: Sequence[int], ratio_unlabeled: float, size_factor: int = 5
) -> list[int]:
    r"""Rows of each class in an unlabelled set ``size_factor`` times as large as the labelled one.

    Proportional to :math:`\rho_U^{-i/(C-1)}`, class 0 first. Rounding down, as the authors do, loses up to a
    row of each class.

    Args:
        labeled_counts: Labelled rows of each class ``(C,)``; only their sum matters.
        ratio_unlabeled: Largest count over smallest, the paper's ρ_U; 1 is a balanced set.
        size_factor: Unlabelled over labelled rows.

    Raises:
        ValueError: Fewer than 2 classes, a ratio below 1, or a size factor that is not positive.

    >>> from metabalance.data.imbalance import long_tail_counts
    >>> labeled = long_tail_counts(10, 5000, 50)
    >>> sum(labeled)
    13996
    >>> counts = unlabeled_counts(labeled, 50)
    >>> counts[0], counts[-1], sum(counts)
    (24999, 496, 69974)
    """
    classes, total = len(labeled_counts), int(sum(labeled_counts)) * size_factor
    if classes < 2 or not 1 <= ratio_unlabeled < math.inf or total <= 0:
        raise ValueError(
            "an unlabelled set needs at least 2 classes, a ratio of at least 1 and a positive size, but "
            f"labeled_counts={list(labeled_counts)}, ratio_unlabeled={ratio_unlabeled}, "
            f"size_factor={size_factor} were given"
        )
    shape = [int(total // classes * ratio_unlabeled ** (-i / (classes - 1))) for i in range(classes)]
    if not sum(shape):
        return [0] * classes
    return [int(n * total / sum(shape)) for n in shape]


def make_unlabeled(
    target: Any, labeled: Any, ratio_unlabeled: float, size_factor: int = 5, seed: int = 0
) -> np.ndarray:
    """Rows to use without their labels, none of them among the labelled ones; see :func:`unlabeled_counts`.

    Args:
        target: Class indices ``(N,)``.
        labeled: Row indices ``(L,)`` of the labelled set, that of :func:`~metabalance.data.imbalance.long_tail`
            for instance. The unlabelled set is imbalanced in the order of its class sizes.
        ratio_unlabeled, size_factor: See :func:`unlabeled_counts`.
        seed: Chooses the rows.

    Returns:
        Row indices in rising order.

    Raises:
        ValueError: A class with too few rows besides the labelled ones, or an impossible profile.

    >>> y = np.repeat([0, 1], 500)
    >>> labeled = [*range(40), *range(500, 510)]
    >>> np.bincount(y[make_unlabeled(y, labeled, ratio_unlabeled=4)])  # rounding down
    array([200,  49])
    """
    y, taken = np.asarray(target), np.asarray(labeled, dtype=np.int64)
    rest = np.setdiff1d(np.arange(len(y)), taken)
    counts = np.bincount(y[taken], minlength=int(y.max()) + 1)
    wanted = unlabeled_counts(counts.tolist(), ratio_unlabeled, size_factor)
    largest_first = np.argsort(-counts, kind="stable")
    per_class = {int(c): n for c, n in zip(largest_first, wanted)}
    left = np.bincount(y[rest], minlength=len(counts))
    for c, n in per_class.items():
        if n > left[c]:
            raise ValueError(
                f"{n} unlabelled rows of class {c} are needed, but {left[c]} are left; lower size_factor, or "
                "label fewer rows"
            )
    return rest[take_counts(y[rest], per_class, seed)]
