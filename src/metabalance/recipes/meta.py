"""MetaBalance as a recipe."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.data.cycle import Cycle
from metabalance.engine import Objective
from metabalance.optimize import PRESETS, MetaBalanceStep, Preset, hold_out_meta_set
from metabalance.recipes.base import Plan, steps_per_epoch, task_rows
from metabalance.streams import STREAMS, Task, stream

__all__ = ["metabalance"]


def metabalance(
    task: Task,
    inner: str = "natural",
    outer: str = "class_balanced",
    inner_lr: float = 0.01,
    order: int = 1,
    accumulate: int = 1,
    leak: float = 0.0,
    meta_set: float | None = None,
    preset: str | None = None,
) -> Plan:
    """MetaBalance: a look-ahead on one balancing of the data is judged on another (Bansal et al. 2021).

    Args:
        inner: The stream of the look-ahead (any of ``STREAMS``).
        outer: The stream that judges it.
        inner_lr: Step size of the look-ahead, the paper's eta.
        order: 1, the published behaviour, or 2, the exact hypergradient.
        accumulate: Look-aheads averaged per update, the paper's M.
        leak: Coefficient of the inner loss at the base weights.
        meta_set: Holds out this multiple of the rarest class's size from *every* class, and judges on these
            rows alone (the paper's variant with a separate meta set); ``outer`` then plays no part.
        preset: ``credit_card``, ``loan_default`` or ``cifar``: the paper's own streams, settings, optimiser and
            epochs. Of the other options only ``order`` and ``meta_set`` go with it.

    Raises:
        ValueError: An unknown stream or preset, or an option that the preset sets itself.
    """
    settings: dict[str, Any] = {
        "inner": inner,
        "outer": outer,
        "inner_lr": inner_lr,
        "accumulate": accumulate,
        "leak": leak,
    }
    batch_in = batch_out = task.batch_size
    published: dict[str, Any] = {}
    if preset is not None:
        p = _tabular_preset(preset)
        defaults = {name: p.default for name, p in inspect.signature(metabalance).parameters.items()}
        both = [name for name, value in settings.items() if value != defaults[name]]
        if both:
            raise ValueError(f"the preset {preset!r} sets {both[0]} itself; leave one of the two out")
        settings = {name: getattr(p, name) for name in settings}
        batch_in, batch_out = p.inner_batch, p.outer_batch
        published = {"epochs": p.epochs, "optimizer": _optimizer(p)}
        if p.schedule.startswith("cosine"):
            published["scheduler"] = torch.optim.lr_scheduler.CosineAnnealingLR
    inner, outer = settings.pop("inner"), settings.pop("outer")
    judged = task
    if meta_set is not None:
        rest, meta = hold_out_meta_set(task.target, meta_set, seed=task.seed)
        task, judged = task_rows(task, rest), task_rows(task, meta)
        outer = "natural"
    # Different seeds: the two streams must not draw the same rows side by side.
    inner_loader, _, inner_notes = stream(task, inner, batch_size=batch_in, seed=2 * task.seed)
    outer_loader, prior, outer_notes = stream(judged, outer, batch_size=batch_out, seed=2 * task.seed + 1)
    # The prior is the outer stream's: a leak pulls towards the inner one, the look-ahead pushes away from it,
    # and what is left of the two is for the calibration on held-out rows.
    return Plan(
        loader=Cycle(outer_loader, steps_per_epoch(task, batch_out)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        training_prior=prior,
        step=MetaBalanceStep(inner_loader=inner_loader, order=order, shared=True, **settings),
        notes=tuple(dict.fromkeys(inner_notes + outer_notes)),
        **published,
    )


def _tabular_preset(name: str) -> Preset:
    tabular = [key for key, preset in PRESETS.items() if preset.inner in STREAMS and preset.outer in STREAMS]
    if name not in tabular:
        raise ValueError(f"the preset {name!r} is unknown for tables; use one of {', '.join(tabular)}")
    return PRESETS[name]


def _optimizer(preset: Preset) -> Callable[[Iterable[Tensor]], torch.optim.Optimizer]:
    settings = {name: getattr(preset, name) for name in ("lr", "momentum", "nesterov", "weight_decay")}
    return partial(torch.optim.SGD, **settings)
