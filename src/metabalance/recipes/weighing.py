"""Recipes whose idea is how much each example counts."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from metabalance.data.cycle import Cycle
from metabalance.engine import Objective
from metabalance.optimize import hold_out_meta_set
from metabalance.recipes.base import Plan, steps_per_epoch, task_rows
from metabalance.streams import Task, stream
from metabalance.weigh import ClassAwareWeightNet, LearnedWeights, LearningToReweight, MetaWeightNet
from metabalance.weigh import cmw_net as cmw
from metabalance.weigh import meta_weight_net as mwn

__all__ = ["cmw_net", "learning_to_reweight", "meta_weight_net"]


def learning_to_reweight(task: Task, meta_set: float | None = None) -> Plan:
    """Learning to Reweight: a row counts if a step on it would help balanced data (Ren et al. 2018).

    Args:
        task: The training part.
        meta_set: Holds out this multiple of the rarest class's size from *every* class to judge by. By default
            nothing is held out: each pass draws as many rows of every class as the rarest has.
    """

    def make(rest: Task, meta: Any) -> LearningToReweight:
        return LearningToReweight(meta)

    # Where no row's step would help balanced data any more, the scores are calibrated to balanced classes.
    return _judged(task, meta_set, make, balanced=True)


def meta_weight_net(
    task: Task,
    variant: str = "imbalance",
    hidden: int = 100,
    start: float = 0.0,
    meta_set: float | None = None,
) -> Plan:
    """Meta-Weight-Net: a small network reads the loss of a row and says how much it counts (Shu et al. 2019).

    Args:
        task: The training part.
        variant: ``imbalance`` or ``noise``, the two published settings of the weight network's training.
        hidden: Its width.
        start: The part of the epochs that are trained plainly before.
        meta_set: See :func:`learning_to_reweight`.

    Raises:
        ValueError: An unknown variant, or ``start`` outside 0 to 1.
    """
    if variant not in mwn.PUBLISHED:
        raise ValueError(f"variant={variant!r} is unknown; use one of {', '.join(mwn.PUBLISHED)}")

    def make(rest: Task, meta: Any) -> LearnedWeights:
        net = _seeded(task, lambda: MetaWeightNet(hidden))
        return LearnedWeights(net, meta, start_epoch=_epoch(task, start), **mwn.PUBLISHED[variant])

    return _judged(task, meta_set, make, start)


def cmw_net(
    task: Task,
    num_families: int = 3,
    hidden: int = 100,
    log_counts: bool = False,
    start: float = 0.8,
    meta_set: float | None = None,
) -> Plan:
    """CMW-Net: the weight network knows the size of the row's class too; it starts late (Shu et al. 2023).

    Args:
        task: The training part.
        num_families: Families of classes of similar size, each with a head of its own.
        hidden: Width of the weight network.
        log_counts: Families by the logarithms of the class sizes.
        start: The part of the epochs that are trained plainly before.
        meta_set: See :func:`learning_to_reweight`.

    Raises:
        ValueError: ``start`` outside 0 to 1.
    """

    def make(rest: Task, meta: Any) -> LearnedWeights:
        net = _seeded(task, lambda: ClassAwareWeightNet(rest.counts, num_families, hidden, log_counts))
        return LearnedWeights(net, meta, start_epoch=_epoch(task, start), **cmw.PUBLISHED)

    return _judged(task, meta_set, make, start)


def _judged(
    task: Task,
    meta_set: float | None,
    make: Callable[[Task, Any], Any],
    start: float = 0.0,
    balanced: bool = False,
) -> Plan:
    """Natural batches, a step that is judged on balanced ones."""
    rest = judged = task
    balancing = "random_under"  # of every class as many rows as the rarest has, drawn anew at each pass
    if meta_set is not None:
        train, meta = hold_out_meta_set(task.target, meta_set, seed=task.seed)
        rest, judged, balancing = task_rows(task, train), task_rows(task, meta), "natural"
    # Different seeds: the two streams must not draw the same rows side by side.
    loader, natural, notes = stream(rest, "natural", seed=2 * task.seed)
    meta_loader, even, more = stream(judged, balancing, seed=2 * task.seed + 1)
    step = make(rest, meta_loader)
    return Plan(
        loader=Cycle(loader, steps_per_epoch(task)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        # A weight network's class shares depend on how far it has learned; from the published settings it
        # hardly leaves the natural ones. The rest is for the calibration on held-out rows.
        training_prior=even if balanced else natural,
        step=step,
        parts=(step,) if isinstance(step, LearnedWeights) else (),
        select_from=start,
        notes=tuple(dict.fromkeys(notes + more)),
    )


def _epoch(task: Task, start: float) -> int:
    if not 0 <= start < 1:
        raise ValueError(f"start must lie from 0 to below 1, but {start} was given")
    return round(start * task.epochs)


def _seeded(task: Task, make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        return make()
