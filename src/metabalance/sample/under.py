"""Under-sampling: of large classes only as many rows are seen as of the smallest.

Buda, Maki & Mazurowski, Neural Networks 2018, arXiv 1710.05381.
"""

import torch
from torch import Tensor

from metabalance.sample.base import RatioSampler, shuffled


class UnderSampler(RatioSampler):
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

    def sizes(self) -> list[int]:
        most = int(int(self.lengths.min()) / self.ratio + 1e-9)
        return self.lengths.clamp_max(most).tolist()

    def take(self, rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
        return rows if size == len(rows) else shuffled(rows, generator)[:size]
