"""What the processes of ``torch.distributed`` do together, so that they are one process with all rows.

Every function is the identity, or the plain sum or mean, where there is no other process. Rows are dealt to the
processes in turn (:class:`metabalance.sample.IndexSampler`), so that row i of process r is row ``i * W + r`` of all.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = [
    "alone",
    "average_norms",
    "average_over_ranks",
    "mean",
    "own",
    "rank",
    "share",
    "spread",
    "together",
    "total",
    "world_size",
]


def world_size() -> int:
    """The number of processes; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def alone() -> bool:
    """Whether there is no other process of ``torch.distributed``."""
    return world_size() == 1


def share(batch_size: int) -> int:
    """This process's rows of a batch of ``batch_size`` rows in all, rounded up.

    >>> share(256)
    256
    """
    return -(-batch_size // world_size())


def average_over_ranks(grads: list[Tensor | None], params: Sequence[Tensor]) -> list[Tensor | None]:
    """Means over the processes of ``torch.distributed``, in one all-reduce; without it, ``grads`` themselves.

    A parameter that no rank's loss reached keeps None: zeros would let weight decay and momentum move it.
    """
    if alone() or not len(params):
        return grads
    reached = torch.tensor([float(g is not None) for g in grads], device=params[0].device)
    parts = [(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in zip(grads, params)]
    flat = torch.cat([reached, *parts])  # mixed precisions are promoted, and cast back below
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    sizes = [len(grads), *(p.numel() for p in params)]
    seen, *means = flat.split(sizes)
    return [m.view_as(p).to(p.dtype) if s else None for m, p, s in zip(means, params, seen.tolist())]


def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes; gradients flow to all of them, of any order.

    >>> mean(torch.tensor(2.0))
    tensor(2.)
    """
    return value if alone() else _Mean.apply(value)


def total(value: Tensor) -> Tensor:
    """The sum of a tensor over the processes, as a constant: counts, say."""
    if alone():
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def together(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The rows of all processes ``(W * B, ...)``, in the order that one process would have them in.

    Gradients flow back to the process that each row came from, summed over the processes: a loss of all rows, the
    same in every process, then has the gradient of one process once DDP has taken the mean. Every process must
    have as many rows; two views stacked on one another stay so.

    >>> together(torch.ones(2))
    (tensor([1., 1.]),)
    """
    return tensors if alone() else tuple(_Rows.apply(tensor) for tensor in tensors)


def own(rows: Tensor) -> Tensor:
    """This process's rows ``(B, ...)`` of those of all processes, as :func:`together` orders them."""
    return rows if alone() else rows[rank() :: world_size()]


@torch.no_grad()
def spread(*modules: nn.Module) -> None:
    """Gives every process the parameters and buffers that process 0 has, in place."""
    if alone():
        return
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.detach(), 0)


@torch.no_grad()
def average_norms(model: nn.Module) -> None:
    """Batch norm's running statistics become their means over the processes, which each saw rows of its own."""
    layers = [] if alone() else [m for m in model.modules() if isinstance(m, _BatchNorm)]
    for layer in layers:
        for statistic in (layer.running_mean, layer.running_var):
            if statistic is not None:
                statistic.copy_(total(statistic) / world_size())


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return total(value) / world_size()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Mean.apply(grad)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        # gloo knows no half precision everywhere
        sent = rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows
        parts = [torch.empty_like(sent) for _ in range(world_size())]
        dist.all_gather(parts, sent.contiguous())
        return torch.stack(parts, 1).flatten(0, 1).to(rows.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return own(total(grad))
