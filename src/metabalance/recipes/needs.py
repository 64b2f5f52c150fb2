"""What a recipe needs of the way it is trained, all its phases together: read from its own plans on made-up rows."""

from typing import Any

import torch
from torch import nn

from metabalance.recipes.base import Plan
from metabalance.recipes.regression.base import ValueTask
from metabalance.strategies import needs_of
from metabalance.streams import Task

__all__ = ["recipe_needs"]

ROWS, FEATURES, CLASSES = 60, 6, 2


def recipe_needs(name: str, options: dict[str, Any] | None = None, kind: str = "classes") -> frozenset[str]:
    """The words of :data:`metabalance.strategies.NEEDS` that any of a recipe's phases needs.

    Nothing is trained: the plans are made for a few made-up rows (images, where a table is refused), phase after
    phase, of a network as it starts.

    >>> from metabalance.recipes.needs import recipe_needs
    >>> sorted(recipe_needs("erm")), sorted(recipe_needs("metabalance", {"order": 2}))
    ([], ['bare', 'own_step', 'second_order'])
    """
    from metabalance.recipes import get_recipe  # which lists the modules beside this one

    recipe, options = get_recipe(name, kind), options or {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "values":
            return _needs(recipe(_value_task(), **options), _network(FEATURES))
        try:
            return _needs(recipe(_task(images=False), **options), _network(FEATURES))
        except ValueError:
            return _needs(recipe(_task(images=True), **options), _network(64))


def _needs(plan: Plan, model: nn.Module) -> frozenset[str]:
    if plan.prepare is not None:
        plan.prepare(model)
    found = needs_of(plan.step, plan.objective)
    return found if plan.then is None else found | _needs(plan.then(model), model)


def _task(images: bool) -> Task:
    target = (torch.arange(ROWS) % 4 == 0).long()
    shape = (ROWS, 1, 8, 8) if images else (ROWS, FEATURES)
    inputs = torch.rand(shape) / 2 + target.view(-1, *[1] * (len(shape) - 1)) / 4
    return Task(inputs, target, CLASSES, batch_size=20, epochs=10, feature_dim=8)


def _value_task() -> ValueTask:
    values = torch.linspace(-1, 1, ROWS, dtype=torch.float64)[:, None] ** 5
    inputs = torch.rand(ROWS, FEATURES) / 2 + values.float()
    return ValueTask.of(inputs, values, batch_size=20, epochs=10, feature_dim=8)


def _network(width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, CLASSES))
