"""A trained model of values as one torch module, from raw columns or pixels to predictions and intervals.

The steps are those of Python, in their order, and in float64 wherever Python has it: only the network computes in
float32.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metabalance.readout import Readout
from metabalance.study.graph import Linear64, Whole, entrance
from metabalance.study.values.ship import TrainedRegressor, ValueNetwork, unit_of

__all__ = ["ValueOutcome", "whole_values"]


class ValueOutcome(nn.Module):
    """Outputs of the network to predictions and the ends of intervals, in the user's unit.

    Args:
        model: Whose readout, unit, regions and intervals they are.
        level: Of the intervals; see :class:`~metabalance.study.values.intervals.ValueIntervals`.

    Shape:
        raw ``(N, columns)`` -> prediction ``(N, T)``, float64; and low and high ``(N, T)`` if the model has intervals.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: TrainedRegressor, level: float | None = None) -> None:
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
        for i in range(self.targets):
            starts, margins = _steps(model.regions[i], model.conformal.margins(i, level))
            if len(starts):  # a tensor without elements cannot be packed
                self.register_buffer(f"starts_{i}", torch.from_numpy(starts))
            self.register_buffer(f"margins_{i}", torch.from_numpy(margins))

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
        margin = torch.stack([self._margin(i, prediction[:, i]) for i in range(self.targets)], dim=1)
        margin = torch.maximum(margin, (low - high) / 2)
        return prediction, low - margin, high + margin

    def distance(self, found: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> float:
        """The largest difference between outputs, in standard deviations of the target.

        At the edge of a region rounding decides between two margins, so that there predictions alone are compared.
        """
        unit = self.scale.numpy()
        worst = float((np.abs(found[0] - expected[0]) / unit).max(initial=0))
        for i in range(self.targets if len(found) > 1 else 0):
            starts = getattr(self, f"starts_{i}", torch.empty(0)).numpy()
            places = [np.searchsorted(starts, one[0][:, i], side="right") for one in (found, expected)]
            same = places[0] == places[1]
            for one, other in zip(found[1:], expected[1:]):
                gap = np.abs(one[same, i] - other[same, i]) / unit[i]
                worst = max(worst, float(gap.max(initial=0)))
        return worst

    def _margin(self, i: int, prediction: Tensor) -> Tensor:
        margins = getattr(self, f"margins_{i}")
        if len(margins) == 1:
            return margins.expand_as(prediction)
        return margins[(prediction[:, None] >= getattr(self, f"starts_{i}")).sum(1)]


def whole_values(model: TrainedRegressor, level: float | None = None) -> Whole:
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
    return Whole(entrance(model), network, ValueOutcome(model, level)).eval()


def _steps(regions: Any, margins: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Where the margin changes ``(M,)``, and the margins between ``(M + 1,)``; as ``regions.of`` has it."""
    edges = np.asarray(regions.edges, dtype=np.float64)
    slack = 1e-9 * np.diff(edges).min()
    starts = np.append(edges[:-1] - slack, np.nextafter(edges[-1] + slack, np.inf))
    steps = np.array([margins[str(group)] for group in ("few", *regions.groups, "few")])
    changes = np.flatnonzero(np.diff(steps) != 0)
    return starts[changes], np.append(steps[:1], steps[changes + 1])
