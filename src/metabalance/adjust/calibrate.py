"""Calibration: one temperature for the confidence, one bias per class for the level.

Temperature: Guo, Pleiss, Sun & Weinberger, ICML 2017, arXiv 1706.04599. Bias-corrected: Alexandari, Kundaje &
Shrikumar, ICML 2020, arXiv 1901.06852. A penalty of ours holds both near the identity when rows are few.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from metabalance.adjust.base import check_target, log_softmax

__all__ = ["Calibrator"]

Array = NDArray[Any]
MODES = ("bias_corrected", "temperature", "none")
LOWEST = float(np.log(np.finfo(np.float64).tiny))


class Calibrator:
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

    temperature_: float
    bias_: Array
    note_: str

    def __init__(self, mode: str = "bias_corrected", shrinkage: float = 1.0) -> None:
        if mode not in MODES:
            raise ValueError(f"mode={mode!r} is unknown; use {', '.join(map(repr, MODES))}")
        if not 0 <= shrinkage < np.inf:
            raise ValueError(f"shrinkage must be at least 0 and finite, but {shrinkage} was given")
        self.mode = mode
        self.shrinkage = shrinkage

    def fit(
        self, log_probs: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "Calibrator":
        """Fits temperature and biases on data the model was not trained on.

        Args:
            log_probs: ``(N, C)``; logits serve as well. Minus infinity counts as -708, the logarithm of the
                smallest float64.
            target: Class indices ``(N,)``.
            sample_weight: Weights ``(N,)``; a weight of 2 counts like two rows.

        Raises:
            ValueError: NaN, shapes that do not fit, or class indices outside ``0 .. C-1``.
        """
        z = _logits(log_probs)
        y, w = check_target(target, len(z), z.shape[1], sample_weight)
        self.temperature_, self.bias_, self.note_ = 1.0, np.zeros(z.shape[1]), ""
        if len(np.unique(y[w > 0])) < 2:
            self.note_ = "fewer than two classes to calibrate on: the probabilities are left as they are"
        elif self.mode != "none":
            self._fit(z, y, w)
        return self

    def _fit(self, z: Array, y: Array, w: Array) -> None:
        rows, size = z.shape
        hit = np.zeros((rows, size))
        hit[np.arange(rows), y] = 1
        biased = self.mode == "bias_corrected"

        # The logarithm of 1/T: any real number is allowed, and T and 1/T are as far from the identity.
        def objective(theta: Array) -> tuple[float, Array]:
            scale, bias = np.exp(theta[0]), theta[1:] - theta[1:].mean() if biased else 0.0
            log_p = log_softmax(scale * z + bias)
            error = w[:, None] * (np.exp(log_p) - hit)
            value = -float((w * log_p[np.arange(rows), y]).sum()) + self.shrinkage / 2 * float(theta @ theta)
            slope = self.shrinkage * theta
            slope[0] += scale * float((error * z).sum())
            if biased:
                slope[1:] += error.sum(0)
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

    def __call__(self, log_probs: ArrayLike) -> Array:
        """Calibrated probabilities ``(N, C)`` of log-probabilities ``(N, C)``."""
        z = _logits(log_probs)
        if z.shape[1] != len(self.bias_):
            raise ValueError(f"fitted on {len(self.bias_)} classes, but {z.shape[1]} were given")
        return np.exp(log_softmax(z / self.temperature_ + self.bias_))

    def to_dict(self) -> dict[str, Any]:
        """The fitted calibrator as plain JSON types; exact, since JSON keeps every digit of a float."""
        return {
            "mode": self.mode,
            "shrinkage": self.shrinkage,
            "temperature": self.temperature_,
            "bias": self.bias_.tolist(),
            "note": self.note_,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Calibrator":
        """The inverse of :meth:`to_dict`."""
        calibrator = cls(state["mode"], state["shrinkage"])
        calibrator.temperature_ = float(state["temperature"])
        calibrator.bias_ = np.asarray(state["bias"], dtype=np.float64)
        calibrator.note_ = state["note"]
        return calibrator


def _logits(log_probs: ArrayLike) -> Array:
    z = np.asarray(log_probs, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] < 2 or np.isnan(z).any() or np.isposinf(z).any():
        raise ValueError(
            f"log-probabilities must be (N, C) with C at least 2, without NaN or plus infinity, "
            f"but have shape {z.shape}"
        )
    return np.maximum(z, LOWEST)
