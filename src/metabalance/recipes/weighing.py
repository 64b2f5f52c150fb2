"""Recipes whose idea is how much each example counts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.counts import class_counts, class_priors, class_weights
from metabalance.data.cycle import Cycle
from metabalance.engine import Objective
from metabalance.heads import last_linear
from metabalance.optimize import hold_out_meta_set
from metabalance.recipes.base import Plan, class_factor, single_phase, steps_per_epoch, task_rows
from metabalance.streams import Task, stream
from metabalance.weigh import (
    ClassAwareWeightNet,
    CurveNetStep,
    CurveWeigher,
    CurveWeightNet,
    LearnedWeights,
    LearningToReweight,
    LossCurveRecorder,
    MetaWeightNet,
    OTReweighter,
    OTStep,
    cyclic_probe_schedule,
    normalized_curves,
)
from metabalance.weigh import cmw_net as cmw
from metabalance.weigh import meta_weight_net as mwn
from metabalance.weigh import optimal_transport as ot

__all__ = ["cmw_net", "curve_net", "learning_to_reweight", "meta_weight_net", "ot_reweighting"]


def learning_to_reweight(task: Task, meta_set: float | None = None) -> Plan:
    """Learning to Reweight: a row counts if a step on it would help balanced data (Ren et al. 2018).

    Args:
        task: The training part.
        meta_set: Holds out this multiple of the rarest class's size from *every* class to judge by. By default
            nothing is held out: each pass draws as many rows of every class as the rarest has.
    """

    def make(rest: Task, meta: Any) -> LearningToReweight:
        return LearningToReweight(meta)

    # Where no row's step would help balanced data any more, the scores are calibrated to balanced classes.
    return _judged(task, meta_set, make, balanced=True)


def meta_weight_net(
    task: Task,
    variant: str = "imbalance",
    hidden: int = 100,
    start: float = 0.0,
    inner_lr: float | None = 0.1,
    meta_set: float | None = None,
) -> Plan:
    """Meta-Weight-Net: a small network reads the loss of a row and says how much it counts (Shu et al. 2019).

    Args:
        task: The training part.
        variant: ``imbalance`` or ``noise``, the two published settings of the weight network's training.
        hidden: Its width.
        start: The part of the epochs that are trained plainly before.
        inner_lr: Step size of the look-ahead, a plain gradient step: by default the published rate at the start.
            None follows the optimizer, as published for SGD; at the rate of an Adam the look-ahead hardly
            moves, and the weights with it.
        meta_set: See :func:`learning_to_reweight`.

    Raises:
        ValueError: An unknown variant, or ``start`` outside 0 to 1.
    """
    if variant not in mwn.PUBLISHED:
        raise ValueError(f"variant={variant!r} is unknown; use one of {', '.join(mwn.PUBLISHED)}")

    def make(rest: Task, meta: Any) -> LearnedWeights:
        net = _seeded(task, lambda: MetaWeightNet(hidden))
        return LearnedWeights(
            net, meta, inner_lr=inner_lr, start_epoch=_epoch(task, start), **mwn.PUBLISHED[variant]
        )

    return _judged(task, meta_set, make, start)


def cmw_net(
    task: Task,
    num_families: int = 3,
    hidden: int = 100,
    log_counts: bool = False,
    start: float = 0.8,
    inner_lr: float | None = 0.1,
    meta_set: float | None = None,
) -> Plan:
    """CMW-Net: the weight network knows the size of the row's class too; it starts late (Shu et al. 2023).

    Args:
        task: The training part.
        num_families: Families of classes of similar size, each with a head of its own.
        hidden: Width of the weight network.
        log_counts: Families by the logarithms of the class sizes.
        start: The part of the epochs that are trained plainly before.
        inner_lr: See :func:`meta_weight_net`.
        meta_set: See :func:`learning_to_reweight`.

    Raises:
        ValueError: ``start`` outside 0 to 1.
    """

    def make(rest: Task, meta: Any) -> LearnedWeights:
        net = _seeded(task, lambda: ClassAwareWeightNet(rest.counts, num_families, hidden, log_counts))
        return LearnedWeights(net, meta, inner_lr=inner_lr, start_epoch=_epoch(task, start), **cmw.PUBLISHED)

    return _judged(task, meta_set, make, start)


def ot_reweighting(
    task: Task,
    cost: str = "combined",
    alpha: float = 0.5,
    parametrization: str = "vector",
    meta: str = "prototype",
    meta_set: float | None = None,
    lr: float | None = None,
    inner_steps: int = 1,
    init: str = "uniform",
    train: str = "network",
    plain: float = 0.6,
    published: bool = False,
) -> Plan:
    """Weights that make moving the training set onto a balanced one cheap (Guo et al. 2022).

    Plain training first, for the features; then each batch is weighed by optimal transport to the class means of
    a balanced batch of ten rows per class.

    Args:
        cost: ``combined``, ``feature``, ``label``, or ``twoloss``, the sum of two transports.
        alpha: Share of the features in the combined cost.
        parametrization: ``vector``, a number for each row; or ``weightnet``, a network of the features, which
            comes to balanced classes only where the features tell them apart.
        meta: ``prototype``, the class means; or ``whole``, the rows.
        meta_set: Holds out this multiple of the rarest class's size from every class for the balanced side; None
            draws it from the training rows.
        lr: Step size of the weights; None is 0.5, of a network 0.01.
        inner_steps: Steps of the weights for each batch.
        init: ``uniform`` or ``class_balanced``.
        train: What the second stage trains, the ``network`` or its ``head``.
        plain: The part of the epochs for plain training.
        published: The second stage as in the released code: class-balanced weights that hardly move, the head
            alone at a rate of 2e-5, batches of 16, and ten times the loss on the balanced batch. ``lr``,
            ``inner_steps``, ``init`` and ``train`` then play no part.

    Raises:
        ValueError: An option outside its range.
    """
    if train not in ("network", "head"):
        raise ValueError(f"train={train!r} is unknown; use 'network' or 'head'")
    if not 0 < plain < 1:
        raise ValueError(f"plain must lie between 0 and 1, both excluded, but {plain} was given")
    task, judge = _with_meta_set(task, meta_set)
    size = 16 if published else task.batch_size
    settings: dict[str, Any] = {"lr": lr, "inner_steps": inner_steps, "init": init}
    settings |= {"cost": cost, "alpha": alpha, "parametrization": parametrization}
    settings |= {"feature_dim": task.feature_dim} | (ot.PUBLISHED if published else {})
    reweighter = _seeded(task, lambda: OTReweighter(task.size, task.counts, **settings))
    balanced, prior = _balanced(judge, 10 * task.num_classes)
    rows, _, _ = stream(task, "natural", batch_size=size, seed=2 * task.seed, with_index=True)
    coefficient = 10.0 if published else 0.0
    # At the optimum of the label cost every class has the same mass. Features, too few epochs and the weight
    # network stay short of that by an unknown amount: the rest is for the calibration on held-out rows.
    prior = _published_prior(task, coefficient, size) if published else prior
    optimizer = partial(torch.optim.SGD, lr=2e-5, momentum=0.9, nesterov=True, weight_decay=5e-4)
    second = Plan(
        loader=Cycle(rows, steps_per_epoch(task, size)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        training_prior=prior,
        step=OTStep(reweighter, balanced, meta=meta, pixels=published, meta_coefficient=coefficient),
        optimizer=optimizer if published else None,
        prepare=_train_head if train == "head" or published else None,
        share=1 - plain,
        select_from=0.5,
    )
    return single_phase(task, "natural", share=plain, then=lambda model: second)


def curve_net(
    task: Task,
    meta_set: float | None = None,
    probing: float = 0.6,
    learning: float = 0.4,
    batch_divisor: int = 8,
    inner_lr: float = 0.1,
    lr: float = 1e-3,
    freeze_modules: Sequence[str] = (),
) -> Plan:
    """A small network reads every row's loss curve and says how much it counts (Jiang et al. 2022).

    One network is trained to record the curves, with a rate that goes up and down; from the same initial weights
    another is trained with the learned weights, which are left as they are after a while.

    Args:
        meta_set: Holds out this multiple of the rarest class's size from every class, to judge the weights by:
            its labels should be right. None draws it from the training rows, which balances the classes but says
            nothing of wrong labels.
        probing: The part of the epochs in which curves are recorded (published: 300 of 500).
        learning: The part of the other epochs in which weights are learned.
        batch_divisor: Batches are this much smaller while the rate goes up and down.
        inner_lr: Step size of the look-ahead, a plain gradient step. (At the rate of an Adam for the classifier the
            weight decay below would outweigh what the look-ahead says.)
        lr: Learning rate of the weight network (Adam, with the published weight decay of 1e-4).
        freeze_modules: Modules that the look-ahead leaves alone.

    Raises:
        ValueError: An option outside its range.
    """
    for name, value in (("probing", probing), ("learning", learning)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, both excluded, but {value} was given")
    if batch_divisor < 1:
        raise ValueError(f"batch_divisor must be at least 1, but {batch_divisor} was given")
    task, judge = _with_meta_set(task, meta_set)
    objective = Objective(nn.CrossEntropyLoss(reduction="none"))
    balanced, _ = _balanced(judge, task.batch_size)
    allocating = 1 - probing
    shares = 0.4 * probing, 0.6 * probing, learning * allocating, (1 - learning) * allocating
    recorder = LossCurveRecorder(task.size, sum(max(1, round(s * task.epochs)) for s in shares[:2]))
    initial: dict[str, Tensor] = {}

    def remember(model: nn.Module) -> None:
        initial.update({name: tensor.detach().clone() for name, tensor in model.state_dict().items()})

    def begin_again(model: nn.Module) -> None:
        model.load_state_dict(initial)

    def phase(number: int, step: Any, batch_size: int = task.batch_size, **slots: Any) -> Plan:
        rows, natural, _ = stream(task, "natural", batch_size=batch_size, seed=2 * task.seed, with_index=True)
        plan = Plan(Cycle(rows, steps_per_epoch(task, batch_size)), objective, natural, step, (step,))
        return replace(plan, share=shares[number], **slots)

    def turns(model: nn.Module) -> Plan:
        size = max(1, task.batch_size // batch_divisor)
        return phase(1, recorder, size, scheduler=_cyclic, validate=False, then=learn)

    def learn(model: nn.Module) -> Plan:
        curves = recorder.curves()
        # Published: epochs 5 to 298 of 300. Short curves are taken whole.
        cut = (5, -1) if curves.shape[1] > 10 else (0, None)
        curves = normalized_curves(curves, task.target.to(curves.device), *cut)
        net = _seeded(task, lambda: CurveWeightNet(curves.shape[1], task.num_classes))
        weigher = CurveWeigher(net, curves)
        optimizer = partial(torch.optim.Adam, lr=lr, weight_decay=1e-4)
        settings: dict[str, Any] = {
            "inner_lr": inner_lr,
            "optimizer": optimizer,
            "freeze_modules": freeze_modules,
        }
        step = CurveNetStep(weigher, balanced, **settings)
        return phase(2, step, prepare=begin_again, validate=False, then=lambda model: keep(weigher))

    def keep(weigher: CurveWeigher) -> Plan:
        # The weights are known now, and with them the prior.
        weights = weigher.last.double().cpu() * (1.0 if task.weight is None else task.weight)
        prior = class_priors(class_counts(task.target, task.num_classes, weights) * class_factor(task))
        return phase(3, CurveNetStep(weigher, balanced, freeze_after=0), training_prior=prior)

    return phase(0, recorder, scheduler=_steady, validate=False, prepare=remember, then=turns)


def _judged(
    task: Task,
    meta_set: float | None,
    make: Callable[[Task, Any], Any],
    start: float = 0.0,
    balanced: bool = False,
) -> Plan:
    """Natural batches, a step that is judged on balanced ones."""
    rest = judged = task
    balancing = "random_under"  # of every class as many rows as the rarest has, drawn anew at each pass
    if meta_set is not None:
        train, meta = hold_out_meta_set(task.target, meta_set, seed=task.seed)
        rest, judged, balancing = task_rows(task, train), task_rows(task, meta), "natural"
    # Different seeds: the two streams must not draw the same rows side by side.
    loader, natural, notes = stream(rest, "natural", seed=2 * task.seed)
    meta_loader, even, more = stream(judged, balancing, seed=2 * task.seed + 1)
    step = make(rest, meta_loader)
    return Plan(
        loader=Cycle(loader, steps_per_epoch(task)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        # A weight network's class shares depend on how far it has learned; from the published settings it
        # hardly leaves the natural ones. The rest is for the calibration on held-out rows.
        training_prior=even if balanced else natural,
        step=step,
        parts=(step,) if isinstance(step, LearnedWeights) else (),
        select_from=start,
        notes=tuple(dict.fromkeys(notes + more)),
    )


def _epoch(task: Task, start: float) -> int:
    if not 0 <= start < 1:
        raise ValueError(f"start must lie from 0 to below 1, but {start} was given")
    return round(start * task.epochs)


def _seeded(task: Task, make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        return make()


def _with_meta_set(task: Task, meta_set: float | None) -> tuple[Task, Task]:
    """The rows to train on, and those to judge by."""
    if meta_set is None:
        return task, task
    rest, meta = hold_out_meta_set(task.target, meta_set, seed=task.seed)
    return task_rows(task, rest), task_rows(task, meta)


def _balanced(task: Task, batch_size: int) -> tuple[Any, Tensor]:
    """Balanced batches, drawn apart from the main stream's, and the class prior they stand for."""
    loader, prior, _ = stream(task, "class_balanced", batch_size=batch_size, seed=2 * task.seed + 1)
    return loader, prior


def _published_prior(task: Task, coefficient: float, size: int) -> Tensor:
    """A sum over a batch with class-balanced weights that sum to C, and a mean over balanced rows."""
    weights = class_weights(task.counts, "effective")
    sums = size * task.prior * weights * len(weights) / weights.sum()
    return class_priors((sums + coefficient * (task.counts > 0) / len(weights)) * class_factor(task))


def _train_head(model: nn.Module) -> None:
    model.requires_grad_(False)
    last_linear(model).requires_grad_(True)


def _steady(optimizer: torch.optim.Optimizer, epochs: int) -> Any:
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def _cyclic(optimizer: torch.optim.Optimizer, epochs: int) -> Any:
    # Published: 12 turns of 15 epochs, a tenth and a hundredth of the first rate.
    rate = partial(
        cyclic_probe_schedule, base=1.0, warm=0, high=0.1, low=0.01, period=max(1, round(epochs / 12))
    )
    return torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
