"""The only training loop: it has slots for the parts of a method, and names no method.

Slots: the loader (and through it the sampler), the objective, its penalties, the step. One event: after each
validation every part's ``update(**report)`` is called.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance import checkpoint as checkpoints

__all__ = ["History", "Objective", "evaluate", "fit", "plain_step"]

_ROW = ("epoch", "train_loss", "loss", "monitor")


class Objective(nn.Module):
    """What a step minimises: the batch mean of (weighted) losses, plus coefficients times penalties.

    Args:
        loss: ``(logits (B, C), target (B,)) -> (B,)``, with ``reduction="none"``; ``()`` is taken too, for
            batches without weights.
        penalties: Pairs ``(module, coefficient)``; a module takes ``(features (B, D), target (B,)) -> ()``.
            The features are the input of the model's last ``nn.Linear``.

    The call takes ``(model, batch) -> ()``, where a batch is ``(inputs, target)`` or
    ``(inputs, target, weight)``, and weights ``(B,)`` average 1 over the training set: the mean is over the
    batch's rows, never over its weights. The model may also be a function of the inputs alone (other
    parameters, same network); for penalties it must then carry the network as its attribute ``module``.

    Raises:
        ValueError: In the call: a weighted batch and a loss already reduced, or penalties on a model in which
            no ``nn.Linear`` is found.

    >>> objective = Objective(nn.CrossEntropyLoss(reduction="none"))
    >>> inputs, target = torch.zeros(2, 3), torch.tensor([0, 1])
    >>> objective(nn.Linear(3, 2, bias=False), (inputs, target, torch.tensor([3.0, 1.0])))  # 2 log 2
    tensor(1.3863, grad_fn=<MeanBackward0>)
    """

    def __init__(
        self, loss: Callable[[Tensor, Tensor], Tensor], penalties: Sequence[tuple[nn.Module, float]] = ()
    ) -> None:
        super().__init__()
        self.loss = loss
        self.penalties = nn.ModuleList(module for module, _ in penalties)
        self.coefficients = [float(coefficient) for _, coefficient in penalties]

    def forward(self, model: Callable[[Any], Tensor], batch: Sequence[Any]) -> Tensor:
        inputs, target = batch[0], batch[1]
        if not self.coefficients:
            return self._reduced(self.loss(model(inputs), target), batch)
        features: list[Tensor] = []
        tap = _last_linear(model).register_forward_pre_hook(lambda _, args: features.append(args[0]))
        try:
            logits = model(inputs)
        finally:
            tap.remove()
        value = self._reduced(self.loss(logits, target), batch)
        for penalty, coefficient in zip(self.penalties, self.coefficients):
            value = value + coefficient * penalty(features[-1], target)
        return value

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


@dataclass
class History:
    """The record of a run.

    Attributes:
        epochs: One dictionary an epoch: ``epoch`` (from 0), ``train_loss`` and, with validation, ``loss``,
            ``recall`` (a list, NaN for absent classes), ``monitor``.
        best_epoch: The epoch whose weights were kept; ``None`` without selection.
        best_value: The monitored value of that epoch.
        stopped: ``"finished"``, ``"early"`` or ``"deadline"``.
        seconds: Time spent, that before an interruption included.
        note: Why no epoch was selected, if validation was given and could not be trusted.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float | None = None
    stopped: str = "finished"
    seconds: float = 0.0
    note: str = ""


