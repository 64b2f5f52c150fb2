"""Beta calibration: a curve of three parameters that can bend either way, class by class.

Kull, Silva Filho & Flach, AISTATS 2017. The authors fit a logistic regression and drop a coefficient that comes out
negative; here both are kept at 0 or above in one convex fit, and a penalty of ours holds the curve near the identity
when rows are few.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from metabalance.adjust.base import Calibration, log_pair, one_against_rest
from metabalance.adjust.calibrate import check_shrinkage

__all__ = ["BetaCalibration"]

Array = NDArray[Any]
IDENTITY = np.array([1.0, 1.0, 0.0])


class BetaCalibration(Calibration):
    r"""Each class's probability through :math:`\mathrm{logit}\,q = a \log p - b \log(1 - p) + c`, :math:`a, b \ge 0`.

    Right when the scores of both sides are beta distributed; ``a = b = 1, c = 0`` is the identity, ``a = b`` the
    sigmoid of the log odds. Beyond two classes each is taken against all others, and rows are made to sum to 1.

    Args:
        shrinkage: :math:`\lambda` of the penalty :math:`\lambda((a-1)^2 + (b-1)^2 + c^2)/2` on the summed log loss.

    Raises:
        ValueError: A negative or infinite ``shrinkage``.

    After ``fit``: ``curves_``, of each class (of two: of the second) its ``(a, b, c)``.

    >>> log_probs = np.log([[0.9, 0.1]] * 500)
    >>> BetaCalibration().fit(log_probs, [0, 0, 0, 0, 1] * 100)([[np.log(0.9), np.log(0.1)]]).round(2)
    array([[0.8, 0.2]])
    """

    modes = ("beta",)
    mode = "beta"
    curves_: Array

    def __init__(self, shrinkage: float = 1.0) -> None:
        check_shrinkage(shrinkage)
        self.shrinkage = shrinkage

    def _reset(self) -> None:
        self.curves_ = np.empty((0, 3))

    def _fit(self, z: Array, y: Array, w: Array) -> None:
        size = z.shape[1]
        self.curves_ = np.stack(
            [self._curve(features(z, c), y == c, w) for c in ([1] if size == 2 else range(size))]
        )

    def _curve(self, x: Array, hit: Array, w: Array) -> Array:
        sign = np.where(hit, 1.0, -1.0)

        def objective(theta: Array) -> tuple[float, Array]:
            margin, away = sign * (x @ theta), theta - IDENTITY
            value = float(w @ np.logaddexp(0, -margin)) + self.shrinkage / 2 * float(away @ away)
            return value / w.sum(), (-(w * sign * expit(-margin)) @ x + self.shrinkage * away) / w.sum()

        found = minimize(
            objective,
            IDENTITY,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None), (0, None), (None, None)],
            options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9},
        )
        return found.x

    def _apply(self, z: Array) -> Array:
        classes = [1] if z.shape[1] == 2 else range(z.shape[1])
        return one_against_rest(z, [expit(features(z, c) @ curve) for c, curve in zip(classes, self.curves_)])

    def _state(self) -> dict[str, Any]:
        return {"shrinkage": self.shrinkage, "curves": self.curves_.tolist()}

    @classmethod
    def _made(cls, state: Mapping[str, Any]) -> Self:
        made = cls(state["shrinkage"])
        made.curves_ = np.asarray(state["curves"], dtype=np.float64).reshape(-1, 3)
        return made


def features(z: Array, c: int) -> Array:
    """``log p``, ``-log(1 - p)`` and 1, ``(N, 3)``."""
    log_p, log_rest = log_pair(z, c)
    return np.stack([log_p, -log_rest, np.ones(len(z))], axis=1)
