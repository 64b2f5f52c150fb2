"""From scores to counts: what lies at or above each threshold, from the highest score down."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, check_scores

Array = NDArray[Any]
POSITIVE, NEGATIVE = "the positive class", "the negative class"


def check_binary(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None, what: str
) -> tuple[Array, Array, Array]:
    """As :func:`~metabalance.judge.checks.check_scores`, for what exists for two classes only.

    Raises:
        ValueError: Scores of more than two classes.
    """
    s, y, w = check_scores(scores, target, sample_weight)
    if s.ndim != 1:
        raise ValueError(
            f"{what} is for two classes, but the scores have {s.shape[1]} columns; give one class's column "
            "and a target that is 1 for that class"
        )
    return s, y, w


def cumulated_from_top(scores: Array, weight: Array, target: Array) -> tuple[Array, Array]:
    """Summed weight, and summed weight of positives, at or above each distinct score, highest first."""
    # Stable: on rows that are already in order (a bootstrap sorts once) it takes linear time.
    order = np.argsort(-scores, kind="stable")
    s, w = scores[order], weight[order]
    last = np.flatnonzero(np.append(s[1:] != s[:-1], True))  # of each run of ties
    return np.cumsum(w)[last], np.cumsum(w * target[order])[last]


def binary_curve(
    s: Array, y: Array, w: Array, positive: str = POSITIVE, negative: str = NEGATIVE
) -> tuple[Array, Array]:
    """As :func:`cumulated_from_top`; Undefined where positives or negatives are missing."""
    y = y.astype(np.float64)
    for name, weight in ((positive, w * y), (negative, w * (1 - y))):
        if not weight.sum() > 0:
            raise Undefined(f"{name} has no rows")
    return cumulated_from_top(s, w, y)


def corners(above: Array, true: Array) -> tuple[Array, Array]:
    """False and true alarms at the corners of the upper convex hull of the ROC curve, from (0, 0) on."""
    moves = np.diff(above, prepend=0) > 0  # rows without weight would hide where a run ends
    false, hit = np.append(0, (above - true)[moves]), np.append(0, true[moves])
    # A corner of the hull is where a run of positives ends: few points, however many negatives.
    rise, run = np.diff(hit) > 0, np.diff(false) > 0
    ends = np.append(False, rise & np.append(run[1:], True))
    ends[0] = ends[-1] = True
    x, y = false[ends].tolist(), hit[ends].tolist()
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (x[b] - x[a]) * (y[i] - y[a]) < (y[b] - y[a]) * (x[i] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return np.array(x)[hull], np.array(y)[hull]
