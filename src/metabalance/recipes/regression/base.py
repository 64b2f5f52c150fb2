"""What a recipe for a continuous target may know, and the plan of one stream and one loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from numbers import Real
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.data.batches import BatchLoader
from metabalance.data.cycle import Cycle
from metabalance.data.transformed import Transformed
from metabalance.densities import as_values, bin_edges, bin_index
from metabalance.engine import Objective
from metabalance.heads import last_linear, replace_head
from metabalance.loss.base import RegressionLoss
from metabalance.ranks import alone, share
from metabalance.readout import Readout
from metabalance.recipes.base import Plan, steps_per_epoch
from metabalance.sample import IndexSampler, ShuffleSampler

__all__ = ["ErrorLoss", "ValueTask", "moments", "on_top_of", "value_plan", "value_stream"]

ERRORS = ("mse", "l1", "huber")


@dataclass(frozen=True)
class ValueTask:
    """The training part, already numeric, with a standardised target; what :class:`metabalance.streams.Task` is for classes.

    Args:
        inputs: ``(N, ...)``.
        target: ``(N, T)``, float64, each column of mean 0 and deviation 1.
        edges: For each target the edges of its bins ``(K + 1,)``, standardised as well.
        mean: What was subtracted ``(T,)``.
        scale: What was divided by ``(T,)``.
        weight: Loss weights ``(N,)`` of average 1, or None.
        batch_size: Rows per batch, those of all processes together.
        seed: Everything random follows from it.
        epochs: How long the estimator trains, for parts that follow a schedule.
        feature_dim: D, the width of the network's last ``nn.Linear``; None if it has none.
        augment: Changes the batches of every stream, ``(inputs, target, generator) -> (inputs, target)``; or None.
        factors: Further weights: each a function of the task that gives ``(N,)``, of the rows the stream shows in the end.
    """

    inputs: Tensor
    target: Tensor
    edges: tuple[Tensor, ...]
    mean: Tensor
    scale: Tensor
    weight: Tensor | None = None
    batch_size: int = 256
    seed: int = 0
    epochs: int = 50
    feature_dim: int | None = None
    augment: Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]] | None = None
    factors: tuple[Callable[["ValueTask"], Tensor], ...] = ()

    @classmethod
    def of(
        cls,
        inputs: Tensor,
        values: Any,
        bin_width: float | Sequence[float] | None = None,
        num_bins: int = 50,
        weight: Tensor | None = None,
        **fields: Any,
    ) -> "ValueTask":
        """The task of values ``(N,)`` or ``(N, T)`` in the user's unit.

        Args:
            inputs: ``(N, ...)``.
            values: Finite numbers.
            bin_width: Of the bins, in the unit of the target; one for all targets or one for each.
            num_bins: Without a width: so many bins from the smallest value to the largest.
            weight: ``(N,)``, made to average 1.
            fields: The other fields.

        Raises:
            ValueError: A target that is constant, values that are not finite, or bins that cannot be.

        >>> task = ValueTask.of(torch.zeros(3, 1), [1.5, 2.5, 6.5], num_bins=5)
        >>> task.mean.item(), round(task.scale.item(), 4), task.bins[0].tolist()
        (3.5, 2.1602, [0, 1, 4])
        """
        y = as_values(values, columns=True)
        y = y.reshape(len(y), -1)
        constant = (y.max(0).values == y.min(0).values).nonzero().flatten().tolist()
        if constant:
            which = "the target" if y.shape[1] == 1 else f"target {constant[0]}"
            raise ValueError(
                f"{which} is {y[0, constant[0]].item():g} in all rows, so there is nothing to learn; give rows with "
                "different values (n_samples = 1 is too few)"
            )
        mean, scale = moments(y, weight)
        standard = (y - mean) / scale
        edges = tuple(
            _standard_edges(column, width, num_bins, u, m, s)
            for column, width, u, m, s in zip(
                y.unbind(1), widths_of(bin_width, y.shape[1]), standard.unbind(1), mean, scale
            )
        )
        dtype = inputs.dtype if inputs.is_floating_point() else torch.float32
        if weight is not None:
            weight = (weight.double() / weight.double().mean()).to(dtype)
        return cls(inputs, standard, edges, mean, scale, weight, **fields)

    @property
    def size(self) -> int:
        """N."""
        return len(self.target)

    @property
    def num_targets(self) -> int:
        """T."""
        return self.target.shape[1]

    @property
    def images(self) -> bool:
        """Whether the inputs are images ``(N, channels, height, width)``, with values from 0 to 1."""
        return self.inputs.dim() == 4

    @cached_property
    def bins(self) -> tuple[Tensor, ...]:
        """For each target the bin ``(N,)`` of each row."""
        return tuple(bin_index(y, e) for y, e in zip(self.target.unbind(1), self.edges))

    @property
    def bin_width(self) -> float:
        """How far two rows of one bin lie apart at most, in standard deviations: of several targets, over all of them."""
        return float(torch.stack([(e[1:] - e[:-1]).min() for e in self.edges]).norm())

    def standard(self, value: float) -> float:
        """A length in the user's unit, in standard deviations; of several targets it is given in these."""
        return float(value) / float(self.scale[0]) if self.num_targets == 1 else float(value)

    def single(self, what: str) -> Tensor:
        """The one target ``(N,)``.

        Raises:
            ValueError: There are several.
        """
        if self.num_targets > 1:
            raise ValueError(
                f"{what} works on one target, but there are {self.num_targets}; fit one model for each, or take a recipe "
                "such as lds, balanced_mse, conr or ranksim"
            )
        return self.target[:, 0]


