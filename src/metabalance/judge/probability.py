"""How true probabilities are: squared error, its parts and what it is worth, and log loss."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from metabalance.judge.calibration import bin_index
from metabalance.judge.checks import Undefined, check_probabilities, nan_when_undefined

__all__ = ["BrierParts", "brier", "brier_decomposition", "brier_skill", "log_loss"]


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
def brier_skill(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Share of the Brier score of "always the class shares" that the model saves: 1 is perfect, below 0 is worse.

    The Brier score of rare positives is small for any model: with one in a thousand, saying 0 to everybody scores
    0.001. The skill says how much of that is gone. The shares are those of these very rows. Arguments and errors
    as for :func:`brier`.

    >>> round(brier_skill([0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0]), 4)
    0.85
    """
    p, y, w = check_probabilities(scores, target, sample_weight)
    share = np.bincount(y, w, 2 if p.ndim == 1 else p.shape[1]) / w.sum()
    blind = share[1] * (1 - share[1]) if p.ndim == 1 else 1 - share @ share
    if np.count_nonzero(share) < 2:
        raise Undefined(f"all rows are of class {int(share.argmax())}")
    return 1 - brier(scores, target, sample_weight) / float(blind)


@dataclass(frozen=True)
class BrierParts:
    """``brier = reliability - resolution + uncertainty + within_variance - within_covariance``, exactly.

    Attributes:
        brier: The score.
        reliability: Squared gap of stated and observed frequency, mean over bins; 0 when calibrated.
        resolution: Variance of the bins' observed frequencies; the more, the better the scores tell rows apart.
        uncertainty: Variance of the outcome, a matter of the data alone.
        within_variance: Of the probabilities within bins.
        within_covariance: Twice the covariance of probabilities and outcome within bins.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_variance: float
    within_covariance: float


def brier_decomposition(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_bins: int | None = 15,
    equal_mass: bool = False,
) -> BrierParts:
    """The Brier score's parts: how well calibrated, how well told apart, how hard to tell.

    Murphy, Journal of Applied Meteorology 1973; the two terms within bins, without which the parts do not add up
    on probabilities that differ within a bin: Stephenson, Coelho & Jolliffe, Weather and Forecasting 2008. The
    more bins there are, the more of the resolution and reliability is noise.

    Args:
        scores: Probabilities, ``(N,)`` or ``(N, C)``; beyond two classes the parts are summed over them.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        n_bins: How many bins; None makes every different probability a bin of its own, as Murphy did.
        equal_mass: Bins of equal weight rather than width.

    Returns:
        The parts; all NaN without rows.

    Raises:
        ValueError: Scores that are no probabilities, or shapes that do not fit.

    >>> parts = brier_decomposition([0.1, 0.1, 0.8, 0.8], [0, 0, 1, 0], n_bins=None)
    >>> round(parts.reliability, 3), parts.resolution, parts.uncertainty, round(parts.brier, 3)
    (0.05, 0.0625, 0.1875, 0.175)
    """
    try:
        p, y, w = check_probabilities(scores, target, sample_weight)
    except Undefined:
        return BrierParts(*[float("nan")] * 6)
    columns = [(p, y == 1)] if p.ndim == 1 else [(p[:, c], y == c) for c in range(p.shape[1])]
    total = np.zeros(6)
    for stated, hit in columns:
        bins = bin_index(stated, w, n_bins, equal_mass)
        mass = np.maximum(np.bincount(bins, w), np.finfo(float).tiny)
        said, seen = np.bincount(bins, w * stated) / mass, np.bincount(bins, w * hit) / mass
        share, base = mass / w.sum(), float(np.average(hit, weights=w))
        off, out = stated - said[bins], hit - seen[bins]
        total += (
            np.average((stated - hit) ** 2, weights=w),
            share @ (said - seen) ** 2,
            share @ (seen - base) ** 2,
            base * (1 - base),
            np.average(off**2, weights=w),
            2 * np.average(off * out, weights=w),
        )
    return BrierParts(*total.tolist())


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
