"""Recipes: which published parts fill which slots of the engine, a module for each stage.

A recipe is one short function ``(task, **options) -> Plan``. The modules' ``__all__`` is the registry:
defining a recipe there registers it. Those for a continuous target are of the kind ``"values"`` and stand in
:mod:`metabalance.recipes.regression`.
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
from metabalance.recipes.regression import VALUE_RECIPES, ValueTask
from metabalance.streams import Task, stream

__all__ = [
    "KINDS",
    "RECIPES",
    "VALUE_RECIPES",
    "Plan",
    "Task",
    "ValueTask",
    "get_recipe",
    "recipe_options",
    "stream",
]

RECIPES: dict[str, Callable[..., Plan]] = {
    name: getattr(module, name)
    for module in (baseline, sampling, costing, weighing, representing, moving, meta, adjusting, composing)
    for name in module.__all__
} | sampling.RESAMPLING
KINDS: dict[str, dict[str, Callable[..., Plan]]] = {"classes": RECIPES, "values": VALUE_RECIPES}


def get_recipe(name: str, kind: str = "classes") -> Callable[..., Plan]:
    """The recipe of that name for that kind of target, ``"classes"`` or ``"values"``.

    Raises:
        ValueError: No such recipe; the nearest names are given, or the kind it is for.
    """
    if kind not in KINDS:
        raise ValueError(f"the kind {kind!r} of target is unknown; use one of {', '.join(KINDS)}")
    recipes = KINDS[kind]
    if name not in recipes:
        from metabalance.methods import nearest

        near = nearest(name, recipes)
        hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(recipes)}"
        if any(name in others for others in KINDS.values()):
            raise ValueError(f"the recipe {name!r} is not for {kind}; {hint}")
        raise ValueError(f"the recipe {name!r} is unknown; {hint}")
    return recipes[name]


def recipe_options(name: str, kind: str = "classes") -> dict[str, Any]:
    """The options of a recipe and their defaults."""
    parameters = list(inspect.signature(get_recipe(name, kind)).parameters.values())[1:]
    return {p.name: p.default for p in parameters}


def __getattr__(name: str) -> Callable[..., Plan]:
    """A recipe is also an attribute: ``metabalance.recipes.focal``."""
    if name not in RECIPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return RECIPES[name]
