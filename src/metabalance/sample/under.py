"""Under-sampling: of large classes only as many rows are seen as of the smallest.

Buda, Maki & Mazurowski, Neural Networks 2018, arXiv 1710.05381.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.sample.base import IndexSampler
from metabalance.sample.over import check_ratio


class UnderSampler(IndexSampler):
    r"""A random part of every class, at most the smallest count divided by ``ratio``.

    The part is drawn anew in every epoch, without repeats, so that over many epochs all rows are seen. (The
    study drew it once.)

    Args:
        target: Class indices ``(N,)``.
        ratio: In ``(0, 1]``; 1 makes all classes equal, 0.5 keeps twice the smallest count. (The paper's
            target imbalance is its inverse.)
        seed, rank, world_size: See :class:`IndexSampler`.

    Raises:
        ValueError: ``ratio`` is outside ``(0, 1]``.

    >>> y = torch.tensor([0, 0, 0, 0, 1])
    >>> y[UnderSampler(y, ratio=0.5).indices()].sort().values
    tensor([0, 0, 1])
    """

    def __init__(
        self,
        target: Any,
        *,
        ratio: float = 1.0,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__(target, seed=seed, rank=rank, world_size=world_size)
        check_ratio(ratio)
        self.ratio = ratio

    def _sizes(self) -> list[int]:
        most = int(min(len(rows) for rows in self.members) / self.ratio + 1e-9)
        return [min(len(rows), most) for rows in self.members]

    @property
    def size(self) -> int:
        return sum(self._sizes())

    def draw(self, generator: torch.Generator) -> Tensor:
        draws = [
            rows[torch.randperm(len(rows), generator=generator)[:size]]
            for rows, size in zip(self.members, self._sizes())
        ]
        return torch.cat(draws)[torch.randperm(self.size, generator=generator)]
