"""Label distribution smoothing: a row weighs by how few rows lie around its target value, not only at it.

Yang, Zha, Chen, Wang & Katabi, "Delving into Deep Imbalanced Regression", ICML 2021, arXiv 2102.09554. In the
authors' code the kernel called Gaussian is not one (see :func:`~metabalance.densities.smoothing_kernel`; their form is
the default here too), and with ``reweight="inverse"`` the *whole-numbered* counts are convolved, so that smoothed
counts are truncated and weights off by up to 34 % in thin bins; here they are not.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.counts import class_counts
from metabalance.densities import as_values, bin_edges, bin_index, smooth_bins, smoothing_kernel

__all__ = ["bin_weights", "label_density_weights"]

REWEIGHT = ("sqrt_inv", "inverse", "none")


def label_density_weights(
    target: Any,
    bin_width: float | None = None,
    *,
    edges: Tensor | None = None,
    num_bins: int = 50,
    reweight: str = "sqrt_inv",
    kernel: str | None = "gaussian",
    kernel_size: int = 5,
    sigma: float = 2.0,
    exact: bool = False,
    clip: tuple[float, float] | None = None,
    pad: str = "constant",
) -> Tensor:
    r"""Weights ``(N,)`` of the training rows, their mean 1: :math:`w_i \propto 1/\tilde c_{b(i)}`.

    The counts of the bins are transformed first (the root, or clipping) and smoothed then.

    Args:
        target: Training values ``(N,)``.
        bin_width: Of a bin, in the unit of the target.
        edges: Edges of bins ``(K + 1,)``, in place of a width; without both, ``num_bins`` equally wide bins.
        num_bins: See there.
        reweight: ``"sqrt_inv"``: inverse to the root of the count; ``"inverse"``: to the count; ``"none"``: all 1.
        kernel: ``"gaussian"``, ``"triang"``, ``"laplace"``, or None: plain re-weighting without smoothing.
        kernel_size, sigma, exact: See :func:`~metabalance.densities.smoothing_kernel`.
        clip: Limits of the counts before smoothing, for ``"inverse"``; the authors take (5, 1000) for ages.
        pad: ``"constant"`` or ``"reflect"``, at the ends of the range.

    Returns:
        float64 ``(N,)``, to be multiplied with the losses of the rows.

    Raises:
        ValueError: A target that is not finite or has several columns, or unknown settings.

    >>> label_density_weights([20.0, 20.0, 20.0, 50.0], bin_width=1.0, reweight="inverse", kernel=None)
    tensor([0.6667, 0.6667, 0.6667, 2.0000], dtype=torch.float64)
    """
    y = as_values(target)
    if edges is None:
        edges = bin_edges(y, bin_width, num_bins)
    elif bin_width is not None:
        raise ValueError("bins have edges or a width; give one of the two")
    index = bin_index(y, edges)
    counts = class_counts(index, len(edges) - 1)
    weights = bin_weights(
        counts,
        reweight=reweight,
        kernel=kernel,
        kernel_size=kernel_size,
        sigma=sigma,
        exact=exact,
        clip=clip,
        pad=pad,
    )
    return weights.to(index.device)[index]


def bin_weights(
    counts: Any,
    *,
    reweight: str = "sqrt_inv",
    kernel: str | None = "gaussian",
    kernel_size: int = 5,
    sigma: float = 2.0,
    exact: bool = False,
    clip: tuple[float, float] | None = None,
    pad: str = "constant",
) -> Tensor:
    """Weights ``(K,)`` of the bins with these counts ``(K,)``; averaged over the rows they are 1.

    A bin with no rows near it weighs 0. Arguments as for :func:`label_density_weights`.

    >>> bin_weights([10, 0, 5, 20, 1])
    tensor([1.3466, 0.7651, 0.6817, 0.9084, 0.9572], dtype=torch.float64)
    """
    if reweight not in REWEIGHT:
        raise ValueError(f"reweight={reweight!r} is unknown; use 'sqrt_inv', 'inverse' or 'none'")
    if clip is not None and not 0 <= clip[0] <= clip[1]:
        raise ValueError(f"clip must be two counts, the smaller first, but {clip} was given")
    n = torch.as_tensor(counts, dtype=torch.float64).reshape(-1)
    if not len(n) or not bool(torch.isfinite(n).all()) or bool((n < 0).any()) or not float(n.sum()) > 0:
        raise ValueError(
            f"counts of bins must be finite, not negative and not all 0, but are {n.tolist()[:20]}"
        )
    if reweight == "none":
        return torch.ones_like(n)
    # Smaller counts clipped away stay clipped before smoothing: this is where the published order matters.
    c = n.sqrt() if reweight == "sqrt_inv" else n if clip is None else n.clamp(*clip)
    if kernel is not None:
        c = smooth_bins(c, smoothing_kernel(kernel, kernel_size, sigma, exact), pad)
    raw = torch.where(c > 0, 1 / c.clamp_min(torch.finfo(c.dtype).tiny), torch.zeros_like(c))
    return raw * (n.sum() / (n * raw).sum())
