"""After training: the last layer fitted anew, with rare values weighing more."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from metabalance.adjust import refit_regressor
from metabalance.heads import features
from metabalance.recipes.base import Plan
from metabalance.recipes.regression.base import ValueTask, on_top_of
from metabalance.recipes.regression.weighing import density_weights

__all__ = ["regressor_retraining"]


def regressor_retraining(
    task: ValueTask,
    reweight: str = "inverse",
    kernel: str | None = None,
    ridge: float = 1e-3,
    base: str | Callable[..., Plan] = "erm",
) -> Plan:
    """RRT: the representation is kept, and the last layer fitted anew under density weights (Yang et al. 2021).

    The weighted optimum of the squared error is taken in closed form; the authors take gradient steps.

    Args:
        task: The training part.
        reweight: ``inverse`` or ``sqrt_inv``.
        kernel: Smooths the density as :func:`lds` does; None counts each bin alone.
        ridge: Of the closed form.
        base: The recipe that trains the representation.

    Raises:
        ValueError: A base whose network says more than one value for each target.
    """
    plan = on_top_of(base, task, "regressor_retraining")
    if plan.readout is None or plan.readout.kind != "value":
        raise ValueError(
            f"regressor_retraining fits one value for each target, but base={base!r} has other columns; take another base"
        )
    weight = density_weights(task, reweight=reweight, kernel=kernel)
    weight = weight if task.weight is None else weight * task.weight

    @torch.no_grad()
    def refit(model: nn.Module) -> None:
        if plan.finish is not None:
            plan.finish(model)
        where = next(model.parameters())
        training = model.training
        model.eval()
        size = 65_536 if task.inputs.dim() == 2 else max(1, 2**20 // max(task.inputs[:1].numel(), 1))
        z = torch.cat([features(model, part.to(where)) for part in task.inputs.split(size)])
        model.train(training)
        refit_regressor(model, z, task.target.to(z.device), weight.to(z.device), ridge)

    return replace(plan, finish=refit)
