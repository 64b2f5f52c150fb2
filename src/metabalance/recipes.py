"""Recipes: which published parts fill which slots of the engine.

A recipe is one short function ``(task, **options) -> Plan``. It sees the training part alone, and it names
the class prior that its raw scores are calibrated to, so that probabilities can be moved back to the
source prior afterwards. ``RECIPES`` is built from this module's functions: defining one registers it.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metabalance.counts import class_priors, class_weights
from metabalance.data.cycle import Cycle
from metabalance.engine import Objective, plain_step
from metabalance.loss import (
    BalancedSoftmaxLoss,
    ClassBalancedLoss,
    FocalLoss,
    LogitAdjustedLoss,
    WeightedCrossEntropy,
)
from metabalance.optimize import PRESETS, MetaBalanceStep, Preset, hold_out_meta_set
from metabalance.sample import RESAMPLERS
from metabalance.streams import STREAMS, Task, stream

__all__ = ["RECIPES", "Plan", "Task", "get_recipe", "recipe_options", "stream"]

# A table of a few hundred rows is one batch: an epoch is then this many steps, not one.
MIN_STEPS_PER_EPOCH = 10


@dataclass(frozen=True)
class Plan:
    """What fills the engine's slots for one training run.

    Args:
        loader: Batches of the main stream.
        objective: ``(model, batch) -> loss ()``.
        training_prior: The class prior ``(C,)`` the raw scores are calibrated to.
        step: ``(model, batch, objective, optimizer) -> loss ()``.
        parts: What the engine's ``update`` event reaches.
        optimizer: A published optimiser in place of the estimator's, ``(parameters) -> Optimizer``.
        scheduler: ``(optimizer, epochs) -> scheduler``, stepped per epoch.
        epochs: A published number of epochs in place of the estimator's.
        notes: What the user should know (a neighbour count that had to be reduced, say).
    """

    loader: Any
    objective: Callable
    training_prior: Tensor
    step: Callable = plain_step
    parts: Sequence[Any] = ()
    optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer] | None = None
    scheduler: Callable[[torch.optim.Optimizer, int], Any] | None = None
    epochs: int | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


def steps_per_epoch(task: Task, batch_size: int | None = None) -> int:
    """Batches between two validations: those of one natural pass, the same for every recipe."""
    return max(MIN_STEPS_PER_EPOCH, -(-len(task.target) // (batch_size or task.batch_size)))


def _plan(task: Task, balancing: str, loss: nn.Module | None = None, prior: Tensor | None = None) -> Plan:
    loader, stream_prior, notes = stream(task, balancing)
    return Plan(
        loader=Cycle(loader, steps_per_epoch(task)),
        objective=Objective(loss if loss is not None else nn.CrossEntropyLoss(reduction="none")),
        training_prior=stream_prior if prior is None else prior,
        notes=notes,
    )


# ---------------------------------------------------------------------------------------------- recipes


def erm(task: Task) -> Plan:
    """Empirical risk minimisation: cross-entropy on the rows as they come, the untouched baseline."""
    return _plan(task, "natural")


def class_weight(task: Task, weight: Any = "balanced", beta: float = 0.9999) -> Plan:
    """Cross-entropy with class weights: ``balanced``, ``sqrt``, ``effective`` or one number per class."""
    weights = class_weights(task.counts, weight, beta=beta)
    loss = WeightedCrossEntropy(weights, reduction="none")
    return _plan(task, "natural", loss, class_priors(task.prior * weights * _factor(task)))


def oversample(task: Task) -> Plan:
    """Random over-sampling of every class to the size of the largest."""
    return _plan(task, "random_over")


def undersample(task: Task) -> Plan:
    """Random under-sampling of every class to the size of the smallest, a fresh subset at each pass."""
    return _plan(task, "random_under")


def balanced_batches(task: Task) -> Plan:
    """Batches with equal class shares, by strict rotation over the classes."""
    return _plan(task, "class_balanced")


def square_root(task: Task) -> Plan:
    """Square-root sampling: a class is drawn in proportion to the root of its size (Kang et al. 2020)."""
    return _plan(task, "square_root")


def focal(task: Task, gamma: float = 2.0) -> Plan:
    """Focal loss: easy examples count less (Lin et al. 2017)."""
    return _plan(task, "natural", FocalLoss(gamma=gamma, reduction="none"))


def class_balanced(task: Task, beta: float = 0.9999, gamma: float = 0.0) -> Plan:
    """Class-balanced loss: weights by the effective number of samples (Cui et al. 2019)."""
    loss = ClassBalancedLoss(task.counts, beta=beta, gamma=gamma, reduction="none")
    weights = class_weights(task.counts, "effective", beta=beta)
    return _plan(task, "natural", loss, class_priors(task.prior * weights * _factor(task)))


def logit_adjustment(task: Task, tau: float = 1.0) -> Plan:
    """Logit-adjusted loss: the log prior is added to the logits in training (Menon et al. 2021)."""
    left = torch.where(task.prior > 0, task.prior.clamp_min(1e-300) ** (1 - tau), 0.0)
    loss = LogitAdjustedLoss(task.counts, tau=tau, reduction="none")
    return _plan(task, "natural", loss, class_priors(left * _factor(task)))


def balanced_softmax(task: Task) -> Plan:
    """Balanced softmax: the same function as logit adjustment with tau 1 (Ren et al. 2020)."""
    loss = BalancedSoftmaxLoss(task.counts, reduction="none")
    return _plan(task, "natural", loss, class_priors((task.prior > 0).double() * _factor(task)))


def metabalance(
    task: Task,
    inner: str = "natural",
    outer: str = "class_balanced",
    inner_lr: float = 0.01,
    order: int = 1,
    accumulate: int = 1,
    leak: float = 0.0,
    meta_set: float | None = None,
    preset: str | None = None,
) -> Plan:
    """MetaBalance: a look-ahead on one balancing of the data is judged on another (Bansal et al. 2021).

    Args:
        inner: The stream of the look-ahead (any of ``STREAMS``).
        outer: The stream that judges it.
        inner_lr: Step size of the look-ahead, the paper's eta.
        order: 1, the published behaviour, or 2, the exact hypergradient.
        accumulate: Look-aheads averaged per update, the paper's M.
        leak: Coefficient of the inner loss at the base weights.
        meta_set: Holds out this multiple of the rarest class's size from *every* class, and judges on these
            rows alone (the paper's variant with a separate meta set); ``outer`` then plays no part.
        preset: ``credit_card``, ``loan_default`` or ``cifar``: the paper's own streams, settings, optimiser and
            epochs. Of the other options only ``order`` and ``meta_set`` go with it.

    Raises:
        ValueError: An unknown stream or preset, or an option that the preset sets itself.
    """
    settings: dict[str, Any] = {
        "inner": inner,
        "outer": outer,
        "inner_lr": inner_lr,
        "accumulate": accumulate,
        "leak": leak,
    }
    batch_in = batch_out = task.batch_size
    published: dict[str, Any] = {}
    if preset is not None:
        p = _tabular_preset(preset)
        defaults = recipe_options("metabalance")
        both = [name for name, value in settings.items() if value != defaults[name]]
        if both:
            raise ValueError(f"the preset {preset!r} sets {both[0]} itself; leave one of the two out")
        settings = {name: getattr(p, name) for name in settings}
        batch_in, batch_out = p.inner_batch, p.outer_batch
        published = {"epochs": p.epochs, "optimizer": _optimizer(p)}
        if p.schedule.startswith("cosine"):
            published["scheduler"] = torch.optim.lr_scheduler.CosineAnnealingLR
    inner, outer = settings.pop("inner"), settings.pop("outer")
    judged = task
    if meta_set is not None:
        rest, meta = hold_out_meta_set(task.target, meta_set, seed=task.seed)
        task, judged = _rows(task, rest), _rows(task, meta)
        outer = "natural"
    # Different seeds: the two streams must not draw the same rows side by side.
    inner_loader, _, inner_notes = stream(task, inner, batch_size=batch_in, seed=2 * task.seed)
    outer_loader, prior, outer_notes = stream(judged, outer, batch_size=batch_out, seed=2 * task.seed + 1)
    # The prior is the outer stream's: a leak pulls towards the inner one, the look-ahead pushes away from it,
    # and what is left of the two is for the calibration on held-out rows.
    return Plan(
        loader=Cycle(outer_loader, steps_per_epoch(task, batch_out)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        training_prior=prior,
        step=MetaBalanceStep(inner_loader=inner_loader, order=order, **settings),
        notes=tuple(dict.fromkeys(inner_notes + outer_notes)),
        **published,
    )


def _tabular_preset(name: str) -> Preset:
    tabular = [key for key, preset in PRESETS.items() if preset.inner in STREAMS and preset.outer in STREAMS]
    if name not in tabular:
        raise ValueError(f"the preset {name!r} is unknown for tables; use one of {', '.join(tabular)}")
    return PRESETS[name]


def _optimizer(preset: Preset) -> Callable[[Iterable[Tensor]], torch.optim.Optimizer]:
    settings = {name: getattr(preset, name) for name in ("lr", "momentum", "nesterov", "weight_decay")}
    return partial(torch.optim.SGD, **settings)


def _rows(task: Task, index: np.ndarray) -> Task:
    rows = torch.from_numpy(index)
    weight = None if task.weight is None else task.weight[rows]
    return replace(task, inputs=task.inputs[rows], target=task.target[rows], weight=weight)


def _factor(task: Task) -> Tensor:
    return (
        torch.ones(task.num_classes, dtype=torch.float64) if task.class_weight is None else task.class_weight
    )


def _resampling_recipe(strategy: str) -> Callable[[Task], Plan]:
    def recipe(task: Task) -> Plan:
        return _plan(task, strategy)

    recipe.__name__ = strategy
    recipe.__doc__ = f"Cross-entropy after imbalanced-learn's {strategy} on the training part."
    return recipe


RECIPES: dict[str, Callable[..., Plan]] = {
    function.__name__: function
    for function in (
        erm,
        class_weight,
        oversample,
        undersample,
        balanced_batches,
        square_root,
        focal,
        class_balanced,
        logit_adjustment,
        balanced_softmax,
        metabalance,
    )
} | {
    name: _resampling_recipe(name)
    for name in RESAMPLERS
    if name not in ("simple", "random_over", "random_under")  # are erm, oversample and undersample above
}


def get_recipe(name: str) -> Callable[..., Plan]:
    """The recipe of that name.

    Raises:
        ValueError: No such recipe; the nearest names are given.
    """
    if name not in RECIPES:
        from metabalance.methods import nearest

        near = nearest(name, RECIPES)
        hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(RECIPES)}"
        raise ValueError(f"the recipe {name!r} is unknown; {hint}")
    return RECIPES[name]


def recipe_options(name: str) -> dict[str, Any]:
    """The options of a recipe and their defaults."""
    parameters = list(inspect.signature(get_recipe(name)).parameters.values())[1:]
    return {p.name: p.default for p in parameters}
