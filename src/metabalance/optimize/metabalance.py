r"""MetaBalance: take a look-ahead on data as it comes, learn from the mistakes it makes on balanced data.

Bansal, Goldblum, Cherepanova, Schwarzschild, Bruss & Goldstein, "MetaBalance: High-Performance Neural
Networks for Class-Imbalanced Data", 2021, arXiv 2106.09643. (Not the multi-task method of the same name.)

Two differently balanced streams of the same training set: an inner batch gives a look-ahead
:math:`\theta'_k = \theta - \eta \nabla L_{in}(\theta; b^{in}_k)`, an outer batch judges it, and the optimizer
takes one step on the mean over M look-aheads from the same θ,

.. math:: G = \nabla_\theta \frac1M \sum_k L_{out}(\theta'_k; b^{out}_k) + \lambda L_{in}(\theta; b^{in}_k).

Departures of the authors' code from this formula: it asks for second derivatives but cuts the graph (order 1
in effect); ``meta_step = 80`` averages M = 81; on current PyTorch its convolution layers mix weights of θ
with activations of θ' in the backward pass. Here order 1 is exactly :math:`\nabla L_{out}(\theta')`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from metabalance.bilevel import (
    Gradients,
    Objective,
    add,
    average_over_ranks,
    batch_norm_statistics,
    check_settings,
    gradient,
    hypergradient,
    looking_ahead,
    trainable,
    unwrap,
    why_not_stackable,
)

__all__ = ["PRESETS", "MetaBalance", "MetaBalanceStep", "Preset", "hold_out_meta_set"]

# "auto" stacks look-aheads only where that pays (docs/results/speed-bilevel.md): in models so small that the
# interpreter is the cost. Beyond, K copies of the weights no longer fit the cache, and stacked convolutions
# become grouped ones, which are slower still.
AUTO_PARAMETERS = 50_000


class MetaBalance:
    r"""One MetaBalance update from pairs of batches, for any module and any training loop.

    θ, which is trained, evaluated and saved, stays in the model all the time; θ' exists only within a call
    (and within :meth:`adapted`). Weight decay and momentum are the optimizer's and never enter the
    look-ahead. Parameters that belong to a loss must be part of the model to be trained.

    With ``inner_lr=0`` and no leak this is plain training on the outer stream with M batches at once.

    Args:
        model: Any module, wrapped by DDP or Fabric or not; look-aheads run on the bare module (without a
            wrapper's mixed precision), and gradients are averaged over ranks before each update.
        objective: ``(model, batch) -> loss ()``: the inner loss, and the outer one by default.
        optimizer: Holds the parameters of ``model``.
        outer_objective: The outer loss.
        inner_lr: η, the step size of the look-ahead.
        order: 1, the published behaviour, or 2, the exact gradient :math:`(I - \eta H_{in}) \nabla L_{out}`.
        accumulate: M, look-aheads averaged for one update, counted on each rank.
        leak: λ, how much of the inner loss at θ itself is added.
        outer_reduction: ``"mean"`` or ``"sum"`` of the losses of several outer groups.
        bn_stats: Whose forwards update batch norm's running statistics: ``"both"`` (published), ``"inner"``
            (natural data at θ), ``"outer"`` (balanced data at θ') or ``"frozen"``, nobody's.
        vectorize: Run look-aheads together under ``torch.func.vmap``: ``True``, ``False`` or ``"auto"``, if
            the model allows it (no active dropout, no batch statistics, batches of one shape) and is small
            and without convolutions, so that it pays. Agrees with one after another to rounding.
        chunk_size: The most look-aheads to run together; memory grows with it and not with M.

    Raises:
        ValueError: A setting outside its range, a model without trainable parameters, or an optimizer with
            parameters that the model does not have.

    >>> _ = torch.manual_seed(0)
    >>> model = nn.Linear(2, 2)
    >>> cross_entropy = lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1])
    >>> trainer = MetaBalance(model, cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1), inner_lr=0.1)
    >>> natural = torch.eye(2)[[0, 0, 0, 1]], torch.tensor([0, 0, 0, 1])
    >>> balanced = torch.eye(2), torch.tensor([0, 1])
    >>> report = trainer.step(natural, balanced)
    >>> report["stepped"], round(report["outer_loss"].item(), 3)
    (True, 0.764)
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        optimizer: Any,
        *,
        outer_objective: Objective | None = None,
        inner_lr: float = 0.01,
        order: int = 1,
        accumulate: int = 1,
        leak: float = 0.0,
        outer_reduction: str = "mean",
        bn_stats: str = "both",
        vectorize: str | bool = "auto",
        chunk_size: int = 32,
    ) -> None:
        check_settings(order, outer_reduction, bn_stats)
        if not (vectorize == "auto" or isinstance(vectorize, bool)):
            raise ValueError(f"vectorize={vectorize!r} is unknown; use 'auto', True or False")
        for name, value in (("inner_lr", inner_lr), ("leak", leak)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be finite and not negative, but {value} was given")
        for name, number in (("accumulate", accumulate), ("chunk_size", chunk_size)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, but {number} was given")
        self.model = unwrap(model)
        self.objective = objective
        self.optimizer = optimizer
        self.accumulate = int(accumulate)
        self.vectorize = vectorize
        self.chunk_size = int(chunk_size)
        self.inner_lr = inner_lr
        self._settings: dict[str, Any] = {
            "inner_lr": inner_lr,
            "order": order,
            "leak": leak,
            "outer_objective": outer_objective,
            "outer_reduction": outer_reduction,
            "bn_stats": bn_stats,
        }
        self._named = trainable(self.model)
        self._params = list(self._named.values())
        if not self._params:
            raise ValueError("the model has no trainable parameter; set requires_grad on some")
        own = {id(p) for p in self._params}
        held = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        if any(id(p) not in own for p in held):
            raise ValueError(
                "the optimizer holds parameters that are not the model's and would never get a gradient; "
                "make them part of the model (a loss's own parameters, for example)"
            )
        self._queue: list[tuple[Any, list]] = []  # pairs not yet evaluated: data only, no graph
        self._sum: Gradients = [None] * len(self._params)
        self._count = 0  # look-aheads in the sum
        self._losses: tuple[Tensor, Tensor] | None = None  # inner, outer: of the latest evaluated

    def step(self, inner_batch: Any, outer_batch: Any) -> dict[str, Any]:
        """Takes one look-ahead, and every M-th time updates θ.

        Args:
            inner_batch: ``(inputs, target)`` or ``(inputs, target, weight)``.
            outer_batch: One such batch, or a list of them, one per group.

        Returns:
            ``inner_loss`` and ``outer_loss`` ``()``, means over the look-aheads evaluated last (those waiting
            to be stacked come later), and ``stepped``, whether θ was updated.

        Raises:
            FloatingPointError: A loss is not finite; θ is as before, the look-aheads at fault are dropped.
            ValueError: ``vectorize=True`` on a model, an objective or batches that do not allow it.
        """
        pair = (inner_batch, outer_batch if _is_groups(outer_batch) else [outer_batch])
        stack = self._stackable(pair)
        if self._queue and not (stack and _shapes(pair) == _shapes(self._queue[0])):
            self._evaluate()
        self._queue.append(pair)
        complete = self._count + len(self._queue) == self.accumulate
        # The very first look-ahead does not wait, so that there is a loss to report from the start.
        if complete or not stack or len(self._queue) >= self.chunk_size or self._losses is None:
            self._evaluate()
        if complete:
            self._update()
        assert self._losses is not None
        return {"inner_loss": self._losses[0], "outer_loss": self._losses[1], "stepped": complete}

    def flush(self) -> bool:
        """Updates θ with the mean over an incomplete group of look-aheads, if there is one.

        Without it they are carried over to the next calls of :meth:`step`: θ has not moved since, so that
        nothing goes stale, and the ends of epochs make no difference.

        Returns:
            Whether θ was updated.
        """
        if self._queue:
            self._evaluate()
        stepped = self._count > 0
        if stepped:
            self._update()
        return stepped

    @contextmanager
    def adapted(self, inner_batch: Any) -> Iterator[nn.Module]:
        """The model holds θ' within the block, as a diagnostic; θ is back to the bit afterwards.

        Never evaluate a MetaBalance model only here: θ is what was trained. Batch-norm statistics are not
        touched by the look-ahead.
        """
        with torch.enable_grad(), batch_norm_statistics(self.model, update=False):
            slope = gradient(self.objective(self.model, inner_batch), self._params)
        with looking_ahead(self._params, slope, self.inner_lr):
            yield self.model

    def state_dict(self) -> dict[str, Any]:
        """What is pending: summed gradients and waiting batches. Model and optimizer save themselves."""
        return {
            "sum": {name: None if g is None else g.clone() for name, g in zip(self._named, self._sum)},
            "count": self._count,
            "queue": [(inner, list(outer)) for inner, outer in self._queue],
            "losses": self._losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues to the same bits where :meth:`state_dict` was taken.

        Raises:
            ValueError: The state is of a model with other trainable parameters.
        """
        if state["sum"].keys() != self._named.keys():
            raise ValueError("the saved look-aheads belong to a model with other trainable parameters")
        device = self._params[0].device
        saved = [state["sum"][name] for name in self._named]
        self._sum = [None if g is None else g.to(device, copy=True) for g in saved]
        self._count = state["count"]
        self._queue = [(inner, list(outer)) for inner, outer in _to(state["queue"], device)]
        self._losses = state["losses"]

    def _stackable(self, pair: Any) -> bool:
        if self.vectorize is False or self.accumulate == 1:
            return False
        tensors = all(isinstance(leaf, Tensor) for leaf in tree_flatten(pair)[0])
        reason = why_not_stackable(self.model) if tensors else "a batch holds something other than tensors"
        if self.vectorize is True and reason is not None:
            raise ValueError(f"vectorize=True is impossible here: {reason}; use vectorize='auto' or False")
        return reason is None and (self.vectorize is True or self._small())

    def _small(self) -> bool:
        convolution = any(isinstance(m, nn.modules.conv._ConvNd) for m in self.model.modules())
        return not convolution and sum(p.numel() for p in self._params) <= AUTO_PARAMETERS

    def _evaluate(self) -> None:
        """Adds the gradients of the waiting look-aheads to the sum."""
        # Emptied first: after an error the same data must not fail again.
        pairs, self._queue = self._queue, []
        if len(pairs) > 1:
            try:
                stacked = tree_map(lambda *leaves: torch.stack(leaves), *pairs)
                self._add(stacked, len(pairs))
                return
            except RuntimeError as error:
                if self.vectorize is True:
                    message = str(error).splitlines()[0]
                    raise ValueError(
                        f"vectorize=True is impossible here: {message}; use 'auto' or False"
                    ) from error
                # Something in the objective that vmap cannot do, such as .item(): from now on one by one.
                self.vectorize = False
        for pair in pairs:
            self._add(pair, 1)

    def _add(self, pair: tuple[Any, list], count: int) -> None:
        inner, outer = pair
        grads, *losses = hypergradient(
            self.model, self.objective, inner, outer, stacked=count > 1, **self._settings
        )
        self._sum = add(self._sum, grads, count)
        self._count += count
        self._losses = losses[0], losses[1]

    def _update(self) -> None:
        scale = 1 / self._count
        mean = self._sum if scale == 1 else [None if g is None else g * scale for g in self._sum]
        for p, g in zip(self._params, average_over_ranks(mean, self._params)):
            p.grad = g
        self._sum, self._count = [None] * len(self._params), 0
        self.optimizer.step()


class MetaBalanceStep:
    """MetaBalance as a step of the engine: the engine's batches are one stream, a loader here is the other.

    The loader is started anew, with ``set_epoch``, whenever it is exhausted. In the published tabular and
    image set-ups an epoch is a pass over the outer stream (so ``inner_loader`` is given); with faces and
    with a held-out meta set, over the inner one (``outer_loader``).

    Args:
        inner_loader: Batches for the look-aheads.
        outer_loader: Batches that judge them, or a list of loaders, one per group.
        settings: Those of :class:`MetaBalance`.

    Raises:
        ValueError: Not exactly one of the two loaders was given; in the call, that loader is empty, or the
            step already trains another model.

    >>> batch = torch.eye(2), torch.tensor([0, 1])
    >>> step = MetaBalanceStep(inner_loader=[batch], inner_lr=0.0)
    >>> model = nn.Linear(2, 2)
    >>> cross_entropy = lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1])
    >>> step(model, batch, cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1)).shape
    torch.Size([])
    """

    def __init__(self, *, inner_loader: Any = None, outer_loader: Any = None, **settings: Any) -> None:
        if (inner_loader is None) == (outer_loader is None):
            raise ValueError(
                "give exactly one of inner_loader and outer_loader; the other stream is the engine's"
            )
        self.inner_loader = inner_loader
        self.outer_loader = outer_loader
        self.settings = settings
        self.trainer: MetaBalance | None = None
        self._pending: dict[str, Any] | None = None
        grouped = outer_loader is not None and _is_loaders(outer_loader)
        loaders = outer_loader if grouped else [inner_loader if outer_loader is None else outer_loader]
        self._streams = [_Stream(loader) for loader in loaders]
        self._grouped = grouped

    def __call__(self, model: nn.Module, batch: Any, objective: Objective, optimizer: Any) -> Tensor:
        """Takes one look-ahead; returns its outer loss ``()`` (of the latest evaluated, when stacked)."""
        trainer = self._trainer(model, objective, optimizer)
        device = trainer._params[0].device
        drawn = [_to(stream.draw(), device) for stream in self._streams]
        other = drawn if self._grouped else drawn[0]
        pair = (other, batch) if self.outer_loader is None else (batch, other)
        return trainer.step(*pair)["outer_loss"]

    def state_dict(self) -> dict[str, Any]:
        """The pending look-aheads and the position in the loader."""
        trainer = self._pending if self.trainer is None else self.trainer.state_dict()
        return {"trainer": trainer, "streams": [stream.state_dict() for stream in self._streams]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues with the very next batch, also on a step that has not seen its model yet."""
        for stream, saved in zip(self._streams, state["streams"], strict=True):
            stream.load_state_dict(saved)
        if self.trainer is None:
            self._pending = state["trainer"]
        elif state["trainer"] is not None:
            self.trainer.load_state_dict(state["trainer"])

    def _trainer(self, model: nn.Module, objective: Objective, optimizer: Any) -> MetaBalance:
        if self.trainer is None:
            self.trainer = MetaBalance(model, objective, optimizer, **self.settings)
            if self._pending is not None:
                self.trainer.load_state_dict(self._pending)
                self._pending = None
        elif self.trainer.model is not unwrap(model) or self.trainer.optimizer is not optimizer:
            raise ValueError("this MetaBalanceStep already trains another model; make a new one for each fit")
        return self.trainer


