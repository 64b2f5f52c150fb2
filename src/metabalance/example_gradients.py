r"""How a loss after one look-ahead step depends on the weight of each example before it.

If the step's loss is a weighted sum of per-example losses, :math:`\theta' = \theta - \eta \sum_i c_i \nabla
\ell_i(\theta)`, then the outer loss tells each coefficient how it should have been:

.. math:: \partial L_{out}(\theta') / \partial c_i = -\eta\,\langle \nabla\ell_i(\theta), \nabla L_{out}(\theta')
    \rangle

(Ren, Zeng, Yang & Urtasun, ICML 2018, arXiv 1803.09050). All of these inner products are one directional
derivative of the vector of losses, which a forward pass with tangents gives without a second-order graph.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from metabalance import bilevel
from metabalance.bilevel import (
    Functional,
    Gradients,
    Objective,
    add,
    alone,
    average_over_ranks,
    batch_norm_statistics,
    gradient,
    trainable,
)
from metabalance.forward_mode import Recording, Replaying
from metabalance.ranks import mean

__all__ = ["WeightGradient", "alignments", "weight_gradient"]

Losses = Callable[[Any, Any], Tensor]


class WeightGradient(NamedTuple):
    """What :func:`weight_gradient` found.

    Attributes:
        grad: :math:`\\partial L_{out}(\\theta') / \\partial c_i`, ``(B,)``, detached.
        losses: The batch's losses at θ ``(B,)`` with their graph, for the step that follows.
        coefficients: Those of the look-ahead ``(B,)``, with their graph.
        outer_loss: The loss at θ' ``()``, detached.
    """

    grad: Tensor
    losses: Tensor
    coefficients: Tensor
    outer_loss: Tensor


def weight_gradient(
    model: nn.Module,
    losses: Losses,
    batch: Any,
    coefficients: Callable[[Tensor], Tensor] | None,
    outer_objective: Objective,
    outer: Any,
    *,
    inner_lr: float,
    mode: str = "auto",
) -> WeightGradient:
    r"""Gradient of :math:`L_{out}(\theta - \eta \sum_i c_i \nabla\ell_i(\theta))` with respect to every :math:`c_i`.

    Exact, and without a second-order graph: a forward and a backward pass for the look-ahead, one of each for
    the outer batch, one forward pass with tangents (:func:`alignments`). The weights of a network that makes
    the coefficients get theirs by ``(h.grad * h.coefficients).sum().backward()``.

    The forward pass at θ is an ordinary one: its graph is kept, for the real step on the same batch, and it
    alone updates batch norm's running statistics. Under ``torch.distributed`` the look-ahead and the outer
    gradient are averaged over the ranks, so that ranks together do what one process with all rows would.

    Args:
        model: An unwrapped module (see :func:`unwrap`).
        losses: ``(model, batch) -> (B,)``.
        batch: The look-ahead's batch.
        coefficients: ``(losses (B,)) -> (B,)``, called once, with detached losses; None is zeros, where no
            look-ahead is needed.
        outer_objective: ``(model, batch) -> loss ()``.
        outer: The batch that judges.
        inner_lr: η.
        mode: See :func:`alignments`; ``"auto"`` also takes ``"double"`` for a model so small that the
            interpreter is the cost.

    Raises:
        FloatingPointError: A loss is not finite.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(model.weight)
    >>> half_squares = lambda model, goal: (model(torch.ones(len(goal), 1))[:, 0] - goal).square() / 2
    >>> h = weight_gradient(
    ...     model,
    ...     half_squares,
    ...     torch.tensor([1.0, -1.0]),  # gradients at 0: -1 and 1
    ...     lambda losses: torch.tensor([0.5, 0.0]),  # θ' = 0.5 η
    ...     lambda model, goal: half_squares(model, goal).mean(),
    ...     torch.tensor([2.0]),  # at θ' = 0.25 its gradient is -1.75
    ...     inner_lr=0.5,
    ... )
    >>> h.grad  # -η times the products of the gradients: the first example should weigh more
    tensor([-0.8750,  0.8750])
    """
    named = trainable(model)
    theta = list(named.values())
    _check_mode(mode)
    # Where the interpreter is the cost, a third forward pass costs more than a graph of the backward pass.
    small = mode == "auto" and sum(p.numel() for p in theta) <= bilevel.SMALL
    double = mode == "double" or small
    then = None if double else _random_state(theta)
    with nullcontext() if double else Recording() as recording:
        each = losses(model, batch)
    random = None if then is None or all(map(torch.equal, then, _random_state(theta))) else then
    slope: Gradients = [None] * len(theta)
    c, start = torch.zeros_like(each, requires_grad=False), None
    if coefficients is not None:
        c = coefficients(each.detach())
        start = c.detach().to(each.dtype, copy=True).requires_grad_(double)
        slope = _backward(each, theta, start)
    # With all rows in one process and a graph of the look-ahead, autograd goes through all of it at once.
    whole = double and start is not None and alone()
    if whole:
        ahead = add(list(theta), slope, -inner_lr)
    else:
        moved = average_over_ranks([None if g is None else g.detach() for g in slope], theta)
        with torch.no_grad():
            ahead = add(list(theta), moved, -inner_lr)
        ahead = [cast(Tensor, p).detach().requires_grad_() for p in ahead]
    with _buffers_kept(model) as buffers:
        there: Any = Functional(model, dict(zip(named, cast(list[Tensor], ahead))) | buffers)
        outer_loss = outer_objective(there, outer)
    if not math.isfinite(mean(each.detach().sum() + outer_loss.detach()).item()):  # of all processes, or none
        raise FloatingPointError(
            f"the look-ahead gave losses with the sum {each.sum().item()} and an outer loss of "
            f"{outer_loss.item()}; the weights were left as they were. Check the inputs for NaN, or lower the "
            "learning rate or inner_lr"
        )
    if whole:
        assert start is not None
        grad = torch.autograd.grad(outer_loss, start, retain_graph=True, allow_unused=True)[0]
        grad = torch.zeros_like(c, requires_grad=False) if grad is None else grad
        return WeightGradient(grad, each, c, outer_loss.detach())
    direction = average_over_ranks(gradient(outer_loss, cast(list[Tensor], ahead)), theta)
    if double and start is not None:
        products = _along(slope, start, direction)
    else:
        way = "double" if double else mode
        products = _alignments(model, losses, batch, direction, way, each, random, recording)
    return WeightGradient(-inner_lr * products, each, c, outer_loss.detach())


def alignments(
    model: nn.Module, losses: Losses, batch: Any, direction: Gradients, *, mode: str = "auto"
) -> Tensor:
    r"""Inner products :math:`\langle \nabla\ell_i(\theta), v \rangle` ``(B,)`` of all rows, in one forward pass.

    Exact also where rows are coupled, as by batch norm: then :math:`\ell_i` depends on the whole batch, and
    so does its gradient. Parameters and buffers stay as they are.

    Args:
        model: An unwrapped module.
        losses: ``(model, batch) -> (B,)``.
        batch: Whatever ``losses`` takes.
        direction: v, in the order of :func:`trainable`; None counts as zero.
        mode: ``"forward"``, a forward pass with tangents; ``"double"``, by differentiating a backward pass,
            dearer in all but small models; ``"auto"``, the second only where an operation has no forward-mode rule.

    Raises:
        NotImplementedError: ``mode="forward"``, and an operation has no forward-mode rule.
        ValueError: An unknown mode.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> rows = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    >>> alignments(model, lambda model, x: model(x)[:, 0], rows, [torch.tensor([[1.0, 0.5]])])
    tensor([2.0000, 2.5000])
    """
    _check_mode(mode)
    return _alignments(model, losses, batch, direction, mode)


def _alignments(
    model: nn.Module,
    losses: Losses,
    batch: Any,
    direction: Gradients,
    mode: str,
    each: Tensor | None = None,
    random: list[Tensor] | None = None,
    recording: Recording | None = None,
) -> Tensor:
    """As :func:`alignments`; with the losses' graph, how they were made, and from which random state."""
    named = trainable(model)
    theta = list(named.values())
    if mode != "double":
        try:
            with _random_replayed(random, theta), _buffers_kept(model) as buffers:
                return _forward_mode(model, losses, batch, named, direction, buffers, recording)
        except NotImplementedError:
            if mode == "forward":
                raise
    if each is None:
        with torch.enable_grad(), _buffers_kept(model) as buffers:
            each = losses(Functional(model, named | buffers), batch)
    start = torch.zeros_like(each, requires_grad=True)
    return _along(_backward(each, theta, start), start, direction)


