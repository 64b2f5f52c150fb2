"""Asymmetric sharpness-aware minimisation (SAM-A): rare classes say which way is up, the plain loss which way is down.

Shwartz-Ziv, Goldblum, Li, Bruss & Wilson, "Simplifying Neural Network Training Under Class Imbalance", NeurIPS
2023, arXiv 2312.02517. The authors' code weighs the ascent direction and leaves the radius alone
(``mode="reweight_ascent"``); the paper's words, a larger ascent step for minority classes, also allow
``mode="per_class_radius"``, which is our reading and UNCONFIRMED. Their command-line path to the method does not
run as published.
"""

from typing import Any

import torch
from torch import Tensor, nn

from metabalance.bilevel import Objective, batch_norm_statistics
from metabalance.optimize.sam import check_radius, global_norm, perturbed

__all__ = ["AsymmetricSAM"]

MODES = ("reweight_ascent", "per_class_radius")


class AsymmetricSAM:
    r"""Step of :math:`\nabla L(w + \epsilon)`, with :math:`\epsilon = \rho\, g_a / \lVert g_a \rVert`.

    :math:`g_a` is the gradient of the loss in which an example of class c weighs :math:`a_c = n_{max}/n_c`. Equal
    counts, or a batch of one class, give SAM. With ``per_class_radius``,
    :math:`\epsilon = \rho\, g_a / \lVert \nabla L \rVert` instead: in a batch of class c alone the radius is
    :math:`\rho\, a_c`. That takes three passes instead of two.

    Args:
        counts: Training counts ``(C,)``; a class without examples is treated like the rarest that has some.
        rho: Radius, at least 0; 0 is a plain step.
        mode: ``"reweight_ascent"`` or ``"per_class_radius"``.

    The objective must heed the weights of a batch ``(inputs, target, weight, ...)``, as
    :class:`metabalance.engine.Objective` does; penalties are not weighed. A soft target ``(B, C)`` weighs the mean
    of its classes' weights.

    Raises:
        ValueError: Impossible counts, a negative ``rho`` or an unknown ``mode``.

    >>> AsymmetricSAM([90, 30, 10]).weight
    tensor([1., 3., 9.])
    """

    needs = frozenset({"own_step", "moves"})

    def __init__(self, counts: Any, rho: float = 0.05, mode: str = "reweight_ascent") -> None:
        check_radius(rho=rho)
        if mode not in MODES:
            raise ValueError(f"mode={mode!r} is unknown; use {' or '.join(map(repr, MODES))}")
        self.weight = ascent_weights(counts)
        # Of average 1 over the training set: penalties keep their share of the ascent. Not over the batch, whose
        # parts under DDP would then weigh differently.
        n = torch.as_tensor(counts, dtype=torch.float64).reshape(-1)
        self._average_one = self.weight * float(n.sum() / (n * self.weight).sum())
        self.rho = rho
        self.mode = mode

    def __call__(self, model: nn.Module, batch: Any, objective: Objective, optimizer: Any) -> Tensor:
        """Updates the optimizer's parameters; returns the plain loss at ``w + epsilon`` ``()``, detached."""
        held = [p for group in optimizer.param_groups for p in group["params"]]
        radius: float | Tensor = self.rho
        per_class = self.mode == "per_class_radius"
        if per_class:
            optimizer.zero_grad()
            with batch_norm_statistics(model, update=False):
                objective(model, batch).backward()
            plain = global_norm([p.grad for p in held if p.grad is not None])
        optimizer.zero_grad()
        objective(model, weighed(batch, self.weight if per_class else self._average_one)).backward()
        if per_class:
            steep = global_norm([p.grad for p in held if p.grad is not None])
            radius = torch.where(plain > 0, self.rho * steep / plain, torch.zeros_like(plain))
        with perturbed(held, radius), batch_norm_statistics(model, update=False):
            loss = objective(model, batch)
            loss.backward()
        optimizer.step()
        return loss.detach()


def ascent_weights(counts: Any) -> Tensor:
    """:math:`n_{max}/n_c` for each class ``(C,)``; see :class:`AsymmetricSAM`."""
    n = torch.as_tensor(counts, dtype=torch.float64).reshape(-1)
    if not len(n) or not bool(torch.isfinite(n).all()) or bool((n < 0).any()) or float(n.sum()) <= 0:
        raise ValueError(
            f"class counts must be finite, not negative and not all 0, but {n.tolist()} were given"
        )
    n = torch.where(n > 0, n, n[n > 0].min())
    return (n.max() / n).to(torch.get_default_dtype())


def weighed(batch: Any, class_weight: Tensor) -> tuple:
    """The batch with each row's weight times that of its class.

    >>> weighed((torch.zeros(2, 1), torch.tensor([0, 1])), torch.tensor([1.0, 3.0]))[2]
    tensor([1., 3.])
    """
    inputs, target, *rest = batch
    w = class_weight.to(target.device)
    factor = w[target] if target.dim() == 1 else target @ w.to(target.dtype)
    weight = rest[0] * factor if rest and rest[0] is not None else factor
    return (inputs, target, weight, *rest[1:])
