"""Which rows are seen: rows with rare target values repeated, or new ones made between and around them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from metabalance.recipes.base import Plan
from metabalance.recipes.regression.base import ErrorLoss, ValueTask, value_plan
from metabalance.sample import SMOGN, RareOverSampler
from metabalance.streams import whole_copies

__all__ = ["rare_over", "smogn", "smoter"]

Points = Sequence[tuple[float, float]] | None


def smogn(
    task: ValueTask,
    k: int = 5,
    noise: float = 0.02,
    points: Points = None,
    side: str = "both",
    threshold: float = 0.5,
    balance: str = "equal",
    undersample: bool = True,
    loss: str = "mse",
) -> Plan:
    """SMOGN: new rare rows between near neighbours, and around a row where its neighbours are far (Branco et al. 2017).

    Args:
        task: The training part.
        k: Neighbours.
        noise: The largest perturbation, in standard deviations.
        points: ``(value, relevance)``, in the unit of the target; by default outliers of the box plot are rare.
        side: Of the box plot: ``both``, ``high`` or ``low``.
        threshold: Rows of at least this relevance are rare.
        balance: ``equal`` or ``inverse``.
        undersample: Whether common rows are dropped.
        loss: ``mse``, ``l1`` or ``huber``.

    Raises:
        ValueError: Several targets, nothing rare by this rule, or sample weights that are not whole numbers.
    """
    settings = {"side": side, "threshold": threshold, "balance": balance, "undersample": undersample}
    return _resampled(task, "smogn", SMOGN, points, loss, k=k, noise=noise, **settings)


def smoter(
    task: ValueTask,
    k: int = 5,
    points: Points = None,
    side: str = "both",
    threshold: float = 0.5,
    balance: str = "equal",
    undersample: bool = True,
    loss: str = "mse",
) -> Plan:
    """SMOTER: new rare rows between neighbours (Torgo et al. 2013). Arguments and errors as for :func:`smogn`."""
    settings = {"side": side, "threshold": threshold, "balance": balance, "undersample": undersample}
    return _resampled(task, "smoter", SMOGN, points, loss, k=k, noise=None, **settings)


def rare_over(
    task: ValueTask,
    points: Points = None,
    side: str = "both",
    threshold: float = 0.5,
    balance: str = "equal",
    undersample: bool = True,
    loss: str = "mse",
) -> Plan:
    """Repeats random rows with rare target values and drops common ones (Branco et al. 2019).

    Arguments and errors as for :func:`smogn`; sample weights go with their rows.
    """
    settings = {"side": side, "threshold": threshold, "balance": balance, "undersample": undersample}
    return _resampled(task, "rare_over", RareOverSampler, points, loss, **settings)


def _resampled(task: ValueTask, name: str, make: Any, points: Points, loss: str, **settings: Any) -> Plan:
    y, weight = task.single(name), None
    if points is not None:
        mean, scale = float(task.mean[0]), float(task.scale[0])
        points = [((value - mean) / scale, relevance) for value, relevance in points]
    rows = whole_copies(task.weight)
    rows = torch.arange(task.size) if rows is None else rows
    if task.weight is not None and len(rows) == task.size and bool((task.weight != task.weight[0]).any()):
        if make is SMOGN:
            raise ValueError(
                f"{name} makes new rows, which have no sample_weight; use whole numbers, or leave one of the two out"
            )
        weight = task.weight
    sampler = make(points=points, seed=task.seed, **settings)
    flat = task.inputs[rows].reshape(len(rows), -1)
    inputs, target = sampler.fit_resample(flat, y[rows])
    kept = replace(
        task,
        inputs=inputs.reshape(-1, *task.inputs.shape[1:]),
        target=target[:, None],
        weight=None if weight is None else weight[sampler.source_index_],
    )
    notes = (sampler.note_,) if sampler.note_ else ()
    return value_plan(task, ErrorLoss(loss), shown=kept, notes=notes)
