"""Over-sampling: rows of small classes are repeated until the classes are nearer in size.

Buda, Maki & Mazurowski, Neural Networks 2018, arXiv 1710.05381.
"""

import math
from typing import Any

import torch
from torch import Tensor

from metabalance.sample.base import IndexSampler, replicate


class OverSampler(IndexSampler):
    r"""All rows, and repeats of the small classes up to ``ratio`` times the largest count.

    A class of :math:`n_c` rows is seen :math:`\max(n_c, \lceil r \max_k n_k \rceil)` times in an epoch, each
    of its rows equally often, give or take one; which rows come once more changes with the epoch.

    Args:
        target: Class indices ``(N,)``.
        ratio: In ``(0, 1]``; 1 makes all classes equal. (The paper's target imbalance is its inverse.)
        seed, rank, world_size: See :class:`IndexSampler`.

    Raises:
        ValueError: ``ratio`` is outside ``(0, 1]``.

    >>> sorted(OverSampler([0, 0, 0, 0, 1], ratio=0.5))
    [0, 1, 2, 3, 4, 4]
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
        # The tiny step back keeps 0.1 * 50 = 5.000000000000001 from becoming 6.
        least = math.ceil(self.ratio * max(len(rows) for rows in self.members) - 1e-9)
        return [max(len(rows), least) for rows in self.members]

    @property
    def size(self) -> int:
        return sum(self._sizes())

    def draw(self, generator: torch.Generator) -> Tensor:
        draws = [replicate(rows, size, generator) for rows, size in zip(self.members, self._sizes())]
        return torch.cat(draws)[torch.randperm(self.size, generator=generator)]


def check_ratio(ratio: float) -> None:
    """Raises ValueError unless ``ratio`` lies in ``(0, 1]``."""
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio must lie above 0 and up to 1 (equal classes), but {ratio} was given")
