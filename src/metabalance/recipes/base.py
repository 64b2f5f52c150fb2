"""What a recipe is: ``(task, **options) -> Plan``, the parts that fill the engine's slots, phase by phase.

A recipe sees the training part alone, and it names the class prior that its raw scores are calibrated to, so
that probabilities can be moved back to the source prior afterwards.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metabalance.counts import class_priors
from metabalance.data.cycle import Cycle
from metabalance.data.transformed import Transformed
from metabalance.engine import Objective, plain_step
from metabalance.readout import Readout
from metabalance.sample import IndexSampler
from metabalance.sample.mixup import shares
from metabalance.streams import Task, stream

# A table of a few hundred rows is one batch: an epoch is then this many steps, not one.
MIN_STEPS_PER_EPOCH = 10


@dataclass(frozen=True)
class Plan:
    """What fills the engine's slots for one training run, or for one of its phases.

    Args:
        loader: Batches of the main stream.
        objective: ``(model, batch) -> loss ()``. Parameters of its own (a projection, say) are trained too.
        training_prior: The class prior ``(C,)`` the raw scores are calibrated to; None for values.
        step: ``(model, batch, objective, optimizer) -> loss ()``.
        parts: What the engine's ``update`` event reaches.
        optimizer: A published optimiser in place of the estimator's, ``(parameters) -> Optimizer``.
        scheduler: ``(optimizer, epochs) -> scheduler``, stepped per epoch.
        epochs: A published number of epochs in place of the estimator's.
        notes: What the user should know (a neighbour count that had to be reduced, say).
        prepare: Changes the network in place before the phase (another head, frozen layers). The parameters to
            train are collected afterwards.
        share: This phase's part of the estimator's epochs; the shares of all phases sum to 1.
        lr_scale: Factor on the estimator's learning rate.
        select_from: The part of the phase's epochs before which no epoch is selected and patience does not count:
            a deferred remedy has to act before it is judged.
        validate: Whether epochs are selected on held-out rows; a pretext task has none.
        then: The next phase, made of the network trained so far.
        finish: Changes the network in place after the last phase (a normalised head, say).
        finished_prior: The class prior ``(C,)`` the raw scores are calibrated to after ``finish``, if it moves them.
        readout: How values are read off the network's columns; None for classes.
    """

    loader: Any
    objective: Callable
    training_prior: Tensor | None = None
    step: Callable = plain_step
    parts: Sequence[Any] = ()
    optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer] | None = None
    scheduler: Callable[[torch.optim.Optimizer, int], Any] | None = None
    epochs: int | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
    prepare: Callable[[nn.Module], None] | None = None
    share: float = 1.0
    lr_scale: float = 1.0
    select_from: float = 0.0
    validate: bool = True
    then: "Callable[[nn.Module], Plan] | None" = None
    finish: Callable[[nn.Module], None] | None = None
    finished_prior: Tensor | None = None
    readout: Readout | None = None

    @property
    def scores_prior(self) -> Tensor:
        """``training_prior`` of a plan for classes, which has one."""
        if self.training_prior is None:
            raise ValueError("a plan for values has no class prior")
        return self.training_prior


class Mixed(Transformed):
    """A loader whose examples are mixed in pairs, by labels ``(B, C)`` that carry their example's weight.

    What is mixed then weighs what its parts weigh, and batches are ``(inputs, target)``.

    Args:
        loader: Batches ``(inputs, target)`` or ``(inputs, target, weight)``.
        transform: Such as :class:`~metabalance.sample.Mixup`.
        task: Names the number of classes and the seed.
    """

    def __init__(self, loader: Any, transform: Callable, task: Task) -> None:
        # Another seed than the augmentation's, which counts the same batches.
        super().__init__(loader, transform, task.seed + 2**32)
        self.num_classes = task.num_classes

    def apply(self, batch: tuple[Tensor, ...], epoch: int, position: int) -> tuple[Tensor, ...]:
        inputs, target, *weight = batch
        label = shares(target, self.num_classes, inputs)
        return super().apply((inputs, label * weight[0][:, None] if weight else label), epoch, position)


def steps_per_epoch(task: Task, batch_size: int | None = None) -> int:
    """Batches between two validations: those of one natural pass, the same for every recipe."""
    return max(MIN_STEPS_PER_EPOCH, -(-task.size // (batch_size or task.batch_size)))


def single_phase(
    task: Task,
    balancing: str | IndexSampler = "natural",
    loss: nn.Module | None = None,
    prior: Tensor | None = None,
    *,
    penalties: Sequence[tuple[nn.Module, float]] = (),
    **slots: Any,
) -> Plan:
    """A plan of one stream and one loss, everything else as the engine has it.

    Args:
        task: The training part.
        balancing: The stream; see :func:`~metabalance.streams.stream`.
        loss: With ``reduction="none"``; by default cross-entropy.
        prior: The class prior ``(C,)`` the scores are calibrated to; by default the stream's.
        penalties: Pairs ``(module, coefficient)``.
        slots: Further fields of :class:`Plan`.
    """
    loader, stream_prior, notes = stream(task, balancing)
    return Plan(
        loader=Cycle(loader, steps_per_epoch(task)),
        objective=Objective(loss if loss is not None else nn.CrossEntropyLoss(reduction="none"), penalties),
        training_prior=stream_prior if prior is None else prior,
        notes=notes + slots.pop("notes", ()),
        **slots,
    )


def prior_after(task: Task, weights: Any) -> Tensor:
    """The prior ``(C,)`` that natural training is calibrated to when classes weigh ``weights`` ``(C,)`` more."""
    return class_priors(task.prior * torch.as_tensor(weights, dtype=torch.float64) * class_factor(task))


def task_rows(task: Task, index: np.ndarray) -> Task:
    """The task on some of its rows."""
    rows = torch.from_numpy(index)
    weight = None if task.weight is None else task.weight[rows]
    return replace(task, inputs=task.inputs[rows], target=task.target[rows], weight=weight)


def class_factor(task: Task) -> Tensor:
    """The user's weights per class ``(C,)``, float64; ones without any."""
    return (
        torch.ones(task.num_classes, dtype=torch.float64) if task.class_weight is None else task.class_weight
    )
