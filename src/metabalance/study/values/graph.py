"""A trained model of values as one torch module, from raw columns or pixels to predictions and intervals.

The steps are those of Python, in their order, and in float64 wherever Python has it: only the network computes in
float32.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from metabalance.readout import Readout
from metabalance.study.graph import Linear64, Whole, entrance
from metabalance.study.values.intervals import Margins, Stretches
from metabalance.study.values.ship import TrainedRegressor, ValueNetwork, unit_of

__all__ = ["ValueOutcome", "whole_values"]


class ValueOutcome(nn.Module):
    """Outputs of the network to predictions and the ends of intervals, in the user's unit.

    Args:
        model: Whose readout, unit, regions and intervals they are.
        level, by: Of the intervals; see :class:`~metabalance.study.values.intervals.ValueIntervals`.

    Shape:
        raw ``(N, columns)`` -> prediction ``(N, T)``, float64; and low and high ``(N, T)`` if the model has intervals.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: TrainedRegressor, level: float | None = None, by: str | None = None) -> None:
        super().__init__()
        self.targets = len(model.names)
        network = isinstance(model.model, ValueNetwork)
        self.readout = model.model.readout if network else Readout("value", self.targets)
        mean, scale = unit_of(model.model)
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.outputs = ["prediction"]
        if model.conformal is None:
            return
        self.outputs += ["low", "high"]
        self.by, level = model.conformal.known(level, by)
        for i, margins in enumerate(model.conformal.margins[self.by, level]):
            starts, steps = _steps(model.conformal.stretches[i], margins)
            if len(starts):  # a tensor without elements cannot be packed
                self.register_buffer(f"starts_{i}", torch.from_numpy(starts))
            self.register_buffer(f"margins_{i}", torch.from_numpy(steps))

    def forward(self, raw: Tensor) -> tuple[Tensor, ...]:
        raw = raw.double()
        prediction = self.readout.point(raw) * self.scale + self.mean
        if len(self.outputs) == 1:
            return (prediction,)
        low = high = prediction
        limits = self.readout.limits(raw)
        if limits is not None:
            limits = limits * self.scale[:, None] + self.mean[:, None]
            low = torch.minimum(limits[..., 0], limits[..., 1])
            high = torch.maximum(limits[..., 0], limits[..., 1])
        ends = [self._ends(i, prediction[:, i], low[:, i], high[:, i]) for i in range(self.targets)]
        return prediction, *(torch.stack(side, dim=1) for side in zip(*ends))

    def distance(self, found: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> float:
        """The largest difference between outputs, in standard deviations of the target.

        At the edge of a region rounding decides between two margins: of the ends, the worst row in a hundred is let pass.
        """
        unit = self.scale.numpy()
        worst = float((np.abs(found[0] - expected[0]) / unit).max(initial=0))
        for one, other in zip(found[1:], expected[1:]):
            gap = np.sort((np.abs(one - other) / unit).max(axis=1))
            worst = float(np.maximum(worst, gap[: len(gap) - len(gap) // 100].max(initial=0)))
        return worst

    def _ends(self, i: int, prediction: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        margins, starts = getattr(self, f"margins_{i}"), getattr(self, f"starts_{i}", None)
        if starts is not None and self.by == "target":
            return _by_target(low, high, starts, margins)
        margin = margins.expand_as(prediction) if starts is None else margins[_place(prediction, starts)]
        margin = torch.maximum(margin, (low - high) / 2)
        return low - margin, high + margin


def _place(values: Tensor, starts: Tensor) -> Tensor:
    return (values[:, None] >= starts).sum(1)


def _by_target(low: Tensor, high: Tensor, starts: Tensor, margins: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`metabalance.adjust.intervals_by_target`."""
    end = torch.full_like(starts[:1], math.inf)
    first = torch.maximum(low[:, None] - margins, torch.cat([-end, starts]))
    last = torch.minimum(high[:, None] + margins, torch.cat([starts, end]))
    there, middle = first <= last, (low + high) / 2
    first = torch.where(there, first, end).amin(1)
    last = torch.where(there, last, -end).amax(1)
    nothing = first > last
    return torch.where(nothing, middle, first), torch.where(nothing, middle, last)


def whole_values(model: TrainedRegressor, level: float | None = None, by: str | None = None) -> Whole:
    """The module of a model that is a network, a ridge regression or the mean.

    Raises:
        TypeError: Trees.
    """
    if isinstance(model.model, ValueNetwork):
        network = model.model.module
    elif "coef" in model.model.tensors:
        network = Linear64(model.model.tensors["coef"], model.model.tensors["intercept"])
    else:
        raise TypeError(f"no graph is known for {model.record['recipe']}")
    return Whole(entrance(model), network, ValueOutcome(model, level, by)).eval()


def _steps(stretches: Stretches, margins: Margins) -> tuple[np.ndarray, np.ndarray]:
    """Where the margin changes ``(M,)``, and the margins between ``(M + 1,)``."""
    steps = stretches.each(margins)
    changes = np.flatnonzero(np.diff(steps) != 0)
    return stretches.starts[changes], np.append(steps[:1], steps[changes + 1])