def _backward(each: Tensor, theta: Sequence[Tensor], start: Tensor) -> Gradients:
    """Gradients of ``start @ each``, with a graph if ``start`` asks for one; that of ``each`` is kept."""
    grads = torch.autograd.grad(
        each, theta, start, create_graph=start.requires_grad, retain_graph=True, allow_unused=True
    )
    return list(grads)


def _along(slope: Gradients, start: Tensor, direction: Gradients) -> Tensor:
    """J v ``(B,)`` from the backward pass :math:`u \\mapsto J^\\top u`: it is linear in what it started from."""
    pairs = [(g, v) for g, v in zip(slope, direction) if g is not None and v is not None]
    if not pairs:
        return torch.zeros_like(start, requires_grad=False)
    slopes, vectors = zip(*pairs)
    return torch.autograd.grad(slopes, start, vectors, retain_graph=True)[0]


def _check_mode(mode: str) -> None:
    if mode not in ("auto", "forward", "double"):
        raise ValueError(f"mode={mode!r} is unknown; use 'auto', 'forward' or 'double'")


def _forward_mode(
    model: nn.Module,
    losses: Losses,
    batch: Any,
    named: dict,
    direction: Gradients,
    buffers: dict,
    recording: Recording | None,
) -> Tensor:
    # Fused attention has no forward-mode rule; its plain form has.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
        dual = {
            name: p.detach() if v is None else forward_ad.make_dual(p.detach(), v.detach().to(p.dtype))
            for (name, p), v in zip(named.items(), direction)
        }
        with nullcontext() if recording is None else Replaying(recording):
            value, tangent = forward_ad.unpack_dual(losses(Functional(model, dual | buffers), batch))
        return torch.zeros_like(value) if tangent is None else tangent.clone()


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Inside, batch norm leaves its statistics alone; copies of all other buffers, to be changed instead."""
    own = {id(b) for m in model.modules() if isinstance(m, _BatchNorm) for b in m.buffers()}
    with batch_norm_statistics(model, update=False):
        yield {name: b.clone() for name, b in model.named_buffers() if id(b) not in own}


def _random_state(params: Sequence[Tensor]) -> list[Tensor]:
    cuda = params[0].device if params and params[0].is_cuda else None
    return [torch.get_rng_state(), *([] if cuda is None else [torch.cuda.get_rng_state(cuda)])]


@contextmanager
def _random_replayed(state: list[Tensor] | None, params: Sequence[Tensor]) -> Iterator[None]:
    """Inside, random numbers are drawn as they were from ``state`` on; afterwards as if nothing had been."""
    if state is None:
        yield
        return
    now = _random_state(params)
    try:
        _set_random_state(state, params)
        yield
    finally:
        _set_random_state(now, params)


def _set_random_state(state: list[Tensor], params: Sequence[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1], params[0].device)
