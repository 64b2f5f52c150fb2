"""Exact nearest neighbours by matrix products in single precision, each proven in double precision.

The neighbours are those of Fix & Hodges, "Discriminatory analysis: nonparametric discrimination", 1951, which
SMOTE and its successors interpolate between. Nothing is approximate about the result: see :func:`nearest`.
"""

import torch
from torch import Tensor

__all__ = ["nearest"]

# Entries of the block of distances that is held at a time: 16 MiB in single precision.
ENTRIES = 1 << 22


def nearest(points: Tensor, k: int, rows: Tensor | None = None) -> Tensor:
    """The k nearest other points of some points, by Euclidean distance; in its order up to rounding.

    Distances are computed in float32, by one matrix product per block. Where the gap between the last neighbour
    and the next point is within the rounding, the row is searched once more in float64. Memory beside the points
    is bounded, whatever N.

    Args:
        points: Finite numbers ``(N, D)``.
        k: At most N - 1.
        rows: Whose neighbours are asked for, indices ``(M,)``; by default all.

    Returns:
        Indices of points ``(M, k)``; a point is never its own neighbour, but an equal one may be.

    Raises:
        ValueError: ``k`` is not between 1 and N - 1.

    >>> nearest(torch.tensor([[0.0], [1.0], [3.0], [3.5]]), k=1).flatten()
    tensor([1, 0, 3, 2])
    """
    if not 1 <= k < len(points):
        raise ValueError(f"k must lie between 1 and {len(points) - 1}, one less than points, but is {k}")
    rows = torch.arange(len(points), device=points.device) if rows is None else rows
    # Near the origin distances lose fewer digits to cancellation.
    centred = points.double()
    centred = centred - centred.mean(0)
    found, proven = _search(centred, k, rows, torch.float32)
    doubtful = torch.nonzero(~proven).reshape(-1)
    if len(doubtful):
        found[doubtful] = _search(centred, k, rows[doubtful], torch.float64)[0]
    return found


def _search(points: Tensor, k: int, rows: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Neighbours ``(M, k)`` by distances in ``dtype``, and whether rounding cannot have changed them ``(M,)``."""
    n, width = points.shape
    keep = min(k + 1, n - 1)
    per_group = max(1, int((n / keep) ** 0.5))
    groups = -(-n // per_group)
    # |x - y|^2 - |x|^2 = [x, 1] . [-2y, |y|^2]; what is left out is the same for every y. Columns are padded, at
    # an infinite distance, to a whole number of groups.
    norms = points.square().sum(1).sqrt()
    right = torch.zeros(groups * per_group, width + 1, dtype=dtype, device=points.device)
    right[:n, :width], right[:n, width], right[n:, width] = -2 * points, norms.square(), float("inf")
    size = max(32, ENTRIES // len(right))
    block = torch.empty(min(size, len(rows)), len(right), dtype=dtype, device=points.device)
    found = torch.empty(len(rows), k, dtype=torch.long, device=points.device)
    proven = torch.empty(len(rows), dtype=torch.bool, device=points.device)
    for start in range(0, len(rows), size):
        mine = rows[start : start + size]
        left = torch.cat([points[mine], torch.ones_like(points[mine, :1])], 1).to(dtype)
        distance = torch.mm(left, right.t(), out=block[: len(mine)])
        distance[torch.arange(len(mine), device=mine.device), mine] = float("inf")
        # The nearest `keep` columns lie in the `keep` groups with the nearest members: two short selections
        # instead of one over all columns. Groups are strided, so that their minima are taken in long rows.
        grouped = distance.view(len(mine), per_group, groups)
        group = grouped.amin(1).topk(min(keep, groups), largest=False, sorted=False).indices
        members = grouped.gather(2, group[:, None, :].expand(-1, per_group, -1)).reshape(len(mine), -1)
        value, place = members.topk(keep, largest=False, sorted=True)
        column = place // group.shape[1] * groups + group.gather(1, place % group.shape[1])
        found[start : start + size] = column[:, :k]
        gap = value[:, -1] - value[:, k - 1] if keep > k else torch.full_like(value[:, 0], float("inf"))
        proven[start : start + size] = gap > 2 * _rounding(
            norms, mine, value[:, k - 1].double(), width, dtype
        )
    return found, proven


def _rounding(norms: Tensor, rows: Tensor, last: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """A bound ``(M,)`` on the error of a distance to any point that could be among the neighbours."""
    own = norms[rows]
    # Only a point as near as the last neighbour matters, and its norm is at most the row's plus that distance.
    reach = torch.minimum(norms.max(), own + 1.01 * (last + own.square()).clamp_min(0).sqrt())
    # Higham 2002: a sum of m products is off by at most m units of roundoff times the sum of absolute products.
    return torch.finfo(dtype).eps / 2 * (width + 4) * (own + reach) ** 2
