"""ADASYN: SMOTE that adds most where a row of a small class has many neighbours of other classes.

He, Bai, Garcia & Li, "ADASYN: Adaptive synthetic sampling approach for imbalanced learning", IJCNN 2008. Several
classes are grown one against the rest, as in imbalanced-learn.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.sample.nearest import nearest
from metabalance.sample.smote import resampled

__all__ = ["ADASYN", "allocation"]


class ADASYN:
    r"""Row i of a class that is to grow by G gives :math:`g_i = \mathrm{round}(G\, r_i / \sum_j r_j)` new rows, where
    :math:`r_i` is the share of other classes among its k nearest neighbours in the whole set.

    They lie between it and one of its k nearest neighbours in its own class. By rounding, sizes are only nearly
    those asked for; a row without foreign neighbours gives none.

    Args:
        k, target, seed: As for :class:`~metabalance.sample.SMOTE`.

    Attributes:
        note_: As for :class:`~metabalance.sample.SMOTE`.

    >>> X, y = torch.tensor([[0.0], [1.0], [1.4], [4.0], [5.0]]), torch.tensor([1, 1, 0, 0, 0])
    >>> new_X, new_y = ADASYN(k=1).fit_resample(X, y)  # only the row at 1 has a foreign neighbour
    >>> new_y.tolist(), bool(0 < new_X[-1] <= 1)
    ([1, 1, 0, 0, 0, 1], True)
    """

    def __init__(self, k: int = 5, target: Any = "auto", seed: int = 0) -> None:
        self.k = k
        self.target = target
        self.seed = seed
        self.note_ = ""

    def fit_resample(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The given rows, then the new ones; see :meth:`metabalance.sample.SMOTE.fit_resample`.

        Raises:
            ValueError: As there; also if no row of a class has a foreign neighbour, or all g round to 0.
        """
        return resampled(self, X, y, self._grow)

    def _grow(
        self, rows: Tensor, size: int, X: Tensor, y: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        around = nearest(X, min(self.k, len(X) - 1), rows)
        times = allocation((y[around] != y[rows[0]]).double().mean(1), size)
        if not int(times.sum()):
            raise ValueError(
                f"ADASYN found no row of class {int(y[rows[0]])} to start from, since none has a neighbour of another "
                "class (or too few do to round to one new row); use SMOTE instead"
            )
        near = nearest(X[rows], min(self.k, len(rows) - 1))
        first = torch.arange(len(rows), device=X.device).repeat_interleave(times)
        pick = torch.randint(near.shape[1], (len(first),), generator=generator).to(X.device)
        return X[rows], first, near[first, pick]


def allocation(foreign: Tensor, size: int) -> Tensor:
    """New rows for each row ``(n,)``: ``size`` in proportion to ``foreign`` ``(n,)``, rounded half to even.

    >>> allocation(torch.tensor([0.0, 0.2, 0.6]), 8)
    tensor([0, 2, 6])
    """
    total = foreign.sum()
    return torch.zeros_like(foreign).long() if total == 0 else (foreign / total * size).round().long()
