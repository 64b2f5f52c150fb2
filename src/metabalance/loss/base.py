"""What every classification loss shares: the shape check, mixed labels and the reduction."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

REDUCTIONS = ("none", "mean", "sum")


class ClassificationLoss(nn.Module, ABC):
    """Checks the shapes, asks :meth:`losses` for one value per example, and reduces them.

    A target is ``(B,)`` class indices or ``(B, C)`` shares of classes, as mixing two examples gives them; the
    loss is then the average over the classes by their shares.

    Args:
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Raises:
        ValueError: An unknown reduction; in the call, shapes that do not fit.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction={reduction!r} is unknown; use 'none', 'mean' or 'sum'")
        self.reduction = reduction

    @abstractmethod
    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """One loss per example: logits ``(B, C)``, target ``(B,)`` -> ``(B,)``."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if logits.dim() != 2 or logits.shape[1] < 2:
            raise ValueError(f"logits must be (B, C) with C at least 2, but have shape {tuple(logits.shape)}")
        if target.is_floating_point() and target.shape == logits.shape:
            values = self.mixed_losses(logits, target)
        elif target.dim() != 1 or len(target) != len(logits):
            raise ValueError(
                f"target must be ({len(logits)},), one class index per row of the logits, or shares of the "
                f"classes in the logits' own shape, but has shape {tuple(target.shape)}"
            )
        else:
            values = self.losses(logits, target)
        if self.reduction == "none":
            return values
        return values.sum() if self.reduction == "sum" else values.mean()

    def mixed_losses(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Losses ``(B,)`` of mixed labels ``(B, C)``: as many evaluations as a row has classes, mostly two."""
        most = int((shares > 0).sum(1).max()) if len(shares) else 0
        share, label = shares.topk(max(most, 1), dim=1)
        parts = [s * self.losses(logits, c) for s, c in zip(share.unbind(1), label.unbind(1))]
        return torch.stack(parts).sum(0)


def check_num_classes(logits: Tensor, per_class: Tensor) -> None:
    """Raises ValueError unless ``per_class`` ``(C,)`` has one entry for each column of the logits."""
    if logits.shape[1] != len(per_class):
        raise ValueError(
            f"the loss was built for {len(per_class)} classes, but the logits have {logits.shape[1]} columns"
        )
