"""Adversarial training: every batch is replaced by its worst neighbours before the step.

Madry, Makelov, Schmidt, Tsipras & Vladu, "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
2018, arXiv 1706.06083.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.bilevel import Objective, unwrap

__all__ = ["AdversarialStep", "PGDAttack"]

NORMS = ("linf", "l2")


class PGDAttack:
    r"""Projected gradient descent: the inputs of largest cross-entropy within a ball of radius ``eps``.

    From a random point of the ball, each step climbs by ``step_size`` along :math:`\mathrm{sign}\,\nabla_x`
    (``linf``) or :math:`\nabla_x / \lVert\nabla_x\rVert` (``l2``), then returns to the ball and to ``clip``. The
    model is in evaluation mode meanwhile, so that the rows of a batch do not depend on each other; every module's
    mode is put back, and no gradient is left on the parameters.

    Args:
        eps: Radius. 0, or ``steps=0``, gives the inputs themselves.
        step_size: Length of a step; by default ``2.5 * eps / steps``, enough to reach the border from any start.
        steps: How many.
        random_start: Start at a random point of the ball rather than at the inputs.
        norm: ``"linf"`` (each value within ``eps``) or ``"l2"`` (each row's Euclidean distance).
        clip: The range that values may have, ``(0, 1)`` for images, or None.

    The call is ``(model, inputs (B, ...), target (B,) or soft (B, C), generator=None) -> inputs``.

    Raises:
        ValueError: A setting outside its range; in the call, inputs that are not floats or lie outside ``clip``.

    >>> model = nn.Linear(2, 2, bias=False)  # logit 1 minus logit 0 is x0 - 2 x1
    >>> _ = model.weight.data.copy_(torch.tensor([[0.0, 0.0], [1.0, -2.0]]))
    >>> attack = PGDAttack(eps=0.1, step_size=0.1, steps=1, random_start=False)
    >>> attack(model, torch.zeros(1, 2), torch.tensor([1]))
    tensor([[-0.1000,  0.1000]])
    """

    def __init__(
        self,
        eps: float,
        step_size: float | None = None,
        steps: int = 10,
        random_start: bool = True,
        norm: str = "linf",
        clip: tuple[float, float] | None = None,
    ) -> None:
        if not 0 <= eps < float("inf"):
            raise ValueError(f"eps must be finite and not negative, but {eps} was given")
        if steps < 0:
            raise ValueError(f"steps must be at least 0, but {steps} was given")
        if step_size is not None and not 0 < step_size < float("inf"):
            raise ValueError(
                f"step_size must be above 0, or None to choose it by eps, but {step_size} was given"
            )
        if norm not in NORMS:
            raise ValueError(f"norm={norm!r} is unknown; use 'linf' or 'l2'")
        if clip is not None and not clip[0] < clip[1]:
            raise ValueError(f"clip is a range (low, high) or None, but {clip} was given")
        self.eps = eps
        self.step_size = 2.5 * eps / max(steps, 1) if step_size is None else step_size
        self.steps = steps
        self.random_start = random_start
        self.norm = norm
        self.clip = clip

    def __call__(
        self, model: nn.Module, inputs: Tensor, target: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The attacked inputs, detached; ``generator`` draws the start, by default torch's global one."""
        if not inputs.is_floating_point():
            raise ValueError(f"only real-valued inputs can be attacked, but these are {inputs.dtype}")
        if self.eps == 0 or self.steps == 0:
            return inputs
        if self.clip is not None:
            low, high = self.clip
            slack = 1e-3 * (high - low)  # augmentation that interpolates may round past the border
            if not low - slack <= float(inputs.min()) <= float(inputs.max()) <= high + slack:
                raise ValueError(f"the inputs leave clip={self.clip}; scale them to it, or set clip=None")
        # The bare module: DDP expects a backward pass over the parameters after each forward.
        model = unwrap(model)
        origin = inputs.detach()
        x = self._inside(origin + self._start(origin, generator), origin) if self.random_start else origin
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            with torch.enable_grad():
                for _ in range(self.steps):
                    x = x.clone().requires_grad_()
                    slope = torch.autograd.grad(F.cross_entropy(model(x), target, reduction="sum"), x)[0]
                    x = self._inside(x.detach() + self.step_size * self._direction(slope), origin)
        finally:
            for module, training in modes:
                module.training = training
        return x

    def _start(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if self.norm == "linf":
            noise = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=_device(generator, x)).to(
                x
            )
            return (2 * noise - 1) * self.eps
        device = _device(generator, x)
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=device).to(x)
        # Uniform in the ball: a radius of u^(1/d), for its volume grows with the d-th power.
        u = torch.rand(len(x), generator=generator, dtype=x.dtype, device=device).to(x)
        radius = self.eps * u ** (1 / x[0].numel())
        return noise * _rows(radius / _norms(noise), x)

    def _direction(self, slope: Tensor) -> Tensor:
        if self.norm == "linf":
            return slope.sign()
        return slope * _rows(1 / _norms(slope), slope)

    def _inside(self, x: Tensor, origin: Tensor) -> Tensor:
        delta = x - origin
        if self.norm == "linf":
            delta = delta.clamp(-self.eps, self.eps)
        else:
            delta = delta * _rows((self.eps / _norms(delta)).clamp_max(1), delta)
        x = origin + delta
        return x if self.clip is None else x.clamp(*self.clip)


class AdversarialStep:
    """A step on attacked inputs.

    Args:
        attack: ``(model, inputs, target) -> inputs``, see :class:`PGDAttack`.
        step: The step to take on them, ``(model, batch, objective, optimizer) -> loss ()``; by default a plain one.

    >>> model = nn.Linear(2, 2)
    >>> batch = torch.eye(2), torch.tensor([0, 1])
    >>> cross_entropy = lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with torch.no_grad():
    ...     before = cross_entropy(model, batch)
    >>> bool(AdversarialStep(PGDAttack(eps=0.5))(model, batch, cross_entropy, optimizer) > before)
    True
    """

    needs = frozenset({"own_step", "bare"})

    def __init__(self, attack: Callable[..., Tensor], step: Callable[..., Tensor] | None = None) -> None:
        self.attack = attack
        self.step = step

    def __call__(self, model: nn.Module, batch: Any, objective: Objective, optimizer: Any) -> Tensor:
        """Attacks, steps; returns the loss on the attacked inputs ``()``, detached."""
        inputs, target, *rest = batch
        attacked = (self.attack(model, inputs, target), target, *rest)
        if self.step is not None:
            return self.step(model, attacked, objective, optimizer)
        optimizer.zero_grad()
        loss = objective(model, attacked)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """The inner step's state; empty when it has none."""
        own = getattr(self.step, "state_dict", None)
        return {} if own is None else own()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hands the state to the inner step."""
        own = getattr(self.step, "load_state_dict", None)
        if own is not None:
            own(state)


def _norms(x: Tensor) -> Tensor:
    """Euclidean norms of the rows ``(B,)``; never 0, so that one can divide by them."""
    return x.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny)


def _rows(factor: Tensor, like: Tensor) -> Tensor:
    return factor.view(-1, *[1] * (like.dim() - 1))


def _device(generator: torch.Generator | None, x: Tensor) -> torch.device:
    return x.device if generator is None else generator.device
