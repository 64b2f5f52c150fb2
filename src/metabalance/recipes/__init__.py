"""Recipes: which published parts fill which slots of the engine, a module for each stage.

A recipe is one short function ``(task, **options) -> Plan``. The modules' ``__all__`` is the registry:
defining a recipe there registers it.
"""

import inspect
from collections.abc import Callable
from typing import Any

from metabalance.recipes import (
    adjusting,
    baseline,
    composing,
    costing,
    meta,
    moving,
    representing,
    sampling,
    weighing,
)
from metabalance.recipes.base import Plan
from metabalance.streams import Task, stream

__all__ = ["RECIPES", "Plan", "Task", "get_recipe", "recipe_options", "stream"]

RECIPES: dict[str, Callable[..., Plan]] = {
    name: getattr(module, name)
    for module in (baseline, sampling, costing, weighing, representing, moving, meta, adjusting, composing)
    for name in module.__all__
} | sampling.RESAMPLING


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


def __getattr__(name: str) -> Callable[..., Plan]:
    """A recipe is also an attribute: ``metabalance.recipes.focal``."""
    if name not in RECIPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return RECIPES[name]
