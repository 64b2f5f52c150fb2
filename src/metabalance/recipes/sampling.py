"""Recipes whose idea is which examples are seen, or which new ones are made of them."""

from collections.abc import Callable
from copy import deepcopy

from scipy.special import betainc
from torch import Tensor, nn

from metabalance.counts import class_counts, class_priors
from metabalance.data.cycle import Cycle
from metabalance.engine import Objective
from metabalance.recipes.base import Mixed, Plan, class_factor, single_phase, steps_per_epoch
from metabalance.sample import (
    RESAMPLERS,
    CutMix,
    IndexSampler,
    MajorToMinor,
    Mixup,
    OverSampler,
    PowerSampler,
    ProgressiveSampler,
    Remix,
    UnderSampler,
)
from metabalance.steps import TransformStep
from metabalance.streams import Task, stream

__all__ = [
    "balanced_batches",
    "cutmix",
    "m2m",
    "mixup",
    "oversample",
    "progressive",
    "remix",
    "square_root",
    "undersample",
]


def oversample(task: Task, ratio: float = 1.0) -> Plan:
    """Random over-sampling of every class to the size of the largest, or to a part of it.

    Args:
        task: The training part.
        ratio: The share of the largest class that every class is brought to; 1 makes all equal.
    """
    return single_phase(
        task,
        _unless(ratio == 1, "random_over", lambda: OverSampler(task.target, ratio=ratio, seed=task.seed)),
    )


def undersample(task: Task, ratio: float = 1.0) -> Plan:
    """Random under-sampling of every class to the size of the smallest, a fresh subset at each pass.

    Args:
        task: The training part.
        ratio: The smallest class's share of the largest afterwards; 1 makes all equal.
    """
    return single_phase(
        task,
        _unless(ratio == 1, "random_under", lambda: UnderSampler(task.target, ratio=ratio, seed=task.seed)),
    )


def balanced_batches(task: Task) -> Plan:
    """Batches with equal class shares, by strict rotation over the classes."""
    return single_phase(task, "class_balanced")


def square_root(task: Task, q: float = 0.5) -> Plan:
    """A class is drawn in proportion to the root of its size, or to another power of it (Kang et al. 2020)."""
    return single_phase(
        task, _unless(q == 0.5, "square_root", lambda: PowerSampler(task.target, q, seed=task.seed))
    )


def progressive(task: Task) -> Plan:
    """Sampling goes from natural to class-balanced over the training (Kang et al. 2020)."""
    batches = -(-task.size // task.batch_size)
    passes = -(-task.epochs * steps_per_epoch(task) // batches)
    sampler = ProgressiveSampler(task.target, passes, seed=task.seed)
    # Only the last fifth of the epochs can be selected. The prior is that of its middle, the nearest honest one
    # for a network whose last batches count most.
    sampler.set_epoch(round(0.9 * (passes - 1)))
    return single_phase(task, sampler, select_from=0.8)


def mixup(task: Task, alpha: float = 1.0) -> Plan:
    """Inputs and labels are averaged in pairs (Zhang et al. 2018)."""
    return _mixing(task, Mixup(task.num_classes, alpha))


def cutmix(task: Task, alpha: float = 1.0, probability: float = 0.5) -> Plan:
    """A patch of an image is pasted onto another, and the labels mix by the area (Yun et al. 2019)."""
    if not task.images:
        raise ValueError("cutmix pastes patches of images, and this is a table; use mixup")
    return _mixing(task, CutMix(task.num_classes, alpha, probability))


def remix(task: Task, alpha: float = 1.0, kappa: float = 3.0, tau: float = 0.5) -> Plan:
    """mixup whose label goes to the rarer class of very unequal ones (Chou et al. 2020)."""
    counts = _rows_of_classes(task)
    prior = _remix_prior(task, counts, alpha, kappa, tau)
    return _mixing(task, Remix(counts, alpha, kappa, tau), prior)


def m2m(
    task: Task,
    beta: float = 0.999,
    lam: float = 0.5,
    gamma: float = 0.9,
    step_size: float = 0.1,
    steps: int = 10,
    noise: float = 0.5,
    defer: float = 0.8,
) -> Plan:
    """Examples of large classes are translated into small ones, late in training (Kim et al. 2020).

    The network that judges the translations is a frozen copy of the one trained so far; the paper trains one
    beforehand.

    Args:
        beta, lam, gamma, step_size, steps, noise: See :class:`~metabalance.sample.MajorToMinor`.
        defer: The part of the epochs of plain training before it.

    Raises:
        ValueError: ``defer`` is not between 0 and 1.
    """
    if not 0 < defer < 1:
        raise ValueError(f"defer must lie between 0 and 1, but {defer} was given")

    def translating(model: nn.Module) -> Plan:
        transform = MajorToMinor(
            deepcopy(model).eval().requires_grad_(False),
            _rows_of_classes(task),
            beta,
            lam,
            gamma,
            step_size,
            steps,
            noise,
            clip=(0.0, 1.0) if task.images else None,
            seed=task.seed,
        )
        # The authors divide the learning rate by 100 here; with a schedule that starts anew, 10 is enough.
        step = TransformStep(transform)
        return single_phase(task, "class_balanced", share=1 - defer, lr_scale=0.1, step=step)

    return single_phase(task, share=defer, then=translating)


def _unless(usual: bool, name: str, make: Callable[[], IndexSampler]) -> str | IndexSampler:
    """The stream by its name where the sampler has the usual settings: rows that are streamed know it by name only."""
    return name if usual else make()


def _rows_of_classes(task: Task) -> Tensor:
    return task.counts if task.rows is not None else class_counts(task.target, task.num_classes)


def _mixing(task: Task, transform: Callable, prior: Tensor | None = None) -> Plan:
    loader, natural, notes = stream(task, "natural")
    return Plan(
        loader=Cycle(Mixed(loader, transform, task), steps_per_epoch(task)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        training_prior=natural if prior is None else prior,
        notes=notes,
    )


def _remix_prior(task: Task, counts: Tensor, alpha: float, kappa: float, tau: float) -> Tensor:
    """The average label ``(C,)``: of a pair, the larger class loses its share whenever that is below tau."""
    rows, batch = task.size, min(task.batch_size, task.size)
    # The mean of lambda below tau: for Beta(a, a) it is half the distribution function of Beta(a + 1, a).
    lost = 0.5 * float(betainc(alpha + 1, alpha, tau)) if alpha > 0 else 0.0
    # A row's partner is itself once in a batch, and otherwise another row.
    partner = counts / max(rows - 1, 1) * (1 - 1 / batch)
    larger = (counts[None, :] >= kappa * counts[:, None]).double()
    gain = 2 * lost * ((larger - larger.T) @ partner)
    return class_priors(task.prior * class_factor(task) * (1 + gain))


def _resampling_recipe(strategy: str) -> Callable[[Task], Plan]:
    def recipe(task: Task) -> Plan:
        return single_phase(task, strategy)

    recipe.__name__ = strategy
    recipe.__doc__ = f"Cross-entropy after imbalanced-learn's {strategy} on the training part."
    return recipe


RESAMPLING = {
    name: _resampling_recipe(name)
    for name in RESAMPLERS
    if name not in ("simple", "random_over", "random_under")  # are erm, oversample and undersample
}
