"""Isotonic calibration: the rising step curve that fits the frequencies best, class by class.

Zadrozny & Elkan, KDD 2002. It makes no assumption on the shape and therefore needs many rows of the rare class: with
fewer than some hundred, a curve of few parameters is nearer to the truth.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from metabalance.adjust.base import Calibration, log_softmax, one_against_rest

__all__ = ["IsotonicCalibration"]

Array = NDArray[Any]


class IsotonicCalibration(Calibration):
    """Each class's probability through its own rising curve, against all others; then rows are made to sum to 1.

    Between knots the curve is straight, beyond them it stays at the outermost value. Two classes need one curve. A row
    whose classes all come out as 0 is left as it was. Probabilities of exactly 0 and 1 do come out: their log loss
    may be infinite.

    After ``fit``: ``knots_``, of each class (of two: of the second) the points ``(x, y)``, each ``(K,)``.

    >>> log_probs = np.log([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4)
    >>> calibration = IsotonicCalibration().fit(log_probs, [0, 0, 0, 1, 0, 1, 1, 1])
    >>> calibration(np.log([[0.9, 0.1], [0.75, 0.25], [0.2, 0.8]])).round(2)
    array([[0.75, 0.25],
           [0.5 , 0.5 ],
           [0.25, 0.75]])
    """

    modes = ("isotonic",)
    mode = "isotonic"
    knots_: tuple[tuple[Array, Array], ...]

    def _reset(self) -> None:
        self.knots_ = ()

    def _fit(self, z: Array, y: Array, w: Array) -> None:
        from sklearn.isotonic import IsotonicRegression

        p, size = np.exp(log_softmax(z)), z.shape[1]
        knots = []
        for c in [1] if size == 2 else range(size):
            curve = IsotonicRegression(y_min=0, y_max=1).fit(p[:, c], y == c, w)
            knots.append((curve.X_thresholds_.astype(np.float64), curve.y_thresholds_.astype(np.float64)))
        self.knots_ = tuple(knots)

    def _apply(self, z: Array) -> Array:
        p = np.exp(log_softmax(z))
        columns = p[:, 1:] if p.shape[1] == 2 else p
        return one_against_rest(
            z, [np.interp(column, *knots) for column, knots in zip(columns.T, self.knots_)]
        )

    def _state(self) -> dict[str, Any]:
        return {"knots": [[x.tolist(), y.tolist()] for x, y in self.knots_]}

    @classmethod
    def _made(cls, state: Mapping[str, Any]) -> Self:
        made = cls()
        made.knots_ = tuple((np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in state["knots"])
        return made
