"""Recipes for a continuous target whose rare values matter: ``(task: ValueTask, **options) -> Plan``.

Options with a unit (a bin's width, ConR's window, the noise of Balanced MSE) are in the unit of the target, as the user gave
it; of several targets they are in standard deviations of each. Defaults follow from the data, so that a target in
another unit is learned alike.
"""

from collections.abc import Callable

from metabalance.recipes.base import Plan
from metabalance.recipes.regression import adjusting, costing, meta, plain, representing, sampling, weighing
from metabalance.recipes.regression.base import ValueTask

__all__ = ["VALUE_RECIPES", "ValueTask"]

VALUE_RECIPES: dict[str, Callable[..., Plan]] = {
    name: getattr(module, name)
    for module in (plain, sampling, weighing, costing, representing, meta, adjusting)
    for name in module.__all__
}


def __getattr__(name: str) -> Callable[..., Plan]:
    """A recipe is also an attribute: ``metabalance.recipes.regression.lds``."""
    if name not in VALUE_RECIPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return VALUE_RECIPES[name]
