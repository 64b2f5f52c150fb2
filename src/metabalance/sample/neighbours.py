"""Exact nearest neighbours by matrix products in single precision, each proven in double precision.

The neighbours are those of Fix & Hodges, "Discriminatory analysis: nonparametric discrimination", 1951, which
SMOTE and its successors interpolate between. Nothing is approximate about the result: see :func:`nearest`.
"""

import torch
from torch import Tensor

from metabalance.sample.base import fresh

__all__ = ["nearest"]

# A tile of distances stays in a core's own cache while it is made and read.
TILE = 512
# Entries of the table of least distances by group, when all points ask: 256 MiB in single precision.
ENTRIES = 1 << 26


def nearest(points: Tensor, k: int, rows: Tensor | None = None) -> Tensor:
    """The k nearest other points of some points, by Euclidean distance; in its order up to rounding.

    Distances are computed in float32, by matrix products of small tiles. Where the gap between the last neighbour
    and the next point is within the rounding, the row is searched once more in float64. Beside copies of the points
    this takes at most some 300 MiB, and never a distance for every pair.

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
    found, proven = _Search(centred, k, torch.float32).of(rows)
    doubtful = torch.nonzero(~proven).reshape(-1)
    if len(doubtful):
        found[doubtful] = _Search(centred, k, torch.float64).of(rows[doubtful])[0]
    return found


class _Search:
    """Neighbours by distances in one dtype, and whether its rounding cannot have changed them.

    Points lie in tiles, and those of a tile in strided groups. First only the least distance to each group is
    kept. The k + 1 nearest points lie in the k + 1 groups that come nearest, and these are looked into.
    """

    def __init__(self, points: Tensor, k: int, dtype: torch.dtype) -> None:
        n, width = points.shape
        self.n, self.k, self.keep = n, k, min(k + 1, n - 1)
        self.norms = points.square().sum(1).sqrt()
        self.unit = torch.finfo(dtype).eps / 2 * (width + 6)
        # |x - y|^2 = [x, 1, |x|^2] . [-2y, |y|^2, 1]; the last tile is filled up with points infinitely far away.
        self.tiles = -(-n // TILE)
        self.left = torch.zeros(self.tiles * TILE, width + 2, dtype=dtype, device=points.device)
        self.left[:, width], self.left[:, width + 1] = 1, float("inf")
        self.left[:n, :width], self.left[:n, width + 1] = points, self.norms.square()
        self.right = torch.cat([-2 * self.left[:, :width], self.left[:, width:].flip(1)], 1)
        self.size = 4 if n < 1 << 13 else 8 if n < 1 << 15 else 16
        self.per_tile = TILE // self.size
        strided = self.right.view(self.tiles, self.size, self.per_tile, width + 2)
        self.groups = strided.transpose(1, 2).reshape(-1, self.size * (width + 2))

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours ``(M, k)`` of the points ``rows`` ``(M,)``, and which of them are proven ``(M,)``."""
        every = torch.equal(rows, torch.arange(self.n, device=rows.device))
        every = every and len(self.left) * len(self.groups) <= ENTRIES
        # Distances are symmetric: when all points ask, a tile serves its rows and, mirrored, those of a later block.
        shape = (min(TILE, len(rows)), self.per_tile)
        mirrors = [fresh((j, *shape), self.left) for j in range(self.tiles)] if every else []
        least, block = fresh((self.tiles, *shape), self.left), self.left.new_empty(shape[0], TILE)
        parts = []
        for i, mine in enumerate(rows.split(TILE)):
            b = len(mine)
            self._fill(least[:, :b], block[:b], mine, i, mirrors)
            parts.append(self._look_into(mine, least[:, :b]))
        found, proven = zip(*parts)
        return torch.cat(found), torch.cat(proven)

    def _fill(self, least: Tensor, block: Tensor, rows: Tensor, i: int, mirrors: list[Tensor]) -> None:
        """Fills in the least distances ``(tiles, b, groups of a tile)`` of some points, the i-th block of them."""
        left = self.left[rows]
        if mirrors:
            least[:i] = mirrors[i][:, : len(rows)]
        for j in range(i if mirrors else 0, self.tiles):
            distance = torch.mm(left, self.right[j * TILE : (j + 1) * TILE].t(), out=block)
            if not mirrors:
                own = torch.nonzero(rows // TILE == j).reshape(-1)
                distance[own, rows[own] % TILE] = float("inf")
            elif i == j:
                distance.fill_diagonal_(float("inf"))
            else:
                mirrors[j][i] = distance.view(self.size, self.per_tile, -1).amin(0).t()
            torch.amin(distance.view(-1, self.size, self.per_tile), 1, out=least[j])

    def _look_into(self, rows: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
        # First over tiles, then within the few columns that are left: two short selections instead of a long one.
        column = least.amin(0).topk(min(self.keep, self.per_tile), largest=False, sorted=False).indices
        few = least.gather(2, column.expand(self.tiles, -1, -1)).transpose(0, 1).reshape(len(rows), -1)
        place = few.topk(min(self.keep, few.shape[1]), largest=False, sorted=False).indices
        tile, column = place // column.shape[1], column.gather(1, place % column.shape[1])
        group = tile * self.per_tile + column
        size = max(1, (1 << 20) // (group.shape[1] * self.groups.shape[1]))
        values = []
        for chosen, mine in zip(group.split(size), rows.split(size)):
            members = self.groups.index_select(0, chosen.reshape(-1)).view(len(mine), -1, self.left.shape[1])
            values.append(torch.bmm(members, self.left[mine, :, None]).squeeze(2))
        value = torch.cat(values)
        first = tile * TILE + column
        inside = self.per_tile * torch.arange(self.size, device=rows.device)
        point = (first[:, :, None] + inside).reshape(len(rows), -1)
        value.masked_fill_(point == rows[:, None], float("inf"))
        value, place = value.topk(self.keep, largest=False, sorted=True)
        # Groups were chosen by products that may have been rounded otherwise: hence 4 and not 2.
        gap = value[:, -1] - value[:, self.k - 1]
        proven = (gap > 4 * self._rounding(rows, value[:, self.k - 1])) | (self.keep == self.k)
        return point.gather(1, place[:, : self.k]), proven

    def _rounding(self, rows: Tensor, last: Tensor) -> Tensor:
        """A bound ``(b,)`` on the error of the squared distance to any point that could be a neighbour."""
        own = self.norms[rows]
        # Only a point as near as the last neighbour matters; its norm is at most the row's plus that distance.
        reach = torch.minimum(self.norms.max(), own + 1.01 * last.double().clamp_min(0).sqrt())
        # Higham 2002: a sum of m products is off by at most m units of roundoff times the sum of absolute products.
        return self.unit * (own + reach) ** 2
