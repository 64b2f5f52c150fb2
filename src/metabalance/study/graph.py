"""A trained model as one torch module, from raw columns or pixels to probabilities and decisions.

The steps are those of Python, in their order, and in float64 wherever Python has it: only the network computes in
float32. So a decision differs from Python's for no row whose probability is not within rounding of the threshold.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metabalance.adjust.calibrate import Calibrator
from metabalance.adjust.vector import VectorScaling
from metabalance.data.encoders import CYCLES, Dates, Encoder, Levels, Number
from metabalance.data.preprocess import TablePreprocessor
from metabalance.study.inputs import columns_of
from metabalance.study.ship import Network, TrainedModel

__all__ = ["Columns", "Outcome", "Pixels", "Whole", "whole_model"]

SMALLEST = math.log(1e-30)  # what Python makes of a probability of 0
DAY = 86_400.0


class Columns(nn.Module):
    """Preprocessing of a table: matrices of raw columns to what the network takes, float32 ``(N, D)``.

    Args:
        preprocessor: Fitted.

    Shape:
        ``numbers (N, .)`` and ``dates (N, .)`` float64, ``codes (N, .)`` int64, ``texts (N, .)`` float32; in this
        order, those which :func:`~metabalance.study.inputs.columns_of` names.
    """

    order: Tensor
    center: Tensor
    scale: Tensor
    boolean: Tensor

    def __init__(self, preprocessor: TablePreprocessor) -> None:
        super().__init__()
        self.names = list(columns_of(preprocessor))
        encoders = preprocessor.encoders_
        rest: list[tuple[Encoder, str, int, int]] = []
        order: dict[str, list[int]] = {}
        numbers = [
            (c.name, encoder)
            for c in columns_of(preprocessor).get("numbers", [])
            if isinstance(encoder := encoders[c.name], Number)
        ]
        width = len(numbers)
        for i, (name, encoder) in enumerate(numbers):
            order[name] = [i] * (encoder.scale > 0) + [width + i] * encoder.missing
        stop = 2 * width
        for matrix, columns in columns_of(preprocessor).items():
            for c in columns if matrix != "numbers" else ():
                rest.append((encoders[c.name], matrix, c.start, c.width))
                order[c.name] = list(range(stop, stop + len(encoders[c.name].names(c.name))))
                stop += len(order[c.name])
        self.rest, self.limit = rest, Number.LIMIT
        places = [i for name in encoders for i in order.get(name, [])]
        self.register_buffer("order", torch.tensor(places, dtype=torch.int64))
        for name in ("center", "scale"):
            values = [getattr(encoder, name) for _, encoder in numbers]
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))
        self.register_buffer("boolean", torch.tensor([e.boolean for _, e in numbers], dtype=torch.bool))

    def forward(self, *matrices: Tensor) -> Tensor:
        given = dict(zip(self.names, matrices))
        parts = []
        if "numbers" in given:  # all at once: a graph with a dozen nodes for each column would be slow
            values = given["numbers"]
            gone = torch.isnan(values)
            z = (values - self.center) * self.scale
            soft = z.clamp(-1e8, 1e8)
            soft = soft / torch.sqrt(1 + (soft / self.limit) ** 2)
            z = torch.where(self.boolean, z, soft)
            parts = [torch.where(gone, torch.zeros_like(z), z).float(), gone.float()]
        for encoder, matrix, start, width in self.rest:
            parts += _encoded(encoder, given[matrix][:, start : start + width])
        return torch.cat(parts, dim=1)[:, self.order]


class Pixels(nn.Module):
    """Pixels ``(N, C, H, W)``, uint8, to float32 from 0 to 1; those that are float32 already stay."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels * torch.tensor(1 / 255, dtype=torch.float32) if pixels.dtype == torch.uint8 else pixels


class Linear64(nn.Module):
    """Logistic regression as Python computes it: in float64.

    Args:
        coef: ``(C, D)``.
        intercept: ``(C,)``.
    """

    coef: Tensor
    intercept: Tensor

    def __init__(self, coef: np.ndarray, intercept: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("coef", torch.from_numpy(coef.astype(np.float64)))
        self.register_buffer("intercept", torch.from_numpy(intercept.astype(np.float64)))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1).to(self.coef.dtype) @ self.coef.T + self.intercept


