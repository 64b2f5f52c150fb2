"""Where rows land in the space of features: each of these goes on top of any other recipe (``base=``)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from metabalance.data.augment import Augment, FeatureNoise, NearMix
from metabalance.recipes.base import Plan
from metabalance.recipes.regression.base import ValueTask, on_top_of
from metabalance.recipes.regression.objectives import smoothed, viewed, with_penalty
from metabalance.recipes.regression.weighing import lds
from metabalance.represent import ConRLoss, FeatureDistributionSmoothing, RankSimLoss

__all__ = ["conr", "fds", "lds_fds", "ranksim"]

Base = str | Callable[..., Plan]
VIEWS = ("noise", "near_mix", "augment")


def conr(
    task: ValueTask,
    coefficient: float = 0.2,
    window: float | None = None,
    temperature: float = 0.07,
    push_scale: float = 0.01,
    push: str = "exp",
    views: str | Callable[..., Any] | None = None,
    strength: float = 0.1,
    base: Base = "erm",
) -> Plan:
    """ConR: rows whose targets differ are pushed apart where the model confuses them (Keramati et al. 2024).

    The loss is taken on the rows as they are, the penalty on two further views of each, as published.

    Args:
        task: The training part.
        coefficient: Of the penalty. Published: 4 beside an absolute error in years, whose standard deviation is about twenty.
        window: Targets within it are alike, in the unit of the target; by default the width of a bin.
        temperature: Of the similarities.
        push_scale: How much harder rows are pushed for each window between their targets.
        push: ``exp`` or ``linear``.
        views: ``noise`` on the features, ``near_mix`` with the row whose target is nearest, ``augment`` (crops and mirroring,
            of images), or a transform ``(inputs, target, generator) -> (inputs, target)``; by default ``augment`` for
            images and ``noise`` for tables.
        strength: Of the noise in standard deviations of a column, or the largest share of the other row.
        base: The recipe that is trained with the penalty.

    Raises:
        ValueError: Unknown views, or a base that does not go with it.
    """
    width = task.bin_width if window is None else task.standard(window)
    # Per window: then a target in another unit, or finer bins, is pushed alike.
    penalty = ConRLoss(width, temperature, push_scale / width if width > 0 else push_scale, push)
    plan = on_top_of(base, task, "conr")
    return viewed(plan, penalty, coefficient, _view(task, views, strength), task.seed)


def ranksim(
    task: ValueTask, coefficient: float = 1.0, interpolation: float = 2.0, base: Base = "erm"
) -> Plan:
    """RankSim: neighbours in features are ranked as neighbours in target values are (Gong et al. 2022).

    Args:
        task: The training part.
        coefficient: Of the mean over rows; published is the sum over a batch.
        interpolation: How far the ranks are looked ahead for a gradient.
        base: The recipe that is trained with the penalty.

    Raises:
        ValueError: A base that does not go with it.
    """
    plan = on_top_of(base, task, "ranksim")
    with_penalty(plan.objective, RankSimLoss(interpolation, "mean"), coefficient)
    return plan


def fds(
    task: ValueTask,
    kernel: str = "gaussian",
    kernel_size: int = 5,
    sigma: float = 2.0,
    exact: bool = False,
    momentum: float = 0.9,
    start: int = 1,
    clip: tuple[float, float] = (0.1, 10.0),
    base: Base = "erm",
) -> Plan:
    """Feature distribution smoothing: rare values take the features' mean and spread from near values (Yang et al. 2021).

    Args:
        task: The training part.
        kernel, kernel_size, sigma, exact: See :func:`lds`; with few bins the kernel is cut to what they allow.
        momentum: Share of the old statistics that each epoch keeps.
        start: Epochs before the features are smoothed.
        clip: Limits of the ratio of smoothed and own variance.
        base: The recipe that is trained with smoothed features.

    Raises:
        ValueError: Several targets, a network without an ``nn.Linear``, or a base that does not go with it.
    """
    task.single("feature distribution smoothing")
    if task.feature_dim is None:
        raise ValueError(
            "features are the input of the last nn.Linear, and the network has none; give it one"
        )
    bins = len(task.edges[0]) - 1
    size = min(kernel_size, 2 * bins - 1)
    settings = {"sigma": sigma, "exact": exact, "momentum": momentum, "start": start, "clip": clip}
    smoothing = FeatureDistributionSmoothing(task.feature_dim, bins, kernel, size, **settings)  # type: ignore[arg-type]
    return smoothed(on_top_of(base, task, "fds"), smoothing, task.edges[0])


def lds_fds(
    task: ValueTask,
    reweight: str = "sqrt_inv",
    kernel: str = "gaussian",
    kernel_size: int = 5,
    sigma: float = 2.0,
) -> Plan:
    """Label and feature distribution smoothing together, as published (Yang et al. 2021).

    Args:
        task: The training part.
        reweight, kernel, kernel_size, sigma: Of both.
    """
    settings: dict[str, Any] = {"kernel": kernel, "kernel_size": kernel_size, "sigma": sigma}
    return fds(task, **settings, base=partial(lds, reweight=reweight, **settings))


def _view(task: ValueTask, views: str | Callable[..., Any] | None, strength: float) -> Any:
    if callable(views):
        return views
    name = views or ("augment" if task.images else "noise")
    if name not in VIEWS:
        raise ValueError(f"views={views!r} is unknown; use one of {', '.join(VIEWS)} or a transform")
    if name == "augment":
        if not task.images:
            raise ValueError(
                "views='augment' moves and mirrors images, and these are rows of a table; use 'noise'"
            )
        return Augment(crop=max(1, task.inputs.shape[-1] // 8))
    return FeatureNoise(strength) if name == "noise" else NearMix(strength)
