r"""A forward pass with tangents that takes the values it needs from an ordinary pass before it.

A pass with tangents computes every layer's value anew: a third of its work, if an ordinary pass at the same
parameters and the same batch has just been made. :class:`Recording` keeps the results of convolutions, linear
layers and batch norms of that pass, :class:`Replaying` takes them up and adds the tangents alone:

- a bilinear layer :math:`y = x * w + b` has :math:`\dot y = \dot x * w + x * \dot w + \dot b`;
- batch norm's Jacobian is symmetric, :math:`J = \gamma / \sigma\,(I - 1 1^\top / n - \hat x \hat x^\top / n)`
  per channel, so that its backward kernel also maps tangents forward (float tensors on a CPU).

Everything else keeps PyTorch's own rule. Where the second pass does not call what the first one called, or a
kept result was changed in place since, the value is computed as usual.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.forward_ad import make_dual, unpack_dual
from torch.overrides import TorchFunctionMode

__all__ = ["Recording", "Replaying"]

_BILINEAR = (torch.conv1d, torch.conv2d, torch.conv3d, F.linear)


class _Kept:
    """A result, the version it had, and batch norm's statistics."""

    def __init__(self, func: Callable, value: Tensor, statistics: tuple[Tensor, ...] = ()) -> None:
        self.func = func
        self.value = value.detach()  # shares the version counter, and no graph
        self.version = value._version
        self.statistics = statistics

    def serves(self, func: Callable, like: Tensor) -> bool:
        value = self.value
        return self.func is func and value._version == self.version and value.device == like.device


class Recording(TorchFunctionMode):
    """Inside, an ordinary forward pass leaves the results of its dear layers in ``kept``."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[_Kept] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm and _fast(**(bound := _batch_norm(*args, **kwargs))):
            names = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
            value, *statistics = torch.native_batch_norm(*(bound[name] for name in names))
            self.kept.append(_Kept(func, value, tuple(s.detach() for s in statistics)))
            return value
        value = func(*args, **kwargs)
        if func in _BILINEAR:
            self.kept.append(_Kept(func, value))
        return value


class Replaying(TorchFunctionMode):
    """Inside ``forward_ad.dual_level``, a pass on dual tensors that uses what a :class:`Recording` kept.

    >>> from torch.autograd import forward_ad
    >>> layer, x, v = torch.nn.Linear(2, 1, bias=False), torch.ones(1, 2), torch.tensor([[0.5, 1.0]])
    >>> with Recording() as recording:
    ...     _ = layer(x)
    >>> with forward_ad.dual_level(), torch.no_grad(), Replaying(recording):
    ...     y = torch.func.functional_call(layer, {"weight": make_dual(layer.weight.detach(), v)}, (x,))
    ...     print(unpack_dual(y).tangent)
    tensor([[1.5000]])
    """

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self.kept = iter(recording.kept)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _BILINEAR:
            return self._bilinear(func, *args, **kwargs)
        if func is F.batch_norm and _fast(**(bound := _batch_norm(*args, **kwargs))):
            kept = next(self.kept, None)
            if kept is not None and kept.serves(func, bound["input"]):
                return _normalized(kept, bound)
        return func(*args, **kwargs)

    def _bilinear(
        self, func: Any, input: Tensor, weight: Tensor, bias: Any = None, *rest: Any, **more: Any
    ) -> Any:
        kept = next(self.kept, None)
        if kept is None or not kept.serves(func, input):
            return func(input, weight, bias, *rest, **more)
        (x, dx), (w, dw) = unpack_dual(input), unpack_dual(weight)
        db = None if bias is None else unpack_dual(bias).tangent
        parts = [func(dx, w, None, *rest, **more)] if dx is not None else []
        if dw is not None:
            parts.append(func(x, dw, db, *rest, **more))
            db = None
        tangent = None
        for part in parts:
            tangent = part if tangent is None else tangent.add_(part)
        if db is not None:
            shape = (-1,) if func is F.linear else (-1, *[1] * (weight.dim() - 2))
            db = db.view(shape).to(kept.value.dtype)
            tangent = db.expand_as(kept.value).clone() if tangent is None else tangent.add_(db)
        return kept.value if tangent is None else make_dual(kept.value, tangent)


def _batch_norm(
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> dict[str, Any]:
    """The arguments of ``F.batch_norm`` by name."""
    return locals()


def _fast(input: Tensor, weight: Any, bias: Any, training: bool, **_: Any) -> bool:
    """Whether the batch is normalised by its own statistics, affinely, in one precision, on a CPU."""
    affine = weight is not None and bias is not None
    several = input.dim() > 1 and input.numel() > input.shape[1]  # else torch's own error
    return training and affine and several and input.is_cpu and input.dtype == weight.dtype


def _normalized(kept: _Kept, bound: dict[str, Any]) -> Tensor:
    (x, dx), (w, dw), (_, db) = (unpack_dual(bound[name]) for name in ("input", "weight", "bias"))
    mean, inverse_std = kept.statistics
    shape = (-1, *[1] * (x.dim() - 2))
    if dx is None:
        tangent = torch.zeros_like(kept.value)
    else:
        tangent = torch.ops.aten.native_batch_norm_backward(
            dx, x, w, None, None, mean, inverse_std, True, bound["eps"], [True, False, False]
        )[0]
    if dw is not None:
        slope = dw * inverse_std
        tangent.addcmul_(x, slope.view(shape)).sub_((slope * mean).view(shape))
    if db is not None:
        tangent.add_(db.view(shape))
    return make_dual(kept.value, tangent)
