"""One MetaBalance update: look-aheads are queued, evaluated one by one or together, averaged, and stepped on.

Bansal et al., "MetaBalance", 2021, arXiv 2106.09643; the formula stands in the package's docstring.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    to_device,
    trainable,
    unwrap,
    why_not_stackable,
)

__all__ = ["MetaBalance"]

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
        shared: How processes divide the work: ``False``, look-aheads of their own each, M of them on each rank; ``True``,
            the rows of every look-ahead, so that the batches are shares of those of one process.
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
        shared: bool = False,
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
            "shared": shared,
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
        self._queue = [(inner, list(outer)) for inner, outer in to_device(state["queue"], device)]
        self._losses = to_device(state["losses"], device)

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


def _is_groups(value: Any) -> bool:
    """A list of batches, one per group."""
    return isinstance(value, list) and len(value) > 0 and all(isinstance(b, (tuple, list)) for b in value)


def _shapes(pair: Any) -> Any:
    leaves, structure = tree_flatten(pair)
    return structure, [(leaf.shape, leaf.dtype, leaf.device) for leaf in leaves]
