"""Platt's scaling: a sigmoid of the log odds, class by class.

Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods", Advances in
Large Margin Classifiers, MIT Press 1999. His targets lie a little within 0 and 1, as if each
side had one row more: that is all that keeps the curve finite when the classes are separated.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from metabalance.adjust.base import Calibration, log_pair, one_against_rest

__all__ = ["SigmoidCalibration"]

Array = NDArray[Any]


class SigmoidCalibration(Calibration):
    r"""Each class's probability through :math:`\mathrm{logit}\,q = a\,\mathrm{logit}\,p + b`.

    Beyond two classes each is taken against all others, and rows are made to sum to 1.

    After ``fit``: ``curves_``, of each class (of two: of the second) its ``(a, b)``.

    >>> log_probs = np.log([[0.9, 0.1]] * 250 + [[0.1, 0.9]] * 250)  # surer than it may be
    >>> SigmoidCalibration().fit(log_probs, [0, 0, 0, 0, 1] * 50 + [1, 1, 1, 1, 0] * 50)(log_probs[:1]).round(2)
    array([[0.8, 0.2]])
    """

    modes = ("sigmoid",)
    mode = "sigmoid"
    curves_: Array

    def _reset(self) -> None:
        self.curves_ = np.empty((0, 2))

    def _fit(self, z: Array, y: Array, w: Array) -> None:
        size = z.shape[1]
        classes = [1] if size == 2 else range(size)
        self.curves_ = np.stack([_curve(_log_odds(z, c), y == c, w) for c in classes])

    def _apply(self, z: Array) -> Array:
        classes = [1] if z.shape[1] == 2 else range(z.shape[1])
        return one_against_rest(
            z, [expit(a * _log_odds(z, c) + b) for c, (a, b) in zip(classes, self.curves_)]
        )

    def _state(self) -> dict[str, Any]:
        return {"curves": self.curves_.tolist()}

    @classmethod
    def _made(cls, state: Mapping[str, Any]) -> Self:
        made = cls()
        made.curves_ = np.asarray(state["curves"], dtype=np.float64).reshape(-1, 2)
        return made


def _log_odds(z: Array, c: int) -> Array:
    log_p, log_rest = log_pair(z, c)
    return log_p - log_rest


def _curve(x: Array, hit: Array, w: Array) -> Array:
    positives, negatives = float(w[hit].sum()), float(w[~hit].sum())
    goal = np.where(hit, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # Log odds reach hundreds where a model is certain; on a scale of one the search is well conditioned.
    scale = max(1.0, float(np.sqrt(np.average(x**2, weights=w))))

    def objective(theta: Array) -> tuple[float, Array]:
        logit = theta[0] * x / scale + theta[1]
        error = w * (expit(logit) - goal)
        value = float(w @ (np.logaddexp(0, logit) - goal * logit))
        return value / w.sum(), np.array([error @ x / scale, error.sum()]) / w.sum()

    start = np.array([scale, 0.0])
    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-10}
    a, b = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return np.array([a / scale, b])
