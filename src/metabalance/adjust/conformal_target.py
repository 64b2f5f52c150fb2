r"""Conformal intervals that hold the rare values too: at the promised rate in each region of the *target*.

Vovk, "Conditional validity of inductive conformal predictors", ACML 2012, arXiv 1209.2673: with a margin for each region of
the true value (as label-conditional sets have it for classes), the values that a row may take are
:math:`\{y : s(y) \le q_{r(y)}\}`. Regions are stretches of the line, so this is a piece of an interval in each; given is
the interval that spans them, which holds no less.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["intervals_by_target"]

Array = NDArray[Any]


def intervals_by_target(
    low: ArrayLike, high: ArrayLike, starts: ArrayLike, margins: ArrayLike
) -> tuple[Array, Array]:
    """Lower and upper ends ``(N,)``.

    Of two margins the larger one counts only as far as its region reaches: a row that is predicted at 5 may well be a rare
    9, if regions of rare values are missed by 4.

    Args:
        low, high: Predictions ``(N,)``, twice the same; or two predicted quantiles.
        starts: Where a stretch ends and the next one begins ``(M,)``, increasing.
        margins: Of the stretches ``(M + 1,)``: conformal quantiles of the errors of held-out rows whose target lies
            there, or in any other stretch of the same region.

    Raises:
        ValueError: Shapes that do not fit.

    >>> low, high = intervals_by_target([2.0, 5.0, 9.0], [2.0, 5.0, 9.0], starts=[8.0], margins=[1.0, 4.0])
    >>> low.tolist(), high.tolist()
    ([1.0, 4.0, 8.0], [3.0, 9.0, 13.0])
    """
    lower, upper = (np.asarray(end, dtype=np.float64) for end in (low, high))
    cuts, q = np.asarray(starts, dtype=np.float64), np.asarray(margins, dtype=np.float64)
    if lower.ndim != 1 or lower.shape != upper.shape or cuts.ndim != 1 or q.shape != (len(cuts) + 1,):
        raise ValueError(
            f"low and high must be (N,), starts (M,) and margins (M + 1,), but they have shapes {lower.shape}, {upper.shape}, "
            f"{cuts.shape} and {q.shape}"
        )
    first, last = np.full_like(lower, np.inf), np.full_like(lower, -np.inf)
    # A stretch at a time: a matrix of rows and stretches may be large.
    for begin, end, margin in zip([-np.inf, *cuts], [*cuts, np.inf], q):
        a, b = np.maximum(begin, lower - margin), np.minimum(end, upper + margin)
        first = np.where(a <= b, np.minimum(first, a), first)
        last = np.where(a <= b, np.maximum(last, b), last)
    nothing = first > last  # quantiles that are all too wide, and margins below 0
    middle = (lower + upper) / 2
    return np.where(nothing, middle, first), np.where(nothing, middle, last)
