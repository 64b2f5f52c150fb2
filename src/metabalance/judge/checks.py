"""What every metric checks, and how one that has no value says so."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


class Undefined(Exception):
    """A metric has no value on these data; the message says why."""


def nan_when_undefined(metric: Callable[..., float]) -> Callable[..., float]:
    """Turns :class:`Undefined` into NaN; the raising function stays reachable as ``__wrapped__``."""

    @wraps(metric)
    def quiet(*args: Any, **options: Any) -> float:
        try:
            return metric(*args, **options)
        except Undefined:
            return float("nan")

    return quiet


def check_rows(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Scores float64 ``(N,)`` or ``(N, C)``, target int64 ``(N,)``, weights float64 ``(N,)``."""
    s, raw = np.asarray(scores), np.asarray(target)
    s = s.astype(np.float64, copy=False)
    if s.ndim not in (1, 2) or raw.ndim != 1 or len(s) != len(raw) or (s.ndim == 2 and s.shape[1] < 2):
        raise ValueError(
            f"scores must be (N,) or (N, C) with C at least 2 and target (N,), but have shapes {s.shape} "
            f"and {raw.shape}"
        )
    if np.isnan(s).any():
        raise ValueError(f"{int(np.isnan(s).sum())} scores are NaN; find out why the model gives them")
    y = raw.astype(np.int64, copy=False) if raw.dtype.kind in "biuf" and not _has_nan(raw) else None
    if y is None or (raw.dtype.kind == "f" and (y != raw).any()) or (len(y) and y.min() < 0):
        raise ValueError("target must hold class indices, whole numbers from 0; encode the labels first")
    if sample_weight is None:
        return s, y, np.ones(len(y))
    w = np.asarray(sample_weight, dtype=np.float64)
    if w.shape != y.shape or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"sample_weight must be ({len(y)},), finite and not negative")
    return s, y, w


def check_scores(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """As :func:`check_rows`, with two columns made one and the target's indices within the classes."""
    s, y, w = check_rows(scores, target, sample_weight)
    size = 2 if s.ndim == 1 else s.shape[1]
    if y.max(initial=0) >= size:
        raise ValueError(f"the scores are for {size} classes, but the target holds class {int(y.max())}")
    if not w.sum() > 0:
        raise Undefined("there are no rows" if not len(w) else "all weights are 0")
    return (s[:, 1] if s.ndim == 2 and size == 2 else s), y, w


def check_probabilities(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """As :func:`check_scores`, for probabilities, clipped to ``[0, 1]``."""
    given = np.asarray(scores)
    p, y, w = check_scores(scores, target, sample_weight)
    # The slack is for float32: softmax may exceed 1 by its rounding, and a row's sum is off by more.
    if p.min() < -1e-6 or p.max() > 1 + 1e-6 or (given.ndim == 2 and abs(given.sum(1) - 1).max() > 1e-3):
        raise ValueError(
            "the scores must be probabilities: in [0, 1], each row summing to 1; apply softmax first"
        )
    return np.clip(p, 0, 1), y, w


def _has_nan(values: Array) -> bool:
    return values.dtype.kind == "f" and bool(np.isnan(values).any())