def evaluate(
    model: nn.Module,
    loader: Iterable[Sequence[Any]],
    metric: Callable[[np.ndarray, np.ndarray], float] | None = None,
) -> dict[str, Any]:
    """Applies the model in eval mode to all batches; every module's mode is put back afterwards.

    Args:
        model: Gives logits ``(B, C)``.
        loader: Batches ``(inputs, target)`` or ``(inputs, target, weight)``.
        metric: ``(probabilities (N, C), target (N,)) -> float``, on NumPy arrays.

    Returns:
        ``loss`` (mean cross-entropy, weighted if the batches are), ``recall`` ``(C,)`` (NaN for classes
        without rows), ``support`` ``(C,)`` (rows of each class), ``n`` (rows) and, with a metric,
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
                inputs, *rest = _to(batch, device)
                parts.append((model(inputs), *rest))
    finally:
        for module, training in modes:
            module.training = training
    if not parts:
        raise ValueError("the validation loader gives no batch")
    logits, target, *weight = (torch.cat(column) for column in zip(*parts))
    losses = F.cross_entropy(
        logits.float() if logits.dtype != torch.float64 else logits, target, reduction="none"
    )
    loss = (losses * weight[0]).sum() / weight[0].sum() if weight else losses.mean()
    classes = logits.shape[1]
    support = torch.bincount(target, minlength=classes)
    hits = torch.bincount(target[logits.argmax(1) == target], minlength=classes)
    report = {
        "loss": float(loss),
        "recall": (hits / support).cpu(),
        "support": support.cpu(),
        "n": len(target),
    }
    if metric is not None:
        report["monitor"] = float(metric(logits.double().softmax(1).cpu().numpy(), target.cpu().numpy()))
    return report


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
    patience: int | None = None,
    min_positives: int = 1,
    clip_norm: float | None = None,
    fabric: Any = None,
    precision: str | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int | None = None,
    progress: bool = False,
    deadline: float | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> History:
    """Trains ``model`` in place and, with validation, leaves it with the weights of its best epoch.

    Killed at any moment and called again with the same arguments and ``checkpoint``, it goes on, in the
    middle of an epoch too, and on a CPU ends with the same bits as an uninterrupted run.

    Args:
        model: Gives logits ``(B, C)``.
        loader: The training batches. ``set_epoch`` is called if there (on its ``sampler``, for a plain
            ``DataLoader``); with ``state_dict`` it resumes itself, otherwise the batches already seen are
            fetched and skipped.
        objective: ``(model, batch) -> ()``, see :class:`Objective`.
        optimizer: Over the parameters to train.
        step: ``(model, batch, objective, optimizer) -> loss ()``, see :func:`plain_step`.
        parts: Whatever has ``update(**report)``: called after each validation with ``epoch``, ``train_loss``,
            ``loss``, ``recall`` ``(C,)``, ``support`` ``(C,)``, ``n`` and ``monitor``; without validation
            with ``epoch``, ``train_loss`` and ``loss`` (the same) only.
        scheduler: Changes the optimizer's learning rate.
        scheduler_interval: When the scheduler steps: ``"epoch"`` or ``"step"``.
        epochs: Passes over the loader.
        validation: Held-out batches, evaluated after each epoch (in whole by every process of a distributed
            run).
        monitor: ``"loss"``, or a function of probabilities ``(N, C)`` and classes ``(N,)``.
        greater_is_better: Direction of a ``monitor`` function.
        patience: Epochs without improvement before stopping; ``None`` never stops early.
        min_positives: With fewer held-out rows of any class than this, no epoch is selected and none is
            skipped: the monitored value would be noise.
        clip_norm: Largest gradient norm; longer gradients are scaled down in every ``optimizer.step``.
        fabric: A launched ``lightning_fabric.Fabric``, single device or DDP; by default one on the best
            device.
        precision: ``None`` or ``"32-true"`` (as the model is) or ``"bf16-mixed"``, when no ``fabric`` is
            given.
        checkpoint: A file for :mod:`metabalance.checkpoint`, written after each epoch.
        checkpoint_every: Write it after so many steps too.
        progress: Show a bar.
        deadline: A value of ``time.monotonic()`` after which training stops cleanly, after the current step.
        callback: Called with each epoch's row of the history.

    Returns:
        The record of the run.

    Raises:
        ValueError: An impossible setting, an empty loader, or a checkpoint that is damaged or of another run.
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
        raise ValueError(
            f"monitor={monitor!r} is unknown; use 'loss' or a function of probabilities and classes"
        )
    if checkpoint_every is not None and (checkpoint is None or checkpoint_every < 1):
        raise ValueError("checkpoint_every is a number of steps, at least 1, and needs checkpoint, a file")
    fabric = _fabric(fabric, precision)
    fabric.to_device(model)
    if isinstance(objective, nn.Module):
        objective.to(fabric.device)
    run = _Run(
        model=model,
        # The strategy's own wrapper (DDP, or none) and one autocast context around the step: Fabric's wrapper
        # converts every tensor of every call, which a small network would feel.
        wrapped=fabric.strategy.setup_module(model),
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
        deadline=deadline,
    )
    run.resume()
    history = run.history
    clip = _clip(optimizer, clip_norm)
    bar = _Bar(epochs) if progress and fabric.is_global_zero else nullcontext()
    watchers = [watcher for watcher in (callback, bar) if callable(watcher)]
    try:
        with bar:
            while run.epoch < epochs and history.stopped != "early" and run.train_epoch():
                report: dict[str, Any] = {"epoch": run.epoch, "train_loss": run.train_loss()}
                if validation is None:
                    report["loss"] = report["train_loss"]
                else:
                    with fabric.autocast():
                        report |= evaluate(model, validation, None if isinstance(monitor, str) else monitor)
                    report.setdefault("monitor", report["loss"])
                    # Running statistics differ between processes: all must decide by the same figures.
                    report = fabric.broadcast(report)
                    run.select(report, greater_is_better and callable(monitor), min_positives, patience)
                for part in parts:
                    if hasattr(part, "update"):
                        part.update(**report)
                run.finish_epoch(report)
                for watcher in watchers:
                    watcher(history.epochs[-1])
    finally:
        clip.remove()
    if run.best is not None:
        model.load_state_dict(run.best)
    return history


