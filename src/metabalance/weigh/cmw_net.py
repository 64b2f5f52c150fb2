r"""CMW-Net: a weight network that also knows how large the example's class is.

Shu, Yuan, Meng & Xu, "CMW-Net: Learning a Class-Aware Sample Weighting Mapping for Robust Deep Learning",
IEEE Transactions on Pattern Analysis and Machine Intelligence 2023, arXiv 2202.05613.
:class:`~metabalance.weigh.LearnedWeights` trains it, with ``normalize="detached_sum"`` and, under imbalance,
after four fifths of the epochs: :data:`PUBLISHED`.

Departures of the authors' code from a usable form: their families come from a K-means whose numbering changes
from run to run, so that a saved head may serve another family; their imbalance scripts do not run as
released. Here families are ordered by class size and found exactly.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metabalance.counts import class_priors

__all__ = ["PUBLISHED", "ClassAwareWeightNet", "class_families"]

PUBLISHED: dict[str, Any] = {
    "optimizer": partial(torch.optim.Adam, lr=1e-4, weight_decay=1e-5, amsgrad=True),
    "normalize": "detached_sum",
}


def class_families(counts: Any, num_families: int = 3, log_counts: bool = False) -> Tensor:
    """Families of classes of similar size ``(C,)``, numbered from the smallest classes on.

    K-means on the class sizes, solved exactly: on a line, the best clusters are intervals. There are no more
    families than different sizes. A class without examples joins the smallest.

    Args:
        counts: Class sizes ``(C,)``.
        num_families: The most families.
        log_counts: Cluster the logarithms of the sizes: on the sizes themselves, as published, one family
            often holds all but the largest few classes.

    Raises:
        ValueError: Impossible counts, or fewer than one family.

    >>> class_families([5000, 400, 300, 20, 10]).tolist()
    [2, 1, 1, 0, 0]
    """
    class_priors(counts)  # refuses impossible counts
    if num_families < 1:
        raise ValueError(f"num_families must be at least 1, but {num_families} was given")
    n = np.asarray(torch.as_tensor(counts, dtype=torch.float64).reshape(-1))
    present = n > 0
    sizes, members, repeats = np.unique(n[present], return_inverse=True, return_counts=True)
    values = np.log(sizes) if log_counts else sizes
    family = torch.zeros(len(n), dtype=torch.long)
    family[torch.from_numpy(present)] = torch.from_numpy(
        _intervals(values, repeats, min(num_families, len(sizes)))[members.reshape(-1)]
    )
    return family


def _intervals(values: np.ndarray, repeats: np.ndarray, k: int) -> np.ndarray:
    """Numbers ``(m,)`` of the k intervals of sorted values with the least sum of squares within."""
    values = values - values.mean()  # sums of squares of large sizes would cancel
    w, s, q = (
        np.concatenate([[0.0], np.cumsum(repeats * power)]) for power in (values**0, values, values**2)
    )
    # within[i, j]: values i .. j-1 as one interval
    weight = np.maximum(w[None, :] - w[:, None], 1)
    within = (q[None, :] - q[:, None]) - (s[None, :] - s[:, None]) ** 2 / weight
    within[np.tril_indices(len(w))] = np.inf
    best, starts = within[0], []
    for _ in range(k - 1):
        total = best[:, None] + within
        starts.append(total.argmin(0))
        best = total.min(0)
    number, end = np.zeros(len(values), dtype=np.int64), len(values)
    for family, start in zip(range(k - 1, 0, -1), reversed(starts)):
        number[start[end] : end] = family
        end = start[end]
    return number


class ClassAwareWeightNet(nn.Module):
    r"""Weights :math:`v_i = \sigma(a_f^\top \mathrm{ReLU}(w \ell_i + b) + d_f)` in (0, 1), with a head for each
    family :math:`f` of classes of similar size.

    One family is Meta-Weight-Net.

    Args:
        counts: Class sizes ``(C,)``.
        num_families, log_counts: See :func:`class_families`.
        hidden: Width of the one hidden layer.

    Shape:
        losses ``(B,)``, target ``(B,)`` -> ``(B,)``. A soft target ``(B, C)`` gets the mean over its classes.

    >>> net = ClassAwareWeightNet([100, 10, 9])
    >>> net.family.tolist(), net(torch.ones(2), torch.tensor([0, 2])).shape
    ([2, 1, 0], torch.Size([2]))
    """

    family: Tensor

    def __init__(
        self, counts: Any, num_families: int = 3, hidden: int = 100, log_counts: bool = False
    ) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, but {hidden} was given")
        family = class_families(counts, num_families, log_counts)
        self.hidden = nn.Linear(1, hidden)
        self.output = nn.Linear(hidden, int(family.max()) + 1)
        self.register_buffer("family", family)

    def forward(self, losses: Tensor, target: Tensor, **_: Any) -> Tensor:
        each = self.output(self.hidden(losses[:, None]).relu()).sigmoid()
        if target.is_floating_point():
            return (each[:, self.family] * target).sum(1)
        return each.gather(1, self.family[target][:, None])[:, 0]
