"""Recipes whose idea is where examples land."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn

from metabalance.counts import class_counts, class_priors
from metabalance.data.augment import Transform, TwoViews, default_augment
from metabalance.data.cycle import Cycle
from metabalance.engine import Objective, plain_step
from metabalance.heads import head_name, replace_head
from metabalance.loss import LogitAdjustedLoss
from metabalance.recipes.base import Plan, class_factor, single_phase, steps_per_epoch
from metabalance.represent import (
    BalancedSupConLoss,
    MoCoStep,
    NTXentLoss,
    Projected,
    Projector,
    RotationTransform,
    SupConLoss,
    VICRegLoss,
    pseudo_labels,
)
from metabalance.streams import Task, stream

__all__ = [
    "balanced_supcon",
    "joint_ssl",
    "moco_pretraining",
    "rotation_pretraining",
    "self_training",
    "supcon",
]

UNPROJECTED = "the features themselves are compared: no nn.Linear was found to size a projection for"


# ------------------------------------------------------------------------- penalties beside cross-entropy
# A penalty sees all rows of a batch alike: sample and class weights act on the cross-entropy only.


def supcon(
    task: Task, coefficient: float = 0.35, temperature: float = 0.07, views: bool | None = None
) -> Plan:
    """Cross-entropy plus the supervised contrastive loss on projected features (Khosla et al. 2020).

    The authors train on the contrastive loss first and fit a linear classifier afterwards; trained together
    with cross-entropy it takes the place that it has in Zhu et al. 2022, whose coefficient is the default.

    Args:
        coefficient: Of the contrastive loss.
        temperature: Of its softmax.
        views: Whether each batch holds two augmented views of each row; by default of images only, since
            cross-entropy sees the changed rows too.
    """
    task = _two_views(task) if (task.images if views is None else views) else task
    penalty, notes = _projected(task, SupConLoss(temperature), lambda width: (width, min(width, 128)))
    return single_phase(task, penalties=[(penalty, coefficient)], notes=notes)


def balanced_supcon(
    task: Task, coefficient: float = 0.35, temperature: float = 0.07, views: bool | None = None
) -> Plan:
    """Logit-adjusted cross-entropy plus the balanced contrastive loss with prototypes (Zhu et al. 2022).

    The authors classify with a cosine head, from a third view; here the two views do both.

    Args:
        coefficient: Of the contrastive loss.
        temperature: Of its softmax.
        views: Whether each batch holds two augmented views of each row; by default of images only, since
            cross-entropy sees the changed rows too.
    """
    task = _two_views(task) if (task.images if views is None else views) else task
    # The prototypes live in the projected space.
    loss = BalancedSupConLoss(task.num_classes, task.feature_dim, temperature)
    penalty, notes = _projected(task, loss, lambda width: (width, width))
    adjusted = LogitAdjustedLoss(task.counts, reduction="none")
    prior = class_priors((task.prior > 0).double() * class_factor(task))
    return single_phase(task, "natural", adjusted, prior, penalties=[(penalty, coefficient)], notes=notes)


def joint_ssl(task: Task, ssl: str = "vicreg", weight: float | None = None) -> Plan:
    """Cross-entropy and a self-supervised loss on two views, from the start (Shwartz-Ziv et al. 2023).

    Args:
        ssl: ``vicreg`` or ``simclr``. Which of them the paper took is unconfirmed.
        weight: Coefficient of the self-supervised loss; the paper's is unconfirmed. By default 0.04 for
            ``vicreg``, which undoes its leading coefficients of 25, and 0.25 for ``simclr``: both then start
            at about the size of cross-entropy.

    Raises:
        ValueError: Another ``ssl``.
    """
    task = _two_views(task)
    if ssl == "vicreg":  # The authors' expander is four times as wide as the features, in three layers.
        penalty, notes = _projected(task, VICRegLoss(), lambda width: (4 * width,) * 3, batch_norm=True)
    elif ssl == "simclr":
        penalty, notes = _projected(task, NTXentLoss(), lambda width: (width, min(width, 128)))
    else:
        raise ValueError(f"ssl={ssl!r} is unknown; use 'vicreg' or 'simclr'")
    coefficient = {"vicreg": 0.04, "simclr": 0.25}[ssl] if weight is None else weight
    return single_phase(task, penalties=[(penalty, coefficient)], notes=notes)


# ------------------------------------------------------------------- a pretext first, then any other recipe


def rotation_pretraining(task: Task, base: str = "erm", share: float = 0.5) -> Plan:
    """The network first learns to tell rotated images apart, then whatever ``base`` trains (Yang & Xu 2020).

    Only the head is made anew in between, and nothing is frozen.

    Args:
        base: Any recipe, for the second phase.
        share: The pretext's part of the epochs.

    Raises:
        ValueError: Inputs that are no square images, or a share outside (0, 1).
    """
    if not task.images:
        raise ValueError(
            "rotation_pretraining turns images by quarter turns, but the rows of a table cannot be turned; "
            "use moco_pretraining"
        )
    turned = RotationTransform() if task.augment is None else _Chain(task.augment, RotationTransform())
    return _pretraining(task, turned, lambda width: nn.Linear(width, 4), plain_step, base, share)


def moco_pretraining(
    task: Task,
    base: str = "erm",
    share: float = 0.5,
    dim: int = 128,
    queue_size: int | None = None,
    momentum: float = 0.99,
    temperature: float = 0.2,
) -> Plan:
    """Momentum contrast without labels, then whatever ``base`` trains (He et al. 2020, Yang & Xu 2020).

    Only the head is made anew in between, and nothing is frozen. Two views of a row of a table are two
    corruptions of it.

    Args:
        base: Any recipe, for the second phase.
        share: The pretext's part of the epochs.
        dim: Dimensions of the keys.
        queue_size: Keys remembered; by default half of the training rows, at most the published 65,536.
        momentum: Of the key encoder. The published 0.999 is for schedules of many thousand steps.
        temperature: Of the softmax over keys.

    Raises:
        ValueError: A share outside (0, 1), or a setting that :class:`~metabalance.represent.MoCoStep` refuses.
    """
    size = max(1, min(65_536, task.size // 2)) if queue_size is None else queue_size
    step = MoCoStep(size, momentum, temperature, seed=task.seed)
    views = TwoViews(task.augment or default_augment(task))
    return _pretraining(task, views, lambda width: Projector(width, (width, dim)), step, base, share)


# ------------------------------------------------------------------------------------------ unlabelled rows


def self_training(task: Task, omega: float = 1.0, threshold: float | None = None, base: str = "erm") -> Plan:
    """A first network labels the unlabelled rows, a second learns from all of them anew (Yang & Xu 2020).

    Without unlabelled rows, or with ``omega=0``, this is ``base``. Everything that ``base`` makes of class counts
    is made of labels and pseudo-labels together.

    Args:
        omega: Weight of a pseudo-labelled row beside a labelled one; the authors' code has 1.
        threshold: Least probability of a pseudo-label that is kept; the authors keep all.
        base: Any recipe, for both phases.

    Raises:
        ValueError: A negative ``omega``.
    """
    if not 0 <= omega < float("inf"):
        raise ValueError(f"omega must be a finite number, at least 0, but {omega} was given")
    first, unlabeled = _recipe(base)(task), task.unlabeled
    if unlabeled is None or not len(unlabeled) or omega == 0:
        note = f"self_training had no unlabelled rows to learn from: it is {base}"
        return replace(first, notes=(*first.notes, note))
    start: list[nn.Module] = []

    def remember(model: nn.Module) -> None:
        start[:] = [deepcopy(model)]

    def second(model: nn.Module, finish: Callable[[nn.Module], None] | None) -> Plan:
        labeler = model
        if finish is not None:
            labeler = deepcopy(model)
            finish(labeler)
        labels, kept = pseudo_labels(labeler, unlabeled, threshold=threshold)
        union = _union(task, unlabeled[kept], labels[kept], omega)
        plan = _shortened(_recipe(base)(union), 0.5)
        note = f"{int(kept.sum())} of {len(kept)} unlabelled rows were given a pseudo-label"
        return _prepared(replace(plan, notes=(*plan.notes, note)), lambda model: _restart(model, start[0]))

    return _prepared(_followed(_shortened(first, 0.5), second), remember)


def _union(task: Task, inputs: Tensor, labels: Tensor, omega: float) -> Task:
    """The task with pseudo-labelled rows, which weigh ``omega``; weights average 1 again."""
    target = torch.cat([task.target, labels.to(task.target)])
    weight, class_weight = None, task.class_weight
    if task.weight is not None or omega != 1:
        own = torch.ones(len(task.target), dtype=task.inputs.dtype) if task.weight is None else task.weight
        weight = torch.cat([own, own.new_full((len(labels),), omega)])
        weight = weight / weight.mean()
    if class_weight is not None:
        counts = class_counts(target, task.num_classes, weight)
        class_weight = class_weight * (counts.sum() / (counts * class_weight).sum())
    return replace(
        task,
        inputs=torch.cat([task.inputs, inputs.to(task.inputs)]),
        target=target,
        weight=weight,
        class_weight=class_weight,
        unlabeled=None,
    )


# ------------------------------------------------------------------------------------------------- helpers


def _two_views(task: Task) -> Task:
    return replace(task, augment=TwoViews(task.augment or default_augment(task)))


def _projected(
    task: Task, penalty: nn.Module, sizes: Callable[[int], tuple[int, ...]], batch_norm: bool = False
) -> tuple[nn.Module, tuple[str, ...]]:
    """The penalty behind a projection sized for the network's features, and notes."""
    width = task.feature_dim
    if width is None:
        return penalty, (UNPROJECTED,)
    return Projected(penalty, Projector(width, sizes(width), batch_norm)), ()


