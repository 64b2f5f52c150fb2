"""Operating points: what each threshold on a score finds and falsely accuses, in a short table.

All curves of one model (ROC, precision-recall, gains, net benefit) and every threshold's counts follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["OperatingPoints", "operating_points"]

MOST = 2_000  # a page with these stays light, and a finger on a slider cannot tell more apart
DIGITS = 16


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """Thresholds with what they call positive, lowest first; the last calls nobody.

    Attributes:
        score: ``(K,)``, rising, the last infinite: positive at or above.
        threshold: ``(K,)``, the shortest decimals that decide the same.
        true: Positives called positive ``(K,)``, rows or summed weights.
        false: Negatives called positive ``(K,)``.
        exact: Whether every distinct score is there; otherwise the counts are exact at the points kept.
    """

    score: NDArray[np.float64]
    threshold: NDArray[np.float64]
    true: NDArray[np.float64]
    false: NDArray[np.float64]
    exact: bool

    @property
    def positives(self) -> float:
        return float(self.true[0])

    @property
    def negatives(self) -> float:
        return float(self.false[0])

    def at(self, threshold: float) -> int:
        """The index of the first point at or above a threshold: the same decisions, where all points are there."""
        return int(np.searchsorted(self.score, threshold, side="left"))

    def cost(self, fn: float = 1, fp: float = 1, tp: float = 0, tn: float = 0) -> NDArray[np.float64]:
        """What each point costs in all ``(K,)``."""
        return (
            fn * (self.positives - self.true)
            + fp * self.false
            + tp * self.true
            + tn * (self.negatives - self.false)
        )

    def f1(self) -> NDArray[np.float64]:
        """F1 of each point ``(K,)``; NaN without positives."""
        below = self.positives + self.true + self.false
        return np.divide(
            2 * self.true, below, out=np.full(len(below), np.nan), where=(below > 0) & (self.positives > 0)
        )

    def precision(self) -> NDArray[np.float64]:
        """Precision of each point ``(K,)``; NaN where nobody is called."""
        called = self.true + self.false
        return np.divide(self.true, called, out=np.full(len(called), np.nan), where=called > 0)

    def curves(self, columns: int = 100) -> dict[str, list[list[float]]]:
        """Curves as ``[x, y]``; none that needs a class without rows.

        ``roc``, ``pr``, ``gain`` (share called, share of positives found), ``lift`` (share called, precision by
        base rate) and ``net_benefit`` (threshold probability, net benefit by row; Vickers & Elkin 2006).
        """
        p, n = self.positives, self.negatives
        if not (p > 0 and n > 0):
            return {}
        true, false = self.true[::-1], self.false[::-1]
        called, precision = (true + false) / (p + n), self.precision()[::-1]
        some = called > 0
        found = {
            "roc": thinned(false / n, true / p, columns),
            # A curve of precision begins where the highest score is.
            "pr": thinned(
                np.append(0.0, true[some] / p), np.append(precision[some][0], precision[some]), columns
            ),
            "gain": thinned(called, true / p, columns),
            "lift": thinned(called[some], precision[some] * (p + n) / p, columns),
        }
        if self.score[0] >= 0 and self.score[-2] <= 1:
            # Between two points the benefit is a curve of its own: it is worked out on a grid.
            t = np.unique(
                np.concatenate([np.linspace(0.0, 0.99, 2 * columns), np.geomspace(1e-4, 0.99, columns)])
            )
            index = np.searchsorted(self.score, t, side="left")
            benefit = (self.true[index] - self.false[index] * t / (1 - t)) / (p + n)
            found["net_benefit"] = thinned(t, benefit, columns)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; whole counts as whole numbers, what is infinite left out."""
        return {
            "score": self.score[:-1].tolist(),
            "threshold": self.threshold[:-1].tolist(),
            "true": _plain(self.true),
            "false": _plain(self.false),
            "exact": self.exact,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "OperatingPoints":
        """The inverse of :meth:`to_dict`."""
        return cls(
            np.append(np.asarray(state["score"], dtype=np.float64), np.inf),
            np.append(np.asarray(state["threshold"], dtype=np.float64), np.inf),
            np.asarray(state["true"], dtype=np.float64),
            np.asarray(state["false"], dtype=np.float64),
            bool(state["exact"]),
        )


def operating_points(
    scores: ArrayLike, truth: ArrayLike, weight: ArrayLike | None = None, *, most: int = MOST
) -> OperatingPoints:
    """The points of a scored set, all of them or a choice.

    Of more than ``most`` distinct scores these stay: the corners of the ROC curve's convex hull, among which is
    the best threshold for any costs of the two mistakes and for any F-beta; then some even in recall, and some even
    in the logarithm of the number of rows called. Each threshold is the shortest decimal between two scores.

    Args:
        scores: ``(N,)``, finite.
        truth: 1 for the positives, else 0, ``(N,)``.
        weight: ``(N,)`` or None.
        most: How many points at most, at least 3.

    >>> points = operating_points([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> points.threshold.tolist(), points.true.tolist(), points.false.tolist()
    ([0.1, 0.3, 0.4, 0.8, inf], [2.0, 2.0, 1.0, 1.0, 0.0], [2.0, 1.0, 1.0, 0.0, 0.0])
    """
    s = np.asarray(scores, dtype=np.float64)
    y = np.asarray(truth, dtype=np.float64)
    w = np.ones(len(s)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not len(s):
        return OperatingPoints(np.array([np.inf]), np.array([np.inf]), np.zeros(1), np.zeros(1), True)
    order = np.argsort(-s, kind="stable")
    s, y, w = s[order], y[order], w[order]
    last = np.flatnonzero(np.append(s[1:] != s[:-1], True))  # of each run of ties
    value, true = s[last], np.cumsum(w * y)[last]
    false = np.cumsum(w * (1 - y))[last]
    lower = np.append(value[1:], -np.inf)
    exact = len(value) < most
    keep = np.arange(len(value)) if exact else _choice(true, false, most - 1)
    threshold = _shortest(lower[keep], value[keep])
    # Highest first until here: the last index calls everybody.
    return OperatingPoints(
        np.append(value[keep][::-1], np.inf),
        np.append(threshold[::-1], np.inf),
        np.append(true[keep][::-1], 0.0),
        np.append(false[keep][::-1], 0.0),
        exact,
    )


def thinned(x: np.ndarray, y: np.ndarray, columns: int = 100) -> list[list[float]]:
    """A curve as it looks: of each column of pixels the first, the last, the lowest and the highest point.

    Columns are even along x, and once more along its logarithm, since the figures have both axes (M4; Jugel et al.,
    VLDB 2014).
    """
    if len(x) > 4 * columns:
        keep = [0, len(x) - 1]
        span = x.max() - x.min() or 1.0
        low = x[x > 0].min(initial=1.0)
        for place in (
            (x - x.min()) / span,
            np.log(np.maximum(x, low) / low) / np.log(max(x.max() / low, 2.0)),
        ):
            column = np.minimum((place * columns).astype(int), columns - 1)
            starts = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
            for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(x)]):
                part = y[start:stop]
                keep += [start, stop - 1, start + int(part.argmin()), start + int(part.argmax())]
        index = np.unique(keep)
        x, y = x[index], y[index]
    return [[float(f"{v:.7g}") for v in axis] for axis in (x, y)]


