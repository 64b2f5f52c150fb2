"""Power sampling: a class is drawn in proportion to a power of its count.

Kang, Xie, Rohrbach, Yan, Gordo, Feng & Kalantidis, "Decoupling representation and classifier", ICLR 2020,
arXiv 1910.09217.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.sample.base import IndexSampler, draw_classes


class PowerSampler(IndexSampler):
    r"""Rows with replacement: a class with probability :math:`p_c \propto n_c^q`, then one of its rows.

    ``q=1`` is instance-balanced (all rows alike), ``q=0.5`` square-root, ``q=0`` class-balanced sampling. An
    epoch is ``N`` draws.

    Args:
        target: Class indices ``(N,)``.
        q: The power; may be set between epochs, for a schedule from 1 to 0.
        seed, rank, world_size: See :class:`IndexSampler`.

    Raises:
        ValueError: ``q`` is not finite.

    >>> PowerSampler([0] * 9 + [1], q=0.5).shares()
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """

    def __init__(
        self,
        target: Any,
        q: float = 0.5,
        *,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__(target, seed=seed, rank=rank, world_size=world_size)
        if not abs(q) < float("inf"):
            raise ValueError(f"q must be a finite number, but {q} was given")
        self.q = q

    def shares(self) -> Tensor:
        logs = self.q * self.lengths.double().log()
        return logs.softmax(0)  # the powers themselves may overflow

    @property
    def size(self) -> int:
        return len(self.target)

    def draw(self, generator: torch.Generator) -> Tensor:
        return draw_classes(self.order, self.lengths, self.shares(), self.size, generator)