class _Stream:
    """Batches without end: passes over a loader, each with its own epoch number."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.epoch = 0
        self.taken = 0  # batches of this epoch
        self._iterator: Iterator | None = None

    def draw(self) -> Any:
        if self._iterator is None:
            self._start()
        batch = next(self._iterator, None)  # type: ignore[arg-type]
        if batch is None:
            self.epoch += 1
            self._start()
            batch = next(self._iterator, None)  # type: ignore[arg-type]
        if batch is None:
            raise ValueError("a loader of MetaBalanceStep gives no batch: its sampler or data set is empty")
        self.taken += 1
        return batch

    def _start(self) -> None:
        # BatchLoader has set_epoch itself; of a DataLoader it is the sampler's.
        owner = self.loader if hasattr(self.loader, "set_epoch") else getattr(self.loader, "sampler", None)
        if owner is not None and hasattr(owner, "set_epoch"):
            owner.set_epoch(self.epoch)
        self._iterator = iter(self.loader)
        self.taken = 0

    def state_dict(self) -> dict[str, Any]:
        own = self.loader.state_dict() if hasattr(self.loader, "state_dict") else None
        return {
            "epoch": self.epoch,
            "taken": self.taken,
            "started": self._iterator is not None,
            "loader": own,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        if state["loader"] is not None:
            self.loader.load_state_dict(state["loader"])
            self._iterator = iter(self.loader) if state["started"] else None
        elif state["started"]:
            # A plain loader has no memory: its epoch is begun again and the batches already used are skipped.
            self._start()
            for _ in range(state["taken"]):
                self.draw()


@dataclass(frozen=True)
class Preset:
    """A published configuration of the authors' code.

    Args:
        inner: Balancing of the inner stream.
        outer: Balancing of the outer stream.
        inner_batch: Rows of an inner batch.
        outer_batch: Rows of an outer batch, of each group.
        epoch_of: The stream whose pass is an epoch, ``"inner"`` or ``"outer"``.
        lr: Learning rate of the outer SGD.
        accumulate: M, one more than the authors' ``meta_step``.
        schedule: Learning rate over the epochs.
        note: What differs between the versions of the code.
    """

    inner: str
    outer: str
    inner_batch: int
    outer_batch: int
    lr: float
    epochs: int
    schedule: str
    note: str
    inner_lr: float = 0.01
    accumulate: int = 81
    leak: float = 0.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    outer_reduction: str = "mean"
    epoch_of: str = "outer"
    warmup_epochs: int = 0


PRESETS: dict[str, Preset] = {
    "cifar": Preset(
        inner="natural",
        outer="class_balanced",
        inner_batch=20,
        outer_batch=30,
        lr=0.01,
        epochs=350,
        schedule="cosine to 0",
        note="ResNet-18, cross-entropy. The variant added in 2022 has leak=0.005.",
    ),
    "credit_card": Preset(
        inner="random_under",
        outer="all_knn",
        inner_batch=24,
        outer_batch=16,
        lr=0.02,
        leak=0.01,
        epochs=100,
        schedule="constant",
        note="MLP 29-16-24-20-24-1. The code of June 2021 has inner='natural', outer='random_under', lr=0.1.",
    ),
    "loan_default": Preset(
        inner="svm_smote",
        outer="random_under",
        inner_batch=24,
        outer_batch=16,
        lr=0.02,
        leak=0.01,
        epochs=100,
        schedule="constant",
        note="MLP 12-25-1. The code of June 2021 has inner='natural', outer='random_under', lr=0.1.",
    ),
    "faces": Preset(
        inner="natural",
        outer="one batch per group",
        inner_batch=32,
        outer_batch=16,
        lr=0.1,
        accumulate=9,
        epochs=200,
        schedule="divided by 10 at epochs 50, 100 and 150",
        nesterov=False,
        outer_reduction="sum",
        epoch_of="inner",
        warmup_epochs=8,
        note="ResNet-18, focal loss on CosFace logits; no weight decay on batch norm; plain warm-up.",
    ),
}


def hold_out_meta_set(target: Any, fraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Splits off a small balanced set to judge look-aheads by (the published variant "separate").

    Args:
        target: Class indices ``(N,)``.
        fraction: Rows of *every* class to hold out, as a multiple of the rarest class's size (rounded down,
            at least 1). Published: 0.2, 0.1, 0.05 and 0.01.
        seed: Chooses the rows.

    Returns:
        Row indices of what is left to train on and of the meta set, both sorted.

    Raises:
        ValueError: ``fraction`` is not between 0 and 1, or the rarest class has a single row.

    >>> train, meta = hold_out_meta_set([0] * 90 + [1] * 10, fraction=0.2)
    >>> len(train), len(meta)
    (96, 4)
    """
    y = np.asarray(target).reshape(-1)
    classes, counts = np.unique(y, return_counts=True)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, both excluded, but {fraction} was given")
    if not len(y) or counts.min() < 2:
        raise ValueError("a meta set needs two rows of every class, one to train on and one to hold out")
    size = max(1, int(fraction * counts.min()))
    rng = np.random.default_rng(seed)
    meta = np.sort(np.concatenate([rng.choice(np.flatnonzero(y == c), size, replace=False) for c in classes]))
    return np.setdiff1d(np.arange(len(y)), meta), meta


def _is_batch(value: Any) -> bool:
    """A tuple, or a list as a DataLoader makes it, that ends in a tensor: target or weight."""
    return isinstance(value, (tuple, list)) and len(value) > 0 and not isinstance(value[-1], (tuple, list))


def _is_groups(value: Any) -> bool:
    """A list of batches, one per group."""
    return isinstance(value, list) and len(value) > 0 and all(isinstance(b, (tuple, list)) for b in value)


def _is_loaders(value: Any) -> bool:
    """A list of loaders, one per group; a list of batches is one loader."""
    return isinstance(value, (tuple, list)) and len(value) > 0 and not _is_batch(value[0])


def _shapes(pair: Any) -> Any:
    leaves, structure = tree_flatten(pair)
    return structure, [(leaf.shape, leaf.dtype, leaf.device) for leaf in leaves]


def _to(batch: Any, device: torch.device) -> Any:
    return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, batch)