class Outcome(nn.Module):
    """Logits to calibrated probabilities and decisions: prior shift, calibration, then the rule.

    Args:
        model: Whose prior, calibrator and decision they are.
        dtype: To compute in.

    Shape:
        logits ``(N, C)`` -> probabilities ``(N, C)`` and class indices ``(N,)``, int64.

    Raises:
        TypeError: A calibrator or decision of a kind that no graph is known for.
    """

    to_source: Tensor
    to_goal: Tensor
    scale: Tensor
    bias: Tensor
    parameter: Tensor

    def __init__(self, model: TrainedModel, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        size, source = len(model.classes), np.asarray(model.record["source_prior"])
        calibrator, decision = model.calibrator, model.decision
        if not isinstance(calibrator, (Calibrator, VectorScaling)):
            raise TypeError(
                f"no graph is known for the calibration {calibrator.mode!r}, only for temperature and vector"
            )
        before = model.model.training_prior if isinstance(model.model, Network) else source
        middle = model.model.source_prior if isinstance(model.model, Network) else source

        def kept(name: str, values: Any) -> None:
            self.register_buffer(name, torch.from_numpy(np.asarray(values, dtype=np.float64)).to(dtype))

        kept("to_source", _shift(before, middle))
        kept("to_goal", _shift(source, model.prior))
        kept(
            "scale",
            calibrator.scale_ if isinstance(calibrator, VectorScaling) else 1 / calibrator.temperature_,
        )
        kept("bias", calibrator.bias_)
        rules = {"threshold": decision.threshold, "multipliers": decision.multipliers, "cost": decision.cost}
        given = [name for name, value in rules.items() if value is not None]
        if len(given) != 1:
            raise TypeError("no graph is known for a decision without threshold, multipliers or costs")
        self.outputs = ["probabilities", "decision"]
        self.rule, self.positive, self.size, self.dtype = given[0], int(decision.positive), size, dtype
        kept("parameter", rules[self.rule])

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        scores = torch.log_softmax(logits.to(self.dtype), dim=1)
        scores = torch.log_softmax(scores + self.to_source, dim=1).clamp(min=SMALLEST)
        scores = torch.log_softmax(scores + self.to_goal, dim=1).clamp(min=SMALLEST)
        scores = torch.log_softmax(scores, dim=1)  # vector scaling begins with it, the others do not mind
        probabilities = torch.softmax(scores * self.scale + self.bias, dim=1)
        return probabilities, self.decided(probabilities)

    def distance(self, found: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> float:
        """The largest difference between probabilities; decisions follow from them."""
        return float(abs(found[0] - expected[0]).max())

    def decided(self, probabilities: Tensor) -> Tensor:
        """Class indices ``(N,)`` of probabilities ``(N, C)``."""
        if self.rule == "threshold":
            called = probabilities[:, self.positive] >= self.parameter
            return torch.where(called, self.positive, 1 - self.positive)
        if self.rule == "cost":
            return (probabilities @ self.parameter).argmin(1)
        return (probabilities * self.parameter).argmax(1)


class Whole(nn.Module):
    """Three modules in a row.

    Args:
        before: Inputs to what the network takes.
        network: To logits.
        after: To probabilities and decisions, or to values and intervals.
    """

    def __init__(self, before: nn.Module, network: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.before, self.network, self.after = before, network, after

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.after(self.network(self.before(*inputs)))


def whole_model(model: TrainedModel) -> Whole:
    """The module of a model that is a network or a logistic regression.

    Raises:
        TypeError: A calibrator or decision of a kind that no graph is known for, or trees.
    """
    if isinstance(model.model, Network):
        network = model.model.module
    elif getattr(model.model, "name", "") == "logistic":
        network = Linear64(model.model.tensors["coef"], model.model.tensors["intercept"])
    else:
        raise TypeError(f"no graph is known for {model.record['recipe']}")
    return Whole(entrance(model), network, Outcome(model)).eval()


def entrance(model: Any) -> nn.Module:
    """The module of a model's preprocessing."""
    if isinstance(model.preprocessor, TablePreprocessor):
        return Columns(model.preprocessor)
    return Pixels()


def _shift(source: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """What :func:`~metabalance.adjust.prior.shift_log_prior` adds."""
    source, goal = source / source.sum(), goal / goal.sum()
    with np.errstate(divide="ignore"):
        return np.where(goal > 0, np.log(goal) - np.log(np.where(source > 0, source, 1)), -np.inf)


def _encoded(encoder: Encoder, values: Tensor) -> list[Tensor]:
    """As ``encoder.encode`` of a date or a category, on values ``(N, 1)``; a text ``(N, K)`` comes encoded."""
    if isinstance(encoder, Dates):
        return [part.float() for part in [*_number(encoder.moment, values), *_waves(encoder, values)]]
    if isinstance(encoder, Levels):
        return [_hot(encoder, values)]
    return [values]


def _number(encoder: Number, values: Tensor) -> list[Tensor]:
    gone = torch.isnan(values)
    out = []
    if encoder.scale > 0:
        z = ((values - encoder.center) * encoder.scale).clamp(-1e8, 1e8)
        z = z / torch.sqrt(1 + (z / encoder.LIMIT) ** 2)
        out.append(torch.where(gone, torch.zeros_like(z), z))
    return [*out, gone] if encoder.missing else out


def _hot(encoder: Levels, codes: Tensor) -> Tensor:
    size = len(encoder.levels)
    width = size + encoder.rare + encoder.missing
    rare = size if encoder.rare else -1
    missing = size + encoder.rare if encoder.missing else -1
    place = torch.where(codes < 0, missing, torch.where(codes >= size, rare, codes))
    return (place == torch.arange(width)).float()


def _waves(encoder: Dates, seconds: Tensor) -> list[Tensor]:
    """Sine and cosine of the calendar's cycles; the calendar by Hinnant's days_from_civil, turned round."""
    gone = torch.isnan(seconds)
    time = torch.where(gone, torch.zeros_like(seconds), seconds)
    days = torch.floor(time / DAY)
    # Years begin in March here, so that the leap day is the last of a year.
    shifted = days + 719_468
    era = torch.floor(shifted / 146_097)
    of_era = shifted - era * 146_097
    year = torch.floor(
        (of_era - torch.floor(of_era / 1460) + torch.floor(of_era / 36_524) - torch.floor(of_era / 146_096))
        / 365
    )
    of_year = of_era - (365 * year + torch.floor(year / 4) - torch.floor(year / 100))
    march = torch.floor((5 * of_year + 2) / 153)
    calendar = {
        "month": torch.where(march < 10, march + 3, march - 9),
        "day": of_year - torch.floor((153 * march + 2) / 5) + 1,
        "day_of_week": torch.remainder(days + 3, 7),
        "hour": torch.floor((time - days * DAY) / 3600),
    }
    out = []
    for name in encoder.cycles:
        phase = calendar[name] * (2 * math.pi / CYCLES[name])
        # Not cos: runtimes have the sine in float64, and not all of them the cosine.
        out += [torch.where(gone, 0.0, wave) for wave in (torch.sin(phase), torch.sin(phase + math.pi / 2))]
    return out