def _choice(true: np.ndarray, false: np.ndarray, most: int) -> np.ndarray:
    """Indices of the points to keep, rising; the last, which calls everybody, is one of them."""
    hull = _hull(np.append(0.0, false), np.append(0.0, true))
    corners = hull[hull > 0] - 1  # the first of them is nobody
    if len(corners) > most // 2:
        corners = corners[np.linspace(0, len(corners) - 1, most // 2).round().astype(int)]
    room = (most - len(corners) - 2) // 2
    even = np.searchsorted(true, np.linspace(0, true[-1], room + 1)[1:], side="left")
    called = true + false
    wide = np.searchsorted(called, np.geomspace(max(called[0], 1e-300), called[-1], room), side="left")
    ends = np.array([0, len(true) - 1])
    return np.unique(np.concatenate([corners, even, wide, ends]).clip(0, len(true) - 1))


def _hull(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of the corners of the upper convex hull of points that rise in x and y (Andrew 1979)."""
    # Only the best point of each x can be a corner, and only one that is higher than all before.
    candidates = np.flatnonzero(np.append(x[1:] != x[:-1], True))
    candidates = candidates[np.append(True, np.diff(y[candidates]) > 0)]
    candidates = np.unique(np.append(candidates, len(x) - 1))
    stack: list[int] = []
    for i in candidates.tolist():
        while len(stack) > 1:
            a, b = stack[-2], stack[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) > (y[i] - y[a]) * (x[b] - x[a]):
                break
            stack.pop()
        stack.append(i)
    return np.array(stack)


def _shortest(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The decimal with the fewest digits in ``(low, high]``, element by element."""
    found, left = high.copy(), np.ones(len(high), dtype=bool)
    for digits in range(1, DIGITS):
        scale = 10.0**digits
        with np.errstate(over="ignore", invalid="ignore"):
            candidate = np.floor(high * scale) / scale
            fits = left & (candidate > low) & (candidate <= high)
        found[fits] = candidate[fits]
        left &= ~fits
    return found


def _plain(values: np.ndarray) -> list[float] | list[int]:
    whole = bool((values == np.floor(values)).all())
    return values.astype(np.int64).tolist() if whole else values.tolist()
