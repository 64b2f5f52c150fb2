"""The only training loop: it has slots for the parts of a method, and names no method.

Slots: the loader (and through it the sampler), the objective, its penalties, the step. One event: after each
validation every part's ``update(**report)`` is called.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metabalance import ranks, strategies
from metabalance.accumulate import AccumulatedStep
from metabalance.heads import tapped
from metabalance.reports import class_report
from metabalance.run import Bar, History, Run, ready_fabric, to_device
from metabalance.sharding import gathered, sharded

__all__ = ["History", "Objective", "evaluate", "fit", "plain_step"]


class Objective(nn.Module):
    """What a step minimises: the batch mean of (weighted) losses, plus coefficients times penalties.

    Args:
        loss: ``(logits (B, C), target (B,)) -> (B,)``, with ``reduction="none"``; ``()`` is taken too, for
            batches without weights.
        penalties: Pairs ``(module, coefficient)``; a module takes ``(features (B, D), target (B,)) -> ()``.
            The features are the input of the model's last ``nn.Linear``. A module with a true attribute
            ``wants_predictions`` takes ``(features, target, prediction, weight or None)``.
        point: Where the target is continuous, ``(B,)`` or ``(B, T)``: reads the predictions off the outputs. Penalties
            then take the target as it is.

    The call takes ``(model, batch) -> ()``, where a batch is ``(inputs, target)``, ``(inputs, target, weight)``
    or ``(inputs, target, weight, index)``. Weights ``(B,)`` average 1 over the training set: the mean is over
    the batch's rows, never over its weights. The index ``(B,)`` numbers the rows in the training set, for parts
    that keep something of each. Mixed labels are a target ``(B, C)`` of shares; penalties then take the largest.
    The model may also be a function of the inputs alone (other parameters, same network); for penalties it must
    then carry the network as its attribute ``module``.

    Raises:
        ValueError: In the call: a weighted batch and a loss already reduced, or penalties on a model in which
            no ``nn.Linear`` is found.

    >>> objective = Objective(nn.CrossEntropyLoss(reduction="none"))
    >>> inputs, target = torch.zeros(2, 3), torch.tensor([0, 1])
    >>> objective(nn.Linear(3, 2, bias=False), (inputs, target, torch.tensor([3.0, 1.0])))  # 2 log 2
    tensor(1.3863, grad_fn=<MeanBackward0>)
    """

    def __init__(
        self,
        loss: Callable[[Tensor, Tensor], Tensor],
        penalties: Sequence[tuple[nn.Module, float]] = (),
        point: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.point = point
        self.penalties = nn.ModuleList(module for module, _ in penalties)
        self.coefficients = [float(coefficient) for _, coefficient in penalties]

    def forward(self, model: Callable[[Any], Tensor], batch: Sequence[Any]) -> Tensor:
        inputs, target = batch[0], batch[1]
        if not self.coefficients:
            return self._reduced(self.loss(model(inputs), target), batch)
        with tapped(model) as features:
            outputs = model(inputs)
        value = self._reduced(self.loss(outputs, target), batch)
        hard = target.argmax(1) if self.point is None and target.is_floating_point() else target
        weight = batch[2] if len(batch) > 2 else None
        return self.penalized(value, features[-1], hard, outputs, weight)

    def penalized(
        self, value: Tensor, features: Tensor, target: Tensor, outputs: Tensor, weight: Tensor | None
    ) -> Tensor:
        """A value ``()`` and the penalties, each times its coefficient."""
        # Rows are compared with those of all processes, as one process with all of them would.
        rows, target = ranks.together(features, target)
        for penalty, coefficient in zip(self.penalties, self.coefficients):
            if getattr(penalty, "wants_predictions", False):
                guess = outputs.detach() if self.point is None else self.point(outputs.detach())
                (guess,) = ranks.together(guess)
                eta = None if weight is None else ranks.together(weight)[0]
                value = value + coefficient * penalty(rows, target, guess, eta)
            else:
                value = value + coefficient * penalty(rows, target)
        return value

    def losses(self, model: Callable[[Any], Tensor], batch: Sequence[Any]) -> Tensor:
        """One loss per row ``(B,)``, without the batch's weights and without penalties.

        Raises:
            ValueError: The loss is already reduced.
        """
        losses = self.loss(model(batch[0]), batch[1])
        if losses.dim() == 0:
            raise ValueError("losses of single rows are needed: build the loss with reduction='none'")
        return losses

    @staticmethod
    def _reduced(losses: Tensor, batch: Sequence[Any]) -> Tensor:
        if len(batch) < 3:
            return losses.mean()
        if losses.dim() == 0:
            raise ValueError("the batch has sample weights: build the loss with reduction='none'")
        return (losses * batch[2]).mean()


def plain_step(
    model: nn.Module, batch: Sequence[Any], objective: Callable, optimizer: torch.optim.Optimizer
) -> Tensor:
    """One ordinary update: clear the gradients, differentiate the objective, let the optimizer step.

    Args:
        model: The network.
        batch: ``(inputs, target)`` or ``(inputs, target, weight)``.
        objective: ``(model, batch) -> ()``.
        optimizer: Over the network's parameters.

    Returns:
        The objective's value before the update ``()``, detached.
    """
    optimizer.zero_grad()
    loss = objective(model, batch)
    loss.backward()
    optimizer.step()
    return loss.detach()


plain_step.needs = frozenset()  # type: ignore[attr-defined]  # see metabalance.strategies


def evaluate(
    model: nn.Module,
    loader: Iterable[Sequence[Any]],
    metric: Callable[[np.ndarray, np.ndarray], float] | None = None,
    report: Callable[..., dict[str, Any]] = class_report,
) -> dict[str, Any]:
    """Applies the model in eval mode to all batches; every module's mode is put back afterwards.

    Args:
        model: Gives outputs ``(B, columns)``, logits of classes by default.
        loader: Batches ``(inputs, target)`` or ``(inputs, target, weight)``.
        metric: On NumPy arrays; ``(probabilities (N, C), target (N,)) -> float`` by default.
        report: What is said of all outputs; see :mod:`metabalance.reports`.

    Returns:
        The report: by default ``loss`` (mean cross-entropy, weighted if the batches are), ``recall`` ``(C,)`` (NaN
        for classes without rows), ``support`` ``(C,)`` (rows of each class), ``n`` (rows) and, with a metric,
        ``monitor``.

    Raises:
        ValueError: The loader gives no batch.

    >>> model = nn.Linear(1, 2)
    >>> report = evaluate(model, [(torch.ones(4, 1), torch.tensor([0, 0, 0, 0]))])
    >>> report["n"], report["support"].tolist(), model.training
    (4, [4, 0], True)
    """
    modes = [(module, module.training) for module in model.modules()]
    device = next((p.device for p in chain(model.parameters(), model.buffers())), torch.device("cpu"))
    model.eval()
    parts: list[tuple[Tensor, ...]] = []
    try:
        with torch.no_grad():
            for batch in loader:
                inputs, *rest = to_device(batch, device)
                parts.append((model(inputs), *rest))
    finally:
        for module, training in modes:
            module.training = training
    if not parts:
        raise ValueError("the validation loader gives no batch")
    outputs, target, *weight = (torch.cat(column) for column in zip(*parts))
    return report(outputs, target, weight[0] if weight else None, metric)


def fit(
    model: nn.Module,
    loader: Iterable[Sequence[Any]],
    *,
    objective: Callable[[Any, Any], Tensor],
    optimizer: torch.optim.Optimizer,
    step: Callable[..., Tensor] = plain_step,
    parts: Sequence[Any] = (),
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    scheduler_interval: str = "epoch",
    epochs: int = 100,
    validation: Iterable[Sequence[Any]] | None = None,
    monitor: str | Callable[[np.ndarray, np.ndarray], float] = "loss",
    greater_is_better: bool = False,
    report: Callable[..., dict[str, Any]] = class_report,
    patience: int | None = None,
    min_positives: int = 1,
    select_from: int = 0,
    clip_norm: float | None = None,
    fabric: Any = None,
    precision: str | None = None,
    accumulate: int = 1,
    compile: bool = False,
    shard: bool = False,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int | None = None,
    checkpoint_seconds: float = 0.0,
    progress: bool = False,
    deadline: float | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> History:
    """Trains ``model`` in place and, with validation, leaves it with the weights of its best epoch.

    Killed at any moment and called again with the same arguments and ``checkpoint``, it goes on, in the
    middle of an epoch too, and on a CPU ends with the same bits as an uninterrupted run.

    Args:
        model: Gives outputs ``(B, columns)``, logits of classes by default.
        loader: The training batches. ``set_epoch`` is called if there (on its ``sampler``, for a plain
            ``DataLoader``); with ``state_dict`` it resumes itself, otherwise the batches already seen are
            fetched and skipped.
        objective: ``(model, batch) -> ()``, see :class:`Objective`.
        optimizer: Over the parameters to train.
        step: ``(model, batch, objective, optimizer) -> loss ()``, see :func:`plain_step`.
        parts: Whatever has ``update(**report)``: called after each validation with ``epoch``, ``train_loss``,
            ``monitor`` and what the report says, for classes ``loss``, ``recall`` ``(C,)``, ``support`` ``(C,)`` and
            ``n``; without validation with ``epoch``, ``train_loss`` and ``loss`` (the same) only.
        scheduler: Changes the optimizer's learning rate.
        scheduler_interval: When the scheduler steps: ``"epoch"`` or ``"step"``.
        epochs: Passes over the loader.
        validation: Held-out batches, evaluated after each epoch (in whole by every process of a distributed
            run).
        monitor: ``"loss"``, or the metric of the report: for classes a function of probabilities ``(N, C)`` and
            classes ``(N,)``.
        greater_is_better: Direction of a ``monitor`` function.
        report: What is said of the held-out outputs; see :mod:`metabalance.reports`.
        patience: Epochs without improvement before stopping; ``None`` never stops early.
        min_positives: With fewer held-out rows (of any class, where the report knows classes) than this, no epoch is
            selected and none is skipped: the monitored value would be noise.
        select_from: Epochs before this one are not selected and do not count for ``patience``: what acts late
            in training has to have acted.
        clip_norm: Largest gradient norm; longer gradients are scaled down in every ``optimizer.step``.
        fabric: A launched ``lightning_fabric.Fabric``, single device or DDP; by default one on the best
            device, or of the processes of ``torch.distributed`` where they have met already.
        precision: ``None`` or ``"32-true"`` (as the model is) or ``"bf16-mixed"``, when no ``fabric`` is
            given.
        accumulate: Batches whose gradients make one update, for the plain step: the gradient is that of one batch
            of all their rows. An epoch's last group may be smaller.
        compile: Train through ``torch.compile``; the model itself stays as it is.
        shard: Divide parameters, gradients and the optimizer's state among the processes (FSDP); afterwards the
            model is whole again in every process. Without ``checkpoint``.
        checkpoint: A file for :mod:`metabalance.checkpoint`, written after each epoch.
        checkpoint_every: Write it after so many steps too.
        checkpoint_seconds: Write it whenever so many seconds have passed, in the middle of an epoch too (between
            epochs in a distributed run), instead of after each epoch; a file that takes long to write is written
            less often, so that it costs a hundredth of the time at most.
        progress: Show a bar.
        deadline: A value of ``time.monotonic()`` after which training stops cleanly, after the current step.
        callback: Called with each epoch's row of the history.

    Returns:
        The record of the run.

    Raises:
        ValueError: An impossible setting, a strategy that the step or the objective does not go with (see
            :mod:`metabalance.strategies`), an empty loader, or a checkpoint that is damaged or of another run.
        FloatingPointError: The training loss is not finite.

    >>> from metabalance.data.batches import BatchLoader
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(200, 2)
    >>> y = (x.sum(1) > 0).long()
    >>> model = nn.Linear(2, 2)
    >>> history = fit(
    ...     model,
    ...     BatchLoader((x, y), batch_size=50),
    ...     objective=Objective(nn.CrossEntropyLoss()),
    ...     optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
    ...     epochs=20,
    ... )
    >>> bool(evaluate(model, [(x, y)])["recall"].min() > 0.95)
    True
    """
    if scheduler_interval not in ("epoch", "step"):
        raise ValueError(f"scheduler_interval={scheduler_interval!r} is unknown; use 'epoch' or 'step'")
    if monitor != "loss" and not callable(monitor):
        raise ValueError(f"monitor={monitor!r} is unknown; use 'loss' or a function of outputs and targets")
    if checkpoint_every is not None and (checkpoint is None or checkpoint_every < 1):
        raise ValueError("checkpoint_every is a number of steps, at least 1, and needs checkpoint, a file")
    if not checkpoint_seconds >= 0:
        raise ValueError(f"checkpoint_seconds must be at least 0, but {checkpoint_seconds} was given")
    if patience is not None and patience < 1:
        raise ValueError(
            f"patience must be at least 1 epoch, or None to never stop, but {patience} was given"
        )
    if not 0 <= select_from < max(epochs, 1):
        raise ValueError(f"select_from must be an epoch from 0 to {epochs - 1}, but {select_from} was given")
    if clip_norm is not None and not clip_norm > 0:
        # torch would scale by a negative number without a word, and climb.
        raise ValueError(f"clip_norm must be above 0, or None for no clipping, but {clip_norm} was given")
    asked = strategies.asked_for(1, "fsdp" if shard else "auto", accumulate, compile)
    strategies.check(asked, strategies.needs_of(step, objective))
    if accumulate != 1:
        step = AccumulatedStep(accumulate)
    if shard and checkpoint is not None:
        raise ValueError("a sharded fit writes no checkpoint; leave checkpoint or shard (fsdp) out")
    fabric = ready_fabric(fabric, precision)
    fabric.to_device(model)
    if isinstance(objective, nn.Module):
        objective.to(fabric.device)
        ranks.spread(objective)
    whole = model
    if shard:
        model = sharded(whole, optimizer, fabric.device)
    wrapped = model if shard else fabric.strategy.setup_module(model)
    run = Run(
        model=model,
        # The strategy's own wrapper (DDP, or none) and one autocast context around the step: Fabric's wrapper
        # converts every tensor of every call, which a small network would feel.
        wrapped=compiled(wrapped, fabric.device) if compile else wrapped,
        loader=loader,
        objective=objective,
        optimizer=optimizer,
        step=step,
        parts=parts,
        scheduler=scheduler,
        each_step=scheduler_interval == "step",
        fabric=fabric,
        path=checkpoint,
        every=checkpoint_every,
        seconds=checkpoint_seconds if checkpoint is not None else 0.0,
        deadline=deadline,
    )
    run.resume()
    history = run.history
    bar = Bar(epochs) if progress and fabric.is_global_zero else nullcontext()
    watchers = [watcher for watcher in (callback, bar) if callable(watcher)]
    with bar, _averaging(optimizer, model), _clipping(optimizer, clip_norm):
        while run.epoch < epochs and history.stopped != "early" and run.train_epoch():
            found: dict[str, Any] = {"epoch": run.epoch, "train_loss": run.train_loss()}
            ranks.average_norms(model)
            if validation is None:
                found["loss"] = found["train_loss"]
            else:
                metric = None if isinstance(monitor, str) else monitor
                with fabric.autocast():
                    found |= evaluate(model, validation, metric, report)
                found.setdefault("monitor", found["loss"])
                # Running statistics differ between processes: all must decide by the same figures.
                found = fabric.broadcast(found)
                if run.epoch >= select_from:
                    run.select(found, greater_is_better and callable(monitor), min_positives, patience)
            for part in parts:
                if hasattr(part, "update"):
                    part.update(**found)
            run.finish_epoch(found)
            for watcher in watchers:
                watcher(history.epochs[-1])
    if run.best is not None:
        model.load_state_dict(run.best)
    if shard:
        gathered(model, whole, optimizer)
    return history


def compiled(model: nn.Module, device: torch.device) -> Any:
    """The model through ``torch.compile``, which on a CPU needs a C++ compiler.

    Raises:
        ValueError: There is none.
    """
    named = [name for name in (os.environ.get("CXX"), "g++", "clang++", "c++", "cl") if name]
    if device.type == "cpu" and not any(map(shutil.which, named)):
        raise ValueError(
            "compile=True needs a C++ compiler, but none was found; install g++ or clang, or leave compile out"
        )
    return torch.compile(model)


@contextmanager
def _averaging(optimizer: torch.optim.Optimizer, model: nn.Module) -> Iterator[None]:
    """Inside the block the objective's own parameters, which DDP does not know, get the processes' mean gradient."""
    model_has = {id(p) for p in model.parameters()}
    extra = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in model_has]
    if ranks.alone() or not extra:
        yield
        return

    def before(*_: Any) -> None:
        for p, grad in zip(extra, ranks.average_over_ranks([p.grad for p in extra], extra)):
            p.grad = grad

    hook = optimizer.register_step_pre_hook(before)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _clipping(optimizer: torch.optim.Optimizer, norm: float | None) -> Iterator[None]:
    """Inside the block gradients are clipped before each of the optimizer's steps, whoever takes them."""
    if norm is None:
        yield
        return

    def before(opt: torch.optim.Optimizer, *_: Any) -> None:
        nn.utils.clip_grad_norm_([p for group in opt.param_groups for p in group["params"]], norm)

    hook = optimizer.register_step_pre_hook(before)
    try:
        yield
    finally:
        hook.remove()
