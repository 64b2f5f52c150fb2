"""Trains many small networks of one shape at once: their parameters are stacked, so a step costs little more than one.

Every member has its own rows, scaling, start and order of batches, and gets what it would get alone, to rounding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

__all__ = ["Scaling", "TrainingOptions", "train_together"]

Array = NDArray[Any]
Objective = Callable[[Tensor, Tensor], Tensor]  # outputs (M, B, O), targets (M, B, T) -> (M,)
MISSING = -1.0  # where the scaled values lie in [-0.5, 0.5]


@dataclass(frozen=True)
class Scaling:
    """Shift and unit of columns, fitted on one member's rows; NaN becomes -1 of min-max units, or the mean."""

    shift: Array
    unit: Array
    factor: float
    missing: float

    @classmethod
    def fit(cls, X: Array, kind: str) -> "Scaling":
        if kind not in ("minmax", "standard"):
            raise ValueError(f"scaler must be 'minmax' or 'standard', but {kind!r} was given")
        known = ~np.isnan(X)
        if kind == "minmax":
            low = np.where(known, X, np.inf).min(axis=0)
            high = np.where(known, X, -np.inf).max(axis=0)
            some = known.any(axis=0)
            low, high = np.where(some, low, 0.0) / 2, np.where(some, high, 0.0) / 2
            shift, unit, factor, missing = low + high, high - low, 0.5, MISSING
        else:
            largest = np.where(known, np.abs(X), 0.0).max(axis=0)
            largest = np.where(largest > 0, largest, 1.0)
            count = np.maximum(known.sum(axis=0), 1)
            mean = np.where(known, X / largest, 0.0).sum(axis=0) / count
            square = np.where(known, X / largest - mean, 0.0) ** 2
            shift, unit = mean * largest, np.sqrt(square.sum(axis=0) / count) * largest
            factor, missing = 1.0, 0.0
        return cls(shift, np.where(unit > 0, unit, 1.0), factor, missing)

    def apply(self, X: Array) -> Tensor:
        """Scaled float32."""
        with np.errstate(over="ignore"):
            scaled = (X - self.shift) / self.unit * self.factor
        # A value far outside the training range would drown all others, and float32 has an end.
        return torch.from_numpy(np.where(np.isnan(scaled), self.missing, np.clip(scaled, -1e6, 1e6))).float()


@dataclass(frozen=True)
class TrainingOptions:
    """How members are trained; see :class:`~metabalance.systems.materials.MODNetRegressor`."""

    lr: float = 1e-3
    epochs: int = 200
    batch_size: int = 128
    early_stopping: str | None = "training"
    patience: int = 100
    min_delta: float = 1e-3

    def __post_init__(self) -> None:
        if self.early_stopping not in (None, "training", "validation"):
            raise ValueError(
                f"early_stopping must be None, 'training' or 'validation', but {self.early_stopping!r} was given"
            )
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, but {value!r} was given")
        if not self.lr > 0 or not self.min_delta >= 0:
            raise ValueError(
                f"lr must be above 0 and min_delta not negative, but are {self.lr} and {self.min_delta}"
            )


def train_together(
    networks: Sequence[nn.Module],
    inputs: Tensor,
    targets: Tensor,
    objective: Objective,
    options: TrainingOptions,
    seeds: Sequence[int],
    validation: tuple[Tensor, Tensor] | None = None,
) -> list[int]:
    """Trains the networks in place with Adam.

    Early stopping on the training loss ends a member's training, as the authors' presets do, and protects it from
    nothing; on the validation loss, the weights of the best epoch come back.

    Args:
        networks: M of one shape.
        inputs: ``(M, N, F)``.
        targets: ``(M, N, T)``.
        objective: Loss of each member.
        options: Of the training.
        seeds: Of the order of batches, M.
        validation: Inputs and targets of other rows, in the same shapes.

    Returns:
        The epoch whose weights each member has, from 1.
    """
    members, rows = inputs.shape[:2]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    plain = networks[0]
    params, buffers = stack_module_state(list(networks))
    params = {name: p.detach().requires_grad_() for name, p in params.items()}
    optimizer = torch.optim.Adam(params.values(), lr=options.lr, fused=True)
    run = vmap(lambda p, b, x: functional_call(plain, (p, b), (x,)))
    batches = max(1, round(rows / options.batch_size))
    every = torch.arange(members)[:, None]
    best, waited = torch.full((members,), torch.inf), torch.zeros(members, dtype=torch.long)
    going, epoch_of = torch.ones(members, dtype=torch.bool), torch.zeros(members, dtype=torch.long)
    kept: dict[str, Tensor] = {}
    for epoch in range(1, options.epochs + 1):
        for network in networks:
            network.train()
        order = torch.stack([torch.randperm(rows, generator=g) for g in generators])
        total = torch.zeros(members)
        for picked in order.tensor_split(batches, dim=1):  # even parts: no batch of one row
            loss = objective(run(params, buffers, inputs[every, picked]), targets[every, picked])
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            total += loss.detach() * picked.shape[1]
        if options.early_stopping == "validation" and validation is not None:
            for network in networks:
                network.eval()
            with torch.no_grad():
                watched = objective(run(params, buffers, validation[0]), validation[1])
        else:
            watched = total / rows
        better = going & (watched < best - (options.min_delta if torch.isfinite(best).any() else 0))
        best, waited = torch.where(better, watched, best), torch.where(better, 0, waited + 1)
        # Weights are kept of the best epoch, or, watching the training loss, of the last before a member stopped.
        keep = better if options.early_stopping == "validation" else going
        _keep(kept, params | buffers, keep)
        epoch_of = torch.where(keep, epoch, epoch_of)
        if options.early_stopping is not None:
            going = going & (waited < options.patience)
        if not going.any():
            break
    for m, network in enumerate(networks):
        network.load_state_dict({name: value[m] for name, value in kept.items()})
        network.eval()
    return epoch_of.tolist()


def _keep(kept: dict[str, Tensor], state: dict[str, Tensor], which: Tensor) -> None:
    for name, value in state.items():
        value = value.detach()
        if name not in kept or which.all():
            kept[name] = value.clone()
        elif which.any():
            kept[name][which] = value[which]
