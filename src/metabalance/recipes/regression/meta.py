"""MetaBalance for values: the look-ahead on the rows as they come is judged on rows drawn more evenly over the target's bins."""

import torch
from torch import Tensor

from metabalance.data.cycle import Cycle
from metabalance.optimize import MetaBalanceStep
from metabalance.recipes.base import Plan, steps_per_epoch
from metabalance.recipes.regression.base import ErrorLoss, ValueTask, value_plan, value_stream
from metabalance.sample import IndexSampler

__all__ = ["metabalance"]


def metabalance(
    task: ValueTask,
    inner_lr: float = 0.01,
    order: int = 1,
    accumulate: int = 1,
    leak: float = 0.0,
    power: float = 0.5,
    loss: str = "mse",
) -> Plan:
    """MetaBalance (Bansal et al. 2021), extended by us to values: the paper is about classes only.

    Args:
        task: The training part.
        inner_lr: Step size of the look-ahead, the paper's eta.
        order: 1, the published behaviour, or 2, the exact hypergradient.
        accumulate: Look-aheads averaged per update, the paper's M.
        leak: Coefficient of the inner loss at the base weights.
        power: The judging stream draws a bin of n rows in proportion to n^(1 - power): 1 draws all bins alike, which lets
            a bin of one row count as much as one of a thousand, 0 is the natural stream.
        loss: ``mse``, ``l1`` or ``huber``, of both streams.

    Raises:
        ValueError: A power outside 0 to 1.
    """
    if not 0 <= power <= 1:
        raise ValueError(f"power must lie between 0 and 1, but {power} was given")
    # Different seeds: the two streams must not draw the same rows side by side.
    inner = value_stream(task, seed=2 * task.seed)
    outer = value_stream(task, _EvenSampler(task, power, 2 * task.seed + 1), seed=2 * task.seed + 1)
    return value_plan(
        task,
        ErrorLoss(loss),
        step=MetaBalanceStep(
            inner_loader=inner, inner_lr=inner_lr, order=order, accumulate=accumulate, leak=leak, shared=True
        ),
        notes=(
            "MetaBalance is published for classes; that it judges on bins of a continuous target is our extension.",
        ),
        loader=Cycle(outer, steps_per_epoch(task)),  # type: ignore[arg-type]
    )


class _EvenSampler(IndexSampler):
    """Draws as many rows as there are, with replacement, bins by a power of their size; of several targets in turn."""

    def __init__(self, task: ValueTask, power: float, seed: int) -> None:
        super().__init__(task.bins[0], seed=seed)
        parts = []
        for bins in task.bins:
            share = bins.bincount().double()[bins] ** -power
            parts.append(share / share.sum())
        self.probability = torch.stack(parts).mean(0)

    @property
    def size(self) -> int:
        return len(self.probability)

    def shares(self) -> Tensor:
        sums = torch.zeros(len(self.lengths), dtype=torch.float64)
        kind = self.target.unique(return_inverse=True)[1]
        return sums.index_add_(0, kind, self.probability)

    def draw(self, generator: torch.Generator) -> Tensor:
        # The inverse of the cumulative shares: torch.multinomial stops at 2^24 rows.
        edges = self.probability.cumsum(0)
        u = torch.rand(self.size, dtype=torch.float64, generator=generator) * edges[-1]
        return torch.searchsorted(edges, u, right=True).clamp_max(self.size - 1)
