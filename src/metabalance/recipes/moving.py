"""Recipes whose idea is how the parameters move."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from metabalance.adjust import freeze_trunk
from metabalance.counts import class_priors, class_weights
from metabalance.data.augment import default_augment
from metabalance.data.batches import BatchLoader
from metabalance.data.cycle import Cycle
from metabalance.data.transformed import Transformed
from metabalance.engine import Objective, plain_step
from metabalance.loss import ClassSmoothingLoss, FocalLoss, LDAMLoss, LogitAdjustedLoss
from metabalance.optimize import (
    SAM,
    AdversarialStep,
    AsymmetricSAM,
    DeferredReweighting,
    DeferredSampler,
    PGDAttack,
)
from metabalance.ranks import share
from metabalance.recipes.base import Plan, class_factor, single_phase, steps_per_epoch
from metabalance.recipes.costing import cosine_head, smoothed_prior
from metabalance.represent import SeparationLoss
from metabalance.sample import ClassBalancedSampler, ShuffleSampler
from metabalance.streams import Task, stream

# What LDAM's cosines are multiplied by.
LDAM_SCALE = 30.0

__all__ = ["adversarial", "asam", "drs", "drw", "sam", "sam_a", "simplified", "srat", "two_phase"]


def sam(task: Task, rho: float = 0.05) -> Plan:
    """Sharpness-aware minimisation: the gradient at the worst point within rho (Foret et al. 2021)."""
    return single_phase(task, step=SAM(rho))


def asam(task: Task, rho: float = 0.5, eta: float = 0.01) -> Plan:
    """Adaptive SAM: a neighbourhood that is measured relative to each weight (Kwon et al. 2021)."""
    return single_phase(task, step=SAM(rho, adaptive=True, eta=eta))


def sam_a(task: Task, rho: float = 0.05, mode: str = "reweight_ascent") -> Plan:
    """Asymmetric SAM: the worst point is sought for the rare classes above all (Shwartz-Ziv et al. 2023)."""
    return single_phase(task, step=AsymmetricSAM(task.counts, rho, mode))


def drw(task: Task, loss: str = "cross_entropy", start: float = 0.8, beta: float = 0.9999) -> Plan:
    """Deferred re-weighting: class weights by effective number, in the last part of training (Cao et al. 2019).

    Args:
        task: The training part.
        loss: ``cross_entropy``, ``ldam`` (LDAM-DRW, the paper's own), ``focal`` or ``logit_adjustment``.
        start: The part of the epochs that is over when the weights are switched on; the paper's 160 of 200.
        beta: Of the effective number.

    Raises:
        ValueError: An unknown loss, or a start outside ``[0, 1)``.
    """
    weighted, prior, slots = _deferred(task, loss, start, beta)
    return single_phase(task, loss=weighted, prior=prior, **slots)


def drs(task: Task, start: float = 0.8) -> Plan:
    """Deferred re-sampling: class-balanced batches, in the last part of training (Cao et al. 2019)."""
    sampler = DeferredSampler(
        ShuffleSampler(task.target, seed=task.seed),
        ClassBalancedSampler(task.target, seed=task.seed),
        _first_epoch(task, start),
    )
    balanced, prior, _ = stream(task, "class_balanced")
    plain: Any = balanced.loader if isinstance(balanced, Transformed) else balanced
    own = BatchLoader(plain.tensors, share(task.batch_size), sampler)
    loader = own if task.augment is None else Transformed(own, task.augment, task.seed)
    return Plan(
        loader=Cycle(loader, steps_per_epoch(task)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        training_prior=prior,
        parts=(sampler,),
        select_from=start,
    )


def two_phase(task: Task, first: str = "random_over", freeze_bn: bool = True) -> Plan:
    """Two-phase training: the network on re-sampled data, then its last layer on all data (Buda et al. 2018).

    Args:
        task: The training part.
        first: ``random_over`` or ``random_under``.
        freeze_bn: Whether batch norm keeps its statistics of the first phase; the paper's networks have none.

    Raises:
        ValueError: Another ``first``.
    """
    if first not in ("random_over", "random_under"):
        raise ValueError(f"first={first!r} is unknown; use 'random_over' or 'random_under'")
    # The paper's second phase has the first one's settings, its number of steps too, and a tenth of its rate. Cut
    # short, it leaves the scores between the priors of the two phases; the one named is where it leads.
    return single_phase(
        task, first, share=0.5, then=lambda _: head_phase(task, "natural", 0.5, freeze_bn, lr_scale=0.1)
    )


def adversarial(
    task: Task, eps: float | None = None, steps: int = 10, norm: str = "linf", step_size: float | None = None
) -> Plan:
    """Adversarial training: every batch is attacked before the step (Madry et al. 2018).

    Args:
        task: The training part.
        eps: Radius of the attack; by default 8/255 on images and 0.1 on tables, in standard deviations.
        steps: Of the attack.
        norm: ``linf`` or ``l2``.
        step_size: Of the attack; by default 2.5 eps / steps.
    """
    # Calibrated on attacked rows; on rows as they come the prior is the natural one only approximately.
    return single_phase(task, step=AdversarialStep(_attack(task, eps, steps, norm, step_size)))


def srat(
    task: Task,
    loss: str = "cross_entropy",
    coefficient: float = 0.35,
    temperature: float = 0.1,
    start: float = 0.8,
    beta: float = 0.9999,
    eps: float | None = None,
    steps: int = 10,
) -> Plan:
    """SRAT: adversarial training with deferred class weights and classes driven apart (Wang et al. 2021).

    After the paper's description, for there is no code. UNCONFIRMED: the separation term's form, ``coefficient`` and
    ``temperature``, and when the weights come on.

    Args:
        task: The training part.
        loss: ``cross_entropy``, ``ldam`` or ``focal``, as in the paper's three variants, or ``logit_adjustment``.
        coefficient: Of :class:`~metabalance.represent.SeparationLoss`.
        temperature: Of the same.
        start: The part of the epochs that is over when the weights are switched on.
        beta: Of the effective number.
        eps: Radius of the attack; by default 8/255 on images and 0.1 on tables, in standard deviations.
        steps: Of the attack, each of 2.5 eps / steps.
    """
    weighted, prior, slots = _deferred(task, loss, start, beta)
    # Penalties see all rows of a batch alike, and the attack knows no weights: a positive factor on a row's loss does
    # not turn its gradient.
    separation = [(SeparationLoss(temperature), coefficient)]
    step = AdversarialStep(_attack(task, eps, steps, "linf", None))
    return single_phase(task, loss=weighted, prior=prior, penalties=separation, step=step, **slots)


def simplified(
    task: Task,
    batch_size: int | None = None,
    smoothing: float = 0.1,
    tail_smoothing: float | None = None,
    rho: float = 0.05,
    augment: bool = True,
) -> Plan:
    """Ordinary training, tuned: small batches, augmentation, label smoothing, SAM-A (Shwartz-Ziv et al. 2023).

    The paper's thesis is the tuning; the amounts here are starting points of ours.

    Args:
        task: The training part.
        batch_size: By default the task's. An epoch stays one natural pass, so that smaller batches are more steps.
        smoothing: Of the labels of the largest class.
        tail_smoothing: Of the smallest; by default the same. The paper smooths rare classes more.
        rho: Radius of SAM-A; 0 for plain steps.
        augment: Whether batches are augmented, if the task does not do it itself.

    Raises:
        ValueError: Smoothing outside ``[0, 1)``.
    """
    tail = smoothing if tail_smoothing is None else tail_smoothing
    loss = ClassSmoothingLoss(task.counts, smoothing, tail, reduction="none")
    if augment and task.augment is None:
        task = replace(task, augment=default_augment(task))
    loader, _, notes = stream(task, "natural", batch_size=batch_size)
    return Plan(
        loader=Cycle(loader, steps_per_epoch(task, batch_size)),
        objective=Objective(loss),
        training_prior=smoothed_prior(task, loss.epsilon, loss.received),
        step=AsymmetricSAM(task.counts, rho) if rho else plain_step,
        notes=notes,
    )


def head_phase(
    task: Task,
    balancing: str,
    share: float,
    freeze_bn: bool,
    prepare: Callable[[nn.Module], None] | None = None,
    finish: Callable[[nn.Module], None] | None = None,
    **slots: Any,
) -> Plan:
    """A last phase in which the trunk is frozen; ``prepare`` and ``finish`` change the head before and after."""
    undo: list[Callable[[], None]] = []

    def freeze(model: nn.Module) -> None:
        undo.append(freeze_trunk(model, freeze_bn))
        if prepare is not None:
            prepare(model)

    def release(model: nn.Module) -> None:
        if finish is not None:
            finish(model)
        undo.pop()()

    return single_phase(task, balancing, share=share, prepare=freeze, finish=release, **slots)


def _deferred(
    task: Task, loss: str, start: float, beta: float
) -> tuple[DeferredReweighting, torch.Tensor, dict[str, Any]]:
    """A named loss with deferred weights, the prior it ends at, and what else its plan needs."""
    inner, prior = _named_loss(task, loss)
    weighted = DeferredReweighting(inner, task.counts, _first_epoch(task, start), beta, reduction="none")
    after = class_priors(prior * class_weights(task.counts, "effective", beta=beta))
    head = partial(cosine_head, scale=LDAM_SCALE) if loss == "ldam" else None
    return weighted, after, {"parts": (weighted,), "select_from": start, "prepare": head}


def _named_loss(task: Task, name: str) -> tuple[nn.Module, torch.Tensor]:
    """A loss by name, and the prior that natural training with it is calibrated to."""
    natural = class_priors(task.prior * class_factor(task))
    if name == "cross_entropy":
        return nn.CrossEntropyLoss(reduction="none"), natural
    if name == "ldam":
        # The head multiplies its cosines by the scale, and the loss its margins: see the recipe ldam.
        loss = LDAMLoss(task.counts, max_margin=0.5 * LDAM_SCALE, scale=1.0, reduction="none")
        return loss, natural
    if name == "focal":
        return FocalLoss(reduction="none"), natural
    if name == "logit_adjustment":
        present = (task.prior > 0).double() * class_factor(task)
        return LogitAdjustedLoss(task.counts, reduction="none"), class_priors(present)
    raise ValueError(f"loss={name!r} is unknown; use 'cross_entropy', 'ldam', 'focal' or 'logit_adjustment'")


def _first_epoch(task: Task, start: float) -> int:
    if not 0 <= start < 1:
        raise ValueError(f"start must be at least 0 and below 1, a part of training, but {start} was given")
    return int(start * task.epochs)


def _attack(task: Task, eps: float | None, steps: int, norm: str, step_size: float | None) -> PGDAttack:
    if eps is None:
        eps = 8 / 255 if task.images else 0.1
    return PGDAttack(eps, step_size, steps, norm=norm, clip=(0.0, 1.0) if task.images else None)
