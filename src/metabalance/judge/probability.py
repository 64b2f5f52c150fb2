"""How true probabilities are: squared error, log loss, and the gap to the observed frequencies."""

import numpy as np
from numpy.typing import ArrayLike

from metabalance.judge.checks import check_probabilities, nan_when_undefined

__all__ = ["brier", "ece", "log_loss"]


@nan_when_undefined
def brier(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean squared error of the probabilities, summed over classes beyond two of them.

    Brier, Monthly Weather Review 1950. For two classes it is the error of the positive class alone, half of
    the sum over both, as in scikit-learn.

    Args:
        scores: Probabilities, ``(N,)`` or ``(N, C)``.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.

    Raises:
        ValueError: Scores that are no probabilities, or shapes that do not fit.

    >>> round(brier([0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0]), 4)
    0.0375
    """
    p, y, w = check_probabilities(scores, target, sample_weight)
    if p.ndim == 1:
        return float(np.average((p - y) ** 2, weights=w))
    return float(np.average((p**2).sum(1) - 2 * p[np.arange(len(y)), y] + 1, weights=w))


@nan_when_undefined
def log_loss(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean negative log-probability (nats) of the true class.

    Probabilities are kept one machine epsilon of their type away from 0, as in scikit-learn: one sure mistake
    costs 36 nats in float64, not infinity. Arguments and errors as for :func:`brier`.

    >>> round(log_loss([0.1, 0.9, 0.8, 0.35], [0, 1, 1, 0]), 4)
    0.2162
    """
    kind = np.asarray(scores).dtype
    epsilon = np.finfo(kind if np.issubdtype(kind, np.floating) else np.float64).eps
    p, y, w = check_probabilities(scores, target, sample_weight)
    own = np.where(y == 1, p, 1 - p) if p.ndim == 1 else p[np.arange(len(y)), y]
    return float(np.average(-np.log(np.clip(own, epsilon, 1 - epsilon if p.ndim == 1 else 1)), weights=w))


@nan_when_undefined
def ece(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_bins: int = 15,
    equal_mass: bool = False,
) -> float:
    """Expected calibration error: gap between stated and observed frequency, mean over bins.

    Guo, Pleiss, Sun & Weinberger, ICML 2017, arXiv 1706.04599. Two classes: the probability of the positive
    class. More: that of the most probable class, as in the paper. Bins of equal width are nearly all empty
    when positives are rare; ``equal_mass`` cuts them at quantiles (ties stay together).

    Args:
        scores: Probabilities, ``(N,)`` or ``(N, C)``.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        n_bins: How many bins, at least 1.
        equal_mass: Bins of equal weight rather than width.

    >>> round(ece([0.1, 0.1, 0.9, 0.9], [0, 0, 1, 0], n_bins=10), 4)
    0.25
    """
    p, y, w = check_probabilities(scores, target, sample_weight)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, but {n_bins} was given")
    stated, hit = (p, y == 1) if p.ndim == 1 else (p.max(1), p.argmax(1) == y)
    if equal_mass:
        values, group = np.unique(stated, return_inverse=True)
        mass = np.bincount(group, w, len(values))
        middle = (np.cumsum(mass) - mass / 2) / mass.sum()
        index = np.minimum((middle * n_bins).astype(np.int64), n_bins - 1)[group]
    else:
        index = np.clip(np.ceil(stated * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    return float(np.abs(np.bincount(index, w * (stated - hit), n_bins)).sum() / w.sum())
