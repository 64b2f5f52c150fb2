"""Recipes whose idea acts after training."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from metabalance.adjust import ScaledLinear, shift_logits, tau_normalize
from metabalance.counts import class_priors
from metabalance.heads import last_linear, replace_head
from metabalance.recipes.base import Plan, class_factor, single_phase
from metabalance.recipes.moving import head_phase
from metabalance.streams import Task

__all__ = ["crt", "lws", "posthoc_logit_adjustment", "tau_norm", "thresholding"]

# Kang et al. train 90 epochs, then the head for 10 (its scales for 5).
TRUNK = 0.9


def tau_norm(task: Task, tau: float = 1.0) -> Plan:
    """τ-normalisation: plain training, then class vectors are brought towards one length (Kang et al. 2020)."""
    _check_tau(tau)

    def finish(model: nn.Module) -> None:
        tau_normalize(model, tau)

    plan = single_phase(task)
    # No exact prior is known afterwards: lengths stand in for class sizes, so tau takes out that part of the prior.
    left = _power(plan.scores_prior, 1 - min(max(tau, 0.0), 1.0))
    return _finished(plan, finish, left)


def crt(task: Task, freeze_bn: bool = True) -> Plan:
    """Classifier re-training: plain training, then a fresh head on balanced batches (Kang et al. 2020).

    Args:
        task: The training part.
        freeze_bn: Whether batch norm's statistics are frozen with the trunk; the authors' code lets them drift.
    """

    def prepare(model: nn.Module) -> None:
        last_linear(model).reset_parameters()

    def then(_: nn.Module) -> Plan:
        return head_phase(task, "class_balanced", 1 - TRUNK, freeze_bn, prepare)

    return single_phase(task, share=TRUNK, then=then)


def lws(task: Task, lr_scale: float = 1.0, freeze_bn: bool = True) -> Plan:
    """Learnable weight scaling: plain training, then one scale per class on balanced batches (Kang et al. 2020).

    Args:
        task: The training part.
        lr_scale: Of the second phase, published as 1 for SGD at 0.2. An adaptive optimiser moves a scale, of size 1,
            by no more than its rate per step: at one made for weights it hardly leaves the start, so try 10.
        freeze_bn: Whether batch norm's statistics are frozen with the trunk; the authors' code lets them drift.
    """

    def prepare(model: nn.Module) -> None:
        replace_head(model, ScaledLinear(last_linear(model)))

    def finish(model: nn.Module) -> None:
        head = last_linear(model)
        if isinstance(head, ScaledLinear):
            replace_head(model, head.merged())

    def then(_: nn.Module) -> Plan:
        return head_phase(task, "class_balanced", 1 - TRUNK, freeze_bn, prepare, finish, lr_scale=lr_scale)

    return single_phase(task, share=TRUNK, then=then)


def thresholding(task: Task, sampling: str = "natural", prior: str = "train_original") -> Plan:
    """Thresholding: training on any sampling, then scores are divided by class shares (Buda et al. 2018).

    Args:
        task: The training part.
        sampling: ``natural``, ``random_over`` or ``random_under``.
        prior: Whose shares: ``train_original``, those before any sampling, as published (which over-corrects a
            network trained on balanced samples), or ``effective``, those of the sampling.

    Raises:
        ValueError: Another ``sampling`` or ``prior``.
    """
    if sampling not in ("natural", "random_over", "random_under"):
        raise ValueError(f"sampling={sampling!r} is unknown; use 'natural', 'random_over' or 'random_under'")
    if prior not in ("train_original", "effective"):
        raise ValueError(f"prior={prior!r} is unknown; use 'train_original' or 'effective'")
    plan = single_phase(task, sampling)
    sampled = class_priors(plan.scores_prior / class_factor(task).clamp_min(1e-300))
    return _divided(plan, task.prior if prior == "train_original" else sampled, 1.0)


def posthoc_logit_adjustment(task: Task, tau: float = 1.0) -> Plan:
    """Post-hoc logit adjustment: plain training, then tau log priors leave the scores (Menon et al. 2021)."""
    _check_tau(tau)
    return _divided(single_phase(task), task.prior, tau)


def _divided(plan: Plan, divisor: Tensor, tau: float) -> Plan:
    """The plan whose network ends with its scores divided by the divisor ``(C,)`` to the power of tau."""
    floor = torch.where(divisor > 0, divisor, divisor[divisor > 0].min())

    def finish(model: nn.Module) -> None:
        shift_logits(model, -tau * floor.log())

    return _finished(plan, finish, class_priors(plan.scores_prior * _power(floor, -tau)))


def _finished(plan: Plan, finish: Callable[[nn.Module], None], prior: Tensor) -> Plan:
    return replace(plan, finish=finish, finished_prior=class_priors(prior))


def _check_tau(tau: float) -> None:
    # Here already, not only when the network is changed: that is after training.
    if not math.isfinite(tau):
        raise ValueError(f"tau must be a finite number, but {tau} was given")


def _power(prior: Tensor, exponent: float) -> Tensor:
    """Shares to a power; a class of share 0 keeps it."""
    return torch.where(prior > 0, prior.clamp_min(1e-300) ** exponent, torch.zeros_like(prior))
