"""Deferred re-weighting: learn from the data as they are, and give rare classes their weight only near the end.

Cao, Wei, Gaidon, Arechiga & Ma, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS
2019, arXiv 1906.07413; weights by Cui et al., CVPR 2019, arXiv 1901.05555. The authors' code divides a batch's loss
by its summed weights, so that in a batch of one class they cancel out; here the mean is over examples. Theirs stops
at twice the start epoch, and its re-sampling never reaches the loader.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from metabalance.counts import class_weights

__all__ = ["DeferredReweighting", "DeferredSampler"]


class DeferredReweighting(nn.Module):
    r"""Any loss; from ``start_epoch`` on, an example of class c counts :math:`w_c \propto (1-\beta)/(1-\beta^{n_c})`.

    Before, it is the loss itself, bit for bit. The weights sum to the number of classes that have examples; a class
    without any weighs 0. ``beta=0`` never changes anything, ``beta=1`` gives inverse counts.

    Args:
        loss: ``(logits (B, C), target) -> (B,)``, with ``reduction="none"``.
        counts: Training counts ``(C,)``.
        start_epoch: The first epoch (from 0) with weights; the paper takes 160 of 200.
        beta: In ``[0, 1]``.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` or soft ``(B, C)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: The loss is reduced already, or a setting outside its range.

    >>> loss = DeferredReweighting(nn.CrossEntropyLoss(reduction="none"), [10, 1], start_epoch=2, beta=0.9)
    >>> loss.update(epoch=0)
    >>> loss.current
    tensor([1., 1.])
    >>> loss.update(epoch=1)  # that epoch is over: the next is number 2
    >>> loss.current
    tensor([0.2662, 1.7338])
    """

    weight: Tensor
    current: Tensor

    def __init__(
        self, loss: nn.Module, counts: Any, start_epoch: int, beta: float = 0.9999, reduction: str = "mean"
    ) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"reduction={reduction!r} is unknown; use 'none', 'mean' or 'sum'")
        if getattr(loss, "reduction", "none") != "none":
            raise ValueError(
                f"deferred re-weighting weighs single examples: build the inner loss with reduction='none', "
                f"not {loss.reduction!r}"
            )
        if start_epoch < 0:
            raise ValueError(f"start_epoch must be at least 0, but {start_epoch} was given")
        self.loss = loss
        self.start_epoch = start_epoch
        self.reduction = reduction
        weight = deferred_weights(counts, beta)
        self.register_buffer("weight", weight)
        self.register_buffer("current", weight.clone() if start_epoch == 0 else torch.ones_like(weight))

    def update(self, epoch: int, **report: Any) -> None:
        """Switches the weights on when the next epoch, ``epoch + 1``, is the one to start at.

        The engine calls it after each epoch; in a loop of your own, call it there too.
        """
        if epoch + 1 >= self.start_epoch:
            self.current.copy_(self.weight)
        inner = getattr(self.loss, "update", None)
        if callable(inner):
            inner(epoch=epoch, **report)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        weight = self.current.to(logits.dtype)
        if target.dim() == 1:
            values = self.loss(logits, target) * weight[target]
        else:
            # A loss is linear in its soft target, so that each class's share takes that class's weight.
            values = self.loss(logits, target * weight)
        if self.reduction == "none":
            return values
        return values.sum() if self.reduction == "sum" else values.mean()


class DeferredSampler(Sampler[int]):
    """Deferred re-sampling (DRS): one sampler's draws, and another's from ``start_epoch`` on.

    Args:
        before: A sampler of :mod:`metabalance.sample`, of the rows as they are.
        after: The one to change to, a class-balanced one in the paper.
        start_epoch: The first epoch (from 0) of ``after``. What counts are the engine's epochs, told by
            :meth:`update`; a pass that has begun is finished.

    >>> from torch.utils.data import SequentialSampler
    >>> sampler = DeferredSampler(SequentialSampler([7, 7]), SequentialSampler([7]), start_epoch=1)
    >>> list(sampler), sampler.update(epoch=0), list(sampler)
    ([0, 1], None, [0])
    """

    def __init__(self, before: Any, after: Any, start_epoch: int) -> None:
        if start_epoch < 0:
            raise ValueError(f"start_epoch must be at least 0, but {start_epoch} was given")
        self.before = before
        self.after = after
        self.start_epoch = start_epoch
        self.started = start_epoch == 0

    def update(self, epoch: int, **_: Any) -> None:
        """Changes over when the next epoch, ``epoch + 1``, is the one to start at."""
        self.started = self.started or epoch + 1 >= self.start_epoch

    def __iter__(self) -> Iterator[int]:
        return iter(self.after if self.started else self.before)

    def __len__(self) -> int:
        return len(self.after if self.started else self.before)

    def set_epoch(self, epoch: int) -> None:
        """Hands the epoch to both samplers."""
        for sampler in (self.before, self.after):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Whether the change has come, and both samplers' states."""
        return {
            "started": self.started,
            "before": self.before.state_dict(),
            "after": self.after.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over :meth:`state_dict`."""
        self.started = state["started"]
        self.before.load_state_dict(state["before"])
        self.after.load_state_dict(state["after"])


def deferred_weights(counts: Any, beta: float = 0.9999) -> Tensor:
    """Weights ``(C,)`` after the switch; see :class:`DeferredReweighting`.

    >>> deferred_weights([5000, 50], beta=0.9999)
    tensor([0.0250, 1.9750])
    """
    weight = class_weights(counts, "effective", beta=beta)
    weight = weight * (weight > 0).sum() / weight.sum()
    return weight.to(torch.get_default_dtype())
