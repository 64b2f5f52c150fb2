"""Sharpness-aware minimisation: step by the gradient at the worst point nearby, so that minima come out flat.

Foret, Kleiner, Mobahi & Neyshabur, ICLR 2021, arXiv 2010.01412. Adaptive form: Kwon, Kim, Park & Choi, "ASAM",
ICML 2021, arXiv 2102.11600, whose authors' code leaves biases out of the adaptation; here all parameters are
treated alike. Foret et al. take the ascent on each accelerator alone; under DDP this step averages it over ranks.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.bilevel import Objective, batch_norm_statistics, looking_ahead

__all__ = ["SAM", "perturbation", "perturbed"]


class SAM:
    r"""Step of :math:`\nabla L(w + \epsilon)`, with :math:`\epsilon = \rho\, T^2 g / \lVert T g \rVert`.

    :math:`g = \nabla L(w)`; :math:`T = 1` for SAM, so that :math:`\lVert\epsilon\rVert = \rho`, and
    :math:`T = |w| + \eta` for ASAM, whose radius does not change when layers are rescaled. Norms run over all
    parameters together. ``rho=0`` is a plain step, bit for bit. Batch norm's running statistics are those of the
    first pass alone. Each step costs two passes and a copy of the weights.

    Args:
        rho: Radius, at least 0. ASAM wants about ten times as much as SAM.
        adaptive: ASAM.
        eta: Added to :math:`|w|`; the authors of ASAM use 0.01.

    Raises:
        ValueError: ``rho`` or ``eta`` is negative or not finite.

    >>> w = nn.Linear(2, 1, bias=False)
    >>> _ = w.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> half_square = lambda model, batch: model.weight.square().sum() / 2  # its gradient is w: g/|g| = (.6, .8)
    >>> loss = SAM(rho=0.5)(w, None, half_square, torch.optim.SGD(w.parameters(), lr=1.0))
    >>> loss, w.weight  # w - (w + 0.5 (.6, .8))
    (tensor(12.5000), Parameter containing:
    tensor([[-0.3000, -0.4000]], requires_grad=True))
    """

    needs = frozenset({"own_step", "moves"})

    def __init__(self, rho: float = 0.05, adaptive: bool = False, eta: float = 0.0) -> None:
        check_radius(rho=rho, eta=eta)
        self.rho = rho
        self.adaptive = adaptive
        self.eta = eta

    def __call__(self, model: nn.Module, batch: Any, objective: Objective, optimizer: Any) -> Tensor:
        """Updates the optimizer's parameters; returns the loss at w ``()``, detached."""
        optimizer.zero_grad()
        loss = objective(model, batch)
        loss.backward()
        held = [p for group in optimizer.param_groups for p in group["params"]]
        with (
            perturbed(held, self.rho, self.adaptive, self.eta),
            batch_norm_statistics(model, update=False),
        ):
            objective(model, batch).backward()
        optimizer.step()
        return loss.detach()


@contextmanager
def perturbed(
    params: Iterable[Tensor], rho: float | Tensor = 0.05, adaptive: bool = False, eta: float = 0.0
) -> Iterator[None]:
    """Inside the block the parameters stand at the worst point nearby; afterwards at w, to the bit.

    For a loop of your own, between two backward passes. The gradients, which say where the worst point lies, are
    cleared on entry.

    >>> model, x = nn.Linear(1, 1, bias=False), torch.ones(1, 1)
    >>> _ = nn.init.ones_(model.weight)
    >>> model(x).square().sum().backward()
    >>> with perturbed(model.parameters(), rho=0.5):
    ...     print(model.weight.item())
    ...     model(x).square().sum().backward()
    1.5
    >>> model.weight.item(), model.weight.grad.item()
    (1.0, 3.0)
    """
    moved = [p for p in params if p.grad is not None]
    epsilon = perturbation(moved, [p.grad for p in moved if p.grad is not None], rho, adaptive, eta)
    for p in moved:
        p.grad = None
    with looking_ahead(moved, list(epsilon), lr=-1.0):
        yield


@torch.no_grad()
def perturbation(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    rho: float | Tensor,
    adaptive: bool = False,
    eta: float = 0.0,
) -> list[Tensor]:
    """The way to the worst point nearby, a tensor for each parameter; see :class:`SAM`.

    >>> perturbation([torch.zeros(2)], [torch.tensor([3.0, 4.0])], rho=0.5)
    [tensor([0.3000, 0.4000])]
    """
    if not grads:
        return []
    slopes = list(grads)
    if adaptive:
        scales = [p.abs() + eta for p in params]
        slopes = [t * g for t, g in zip(scales, slopes)]
    norm = global_norm(slopes)
    # No small constant in the denominator: the radius would be missed when gradients are small.
    factor = torch.where(norm > 0, rho / norm, torch.zeros_like(norm))
    if adaptive:
        slopes = [t * s for t, s in zip(scales, slopes)]
    return [s * factor.to(s) for s in slopes]


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm ``()`` over all entries of all tensors, in single precision at least.

    >>> global_norm([torch.tensor([3.0]), torch.tensor([[4.0]])])
    tensor(5.)
    """
    device = tensors[0].device
    norms = [
        torch.linalg.vector_norm(t, dtype=torch.promote_types(t.dtype, torch.float32)).to(device)
        for t in tensors
    ]
    return torch.linalg.vector_norm(torch.stack(norms))


def check_radius(**values: float) -> None:
    """Raises ValueError unless every value is finite and not negative."""
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and not negative, but {value} was given")
