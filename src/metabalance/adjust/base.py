"""What every adjustment needs: sound priors, targets and scores, the log-softmax, and what a calibration is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
LOWEST = float(np.log(np.finfo(np.float64).tiny))


class Calibration(ABC):
    """Log-probabilities to calibrated probabilities; a subclass says how in ``_fit``, ``_apply`` and ``_state``.

    A single class among the rows given leaves the identity, and ``note_`` says so.

    Attributes:
        num_classes_: C.
        note_: Why nothing was fitted, or empty.
    """

    mode: str
    modes: ClassVar[tuple[str, ...]]
    num_classes_: int
    note_: str

    def fit(self, log_probs: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fits on data that the model was not trained on.

        Args:
            log_probs: ``(N, C)``; logits serve as well. Minus infinity counts as -708, the logarithm of the
                smallest float64.
            target: Class indices ``(N,)``.
            sample_weight: Weights ``(N,)``; a weight of 2 counts like two rows.

        Raises:
            ValueError: NaN, shapes that do not fit, or class indices outside ``0 .. C-1``.
        """
        z = check_log_probabilities(log_probs)
        y, w = check_target(target, len(z), z.shape[1], sample_weight)
        self.num_classes_, self.note_ = z.shape[1], ""
        self._reset()
        if len(np.unique(y[w > 0])) < 2:
            self.note_ = "fewer than two classes to calibrate on: the probabilities are left as they are"
        else:
            self._fit(z[w > 0], y[w > 0], w[w > 0])
        return self

    def __call__(self, log_probs: ArrayLike) -> Array:
        """Calibrated probabilities ``(N, C)`` of log-probabilities ``(N, C)``."""
        z = check_log_probabilities(log_probs)
        if z.shape[1] != self.num_classes_:
            raise ValueError(f"fitted on {self.num_classes_} classes, but {z.shape[1]} were given")
        return np.exp(log_softmax(z)) if self.note_ else self._apply(z)

    def to_dict(self) -> dict[str, Any]:
        """The fitted calibration as plain JSON types; exact, since JSON keeps every digit of a float."""
        return {"mode": self.mode, "num_classes": self.num_classes_, "note": self.note_} | self._state()

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        made = cls._made(state)
        made.num_classes_, made.note_ = int(state["num_classes"]), state["note"]
        return made

    @abstractmethod
    def _reset(self) -> None:
        """Sets the identity, for ``num_classes_`` classes."""

    @abstractmethod
    def _fit(self, z: Array, y: Array, w: Array) -> None:
        """Fits on checked rows of at least two classes."""

    @abstractmethod
    def _apply(self, z: Array) -> Array:
        """Probabilities of checked log-probabilities."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What was fitted, in plain JSON types."""

    @classmethod
    @abstractmethod
    def _made(cls, state: Mapping[str, Any]) -> Self:
        """The object of a state."""


def check_log_probabilities(log_probs: ArrayLike) -> Array:
    """Float64 ``(N, C)``, not below the logarithm of the smallest float, or a ValueError."""
    z = np.asarray(log_probs, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] < 2 or np.isnan(z).any() or np.isposinf(z).any():
        raise ValueError(
            f"log-probabilities must be (N, C) with C at least 2, without NaN or plus infinity, "
            f"but have shape {z.shape}"
        )
    return np.maximum(z, LOWEST)


def check_prior(prior: ArrayLike) -> Array:
    """Shares ``(C,)`` summing to 1, or a ValueError.

    >>> check_prior([3, 1])
    array([0.75, 0.25])
    """
    p = np.asarray(prior, dtype=np.float64).reshape(-1)
    if len(p) < 2 or not np.isfinite(p).all() or (p < 0).any() or p.sum() <= 0:
        raise ValueError(
            f"a prior is one share per class, not negative, not all 0, but {p.tolist()} was given"
        )
    return p / p.sum()


def check_probabilities(probs: ArrayLike, ndim: int) -> Array:
    """Float64 within ``[0, 1]``, ``(N,)`` or rows of ``(N, C)`` that sum to 1, or a ValueError."""
    p = np.asarray(probs, dtype=np.float64)
    shape = "(N,)" if ndim == 1 else "(N, C) with C at least 2"
    if p.ndim != ndim or (ndim == 2 and p.shape[1] < 2):
        raise ValueError(f"probabilities must be {shape}, but have shape {p.shape}")
    # The slack is for float32, whose softmax may exceed 1 by its rounding.
    if p.size and not (p.min() >= 0 and p.max() <= 1 + 1e-6):
        raise ValueError("probabilities must lie in [0, 1], without NaN; apply softmax to logits first")
    if ndim == 2 and p.size and abs(p.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("each row of probabilities must sum to 1; apply softmax to logits first")
    return p


def check_target(
    target: ArrayLike, rows: int, classes: int, sample_weight: ArrayLike | None
) -> tuple[Array, Array]:
    """Class indices ``(N,)`` int64 and weights ``(N,)`` float64, or a ValueError."""
    y = np.asarray(target)
    if y.shape != (rows,) or y.dtype.kind not in "biu" or (rows and (y.min() < 0 or y.max() >= classes)):
        raise ValueError(
            f"target must be ({rows},), whole numbers from 0 to {classes - 1}, but has shape {y.shape} and "
            f"type {y.dtype}; encode the labels first"
        )
    w = np.ones(rows) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if w.shape != (rows,) or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"sample_weight must be ({rows},), finite and not negative")
    return y.astype(np.int64), w


def log_softmax(logits: Array) -> Array:
    """Log-probabilities of logits ``(N, C)``; entries of minus infinity stay so."""
    z = logits - logits.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def log_pair(z: Array, c: int) -> tuple[Array, Array]:
    """``log p_c`` and ``log (1 - p_c)`` of logits ``(N, C)``, the latter from the other classes: no digits are lost."""
    log_p = log_softmax(z)
    others = np.delete(log_p, c, axis=1)
    highest = others.max(axis=1)
    return log_p[:, c], highest + np.log(np.exp(others - highest[:, None]).sum(axis=1))


def one_against_rest(z: Array, calibrated: list[Array]) -> Array:
    """Rows of each class's own calibrated probability, scaled to sum to 1; all 0 leaves the row as it was."""
    if len(calibrated) == 1:
        return np.stack([1 - calibrated[0], calibrated[0]], axis=1)
    p = np.stack(calibrated, axis=1)
    total = p.sum(axis=1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), np.exp(log_softmax(z)))