class ErrorLoss(RegressionLoss):
    """The mean over targets of a squared, absolute or Huber error: what a mistake costs without any remedy.

    Args:
        error: ``"mse"``, ``"l1"`` or ``"huber"``.
        delta: Where the Huber error turns from squared to absolute, above 0.

    >>> ErrorLoss("l1")(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([1.5000])
    """

    def __init__(self, error: str = "mse", delta: float = 1.0) -> None:
        super().__init__("none")
        if error not in ERRORS:
            raise ValueError(f"loss={error!r} is unknown; use one of {', '.join(ERRORS)}")
        if not 0 < delta < float("inf"):
            raise ValueError(f"delta must be finite and above 0, but {delta} was given")
        self.error, self.delta = error, delta

    def losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        if self.error == "mse":
            return (prediction - target).square().mean(1)
        if self.error == "l1":
            return (prediction - target).abs().mean(1)
        return F.huber_loss(prediction, target, reduction="none", delta=self.delta).mean(1)


def widths_of(bin_width: float | Sequence[float] | None, targets: int) -> list[float | None]:
    """The bins' width for each of T targets.

    Raises:
        ValueError: Another number of widths.
    """
    if bin_width is None or isinstance(bin_width, Real):
        return [None if bin_width is None else float(bin_width)] * targets
    widths = [float(width) for width in bin_width]  # type: ignore[union-attr]
    if len(widths) != targets:
        raise ValueError(
            f"bin_width must be one number or one for each target, but {len(widths)} were given for {targets}"
        )
    return list(widths)


def _standard_edges(
    y: Tensor, width: float | None, num_bins: int, standard: Tensor, mean: Tensor, scale: Tensor
) -> Tensor:
    """Edges of the bins: of a width or of whole numbers in the user's unit, else between the smallest and the largest."""
    if width is not None or bool((y == y.round()).all()):  # bins of whole numbers hold equally many of them
        return (bin_edges(y, width, num_bins) - mean) / scale
    return bin_edges(standard, None, num_bins)


