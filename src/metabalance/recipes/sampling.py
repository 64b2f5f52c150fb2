"""Recipes whose idea is which examples are seen."""

from collections.abc import Callable

from metabalance.recipes.base import Plan, single_phase
from metabalance.sample import RESAMPLERS
from metabalance.streams import Task

__all__ = ["balanced_batches", "oversample", "square_root", "undersample"]


def oversample(task: Task) -> Plan:
    """Random over-sampling of every class to the size of the largest."""
    return single_phase(task, "random_over")


def undersample(task: Task) -> Plan:
    """Random under-sampling of every class to the size of the smallest, a fresh subset at each pass."""
    return single_phase(task, "random_under")


def balanced_batches(task: Task) -> Plan:
    """Batches with equal class shares, by strict rotation over the classes."""
    return single_phase(task, "class_balanced")


def square_root(task: Task) -> Plan:
    """Square-root sampling: a class is drawn in proportion to the root of its size (Kang et al. 2020)."""
    return single_phase(task, "square_root")


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
