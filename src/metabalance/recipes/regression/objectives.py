"""What stands around an objective: features smoothed by the bins of the target, and a penalty on two further views."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from metabalance import ranks
from metabalance.data.augment import TwoViews
from metabalance.data.cycle import Cycle
from metabalance.data.transformed import Transformed
from metabalance.engine import Objective
from metabalance.heads import last_linear, tapped
from metabalance.recipes.base import Plan
from metabalance.represent import FeatureDistributionSmoothing

__all__ = ["Smoothed", "Viewed", "smoothed", "viewed", "with_penalty"]


class Smoothed(nn.Module):
    """An objective under which the head sees smoothed features; they are collected on the way, and the network keeps nothing.

    Penalties of the objective, and all other passes, see the features as they are. In a distributed run the statistics
    are those of all processes' rows. (The authors collect the features in a pass after the epoch; here they are those
    of the epoch's own passes, at the weights of each step.)

    Args:
        objective: ``(model, batch) -> loss ()``.
        smoothing: Over the features of the network's last ``nn.Linear``.
        edges: Of the bins of the one target ``(K + 1,)``.
    """

    needs = frozenset({"features"})
    edges: Tensor

    def __init__(self, objective: nn.Module, smoothing: FeatureDistributionSmoothing, edges: Tensor) -> None:
        super().__init__()
        self.objective, self.smoothing = objective, smoothing
        # A thousandth of a bin lower: values at an edge, such as whole years, lose digits in the batches' single precision.
        self.register_buffer("edges", (edges - 1e-3 * (edges[1:] - edges[:-1]).min()).float())

    def forward(self, model: Any, batch: Sequence[Any]) -> Tensor:
        place = torch.searchsorted(self.edges, batch[1].reshape(-1).to(self.edges.dtype), right=True) - 1
        bins = place.clamp(0, len(self.edges) - 2)

        def smooth(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            self.smoothing.collect(args[0], bins)
            return (self.smoothing(args[0], bins), *args[1:])

        hook = last_linear(model).register_forward_pre_hook(smooth)
        try:
            return self.objective(model, batch)
        finally:
            hook.remove()

    @torch.no_grad()
    def update(self, **report: Any) -> None:
        """Ends an epoch."""
        if not ranks.alone():
            s = self.smoothing
            count = ranks.total(s.count)
            held = count.clamp_min(1)[:, None]
            mean = ranks.total(s.count[:, None] * s.mean) / held
            squares = ranks.total(s.squares + s.count[:, None] * (s.mean - mean).square())
            for mine, all_rows in ((s.count, count), (s.mean, mean), (s.squares, squares)):
                mine.copy_(all_rows)
        self.smoothing.update(**report)


class Viewed(nn.Module):
    """An objective on a batch's rows, plus a penalty on two further views of each, in a pass of their own.

    Args:
        objective: ``(model, batch) -> loss ()``.
        penalty: ``(features, target, prediction, weight or None) -> ()``.
        coefficient: Of the penalty; 0 leaves the second pass out.
        point: Reads predictions off the outputs.

    The batch holds the rows, and then their two views (:func:`viewed` makes such batches).
    """

    needs = frozenset({"features", "compares"})

    def __init__(self, objective: nn.Module, penalty: nn.Module, coefficient: float, point: Any) -> None:
        super().__init__()
        self.objective, self.penalty = objective, penalty
        self.coefficient, self.point = float(coefficient), point

    def forward(self, model: Any, batch: Sequence[Any]) -> Tensor:
        rows = len(batch[0]) // 3
        value = self.objective(model, tuple(part[:rows] for part in batch))
        if self.coefficient == 0:
            return value
        inputs, *others = (part[rows:] for part in batch[:3])
        with tapped(model) as features:
            outputs = model(inputs)
        parts = ranks.together(features[-1], self.point(outputs.detach()), *others)
        features_all, guess, target, *weight = parts
        return value + self.coefficient * self.penalty(
            features_all, target, guess, weight[0] if weight else None
        )


class _WithViews:
    """The rows themselves, and below them two views of each: ``(B, ...) -> (3B, ...)``."""

    def __init__(self, augment: Any) -> None:
        self.views = TwoViews(augment)

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        views, twice = self.views(inputs, target, generator)
        return torch.cat([inputs, views]), torch.cat([target, twice])


def viewed(plan: Plan, penalty: nn.Module, coefficient: float, augment: Any, seed: int) -> Plan:
    """The plan with a penalty on two views of each row.

    Args:
        plan: Of a stream that repeats in cycles.
        penalty, coefficient: See :class:`Viewed`.
        augment: Makes one view.
        seed: Of the views.
    """
    assert plan.readout is not None
    loader = Transformed(plan.loader.loader, _WithViews(augment), seed + 2**33)
    objective = Viewed(plan.objective, penalty, coefficient, plan.readout.point)  # type: ignore[arg-type]
    return replace(plan, loader=Cycle(loader, plan.loader.length), objective=objective)


def smoothed(plan: Plan, smoothing: FeatureDistributionSmoothing, edges: Tensor) -> Plan:
    """The plan with smoothed features; views that a penalty looks at stay as they are."""
    if isinstance(plan.objective, Viewed):
        outer = plan.objective
        around = Smoothed(outer.objective, smoothing, edges)
        objective: Any = Viewed(around, outer.penalty, outer.coefficient, outer.point)
    else:
        around = objective = Smoothed(plan.objective, smoothing, edges)  # type: ignore[arg-type]
    return replace(plan, objective=objective, parts=(*plan.parts, around))


def with_penalty(objective: Any, penalty: nn.Module, coefficient: float) -> None:
    """Adds a penalty to the objective that stands innermost, in place."""
    while not isinstance(objective, Objective):
        objective = objective.objective
    objective.penalties.append(penalty)
    objective.coefficients.append(float(coefficient))
