"""A stream of batches: which rows of the training part are seen, and what class prior they stand for.

A recipe has one stream, MetaBalance two. Each is balanced by a sampler, epoch by epoch, or by one of
imbalanced-learn's strategies, once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metabalance.counts import class_counts, class_priors
from metabalance.data.batches import BatchLoader
from metabalance.data.streamed import Rows, StreamedLoader
from metabalance.data.transformed import Transformed
from metabalance.ranks import alone, share
from metabalance.sample import (
    RESAMPLERS,
    ClassBalancedSampler,
    IndexSampler,
    OverSampler,
    PowerSampler,
    ShuffleSampler,
    UnderSampler,
    resample,
)

__all__ = ["STREAMS", "Elsewhere", "Task", "stream", "whole_copies"]


class Elsewhere:
    """Stands for rows that are not in memory: whatever wants to see them is told so."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError("all rows are needed in memory at once, and these are streamed")

    def __len__(self) -> int:
        return self.__getattr__("__len__")

    def __getitem__(self, index: Any) -> Any:
        return self.__getattr__("__getitem__")


@dataclass(frozen=True)
class Task:
    """What a recipe may know: the training part, already numeric, and the seed.

    Args:
        inputs: ``(N, ...)``.
        target: Class indices ``(N,)``.
        num_classes: C, whether or not every class occurs.
        weight: Loss weights ``(N,)`` of average 1, or None.
        class_weight: Weights per class ``(C,)``, or None; multiplied onto ``weight``.
        batch_size: Rows per batch, those of all processes together.
        seed: Everything random follows from it.
        epochs: How long the estimator trains, for parts that follow a schedule.
        feature_dim: D, the width of the network's last ``nn.Linear``; None if it has none.
        rows: Training rows that do not fit into memory; ``inputs`` and ``target`` are then :class:`Elsewhere`.
        unlabeled: Rows without a label ``(M, ...)``, or None.
        augment: Changes the batches of every stream, ``(inputs, target, generator) -> (inputs, target)``; or None.
    """

    inputs: Tensor
    target: Tensor
    num_classes: int
    weight: Tensor | None = None
    class_weight: Tensor | None = None
    batch_size: int = 256
    seed: int = 0
    epochs: int = 50
    feature_dim: int | None = None
    unlabeled: Tensor | None = None
    rows: Rows | None = None
    augment: Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]] | None = None

    @classmethod
    def of_rows(cls, rows: Rows, num_classes: int, **fields: Any) -> "Task":
        """The task of rows that are streamed."""
        away: Any = Elsewhere()
        return cls(away, away, num_classes, rows=rows, **fields)

    @property
    def size(self) -> int:
        """N."""
        return len(self.target) if self.rows is None else int(self.rows.unit_counts.sum())

    @property
    def images(self) -> bool:
        """Whether the inputs are images ``(N, channels, height, width)``, with values from 0 to 1."""
        return self.rows is None and self.inputs.dim() == 4

    @cached_property
    def counts(self) -> Tensor:
        """Class sizes ``(C,)``, in rows or, with sample weights, in weight."""
        if self.rows is not None:
            return torch.as_tensor(self.rows.unit_counts.sum(axis=0), dtype=torch.float64)
        return class_counts(self.target, self.num_classes, self.weight)

    @cached_property
    def prior(self) -> Tensor:
        """The class prior that unweighted, natural training is calibrated to, ``(C,)``."""
        return class_priors(self.counts)


_SAMPLERS: dict[str, Callable[[Tensor, int], IndexSampler]] = {
    "natural": lambda y, seed: ShuffleSampler(y, seed=seed),
    "class_balanced": lambda y, seed: ClassBalancedSampler(y, seed=seed),
    "square_root": lambda y, seed: PowerSampler(y, q=0.5, seed=seed),
    "random_over": lambda y, seed: OverSampler(y, seed=seed),
    "random_under": lambda y, seed: UnderSampler(y, seed=seed),
}
_ALIASES = {"simple": "natural", "oversample": "random_over", "undersample": "random_under"}
# A class's share of a stream goes with this power of its size, where rows are streamed.
_POWERS = {"natural": 1.0, "class_balanced": 0.0, "square_root": 0.5, "random_over": 0.0, "random_under": 0.0}
STREAMS = tuple(dict.fromkeys((*_SAMPLERS, *_ALIASES, *RESAMPLERS)))


