"""Recipes whose idea is which examples are seen."""

from collections.abc import Callable

import torch
from torch import nn

from metabalance.counts import class_counts, class_priors
from metabalance.data.batches import BatchLoader
from metabalance.data.cycle import Cycle
from metabalance.data.transformed import Transformed
from metabalance.engine import Objective
from metabalance.recipes.base import Plan, single_phase, steps_per_epoch
from metabalance.sample import RESAMPLERS, OverSampler, UnderSampler
from metabalance.sample.base import RatioSampler
from metabalance.streams import Task, stream

__all__ = ["balanced_batches", "oversample", "square_root", "undersample"]


def oversample(task: Task, ratio: float = 1.0) -> Plan:
    """Random over-sampling of every class to the size of the largest.

    Args:
        task: The training part.
        ratio: The share of the largest class that every class is brought to; 1 makes all equal.
    """
    return single_phase(task, "random_over") if ratio == 1 else _part_way(task, OverSampler, ratio)


def undersample(task: Task, ratio: float = 1.0) -> Plan:
    """Random under-sampling of every class to the size of the smallest, a fresh subset at each pass.

    Args:
        task: The training part.
        ratio: The smallest class's share of the largest afterwards; 1 makes all equal.
    """
    return single_phase(task, "random_under") if ratio == 1 else _part_way(task, UnderSampler, ratio)


def balanced_batches(task: Task) -> Plan:
    """Batches with equal class shares, by strict rotation over the classes."""
    return single_phase(task, "class_balanced")


def square_root(task: Task) -> Plan:
    """Square-root sampling: a class is drawn in proportion to the root of its size (Kang et al. 2020)."""
    return single_phase(task, "square_root")


def _part_way(task: Task, sampler: type[RatioSampler], ratio: float) -> Plan:
    """Sampling that leaves some imbalance (Buda et al. 2018, section 2.3)."""
    natural, prior, _ = stream(task, "natural")
    drawn = sampler(task.target, ratio=ratio, seed=task.seed)
    tensors = (natural.loader if isinstance(natural, Transformed) else natural).tensors
    loader: BatchLoader | Transformed = BatchLoader(tensors, task.batch_size, drawn)
    if task.augment is not None:
        loader = Transformed(loader, task.augment, task.seed)
    rows = class_counts(task.target, task.num_classes)
    draws = torch.zeros_like(rows)
    draws[rows > 0] = torch.tensor(drawn.sizes(), dtype=rows.dtype)
    # Of the natural prior each class keeps its weight per row; what changes is how many of its rows are drawn.
    after = class_priors(torch.where(rows > 0, prior * draws / rows.clamp_min(1), 0.0))
    return Plan(
        loader=Cycle(loader, steps_per_epoch(task)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        training_prior=after,
    )


def _resampling_recipe(strategy: str) -> Callable[[Task], Plan]:
    def recipe(task: Task) -> Plan:
        return single_phase(task, strategy)

    recipe.__name__ = strategy
    recipe.__doc__ = f"Cross-entropy after imbalanced-learn's {strategy} on the training part."
    return recipe


RESAMPLING = {
    name: _resampling_recipe(name)
    for name in RESAMPLERS
    if name not in ("simple", "random_over", "random_under")  # are erm, oversample and undersample
}
