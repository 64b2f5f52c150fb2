"""DenseWeight: one minus the kernel density of a row's target value, as its weight.

Steininger, Kobs, Davidson, Krause & Hotho, "Density-based weighting for imbalanced regression", Machine Learning
2021, doi 10.1007/s10994-021-06023-5. The density is taken on a fine grid by linear binning, so that any number of
rows costs a pass and a convolution; Silverman's rule of thumb gives the bandwidth.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from metabalance.densities import as_values

__all__ = ["DenseWeight"]


class DenseWeight:
    r""":math:`w(y) \propto \max(1 - \alpha\, p'(y), \varepsilon)`, averaging 1 over the training rows.

    :math:`p'` is the density scaled so that it runs from 0 to 1 over the training rows. ``alpha=0`` leaves all rows
    equal, and so does a constant target; 1 takes the weight of the commonest value down to nothing.

    Args:
        alpha: How strongly density lowers the weight, at least 0.
        epsilon: The smallest weight before scaling, above 0.
        bandwidth: Of the Gaussian kernel, in the unit of the target; None is Silverman's rule.
        grid_size: Points of the grid.

    After ``fit``: ``bandwidth_``; ``grid_`` ``(G,)`` and ``weight_`` ``(G,)``, the function's values.

    Raises:
        ValueError: Settings outside these limits.

    >>> y = np.r_[np.zeros(90), np.linspace(5, 10, 10)]
    >>> weigh = DenseWeight().fit(y)
    >>> weigh([0.0, 10.0]).round(decimals=2)
    tensor([ 0.0000, 10.1100], dtype=torch.float64)
    """

    def __init__(
        self, alpha: float = 1.0, epsilon: float = 1e-6, bandwidth: float | None = None, grid_size: int = 4096
    ) -> None:
        if not 0 <= alpha < float("inf") or not 0 < epsilon < float("inf"):
            raise ValueError(
                f"alpha must be at least 0 and epsilon above 0, but {alpha} and {epsilon} were given"
            )
        if bandwidth is not None and not 0 < bandwidth < float("inf"):
            raise ValueError(f"bandwidth must be finite and above 0, or None, but {bandwidth} was given")
        self.alpha, self.epsilon, self.bandwidth, self.grid_size = alpha, epsilon, bandwidth, grid_size

    def fit(self, target: Any) -> "DenseWeight":
        """Takes the density from training values ``(N,)``.

        Raises:
            ValueError: Values that are not finite, or several columns.
        """
        y = as_values(target).cpu().numpy()
        low, high = y.min(), y.max()
        spread = float(high - low)
        self.bandwidth_ = self.bandwidth or silverman(y)
        if spread == 0:
            self.grid_, self.weight_ = np.array([low, low + 1]), np.ones(2)
            return self
        # A grid finer than the kernel, however narrow that is; wide enough that nothing leaks out of its ends.
        size = int(np.clip(8 * spread / self.bandwidth_, self.grid_size, 1 << 20))
        self.grid_ = np.linspace(low, high, size)
        density = grid_density((y - low) / spread, size, self.bandwidth_ / spread)
        at_rows = np.interp(y, self.grid_, density)
        scaled = (density - at_rows.min()) / max(np.ptp(at_rows), np.finfo(float).tiny)
        raw = np.maximum(1 - self.alpha * scaled, self.epsilon)
        self.weight_ = raw / np.interp(y, self.grid_, raw).mean()
        return self

    def __call__(self, target: Any) -> Tensor:
        """Weights ``(N,)``, float64, of values ``(N,)``; beyond the training range those of its ends."""
        y = as_values(target)
        return torch.from_numpy(np.interp(y.cpu().numpy(), self.grid_, self.weight_)).to(y.device)


def silverman(y: np.ndarray) -> float:
    """Silverman's rule: 0.9 n^(-1/5) times the smaller of standard deviation and interquartile range over 1.34.

    >>> round(silverman(np.arange(100.0)), 3)
    10.395
    """
    deviation = float(np.std(y, ddof=1)) if len(y) > 1 else 0.0
    quartiles = float(np.subtract(*np.percentile(y, [75, 25]))) / 1.34
    # Heavy ties can make the quartiles equal while the rest is spread out.
    width = min(deviation, quartiles) if quartiles > 0 else deviation
    return 0.9 * width * len(y) ** -0.2 or 1.0


def grid_density(u: np.ndarray, size: int, bandwidth: float) -> np.ndarray:
    """Kernel density of values in [0, 1] on a grid over it, up to a factor; each value is shared by two points."""
    from scipy.signal import fftconvolve

    place = u * (size - 1)
    left = np.minimum(place.astype(np.int64), size - 2)
    share = place - left
    mass = np.bincount(left, 1 - share, minlength=size) + np.bincount(left + 1, share, minlength=size)
    reach = min(int(np.ceil(6 * bandwidth * (size - 1))), size - 1)
    x = np.arange(-reach, reach + 1) / (bandwidth * (size - 1))
    # The Fourier transform may leave tiny negative values.
    return np.maximum(fftconvolve(mass, np.exp(-(x**2) / 2))[reach : reach + size], 0)
