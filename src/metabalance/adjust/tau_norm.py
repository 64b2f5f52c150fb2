r"""τ-normalisation: a trained classifier's weight vectors are brought towards one length, so that none wins by size.

Kang, Xie, Rohrbach, Yan, Gordo, Feng & Kalantidis, "Decoupling Representation and Classifier for Long-Tailed
Recognition", ICLR 2020, arXiv 1910.09217. The authors' script tries its values of tau on the test set unless told
otherwise.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from metabalance.heads import last_linear

__all__ = ["choose_tau", "tau_normalize"]


@torch.no_grad()
def tau_normalize(model: nn.Module, tau: float = 1.0) -> nn.Module:
    r"""Replaces each row by :math:`w_c / \lVert w_c \rVert^\tau` and the bias by 0, in the last ``nn.Linear``.

    ``tau=0`` leaves the directions and lengths alone (the bias is dropped all the same), ``tau=1`` makes all
    lengths 1. A row of zeros stays so.

    Args:
        model: A network, or the layer itself; changed in place.
        tau: The paper tries 0 to 2 on held-out data, see :func:`choose_tau`.

    Returns:
        The model.

    Raises:
        ValueError: ``tau`` is not finite, or there is no ``nn.Linear``.

    >>> linear = nn.Linear(2, 1)
    >>> _ = linear.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> tau_normalize(linear, tau=1.0).weight, linear.bias.item()
    (Parameter containing:
    tensor([[0.6000, 0.8000]], requires_grad=True), 0.0)
    """
    linear = model if isinstance(model, nn.Linear) else last_linear(model)
    linear.weight.copy_(normalized(linear.weight, tau))
    if linear.bias is not None:
        # Not None: the network keeps its names, and a state saved before still fits.
        linear.bias.zero_()
    return model


@torch.no_grad()
def choose_tau(
    linear: nn.Linear,
    features: Tensor,
    target: Tensor,
    grid: Iterable[float] = tuple(i / 10 for i in range(21)),
) -> float:
    """The tau of highest balanced accuracy on held-out features ``(N, D)`` and classes ``(N,)``; of equals the smallest.

    >>> linear = nn.Linear(1, 2, bias=False)  # both rows point the same way: the longer one always wins
    >>> _ = linear.weight.data.copy_(torch.tensor([[3.0], [1.0]]))
    >>> choose_tau(linear, torch.tensor([[1.0], [-1.0]]), torch.tensor([1, 0]))
    1.1
    """
    present = target.unique()
    best, chosen = -1.0, math.nan
    for tau in grid:
        label = (features @ normalized(linear.weight, tau).T).argmax(1)
        value = float(torch.stack([(label[target == c] == c).double().mean() for c in present]).mean())
        if value > best:
            best, chosen = value, float(tau)
    return chosen


def normalized(weight: Tensor, tau: float) -> Tensor:
    """Rows ``(C, D)`` divided by their lengths to the power of ``tau``."""
    if not math.isfinite(tau):
        raise ValueError(f"tau must be a finite number, but {tau} was given")
    norm = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return weight / torch.where(norm > 0, norm**tau, torch.ones_like(norm))
