"""RankSim: a row's neighbours in features should be ranked as its neighbours in target values are.

Gong, Mori & Tung, "RankSim: Ranking Similarity Regularization for Deep Imbalanced Regression", ICML 2022, arXiv
2205.15236, with the gradient through ranks of Pogančić, Paulus, Musil, Martius & Rolinek, "Differentiation of Blackbox
Combinatorial Solvers", ICLR 2020. Equal values share their mean rank here; the authors' code breaks ties by an unstable
sort, so that targets on both sides at the same distance cost something even where the features are perfect.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.represent.base import at_least_float32, product
from metabalance.represent.values import check_values, distances

__all__ = ["RankSimLoss"]


class RankSimLoss(nn.Module):
    r"""The sum over rows i of the mean over rows j of
    :math:`[\mathrm{rk}(\sigma_i)_j - \mathrm{rk}(-|y_i - y_\cdot|)_j]^2`.

    :math:`\sigma` are the cosines of the features; ranks run from the largest entry and are divided by the number of
    rows m. Of rows with the same target one is drawn at random (from torch's global generator), the others get no
    gradient. As a sum it grows with m; so does the meaning of its coefficient.

    Args:
        interpolation: :math:`\lambda`, how far the ranks are looked ahead for a gradient:
            :math:`-[\mathrm{rk}(\sigma) - \mathrm{rk}(\sigma + \lambda g)]/\lambda`, with g the gradient at the ranks. Too
            small, and no two rows change places: then there is none.
        reduction: ``"sum"`` over rows, as published, or ``"mean"``.

    Shape:
        features ``(B, D)``, target ``(B,)`` or ``(B, T)`` (Euclidean distances) -> ``()``. Published coefficients: 100 for
        ages, 3e-4 for similarities.

    Raises:
        ValueError: Settings outside their limits; in the call, shapes that do not fit or targets that are not finite.

    >>> features = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> RankSimLoss()(features, torch.tensor([1.0, 2.0, 4.0]))  # in order, as the targets
    tensor(0.)
    """

    def __init__(self, interpolation: float = 2.0, reduction: str = "sum") -> None:
        super().__init__()
        if not 0 < interpolation < float("inf") or reduction not in ("sum", "mean"):
            raise ValueError(
                f"interpolation must be finite and above 0 and reduction 'sum' or 'mean', but {interpolation} and "
                f"{reduction!r} were given"
            )
        self.interpolation, self.reduction = interpolation, reduction

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        y = check_values(features, target)
        rows = one_of_each(y)
        z, y = F.normalize(at_least_float32(features)[rows], dim=1), y[rows]
        m = len(rows)
        wanted = ranks(-distances(y, y)).to(z.dtype) / m
        found = _Ranks.apply(product(z, z.T), self.interpolation)
        each = (found - wanted).square().mean(1)
        return each.sum() if self.reduction == "sum" else each.mean()


class _Ranks(torch.autograd.Function):
    """Ranks over their number, whose gradient is that of a line between here and a point further down."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, interpolation: float) -> Tensor:
        found = ranks(values) / values.shape[1]
        ctx.save_for_backward(values, found)
        ctx.interpolation = interpolation
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        values, found = ctx.saved_tensors
        moved = ranks(values + ctx.interpolation * grads[0]) / values.shape[1]
        return (moved - found) / (ctx.interpolation + 1e-8), None


def ranks(values: Tensor) -> Tensor:
    """Ranks ``(A, m)`` within each row, 1 for the largest; equal values share their mean rank.

    >>> ranks(torch.tensor([[0.3, 0.9, 0.3, 0.1]]))
    tensor([[2.5000, 1.0000, 2.5000, 4.0000]])
    """
    ordered, order = values.detach().sort(1)
    m = values.shape[1]
    place = torch.arange(m, device=values.device)
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    if bool(starts.all()):
        middle = place.to(values.dtype).expand_as(ordered)
    else:
        ends = starts.roll(-1, 1)
        first = torch.where(starts, place, 0).cummax(1).values
        last = torch.where(ends, place, m - 1).flip(1).cummin(1).values.flip(1)
        middle = (first + last).to(values.dtype) / 2
    return torch.empty_like(ordered).scatter_(1, order, m - middle)


def one_of_each(y: Tensor) -> Tensor:
    """Indices ``(m,)``, increasing, of one random row for each different row of ``y`` ``(B, T)``."""
    order = torch.randperm(len(y), device=y.device)
    kind = (y[:, 0] if y.shape[1] == 1 else y).unique(dim=0, return_inverse=True)[1]
    # The smallest place in a random order is a random row of its kind.
    first = torch.full((int(kind.max()) + 1 if len(y) else 0,), len(y), device=y.device)
    first = first.scatter_reduce(0, kind[order], torch.arange(len(y), device=y.device), "amin")
    return order[first].sort().values
