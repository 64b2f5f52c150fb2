"""How much each row counts: fixed weights by the density of its target value.

Of several targets a row's weight is the mean of the weights that each would give it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from metabalance.counts import class_counts
from metabalance.recipes.base import Plan
from metabalance.recipes.regression.base import ErrorLoss, ValueTask, on_top_of, value_plan
from metabalance.streams import whole_copies
from metabalance.weigh import DenseWeight, bin_weights

__all__ = ["dense_weight", "inverse_density", "lds", "sqrt_inverse_density"]

Base = str | Callable[..., Plan]


def inverse_density(task: ValueTask, loss: str = "mse") -> Plan:
    """A row weighs inversely to the number of rows in its bin (as a baseline in Yang et al. 2021).

    Args:
        task: The training part.
        loss: ``mse``, ``l1`` or ``huber``.
    """
    return value_plan(_weighed(task, reweight="inverse", kernel=None), ErrorLoss(loss))


def sqrt_inverse_density(task: ValueTask, loss: str = "mse") -> Plan:
    """A row weighs inversely to the root of the number of rows in its bin (as a baseline in Yang et al. 2021).

    Args:
        task: The training part.
        loss: ``mse``, ``l1`` or ``huber``.
    """
    return value_plan(_weighed(task, reweight="sqrt_inv", kernel=None), ErrorLoss(loss))


def lds(
    task: ValueTask,
    reweight: str = "sqrt_inv",
    kernel: str = "gaussian",
    kernel_size: int = 5,
    sigma: float = 2.0,
    exact: bool = False,
    clip: tuple[float, float] | None = None,
    base: Base = "erm",
) -> Plan:
    """Label distribution smoothing: a row weighs by how few rows have a target value near its own (Yang et al. 2021).

    Args:
        task: The training part.
        reweight: ``sqrt_inv``, ``inverse`` or ``none``.
        kernel: ``gaussian``, ``triang`` or ``laplace``, over ``kernel_size`` bins with a width of ``sigma`` bins.
        kernel_size: See there.
        sigma: See there.
        exact: The true Gaussian, not the published one.
        clip: Limits of the counts, for ``inverse``.
        base: The recipe that is trained with these weights.
    """
    settings = {
        "reweight": reweight,
        "kernel": kernel,
        "kernel_size": kernel_size,
        "sigma": sigma,
        "exact": exact,
    }
    if reweight == "none":
        return on_top_of(base, task, "lds")
    return on_top_of(base, _weighed(task, **settings, clip=clip), "lds")


def dense_weight(
    task: ValueTask,
    alpha: float = 1.0,
    epsilon: float = 1e-6,
    bandwidth: float | None = None,
    base: Base = "erm",
) -> Plan:
    """DenseWeight: one minus the kernel density of a row's target value (Steininger et al. 2021).

    Args:
        task: The training part.
        alpha: How strongly density lowers the weight; 0 is plain training.
        epsilon: The smallest weight.
        bandwidth: Of the kernel, in the unit of the target; by default Silverman's rule.
        base: The recipe that is trained with these weights.
    """
    width = None if bandwidth is None else task.standard(bandwidth)
    factor = partial(kernel_weights, alpha=alpha, epsilon=epsilon, bandwidth=width)
    return on_top_of(base, replace(task, factors=(*task.factors, factor)), "dense_weight")


def density_weights(task: ValueTask, **settings: Any) -> Tensor:
    """Weights ``(N,)`` of average 1, by the (smoothed) counts of the bins; counts are in weight where rows have some.

    Args:
        task: The rows.
        settings: Of :func:`metabalance.weigh.bin_weights`.
    """
    found = []
    for bins, edges in zip(task.bins, task.edges):
        counts = class_counts(bins, len(edges) - 1, task.weight)
        found.append(bin_weights(counts, **settings)[bins])
    return torch.stack(found).mean(0)


def kernel_weights(task: ValueTask, **settings: Any) -> Tensor:
    """The same by kernel densities; settings of :class:`metabalance.weigh.DenseWeight`."""
    rows = whole_copies(task.weight)
    found = []
    for y in task.target.unbind(1):
        found.append(DenseWeight(**settings).fit(y if rows is None else y[rows])(y))
    weight = torch.stack(found).mean(0)
    share = torch.ones_like(weight) if task.weight is None else task.weight.to(weight.dtype)
    return weight * (share.sum() / (share * weight).sum())


def _weighed(task: ValueTask, **settings: Any) -> ValueTask:
    return replace(task, factors=(*task.factors, partial(density_weights, **settings)))