def moments(y: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``(T,)`` of values ``(N, T)``, of any scale.

    >>> [round(part.item() / 1e200, 4) for part in moments(torch.tensor([[1e200], [3e200]], dtype=torch.float64))]
    [2.0, 1.0]
    """
    share = (
        torch.full_like(y[:, 0], 1 / len(y)) if weight is None else weight.double() / weight.double().sum()
    )
    tiny = torch.finfo(y.dtype).tiny
    # In units of the largest value no sum overflows, and in units of the largest deviation no square vanishes.
    largest = y.abs().amax(0).clamp_min(tiny)
    mean = (share @ (y / largest)) * largest
    deviation = y - mean
    widest = deviation.abs().amax(0).clamp_min(tiny)
    return mean, (share @ (deviation / widest).square()).sqrt() * widest


def value_stream(
    task: ValueTask,
    sampler: IndexSampler | None = None,
    *,
    batch_size: int | None = None,
    seed: int | None = None,
) -> BatchLoader | Transformed:
    """Batches ``(inputs, target (B, T))``, with weights as a third part if there are any.

    Args:
        task: The training part.
        sampler: Of its rows; by default every row once, in random order.
        batch_size: Rows per batch; by default the task's.
        seed: By default the task's.
    """
    size = task.batch_size if batch_size is None else batch_size
    seed = task.seed if seed is None else seed
    x = task.inputs
    weight = task.weight
    for factor in task.factors:
        by_density = factor(task).to(x.dtype)
        weight = by_density if weight is None else weight * by_density
    if sampler is None and not (size >= task.size and alone()):
        sampler = ShuffleSampler(torch.zeros(task.size, dtype=torch.long), seed=seed)
    y = task.target.to(x.dtype)
    loader = BatchLoader((x, y) if weight is None else (x, y, weight), share(size), sampler)
    return loader if task.augment is None else Transformed(loader, task.augment, seed)


def value_plan(
    task: ValueTask,
    loss: nn.Module | None = None,
    *,
    sampler: IndexSampler | None = None,
    readout: Readout | None = None,
    shown: ValueTask | None = None,
    **slots: Any,
) -> Plan:
    """A plan of one stream and one loss, everything else as the engine has it.

    Args:
        task: The training part.
        loss: With ``reduction="none"``, of the network's columns; by default the squared error.
        sampler: Of the stream.
        readout: What the columns mean; by default a value for each target. The network gets as many.
        shown: The rows of the stream, where they are others than the task's; the number of steps stays.
        slots: Further fields of :class:`~metabalance.recipes.Plan`.
    """
    read = Readout("value", task.num_targets) if readout is None else readout
    loader = slots.pop("loader", None) or Cycle(
        value_stream(task if shown is None else shown, sampler),
        steps_per_epoch(task),  # type: ignore[arg-type]
    )
    return Plan(
        loader=loader,
        objective=Objective(ErrorLoss() if loss is None else loss, point=read.point),
        readout=read,
        prepare=slots.pop("prepare", partial(_with_columns, columns=read.columns)),
        **slots,
    )


def on_top_of(base: str | Callable[..., Plan], task: ValueTask, what: str) -> Plan:
    """The plan that a recipe is put on top of.

    Args:
        base: The name of a recipe, or a function ``(task) -> Plan``, such as a recipe with some of its options set by
            :func:`functools.partial`.
        task: The training part.
        what: The recipe that is put on top.

    Raises:
        ValueError: An unknown base, itself, or one with streams of its own.
    """
    if callable(base):
        return base(task)
    from metabalance.recipes.regression import VALUE_RECIPES

    takes = [name for name in VALUE_RECIPES if name not in ("metabalance", what)]
    if base not in takes:
        reason = "takes two streams of its own" if base == "metabalance" else "cannot be the base"
        raise ValueError(
            f"base={base!r} {reason if base in VALUE_RECIPES else 'is unknown'}; use one of {', '.join(takes)}"
        )
    return VALUE_RECIPES[base](task)


def _with_columns(model: nn.Module, columns: int) -> None:
    """Gives the network a last layer with as many columns, where it has another number."""
    try:
        head = last_linear(model)
    except ValueError:
        return  # a network without one: its outputs are taken as they are
    if head.out_features != columns:
        new = nn.Linear(head.in_features, columns, bias=head.bias is not None)
        replace_head(model, new.to(head.weight))
