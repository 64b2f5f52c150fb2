"""Shared by the tests of learned weights: a small network, an objective with losses, two Gaussians."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CrossEntropy(nn.Module):
    """An objective: the losses of single examples, and their weighted mean."""

    def losses(self, model: Any, batch: Any) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    def forward(self, model: Any, batch: Any) -> Tensor:
        each = self.losses(model, batch)
        return (each * batch[2]).mean() if len(batch) > 2 else each.mean()


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def batch(seed: int, rows: int = 8, weighted: bool = False) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (rows,), generator=generator)
    return (x, y, torch.rand(rows, generator=generator, dtype=torch.float64)) if weighted else (x, y)


def gaussians(rows: int, minority: int, seed: int, flip: float = 0.0) -> tuple[Tensor, Tensor]:
    """Two classes two standard deviations apart in the plane; a share ``flip`` of the labels is wrong."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.zeros(rows, dtype=torch.long)
    y[:minority] = 1
    x = torch.randn(rows, 2, generator=generator) + 2.0 * y[:, None]
    wrong = torch.rand(rows, generator=generator) < flip
    return x, torch.where(wrong, 1 - y, y)
