"""Vector scaling: one factor and one bias for each class's log-probability.

Guo, Pleiss, Sun & Weinberger, ICML 2017, arXiv 1706.04599. Factors are kept at 0 or above here, so that no class's
score is turned round, and a penalty of ours holds factors near 1 and biases near 0 when rows are few.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from metabalance.adjust.base import Calibration, log_softmax
from metabalance.adjust.calibrate import check_shrinkage

__all__ = ["VectorScaling"]

Array = NDArray[Any]


class VectorScaling(Calibration):
    r"""Log-probabilities to :math:`\mathrm{softmax}(s \odot \log p + b)`.

    The sum of the log losses plus :math:`\lambda(|s - 1|^2 + |b|^2)/2` is convex: there is one solution. The biases
    sum to 0.

    Args:
        shrinkage: :math:`\lambda`, at least 0.

    Raises:
        ValueError: A negative or infinite ``shrinkage``.

    After ``fit``: ``scale_`` and ``bias_`` ``(C,)``.

    >>> log_probs = np.log([[0.9, 0.1]] * 500)
    >>> VectorScaling().fit(log_probs, [0, 0, 0, 0, 1] * 100)([[np.log(0.9), np.log(0.1)]]).round(2)
    array([[0.8, 0.2]])
    """

    modes = ("vector",)
    mode = "vector"
    scale_: Array
    bias_: Array

    def __init__(self, shrinkage: float = 1.0) -> None:
        check_shrinkage(shrinkage)
        self.shrinkage = shrinkage

    def _reset(self) -> None:
        self.scale_, self.bias_ = np.ones(self.num_classes_), np.zeros(self.num_classes_)

    def _fit(self, z: Array, y: Array, w: Array) -> None:
        z = log_softmax(z)
        rows, size = z.shape
        hit = np.eye(size)[y]

        def objective(theta: Array) -> tuple[float, Array]:
            scale, bias = theta[:size], theta[size:]
            log_p = log_softmax(scale * z + bias)
            error = w[:, None] * (np.exp(log_p) - hit)
            away = theta - np.repeat([1.0, 0.0], size)
            value = -float(w @ log_p[np.arange(rows), y]) + self.shrinkage / 2 * float(away @ away)
            slope = np.concatenate([(error * z).sum(0), error.sum(0)]) + self.shrinkage * away
            return value / w.sum(), slope / w.sum()

        found = minimize(
            objective,
            np.repeat([1.0, 0.0], size),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * size + [(None, None)] * size,
            options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9},
        )
        self.scale_, bias = found.x[:size], found.x[size:]
        self.bias_ = bias - bias.mean()

    def _apply(self, z: Array) -> Array:
        return np.exp(log_softmax(self.scale_ * log_softmax(z) + self.bias_))

    def _state(self) -> dict[str, Any]:
        return {"shrinkage": self.shrinkage, "scale": self.scale_.tolist(), "bias": self.bias_.tolist()}

    @classmethod
    def _made(cls, state: Mapping[str, Any]) -> Self:
        made = cls(state["shrinkage"])
        made.scale_, made.bias_ = np.asarray(state["scale"]), np.asarray(state["bias"])
        return made
