"""How densely a continuous target lies: bins, smoothed counts, and the thresholds between many, medium and few.

What :mod:`metabalance.counts` is for classes. Bins are given by their edges ``(K + 1,)``; a value below the first
or above the last edge counts into the bin at that end, as in Yang et al., ICML 2021, arXiv 2102.09554.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metabalance.counts import shot_groups

__all__ = [
    "as_values",
    "bin_edges",
    "bin_index",
    "density_thresholds",
    "smooth_bins",
    "smoothing_kernel",
]

KERNELS = ("gaussian", "triang", "laplace")
MOST_BINS = 1_000_000


def as_values(target: Any, columns: bool = False) -> Tensor:
    """A continuous target ``(N,)`` in float64, checked; with ``columns`` also ``(N, T)``.

    Raises:
        ValueError: No rows, another shape, or values that are not finite.

    >>> as_values([1, 2.5])
    tensor([1.0000, 2.5000], dtype=torch.float64)
    """
    given = target if isinstance(target, Tensor) else np.asarray(target)
    if isinstance(given, np.ndarray) and given.dtype.kind not in "biuf":
        raise ValueError(f"a continuous target holds numbers, not {given.dtype}; convert it first")
    y = torch.as_tensor(given).detach().to(torch.float64)
    if y.dim() == 2 and y.shape[1] == 1 and not columns:
        y = y[:, 0]
    if (y.dim() != 1 and not (columns and y.dim() == 2)) or not y.numel():
        raise ValueError(
            f"the target must be (N,){' or (N, T)' if columns else ', one column'} with at least one row, but has "
            f"shape {tuple(y.shape)}"
        )
    missing = int((~torch.isfinite(y)).sum())
    if missing:
        raise ValueError(f"{missing} values of the target are missing or infinite; drop those rows first")
    return y


def bin_edges(target: Any, width: float | None = None, num_bins: int = 50) -> Tensor:
    """Edges ``(K + 1,)`` of equally wide bins that hold all values; float64.

    Args:
        target: Training values ``(N,)``.
        width: Of a bin, in the unit of the target (1 for years, 0.1 for similarities); the edges are then its
            multiples, so that every bin of whole numbers holds one.
        num_bins: Without a width: so many bins from the smallest value to the largest. A constant target has one; of whole
            numbers each bin holds equally many, and there may be fewer bins.

    Raises:
        ValueError: Values that are not finite, or bins that cannot be.

    >>> bin_edges([20.0, 21.0, 23.0], width=1.0)
    tensor([20., 21., 22., 23., 24.], dtype=torch.float64)
    """
    y = as_values(target)
    low, high = float(y.min()), float(y.max())
    if width is None:
        if num_bins < 1:
            raise ValueError(f"num_bins must be at least 1, but {num_bins} was given")
        if low == high or num_bins == 1:
            reach = max(abs(low), 1.0) / 2
            return torch.tensor(
                [low - reach, high + reach] if low == high else [low, high], dtype=torch.float64
            )
        if bool((y == y.round()).all()) and high - low < 2.0**52:
            step = np.ceil((high - low + 1) / num_bins)
            return low + step * torch.arange(np.ceil((high - low + 1) / step) + 1, dtype=torch.float64)
        return torch.linspace(low, high, num_bins + 1, dtype=torch.float64)
    if not 0 < width < float("inf"):
        raise ValueError(f"the width of a bin must be finite and above 0, but {width} was given")
    # The allowance is for 0.3 / 0.1, which is below 3.
    first, last = np.floor(low / width + 1e-9), np.floor(high / width + 1e-9) + 1
    if last - first > MOST_BINS:
        raise ValueError(
            f"bins of width {width} from {low:g} to {high:g} are more than {MOST_BINS:,}; take wider ones"
        )
    return torch.arange(first, last + 1, dtype=torch.float64) * width


def bin_index(target: Any, edges: Tensor) -> Tensor:
    """The bin ``(N,)`` of each value; those beyond the ends are in the bins at the ends.

    >>> bin_index([19.0, 20.5, 21.0, 99.0], torch.tensor([20.0, 21.0, 22.0]))
    tensor([0, 0, 1, 1])
    """
    y = as_values(target)
    e = torch.as_tensor(edges, dtype=torch.float64, device=y.device)
    if e.dim() != 1 or len(e) < 2 or not bool((e[1:] > e[:-1]).all()):
        raise ValueError("edges of bins must be (K + 1,), at least two of them, and increase")
    slack = 1e-9 * (e[1:] - e[:-1]).min()
    return (torch.searchsorted(e, y + slack, right=True) - 1).clamp(0, len(e) - 2)


def smoothing_kernel(
    kind: str = "gaussian", size: int = 5, sigma: float = 2.0, exact: bool = False
) -> Tensor:
    r"""Weights ``(size,)`` of a bin's neighbourhood, 1 in the middle; float64.

    The published "gaussian" is a filtered unit impulse, reflected at the kernel's own ends, and so much flatter
    than :math:`e^{-x^2/2\sigma^2}` unless the size is large: :math:`(.858, .946, 1, .946, .858)` instead of
    :math:`(.607, .882, 1, .882, .607)` for size 5 and sigma 2. ``exact`` gives the latter.

    Args:
        kind: ``"gaussian"``, ``"triang"`` (a triangle) or ``"laplace"`` (:math:`e^{-|x|/\sigma}`).
        size: Bins it reaches over, odd; 1 for no smoothing.
        sigma: Its width in bins, for all but the triangle.
        exact: The true Gaussian.

    Raises:
        ValueError: Settings that make no kernel.

    >>> smoothing_kernel("gaussian", 5, 2.0)
    tensor([0.8583, 0.9458, 1.0000, 0.9458, 0.8583], dtype=torch.float64)
    >>> smoothing_kernel("triang", 3)
    tensor([0.5000, 1.0000, 0.5000], dtype=torch.float64)
    """
    if kind not in KERNELS:
        raise ValueError(f"the kernel {kind!r} is unknown; use one of {', '.join(KERNELS)}")
    if size < 1 or size % 2 == 0 or not 0 < sigma < float("inf"):
        raise ValueError(f"a kernel needs an odd size and a sigma above 0, but has {size} and {sigma}")
    x = np.arange(size) - size // 2
    if kind == "triang":
        kernel = 1 - np.abs(x) / (size // 2 + 1)
    elif kind == "laplace":
        kernel = np.exp(-np.abs(x) / sigma)
    elif exact:
        kernel = np.exp(-(x**2) / (2 * sigma**2))
    else:
        # Imported late: it takes longer to load than all else here.
        from scipy.ndimage import gaussian_filter1d

        kernel = gaussian_filter1d((x == 0).astype(np.float64), sigma)
    return torch.from_numpy(kernel / kernel.max())


def smooth_bins(values: Tensor, kernel: Tensor, pad: str = "constant") -> Tensor:
    """Sums of neighbouring bins weighted by a kernel: ``(K, ...) -> (K, ...)``.

    Args:
        values: One row for each bin.
        kernel: ``(S,)``, S odd.
        pad: ``"constant"``: beyond the ends lies nothing; ``"reflect"``: the bins in mirrored order, without the
            last one itself (needs more than S // 2 bins).

    >>> smooth_bins(torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.5, 1.0, 0.5]))
    tensor([1.0000, 1.5000, 2.0000])
    """
    if pad not in ("constant", "reflect"):
        raise ValueError(f"pad={pad!r} is unknown; use 'constant' or 'reflect'")
    half = len(kernel) // 2
    if pad == "reflect" and half >= len(values):
        raise ValueError(
            f"a kernel of size {len(kernel)} cannot be reflected at the ends of {len(values)} bins; take a "
            "smaller kernel or more bins"
        )
    rows = values.reshape(len(values), -1).T[:, None]
    padded = F.pad(rows, (half, half), mode=pad) if half else rows
    return F.conv1d(padded, kernel.to(values)[None, None]).squeeze(1).T.reshape(values.shape)


def density_thresholds(counts: Any, many: float = 100, few: float = 20) -> tuple[float, float]:
    """Training rows in a bin above which it is many-shot, and below which it is few-shot.

    100 and 20, as in the benchmarks of Yang et al., if that leaves no group without bins; else the tertiles of the
    counts of the bins that hold rows, so that small data have groups as well. For
    :func:`~metabalance.counts.shot_groups` and :func:`~metabalance.judge.shot_errors`.

    Args:
        counts: Training rows in each bin ``(K,)``.
        many, few: The thresholds to try first.

    >>> density_thresholds([500, 50, 5])
    (100.0, 20.0)
    >>> density_thresholds([9, 6, 3, 1])
    (6.0, 3.0)
    """
    groups = shot_groups(counts, many, few)  # type: ignore[arg-type]
    n = torch.as_tensor(counts, dtype=torch.float64)
    n = n[n > 0]
    if len(groups["many"]) and len(groups["medium"]) and bool((n < few).any()):
        return float(many), float(few)
    low, high = torch.quantile(
        n, torch.tensor([1 / 3, 2 / 3], dtype=n.dtype), interpolation="nearest"
    ).tolist()
    return float(high), float(low)
