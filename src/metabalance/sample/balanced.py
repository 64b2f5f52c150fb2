"""Class-balanced batches: every class is drawn equally often.

The rotation is that of the CIFAR experiments of Bansal et al., "MetaBalance", 2021, arXiv 2106.09643; its
effect on an epoch is the random over-sampling of Buda, Maki & Mazurowski, Neural Networks 2018, arXiv
1710.05381.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.sample.base import IndexSampler, copies, draw_classes, epoch_generator, shuffled


class ClassBalancedSampler(IndexSampler):
    r"""Strict rotation through the classes, or a class drawn uniformly for each row.

    In ``"rotation"`` each class is padded to the largest count by repeats, and the classes take turns: an
    epoch is :math:`C \max_c n_c` draws, and a batch whose size is a multiple of ``C`` holds equally many of
    each. ``"random"`` draws as many rows with replacement, so that a batch is balanced on average only.

    Args:
        target: Class indices ``(N,)``; a class that does not occur has no turn.
        mode: ``"rotation"`` or ``"random"``.
        reshuffle: For the rotation: pad and order each class anew in every epoch. ``False`` is the published
            form, where a class's rows come in the order of the data, its padding after them, alike in every
            epoch.
        seed, rank, world_size: See :class:`IndexSampler`. In the rotation a rank takes whole turns.

    Raises:
        ValueError: An unknown mode.

    >>> y = torch.tensor([0, 0, 0, 1])
    >>> y[ClassBalancedSampler(y).indices()]
    tensor([0, 1, 0, 1, 0, 1])
    """

    def __init__(
        self,
        target: Any,
        *,
        mode: str = "rotation",
        reshuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__(target, seed=seed, rank=rank, world_size=world_size)
        if mode not in ("rotation", "random"):
            raise ValueError(f"mode={mode!r} is unknown; use 'rotation' or 'random'")
        self.mode = mode
        self.reshuffle = reshuffle
        # A rank that took every W-th draw of a rotation would see every W-th class only.
        self.block = len(self.lengths) if mode == "rotation" else 1

    @property
    def size(self) -> int:
        return len(self.lengths) * int(self.lengths.max())

    def shares(self) -> Tensor:
        return torch.full((len(self.lengths),), 1 / len(self.lengths), dtype=torch.float64)

    def draw(self, generator: torch.Generator) -> Tensor:
        if self.mode == "random":
            return draw_classes(self.order, self.lengths, self.shares(), self.size, generator)
        turns = int(self.lengths.max())
        if self.reshuffle:
            columns = [shuffled(copies(rows, turns, generator), generator) for rows in self.members]
        else:
            fixed = epoch_generator(self.seed, 0)
            columns = [_padded(rows, turns, fixed) for rows in self.members]
        return torch.cat(columns).view(-1, turns).t().reshape(-1)


def _padded(rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
    repeats = torch.randint(len(rows), (size - len(rows),), generator=generator)
    return torch.cat([rows, rows[repeats]])