@dataclass
class _Run:
    """A fit in progress: the objects at work, and what a checkpoint holds besides their own states."""

    model: nn.Module
    wrapped: nn.Module
    loader: Any
    objective: Any
    optimizer: torch.optim.Optimizer
    step: Any
    parts: Sequence[Any]
    scheduler: Any
    each_step: bool
    fabric: Any
    path: str | os.PathLike | None
    every: int | None
    deadline: float | None
    history: History = field(default_factory=History)
    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    steps: int = 0
    loss_sum: Any = 0.0
    rows: int = 0
    best: dict[str, Tensor] | None = None
    # Of the epoch's start: a DataLoader draws its order then, and resuming must draw the same one.
    random_then: dict[str, Any] | None = None
    random_now: dict[str, Any] | None = None
    verified: bool = False

    def train_epoch(self) -> bool:
        """Takes the rest of this epoch's steps; False if the deadline came first."""
        self.history.stopped = "finished"
        self.model.train()
        clock = time.monotonic()
        for batch in self._batches():
            with self.fabric.autocast():
                loss = self.step(self.wrapped, batch, self.objective, self.optimizer)
            if self.scheduler is not None and self.each_step:
                self.scheduler.step()
            rows = len(batch[1])
            self.loss_sum = self.loss_sum + loss.detach() * rows
            self.rows += rows
            self.batch += 1
            self.steps += 1
            late = self.deadline is not None and self.fabric.broadcast(time.monotonic() >= self.deadline)
            if late or (self.every and self.steps % self.every == 0):
                now = time.monotonic()
                self.history.seconds += now - clock
                self.history.stopped = "deadline" if late else "finished"
                clock = now
                self.save()
            if late:
                return False
        if not self.batch:
            raise ValueError("the training loader gives no batch")
        self.history.seconds += time.monotonic() - clock
        return True

    def train_loss(self) -> float:
        """Mean loss of the epoch's rows, each at the weights of its own step, over all processes."""
        sums = torch.stack([self.loss_sum, self.loss_sum.new_tensor(self.rows)])
        loss_sum, rows = self.fabric.all_reduce(sums, reduce_op="sum").tolist()
        loss = loss_sum / rows
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the training loss became {loss} in epoch {self.epoch}; lower the learning rate, set "
                "clip_norm, or look for extreme values in the inputs"
            )
        return loss

    def select(self, report: dict[str, Any], greater: bool, min_positives: int, patience: int | None) -> None:
        """Keeps this epoch's weights if they are the best so far."""
        fewest = int(report["support"].min())
        if fewest < min_positives:
            self.history.note = (
                f"no epoch was selected: the validation set has {fewest} rows of its smallest class, and "
                f"min_positives={min_positives}"
            )
            return
        value, best = report["monitor"], self.history.best_value
        if not math.isnan(value) and (best is None or (value > best if greater else value < best)):
            self.history.best_epoch, self.history.best_value = self.epoch, value
            # Buffers too: running statistics belong to the weights they were taken with.
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        last = self.history.best_epoch
        if patience is not None and last is not None and self.epoch - last >= patience:
            self.history.stopped = "early"

    def finish_epoch(self, report: dict[str, Any]) -> None:
        """Writes the history's row and the checkpoint, and turns to the next epoch."""
        if self.scheduler is not None and not self.each_step:
            self.scheduler.step()
        row: dict[str, Any] = {key: report[key] for key in _ROW if key in report}
        if "recall" in report:
            row["recall"] = report["recall"].tolist()
        self.history.epochs.append(row)
        self.epoch += 1
        self.batch, self.loss_sum, self.rows = 0, 0.0, 0
        self.save()

    def _batches(self) -> Iterator[tuple[Any, ...]]:
        for owner in (self.loader, getattr(self.loader, "sampler", None)):
            set_epoch = getattr(owner, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(self.epoch)
                break
        device, generators = self.fabric.device, _generators(self.loader)
        skip = 0 if hasattr(self.loader, "load_state_dict") else self.batch
        state = self.random_then if skip else self.random_now
        if state is not None:
            checkpoints.set_random_state(state, generators, device)
        if self.path is not None and not self.batch:
            self.random_then = checkpoints.random_state(generators, device)
        iterator = iter(self.loader)
        for _ in range(skip):
            next(iterator)
        if skip and self.random_now is not None:
            checkpoints.set_random_state(self.random_now, generators, device)
        self.random_now = None
        for batch in iterator:
            yield _to(batch, device)

    def _stateful(self) -> dict[str, Any]:
        """Everything with a state of its own that all processes share."""
        named = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        named |= {"objective": self.objective, "loader": self.loader}
        named |= {f"part {i}": part for i, part in enumerate(self.parts)}
        return {name: item for name, item in named.items() if hasattr(item, "load_state_dict")}

    def save(self) -> None:
        """Writes the checkpoint, if there is to be one."""
        if self.path is None:
            return
        # What each process has of its own: random numbers, and a step's half-finished work.
        own = {
            "then": self.random_then,
            "now": checkpoints.random_state(_generators(self.loader), self.fabric.device),
            "step": self.step.state_dict() if hasattr(self.step, "load_state_dict") else None,
            "loss_sum": self.loss_sum,
            "rows": self.rows,
        }
        ranks: list[Any] = [own]
        if self.fabric.world_size > 1:
            ranks = [None] * self.fabric.world_size
            dist.all_gather_object(ranks, own)
        if self.fabric.is_global_zero:
            content = {
                "length": len(self.loader) if hasattr(self.loader, "__len__") else None,
                "states": {name: item.state_dict() for name, item in self._stateful().items()},
                "ranks": ranks,
                "history": vars(self.history),
                "counters": {"epoch": self.epoch, "batch": self.batch, "steps": self.steps},
                "best": self.best,
            }
            checkpoints.save(self.path, content, verify=not self.verified)
            self.verified = True
        self.fabric.barrier()

    def resume(self) -> None:
        """Takes over a checkpoint, if there is one."""
        if self.path is None or not Path(self.path).exists():
            return
        content = checkpoints.load(self.path)
        length = len(self.loader) if hasattr(self.loader, "__len__") else None
        stateful = self._stateful()
        try:
            if content["length"] != length or len(content["ranks"]) != self.fabric.world_size:
                raise ValueError("another number of batches or processes")
            if content["states"].keys() != stateful.keys():
                raise ValueError("other parts")
            for name, item in stateful.items():
                item.load_state_dict(content["states"][name])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"{os.fspath(self.path)} was written by another run ({reason}); delete it to start anew, or "
                "name another file"
            ) from error
        own = content["ranks"][self.fabric.global_rank]
        self.random_then, self.random_now = own["then"], own["now"]
        self.loss_sum, self.rows = own["loss_sum"], own["rows"]
        if isinstance(self.loss_sum, Tensor):
            self.loss_sum = self.loss_sum.to(self.fabric.device)
        if own["step"] is not None:
            self.step.load_state_dict(own["step"])
        self.history = History(**content["history"])
        self.epoch, self.batch, self.steps = (
            content["counters"][name] for name in ("epoch", "batch", "steps")
        )
        self.best = content["best"]


