"""What every adjustment needs: sound priors, targets and scores, and the log-softmax."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


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
