"""The gap between stated and observed frequency: binned, by kernel, of the top class or of each class."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct

from metabalance.judge.checks import Undefined, check_probabilities, nan_when_undefined

__all__ = ["ece", "ece_classwise", "ece_kernel", "ece_per_class"]

Array = NDArray[Any]
GRID = 2**14  # of the kernel; its spacing is far below any bandwidth that a million rows give


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
    return _gap(*_stated(p, y), w, n_bins, equal_mass)


@nan_when_undefined
def ece_kernel(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    bandwidth: float | None = None,
) -> float:
    """Calibration error without bins: residuals smoothed by a Gaussian reflected at 0 and 1, then their area.

    Unlike a binned error it does not jump when a probability crosses an edge, and needs no number to be chosen:
    the bandwidth is the one that equals the error it gives. Błasiok & Nakkiran, ICLR 2024, arXiv 2309.12236
    (SmoothECE). Beyond two classes, that of the most probable class.

    Args:
        scores: Probabilities, ``(N,)`` or ``(N, C)``.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        bandwidth: Of the kernel, above 0; by default the paper's fixed point.

    >>> round(ece_kernel([0.1, 0.3, 0.8, 0.6], [0, 0, 1, 1]), 4)
    0.1778
    """
    if bandwidth is not None and not bandwidth > 0:
        raise ValueError(f"bandwidth must be above 0, but {bandwidth} was given")
    p, y, w = check_probabilities(scores, target, sample_weight)
    return _smooth_gap(*_stated(p, y), w, bandwidth)


def ece_per_class(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_bins: int = 15,
    equal_mass: bool = False,
    kernel: bool = False,
) -> Array:
    """Calibration error of each class's own probability against all others ``(C,)``.

    Args:
        scores: Probabilities, ``(N,)`` or ``(N, C)``.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        n_bins: How many bins.
        equal_mass: Bins of equal weight rather than width.
        kernel: As :func:`ece_kernel` rather than in bins.

    Returns:
        ``(C,)``; NaN for a class without rows: that nothing is said of it is all one could check.

    >>> ece_per_class([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]], [0, 1, 2]).round(4)
    array([0.2   , 0.2333, 0.2333])
    """
    try:
        p, y, w = check_probabilities(scores, target, sample_weight)
    except Undefined:
        given = np.asarray(scores)
        return np.full(2 if given.ndim == 1 else given.shape[1], np.nan)
    full = np.stack([1 - p, p], 1) if p.ndim == 1 else p
    rows = np.bincount(y, w, full.shape[1])
    return np.array(
        [
            np.nan
            if not rows[c] > 0
            else _smooth_gap(full[:, c], y == c, w, None)
            if kernel
            else _gap(full[:, c], y == c, w, n_bins, equal_mass)
            for c in range(full.shape[1])
        ]
    )


@nan_when_undefined
def ece_classwise(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
) -> float:
    """Mean over the classes of :func:`ece_per_class`, whose options it takes.

    Kull et al., NeurIPS 2019, arXiv 1910.12656. The error of the most probable class says nothing of a class that
    hardly ever is the most probable one; this one counts it like any other.

    >>> round(ece_classwise([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]], [0, 1, 2]), 4)
    0.2222
    """
    check_probabilities(scores, target, sample_weight)
    each = ece_per_class(scores, target, sample_weight, **options)
    if np.isnan(each).any():
        raise Undefined(f"class {int(np.isnan(each).argmax())} has no rows")
    return float(each.mean())


def bin_index(stated: Array, weight: Array, n_bins: int | None, equal_mass: bool) -> Array:
    """Bin of each probability ``(N,)``: of equal width (low, high], of equal weight, or one for each value.

    Raises:
        ValueError: ``n_bins`` is below 1.
    """
    if n_bins is not None and n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, but {n_bins} was given")
    if n_bins is not None and not equal_mass:
        return np.clip(np.ceil(stated * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    values, group = np.unique(stated, return_inverse=True)
    if n_bins is None:
        return group
    mass = np.bincount(group, weight, len(values))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    return np.minimum((middle * n_bins).astype(np.int64), n_bins - 1)[group]


def _stated(p: Array, y: Array) -> tuple[Array, Array]:
    return (p, y == 1) if p.ndim == 1 else (p.max(1), p.argmax(1) == y)


def _gap(stated: Array, hit: Array, weight: Array, n_bins: int, equal_mass: bool) -> float:
    index = bin_index(stated, weight, n_bins, equal_mass)
    return float(np.abs(np.bincount(index, weight * (stated - hit), n_bins)).sum() / weight.sum())


def _smooth_gap(stated: Array, hit: Array, weight: Array, bandwidth: float | None) -> float:
    """Area under the smoothed residuals.

    Smoothing by a reflected Gaussian is the flow of heat in a rod with closed ends, which a cosine transform turns
    into a product: exact for every bandwidth, and as fast for a million rows as for ten.
    """
    place = stated * GRID
    left = np.minimum(place.astype(np.int64), GRID - 1)
    residual = weight * (hit - stated) / weight.sum()
    mass: Array = np.bincount(left, residual * (left + 1 - place), GRID + 1)
    mass += np.bincount(left + 1, residual * (place - left), GRID + 1)
    mass[1:-1] *= 0.5  # as the transform counts the ends
    waves, decay = dct(mass, type=1), -((np.pi * np.arange(GRID + 1)) ** 2) / 2

    def area(sigma: float) -> float:
        height = np.abs(dct(waves * np.exp(decay * sigma**2), type=1))
        return float((height.sum() - (height[0] + height[-1]) / 2) / GRID)

    if bandwidth is not None:
        return area(bandwidth)
    low, high = 1 / GRID, 1.0
    if area(low) <= low:
        return area(low)
    while high - low > 1e-6 * high:  # the area falls as the bandwidth grows: they meet once
        middle = (low + high) / 2
        low, high = (middle, high) if area(middle) >= middle else (low, middle)
    return area(low)
