"""A training run in progress: the steps of an epoch, the best weights so far, and all that a checkpoint holds.

:func:`metabalance.engine.fit` is its user. Killed at any moment, a run that is built again from the same
objects takes over the checkpoint and goes on at the very next batch.
"""

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from metabalance import checkpoint as checkpoints
from metabalance import ranks as processes

# Fabrics of the processes that were there: making one takes as long as training a small network.
_JOINED: dict[tuple[Any, ...], Any] = {}
_ROW = ("epoch", "train_loss", "loss", "monitor")


CHECKPOINT_SHARE = 0.01  # of the time, for checkpoints that are written by the clock


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


@dataclass
class Run:
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
    # Seconds between checkpoints, if they are not to be written after each epoch.
    seconds: float = 0.0
    written: float = field(default_factory=time.monotonic)
    cost: float = 0.0  # seconds that the last checkpoint took

    def due(self) -> bool:
        """Whether the last checkpoint is long ago, and writing another takes little of the time since."""
        return time.monotonic() - self.written >= max(self.seconds, self.cost / CHECKPOINT_SHARE)

    def train_epoch(self) -> bool:
        """Takes the rest of this epoch's steps; False if the deadline came first."""
        self.history.stopped = "finished"
        self.model.train()
        clock = time.monotonic()
        for batch in self._batches():
            with self.fabric.autocast():
                loss = self.step(self.wrapped, batch, self.objective, self.optimizer)
            if self.scheduler is not None and self.each_step and getattr(self.step, "stepped", True):
                self.scheduler.step()
            rows = len(batch[1])
            self.loss_sum = self.loss_sum + loss.detach() * rows
            self.rows += rows
            self.batch += 1
            self.steps += 1
            late = self.deadline is not None and self.fabric.broadcast(time.monotonic() >= self.deadline)
            timed = self.seconds and self.fabric.world_size == 1 and self.due()
            if late or timed or (self.every and self.steps % self.every == 0):
                now = time.monotonic()
                self.history.seconds += now - clock
                self.history.stopped = "deadline" if late else "finished"
                clock = now
                self.save()
            if late:
                return False
        if not self.batch:
            raise ValueError("the training loader gives no batch")
        flush = getattr(self.step, "flush", None)
        # A step that gathers batches updates with those it has.
        if flush is not None and flush(self.optimizer) and self.scheduler is not None and self.each_step:
            self.scheduler.step()
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
        classes = "support" in report
        fewest = int(report["support"].min()) if classes else report["n"]
        if fewest < min_positives:
            what = f"{fewest} rows of its smallest class" if classes else f"{fewest} rows"
            self.history.note = (
                f"no epoch was selected: the validation set has {what}, and min_positives={min_positives}"
            )
            return
        value, best = report["monitor"], self.history.best_value
        if not math.isnan(value) and (best is None or (value > best if greater else value < best)):
            self.history.best_epoch, self.history.best_value = self.epoch, value
            # Buffers too: running statistics belong to the weights they were taken with.
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
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
        # All processes write it or none, by the clock of one.
        if not self.seconds or self.fabric.broadcast(self.due()):
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
            yield to_device(batch, device)

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
        started = time.monotonic()
        # What each process has of its own: random numbers, and a step's half-finished work.
        own = {
            "then": self.random_then,
            "now": checkpoints.random_state(_generators(self.loader), self.fabric.device),
            "step": self.step.state_dict() if hasattr(self.step, "load_state_dict") else None,
            "loss_sum": self.loss_sum,
            "rows": self.rows,
            # Running statistics, which are each process's own until the epoch's end.
            "buffers": {} if self.fabric.world_size == 1 else dict(self.model.named_buffers()),
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
        self.written = time.monotonic()
        self.cost = self.written - started

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
            own = content["ranks"][self.fabric.global_rank]
            if (own["step"] is not None) != hasattr(self.step, "load_state_dict"):
                raise ValueError("another step")
            for name, item in stateful.items():
                item.load_state_dict(content["states"][name])
            if own["step"] is not None:
                self.step.load_state_dict(own["step"])
            for name, buffer in self.model.named_buffers():
                if name in own["buffers"]:
                    buffer.copy_(own["buffers"][name])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"{os.fspath(self.path)} was written by another run ({reason}); delete it to start anew, or "
                "name another file"
            ) from error
        self.random_then, self.random_now = own["then"], own["now"]
        self.loss_sum, self.rows = own["loss_sum"], own["rows"]
        if isinstance(self.loss_sum, Tensor):
            self.loss_sum = self.loss_sum.to(self.fabric.device)
        self.history = History(**content["history"])
        self.epoch, self.batch, self.steps = (
            content["counters"][name] for name in ("epoch", "batch", "steps")
        )
        self.best = content["best"]