def _recipe(name: str) -> Callable[[Task], Plan]:
    from metabalance.recipes import get_recipe  # which lists this module

    return get_recipe(name)


def _pretraining(
    task: Task,
    transform: Transform,
    make_head: Callable[[int], nn.Module],
    step: Callable[..., Tensor],
    base: str,
    share: float,
) -> Plan:
    """A phase on the transform's own targets, then ``base`` on the same network with a head of its own."""
    if not 0 < share < 1:
        raise ValueError(f"share is the pretext's part of the epochs, between 0 and 1, but {share} was given")
    # Blind to labels: weights, which may depend on them, are left out too.
    blind = replace(task, weight=None, class_weight=None, augment=transform)
    loader, prior, _ = stream(blind, "natural")
    head = _PretextHead(make_head)

    def then(model: nn.Module) -> Plan:
        return _prepared(_shortened(_recipe(base)(task), 1 - share), head.restore)

    return Plan(
        loader=Cycle(loader, steps_per_epoch(task)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        training_prior=prior,  # of no consequence: nothing is predicted before the next phase
        step=step,
        prepare=head.install,
        share=share,
        validate=False,
        then=then,
    )


class _Chain:
    """One batch transform after another."""

    def __init__(self, *transforms: Transform) -> None:
        self.transforms = transforms

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        for transform in self.transforms:
            inputs, target = transform(inputs, target, generator)
        return inputs, target


class _PretextHead:
    """Puts another head in the classifier's place, and the classifier, which was never trained, back."""

    def __init__(self, make: Callable[[int], nn.Module]) -> None:
        self.make = make
        self.name = ""
        self.classifier = nn.Linear(1, 1)

    def install(self, model: nn.Module) -> None:
        self.name = head_name(model)
        head = self.make(model.get_submodule(self.name).in_features)  # type: ignore[arg-type]
        self.classifier = replace_head(model, head)
        head.to(self.classifier.weight)

    def restore(self, model: nn.Module) -> None:
        at = next(model.get_submodule(self.name).parameters())
        model.set_submodule(self.name, self.classifier.to(at))


def _prepared(plan: Plan, first: Callable[[nn.Module], None]) -> Plan:
    """The plan with one more preparation before its own."""

    def prepare(model: nn.Module) -> None:
        first(model)
        if plan.prepare is not None:
            plan.prepare(model)

    return replace(plan, prepare=prepare)


def _shortened(plan: Plan, factor: float) -> Plan:
    """The plan and all its phases on a part of the epochs."""
    then = plan.then
    return replace(
        plan,
        share=plan.share * factor,
        then=None if then is None else lambda model: _shortened(then(model), factor),
    )


def _followed(plan: Plan, last: Callable[[nn.Module, Callable[[nn.Module], None] | None], Plan]) -> Plan:
    """The plan with one more phase after all its own; that one is given the network and the old ``finish``."""
    then = plan.then
    if then is None:
        return replace(plan, finish=None, then=lambda model: last(model, plan.finish))
    return replace(plan, then=lambda model: _followed(then(model), last))


def _restart(model: nn.Module, start: nn.Module) -> None:
    """Gives the network back the layers and weights that it started with, in place."""
    parameter = next(model.parameters(), None)
    for name, child in deepcopy(start)._modules.items():
        setattr(model, name, child)  # layers, not weights alone: a phase may have exchanged the head
    model.load_state_dict(start.state_dict())
    if parameter is not None:
        model.to(parameter.device)
    for ours, first in zip(model.parameters(), start.parameters()):
        ours.requires_grad_(first.requires_grad)
