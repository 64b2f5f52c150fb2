"""Calibration: one temperature for the confidence, one bias per class for the level.

Temperature: Guo, Pleiss, Sun & Weinberger, ICML 2017, arXiv 1706.04599. Bias-corrected: Alexandari, Kundaje &
Shrikumar, ICML 2020, arXiv 1901.06852. A penalty of ours holds both near the identity when rows are few.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from metabalance.adjust.base import Calibration, log_softmax

__all__ = ["Calibrator"]

Array = NDArray[Any]
BLOCK = 2**16  # values at a time: they stay in a core's cache


class Calibrator(Calibration):
    r"""Log-probabilities to calibrated probabilities: :math:`\mathrm{softmax}(\log p / T + b)`.

    Fitted by the *sum* of the log losses plus :math:`\lambda(\log^2 T + |b|^2)/2`. The sum grows with the
    rows and the penalty does not, so it vanishes as rows accumulate, while three positives cannot send the
    bias to infinity. The biases sum to 0, so that no class is special. A single class in the data, or mode
    ``"none"``, leaves the identity.

    Args:
        mode: ``"bias_corrected"``, ``"temperature"`` (all biases 0, the ranking stays) or ``"none"``.
        shrinkage: :math:`\lambda`, at least 0: the prior on log T and on each bias is as sure as
            :math:`\lambda` units of Fisher information.

    Raises:
        ValueError: An unknown mode, or a negative or infinite ``shrinkage``.

    After ``fit``: ``temperature_`` (above 0), ``bias_`` ``(C,)``, ``note_`` (why nothing was fitted, or "").

    >>> log_probs = np.log([[0.9, 0.1]] * 500)
    >>> calibrator = Calibrator().fit(log_probs, [0, 0, 0, 0, 1] * 100)  # but one in five is of class 1
    >>> calibrator([[np.log(0.9), np.log(0.1)]]).round(2)
    array([[0.8, 0.2]])
    """

    modes = ("bias_corrected", "temperature", "none")
    temperature_: float
    bias_: Array

    def __init__(self, mode: str = "bias_corrected", shrinkage: float = 1.0) -> None:
        if mode not in self.modes:
            raise ValueError(f"mode={mode!r} is unknown; use {', '.join(map(repr, self.modes))}")
        check_shrinkage(shrinkage)
        self.mode = mode
        self.shrinkage = shrinkage

    def _reset(self) -> None:
        self.temperature_, self.bias_ = 1.0, np.zeros(self.num_classes_)

    def _fit(self, z: Array, y: Array, w: Array) -> None:
        if self.mode == "none":
            return
        rows, size = z.shape
        biased = self.mode == "bias_corrected"
        picked = w * z[np.arange(rows), y]
        hits, right = np.bincount(y, w, size), float(picked.sum())
        step = max(1, BLOCK // size)

        # The logarithm of 1/T: any real number is allowed, and T and 1/T are as far from the identity.
        def objective(theta: Array) -> tuple[float, Array]:
            scale, bias = np.exp(theta[0]), theta[1:] - theta[1:].mean() if biased else np.zeros(size)
            value = -(scale * right + float(hits @ bias)) + self.shrinkage / 2 * float(theta @ theta)
            weighted, expected = 0.0, np.zeros(size)
            for start in range(0, rows, step):
                part, weight = z[start : start + step], w[start : start + step]
                e = scale * part
                e += bias
                top = e.max(axis=1)
                e -= top[:, None]
                np.exp(e, out=e)
                total = e.sum(axis=1)
                value += float(weight @ (np.log(total) + top))
                share = weight / total
                expected += share @ e
                weighted += float(share @ np.einsum("ij,ij->i", e, part))
            slope = self.shrinkage * theta
            slope[0] += scale * (weighted - right)
            if biased:
                slope[1:] += expected - hits
            # Per unit of weight, so that the optimiser's tolerances mean the same for any number of rows.
            return value / w.sum(), slope / w.sum()

        limits = [(-5.0, 5.0)] + [(None, None)] * (size if biased else 0)
        start = np.zeros(len(limits))
        found = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=limits,
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-9},
        )
        self.temperature_ = float(np.exp(-found.x[0]))
        if biased:
            self.bias_ = found.x[1:] - found.x[1:].mean()

    def _apply(self, z: Array) -> Array:
        return np.exp(log_softmax(z / self.temperature_ + self.bias_))

    def _state(self) -> dict[str, Any]:
        return {"shrinkage": self.shrinkage, "temperature": self.temperature_, "bias": self.bias_.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """The inverse of ``to_dict``; older model folders do not tell the number of classes."""
        made = cls._made(state)
        made.num_classes_, made.note_ = len(made.bias_), state["note"]
        return made

    @classmethod
    def _made(cls, state: Mapping[str, Any]) -> Self:
        made = cls(state["mode"], state["shrinkage"])
        made.temperature_ = float(state["temperature"])
        made.bias_ = np.asarray(state["bias"], dtype=np.float64)
        return made


def check_shrinkage(shrinkage: float) -> None:
    """Refuses a penalty that is negative or infinite."""
    if not 0 <= shrinkage < np.inf:
        raise ValueError(f"shrinkage must be at least 0 and finite, but {shrinkage} was given")