class Bar:
    """A progress bar over epochs, on rich: a context manager, called with each epoch's row."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("training", total=epochs)

    def __enter__(self) -> "Bar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, row: dict[str, Any]) -> None:
        figure = row.get("monitor", row["loss"])
        self.bar.update(
            self.task, completed=row["epoch"] + 1, description=f"epoch {row['epoch']}: {figure:.4g}"
        )


def ready_fabric(fabric: Any, precision: str | None) -> Any:
    """The fabric given, if a step can work with it; by default a new one on the best single device."""
    if fabric is None:
        if precision not in (None, "32-true", "bf16-mixed"):
            raise ValueError(
                f"precision={precision!r} is not supported; use None, '32-true' or 'bf16-mixed' (a float64 "
                "model is trained in float64 without being asked)"
            )
        from lightning_fabric import Fabric

        if not processes.alone():
            return joined_fabric(precision=precision)
        options: dict[str, Any] = {"accelerator": "auto", "devices": 1, "precision": precision}
        return Fabric(**options)
    if precision is not None:
        raise ValueError("precision is the fabric's own when one is given; leave it out here")
    if getattr(fabric.strategy.precision, "scaler", None) is not None:
        raise ValueError(
            "precision '16-mixed' needs its losses scaled, which a step does not do; use 'bf16-mixed'"
        )
    return fabric


def joined_fabric(accelerator: str = "auto", precision: str | None = None) -> Any:
    """A Fabric of the processes of ``torch.distributed`` that are there already, whoever started them."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment

    key = processes.world_size(), processes.rank(), accelerator, precision
    if key in _JOINED:
        return _JOINED[key]
    world, own = key[:2]
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world))

    class Here(LightningEnvironment):
        """The group as it is: nothing is started, and every rank is known."""

        creates_processes_externally = True

        def world_size(self) -> int:
            return world

        def set_world_size(self, size: int) -> None: ...

        def global_rank(self) -> int:
            return own

        def set_global_rank(self, rank: int) -> None: ...

        def local_rank(self) -> int:
            return own % here

        def node_rank(self) -> int:
            return own // here

        def teardown(self) -> None: ...

    settings: dict[str, Any] = {"accelerator": accelerator, "devices": here, "num_nodes": world // here}
    fabric = Fabric(**settings, strategy="ddp", precision=precision, plugins=[Here()])  # type: ignore[arg-type]
    fabric.launch()
    _JOINED[key] = fabric
    return fabric


def to_device(batch: Sequence[Any], device: torch.device) -> tuple[Any, ...]:
    """A batch as a tuple, its tensors on the device."""
    if device.type == "cpu":
        return tuple(batch)
    from lightning_fabric.utilities import move_data_to_device

    return tuple(move_data_to_device(item, device) for item in batch)


def _generators(loader: Any) -> list[torch.Generator]:
    """Those that a DataLoader and its sampler own: no global state covers them."""
    owned = [getattr(owner, "generator", None) for owner in (loader, getattr(loader, "sampler", None))]
    return [generator for generator in owned if isinstance(generator, torch.Generator)]