def stream(
    task: Task,
    balancing: str | IndexSampler,
    *,
    batch_size: int | None = None,
    seed: int | None = None,
    with_index: bool = False,
) -> tuple[BatchLoader | StreamedLoader | Transformed, Tensor, tuple[str, ...]]:
    """One stream of batches under a balancing strategy.

    Args:
        task: The training part.
        balancing: A sampler (``natural``, ``class_balanced``, ``square_root``, ``random_over``,
            ``random_under``) or one of the imbalanced-learn strategies of ``metabalance.sample.RESAMPLERS``,
            applied once to the training part; or a sampler of the task's rows with settings of its own.
        batch_size: Rows per batch; by default the task's.
        seed: By default the task's.
        with_index: Batches are ``(inputs, target, weight, index)``, the index numbering the task's rows; for
            strategies that keep the task's rows.

    Returns:
        The loader, the class prior ``(C,)`` that training on it is calibrated to, and notes.

    Raises:
        ValueError: An unknown strategy; sample weights, or an index, with a strategy that makes new rows.
    """
    if task.rows is not None:
        return _streamed(task, balancing, batch_size, seed, with_index)
    notes: tuple[str, ...] = ()
    size = task.batch_size if batch_size is None else batch_size
    seed = task.seed if seed is None else seed
    sampler: IndexSampler | None
    if isinstance(balancing, str):
        balancing = _ALIASES.get(balancing, balancing)
        sampler = _SAMPLERS[balancing](task.target, seed) if balancing in _SAMPLERS else None
    else:
        sampler = balancing
    same_rows = sampler is not None
    if sampler is not None:
        x, y, weight = task.inputs, task.target, task.weight
        prior = task.prior if balancing == "natural" else _sampled_prior(task, sampler)
        sampler = None if balancing == "natural" and size >= len(y) and alone() else sampler
    elif isinstance(balancing, str) and balancing in RESAMPLERS:
        x, y, weight, notes = _resampled(task, balancing, seed)
        sampler = None if size >= len(y) and alone() else ShuffleSampler(y, seed=seed)
        prior = class_priors(class_counts(y, task.num_classes, weight))
    else:
        raise ValueError(f"the stream {balancing!r} is unknown; use one of {', '.join(STREAMS)}")
    if task.class_weight is not None:
        weight = _times(weight, task.class_weight.to(x.dtype)[y])
        prior = class_priors(prior * task.class_weight)
    tensors: tuple[Tensor, ...] = (x, y) if weight is None else (x, y, weight)
    if with_index:
        if not same_rows:
            raise ValueError(
                f"the stream {balancing!r} changes the rows, so they cannot be told apart by an index"
            )
        tensors = (
            x,
            y,
            torch.ones(len(y), dtype=x.dtype) if weight is None else weight,
            torch.arange(len(y)),
        )
    loader = BatchLoader(tensors, share(size), sampler)
    return loader if task.augment is None else Transformed(loader, task.augment, seed), prior, notes


def _streamed(
    task: Task, balancing: str | IndexSampler, batch_size: int | None, seed: int | None, with_index: bool
) -> tuple[StreamedLoader | Transformed, Tensor, tuple[str, ...]]:
    """As :func:`stream`, of rows that are not in memory."""
    name = _ALIASES.get(balancing, balancing) if isinstance(balancing, str) else None
    if name not in _POWERS or with_index or task.rows is None:
        what = "an index of each row" if with_index else repr(balancing) if name else "this sampler"
        raise ValueError(f"{what} needs all rows in memory at once, and these are streamed")
    seed = task.seed if seed is None else seed
    present = task.counts > 0
    shares = torch.where(present, task.counts.clamp_min(1) ** _POWERS[name], torch.zeros_like(task.counts))
    loader = StreamedLoader(
        task.rows,
        task.batch_size if batch_size is None else batch_size,
        None if name == "natural" else shares.numpy(),
        task.class_weight,
        seed,
    )
    prior = class_priors(shares if task.class_weight is None else shares * task.class_weight)
    return loader if task.augment is None else Transformed(loader, task.augment, seed), prior, ()


def _sampled_prior(task: Task, sampler: IndexSampler) -> Tensor:
    """Class shares ``(C,)`` of the sampler's epoch times the mean loss weight of each class's rows.

    The user's class weights are not in it yet.
    """
    rows = class_counts(task.target, task.num_classes)
    share = torch.zeros_like(rows)
    share[rows > 0] = sampler.shares()
    mean_weight = torch.where(rows > 0, task.counts / rows.clamp_min(1), torch.zeros_like(rows))
    return class_priors(share * mean_weight)


def _resampled(task: Task, strategy: str, seed: int) -> tuple[Tensor, Tensor, Tensor | None, tuple[str, ...]]:
    rows, weight = whole_copies(task.weight), None
    keep = torch.arange(len(task.target)) if rows is None else rows
    flat = task.inputs[keep].reshape(len(keep), -1)
    x, y, source, note = resample(flat.cpu().numpy(), task.target[keep].cpu().numpy(), strategy, seed=seed)
    if task.weight is not None and rows is None:
        if source is None:
            raise ValueError(
                f"{strategy} makes new rows, which have no sample_weight; use whole numbers, or leave one of the two out"
            )
        weight = task.weight[torch.as_tensor(source)]
    inputs = torch.as_tensor(x, dtype=task.inputs.dtype).reshape(-1, *task.inputs.shape[1:])
    return inputs, torch.as_tensor(np.asarray(y)).long(), weight, (note,) if note else ()


def whole_copies(weight: Tensor | None) -> Tensor | None:
    """Row numbers that repeat each row as often as it weighs, if weights are multiples of the smallest.

    A weight of k is k copies: so a resampler, which knows no weights, can have them all the same.
    """
    if weight is None:
        return None
    times = weight.double() / weight.double().min()
    whole = times.round()
    if (
        not bool(torch.isfinite(times).all())
        or bool((times - whole).abs().max() > 1e-4)
        or whole.sum() > 10**7
    ):
        return None
    return torch.arange(len(weight)).repeat_interleave(whole.long())


def _times(weight: Tensor | None, factor: Tensor) -> Tensor:
    return factor if weight is None else weight * factor
