"""Loss curves: the loss of every training example in every epoch tells mislabelled rows from rare ones.

The probing stage of Jiang, Li, Wang, Huang, Zhang & Xu, "Delving into sample loss curve to embrace noisy and
imbalanced data", AAAI 2022, arXiv 2201.00849; what is learned from the curves is in
:mod:`metabalance.weigh.curve_net`.

Losses are those of the training batches, augmented as they are, before the update of that batch. The authors'
code keeps a list for each row; a dense buffer holds the same numbers. Its rate alternates at multiples of the
period, and so begins with the low one where the first part is not such a multiple; here it begins with the high.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.bilevel import unwrap
from metabalance.ranks import together
from metabalance.weigh.base import batch_weights, example_losses, update

__all__ = ["LossCurveRecorder", "cyclic_probe_schedule", "normalized_curves"]


class LossCurveRecorder(nn.Module):
    """A step of the engine that is the plain one, and writes the losses of the rows down.

    Put it among the engine's ``parts`` too: each call of :meth:`update` ends an epoch. A row seen twice in an
    epoch leaves its later loss.

    Args:
        num_samples: N, rows of the training set.
        epochs: T, the most epochs to record.

    Raises:
        ValueError: In the call: batches without an index, or more epochs than there is room for.

    >>> recorder = LossCurveRecorder(num_samples=2, epochs=3)
    >>> for loss in (2.0, 1.0):
    ...     recorder.record(torch.tensor([0]), torch.tensor([loss]))
    ...     recorder.update()
    >>> recorder.curves()  # the second row was never seen
    tensor([[2., 1.],
            [nan, nan]])
    """

    needs = frozenset({"own_step", "bare", "rows"})

    losses: Tensor
    epoch: Tensor

    def __init__(self, num_samples: int, epochs: int) -> None:
        super().__init__()
        if num_samples < 1 or epochs < 1:
            raise ValueError(
                f"num_samples and epochs must be at least 1, but {num_samples} and {epochs} were given"
            )
        self.register_buffer("losses", torch.full((num_samples, epochs), float("nan")))
        self.register_buffer("epoch", torch.tensor(0))

    def forward(
        self, model: nn.Module, batch: Sequence[Any], objective: Callable, optimizer: torch.optim.Optimizer
    ) -> Tensor:
        """One plain update; returns its loss ``()``."""
        if len(batch) < 4:
            raise ValueError("losses are kept for each row: batches must be (inputs, target, weight, index)")
        network = unwrap(model)
        losses = example_losses(objective)(network, batch)
        self.record(*together(batch[3], losses.detach()))
        return update(
            network, batch, objective, optimizer, batch_weights(batch, losses) / len(losses), losses
        )

    def record(self, index: Tensor, losses: Tensor) -> None:
        """Writes the losses ``(B,)`` of the rows ``(B,)`` down, for the current epoch."""
        epoch = int(self.epoch)
        if epoch >= self.losses.shape[1]:
            raise ValueError(f"the recorder has room for {self.losses.shape[1]} epochs; make it with more")
        self.losses[index.to(self.losses.device), epoch] = losses.detach().to(self.losses)

    def update(self, **_: Any) -> None:
        """The engine's event after each epoch."""
        self.epoch += 1

    def curves(self) -> Tensor:
        """The losses so far ``(N, epochs)``.

        An epoch that missed a row repeats the one before, or the next where there is none. A row that was never
        seen is NaN.
        """
        # At least one: a run may be stopped within its first epoch.
        curves = self.losses[:, : max(1, int(self.epoch))].clone()
        for step in (range(1, curves.shape[1]), range(curves.shape[1] - 2, -1, -1)):
            for t in step:
                near = curves[:, t - step.step]
                curves[:, t] = torch.where(curves[:, t].isnan(), near, curves[:, t])
        return curves


def normalized_curves(curves: Tensor, target: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
    """Curves less the mean curve of their class, cut to the epochs from ``start`` to ``stop``.

    Args:
        curves: ``(N, T)``; NaN is left out of the means, and becomes 0.
        target: The labels as observed ``(N,)``.
        start: First epoch.
        stop: The epoch after the last; negative counts from the end.

    >>> normalized_curves(torch.tensor([[3.0, 1.0], [1.0, 1.0], [5.0, 5.0]]), torch.tensor([0, 0, 1]))
    tensor([[ 1.,  0.],
            [-1.,  0.],
            [ 0.,  0.]])
    """
    known = curves.isfinite()
    classes = int(target.max()) + 1
    sums = curves.new_zeros(classes, curves.shape[1]).index_add(0, target, curves.where(known, 0.0))
    seen = curves.new_zeros(classes, curves.shape[1]).index_add(0, target, known.to(curves.dtype))
    means = sums / seen.clamp_min(1)
    return (curves - means[target]).where(known, 0.0)[:, start:stop]


def cyclic_probe_schedule(
    epoch: int,
    base: float = 0.1,
    warm: int = 120,
    high: float = 0.01,
    low: float = 0.001,
    period: int = 15,
) -> float:
    """The learning rate of a probing epoch: ``base`` at first, then ``high`` and ``low`` by turns.

    The ups and downs make wrongly labelled rows be forgotten and learned again. (The published stage also cuts
    the batch to an eighth when they begin, and takes 300 epochs.)

    Args:
        epoch: From 0.
        base: Rate of the epochs before ``warm``.
        warm: The first epoch of the cycles.
        high: Rate of the first ``period`` epochs after it, and of every other.
        low: Rate between them.
        period: Epochs between changes.

    >>> [cyclic_probe_schedule(epoch) for epoch in (119, 120, 135, 150)]
    [0.1, 0.01, 0.001, 0.01]
    """
    if period < 1:
        raise ValueError(f"period must be at least 1 epoch, but {period} was given")
    if epoch < warm:
        return base
    return low if (epoch - warm) // period % 2 else high
