"""Every row once, in random order: the natural stream.

Bottou, SLDS 2009, "Curiously fast convergence of some stochastic gradient descent algorithms".
"""

import torch
from torch import Tensor

from metabalance.sample.base import IndexSampler, shuffled


class ShuffleSampler(IndexSampler):
    """A fresh permutation of all rows in each epoch.

    Args:
        target: Class indices ``(N,)``; only their number matters.
        seed, rank, world_size: See :class:`IndexSampler`.

    >>> sorted(ShuffleSampler([0, 0, 1], seed=1))
    [0, 1, 2]
    """

    @property
    def size(self) -> int:
        return len(self.target)

    def shares(self) -> Tensor:
        return self.lengths.double() / self.size

    def draw(self, generator: torch.Generator) -> Tensor:
        return shuffled(torch.arange(self.size), generator)
