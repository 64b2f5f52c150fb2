"""Progressively balanced sampling: natural at first, class-balanced in the end.

Kang, Xie, Rohrbach, Yan, Gordo, Feng & Kalantidis, "Decoupling representation and classifier", ICLR 2020,
arXiv 1910.09217. The paper writes t/T; as in the authors' code, t runs from 0 to T - 1 and the last of T epochs
is balanced.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.sample.base import IndexSampler, draw_classes


class ProgressiveSampler(IndexSampler):
    r"""Rows with replacement: a class with probability
    :math:`p_c(t) = (1 - \tfrac{t}{T-1}) \tfrac{n_c}{N} + \tfrac{t}{T-1} \tfrac1K`, then one of its rows.

    An epoch is ``N`` draws. From epoch ``epochs`` on, sampling stays balanced; with ``epochs=1`` it is natural.

    Args:
        target: Class indices ``(N,)``; K of the classes occur.
        epochs: T, the length of the schedule.
        seed, rank, world_size: See :class:`IndexSampler`.

    Raises:
        ValueError: ``epochs`` is below 1.

    >>> sampler = ProgressiveSampler([0] * 9 + [1], epochs=3)
    >>> for epoch in range(3):
    ...     sampler.set_epoch(epoch)
    ...     print([round(share, 2) for share in sampler.shares().tolist()])
    [0.9, 0.1]
    [0.7, 0.3]
    [0.5, 0.5]
    """

    def __init__(
        self,
        target: Any,
        epochs: int,
        *,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__(target, seed=seed, rank=rank, world_size=world_size)
        if epochs < 1:
            raise ValueError(f"epochs must be at least 1, but {epochs} was given")
        self.epochs = epochs

    def shares(self) -> Tensor:
        done = min(self.epoch / max(self.epochs - 1, 1), 1.0)
        return (1 - done) * self.lengths.double() / self.size + done / len(self.lengths)

    @property
    def size(self) -> int:
        return len(self.target)

    def draw(self, generator: torch.Generator) -> Tensor:
        return draw_classes(self.order, self.lengths, self.shares(), self.size, generator)
