"""Over-sampling: rows of small classes are repeated until the classes are nearer in size.

Buda, Maki & Mazurowski, Neural Networks 2018, arXiv 1710.05381.
"""

import math

import torch
from torch import Tensor

from metabalance.sample.base import RatioSampler, copies


class OverSampler(RatioSampler):
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

    def sizes(self) -> list[int]:
        # The tiny step back keeps 0.1 * 50 = 5.000000000000001 from becoming 6.
        least = math.ceil(self.ratio * int(self.lengths.max()) - 1e-9)
        return self.lengths.clamp_min(least).tolist()

    def take(self, rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
        return copies(rows, size, generator)
