"""What a mistake costs: losses made for rare values, and losses whose network says how sure it is."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metabalance.counts import class_counts
from metabalance.loss import BetaNLLLoss, BMCLoss, BNILoss, FocalRLoss, GAILoss, PinballLoss, gaussian_prior
from metabalance.readout import Readout
from metabalance.recipes.base import Plan
from metabalance.recipes.regression.base import ValueTask, value_plan
from metabalance.streams import whole_copies

__all__ = ["balanced_mse", "focal_r", "gaussian", "quantile"]

VARIANTS = ("gai", "bmc", "bni")


def balanced_mse(
    task: ValueTask,
    variant: str = "bmc",
    noise: float | None = None,
    learn_noise: bool = False,
    components: int = 8,
) -> Plan:
    """Balanced MSE: the squared error of a model for rows whose target values are equally likely (Ren et al. 2022).

    Args:
        task: The training part.
        variant: ``bmc``: the batch stands for the training targets; ``gai``: a mixture of Gaussians does; ``bni``: the bins
            do, for one target.
        noise: Deviation of the residuals, in the unit of the target; by default half a standard deviation.
        learn_noise: Whether it is learned on from there, as published.
        components: Gaussians of ``gai``.

    Raises:
        ValueError: An unknown variant, or ``bni`` of several targets.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r} is unknown; use one of {', '.join(VARIANTS)}")
    s = 0.5 if noise is None else task.standard(noise)
    if variant == "bmc":
        return value_plan(task, BMCLoss(s, learn_noise, "none"))
    if variant == "gai":
        rows = whole_copies(task.weight)
        prior = gaussian_prior(
            task.target if rows is None else task.target[rows], components, task.seed % 2**32
        )
        return value_plan(task, GAILoss(*prior, s, learn_noise, "none"))
    task.single("balanced_mse with variant=bni")
    edges = task.edges[0]
    counts = class_counts(task.bins[0], len(edges) - 1, task.weight)
    return value_plan(
        task, BNILoss((edges[1:] + edges[:-1]) / 2, counts / counts.sum(), s, learn_noise, "none")
    )


def focal_r(
    task: ValueTask,
    beta: float | None = None,
    gamma: float = 1.0,
    activation: str = "sigmoid",
    loss: str = "l1",
) -> Plan:
    """Focal-R: errors that are already small count for little (Yang et al. 2021).

    Args:
        task: The training part.
        beta: Errors far above 1/beta keep their loss: per unit of the target; by default 4 per standard deviation, which is
            about the published 0.2 for years of age.
        gamma: How strongly small errors are discounted.
        activation: ``sigmoid`` or ``tanh``.
        loss: ``l1`` or ``mse``.
    """
    steepness = 4.0 if beta is None else 1 / task.standard(1 / beta) if beta > 0 else beta
    return value_plan(task, FocalRLoss(steepness, gamma, activation, loss, "none"))


def quantile(task: ValueTask, levels: Sequence[float] = (0.05, 0.5, 0.95)) -> Plan:
    """Quantiles by the pinball loss; the median is the prediction (Koenker & Bassett 1978).

    Args:
        task: The training part.
        levels: Increasing, 0.5 among them; the first and the last are the limits.
    """
    readout = Readout("quantiles", task.num_targets, tuple(float(level) for level in levels))
    return value_plan(task, _Quantiles(readout.levels), readout=readout)


def gaussian(task: ValueTask, beta: float = 0.5, levels: Sequence[float] = (0.05, 0.95)) -> Plan:
    """A mean and a variance for each row by the beta-NLL; the mean is the prediction (Seitzer et al. 2022).

    Args:
        task: The training part.
        beta: 0 is the likelihood, 1 lets the mean learn as from a squared error.
        levels: The first and the last are the limits.
    """
    readout = Readout("gaussian", task.num_targets, tuple(float(level) for level in levels))
    return value_plan(task, BetaNLLLoss(beta, "none"), readout=readout)


class _Quantiles(nn.Module):
    """Pinball losses of T targets with L columns each: ``(B, T L)``, ``(B, T)`` -> ``(B,)``."""

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__()
        self.pinball = PinballLoss(levels, "none")

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        p = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
        each = self.pinball(p.reshape(target.numel(), -1), target.reshape(-1).to(p.dtype))
        return each.reshape(target.shape).mean(1)