class _Bar:
    """A progress bar over epochs, on rich."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("training", total=epochs)

    def __enter__(self) -> "_Bar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, row: dict[str, Any]) -> None:
        figure = row.get("monitor", row["loss"])
        self.bar.update(
            self.task, completed=row["epoch"] + 1, description=f"epoch {row['epoch']}: {figure:.4g}"
        )


def _fabric(fabric: Any, precision: str | None) -> Any:
    if fabric is None:
        if precision not in (None, "32-true", "bf16-mixed"):
            raise ValueError(
                f"precision={precision!r} is not supported; use None, '32-true' or 'bf16-mixed' (a float64 "
                "model is trained in float64 without being asked)"
            )
        from lightning_fabric import Fabric

        options: dict[str, Any] = {"accelerator": "auto", "devices": 1, "precision": precision}
        return Fabric(**options)
    if precision is not None:
        raise ValueError("precision is the fabric's own when one is given; leave it out here")
    if getattr(fabric.strategy.precision, "scaler", None) is not None:
        raise ValueError(
            "precision '16-mixed' needs its losses scaled, which a step does not do; use 'bf16-mixed'"
        )
    return fabric


def _clip(optimizer: torch.optim.Optimizer, norm: float | None) -> Any:
    """Installs clipping before each of the optimizer's steps, whoever takes them; ``remove()`` ends it."""

    def before(opt: torch.optim.Optimizer, *_: Any) -> None:
        if norm is not None:
            nn.utils.clip_grad_norm_([p for group in opt.param_groups for p in group["params"]], norm)

    return optimizer.register_step_pre_hook(before)


def _generators(loader: Any) -> list[torch.Generator]:
    owned = [getattr(owner, "generator", None) for owner in (loader, getattr(loader, "sampler", None))]
    return [generator for generator in owned if isinstance(generator, torch.Generator)]


def _to(batch: Sequence[Any], device: torch.device) -> tuple[Any, ...]:
    if device.type == "cpu":
        return tuple(batch)
    from lightning_fabric.utilities import move_data_to_device

    return tuple(move_data_to_device(item, device) for item in batch)


def _last_linear(model: Any) -> nn.Linear:
    network = model if isinstance(model, nn.Module) else getattr(model, "module", None)
    modules = network.modules() if isinstance(network, nn.Module) else ()
    layers = [layer for layer in modules if isinstance(layer, nn.Linear)]
    if not layers:
        raise ValueError(
            "penalties need features, the input of the last nn.Linear, but none was found; give a function "
            "its network as the attribute module"
        )
    return layers[-1]
