"""What the losses share: the shape checks, mixed labels and the reduction."""

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
        check_reduction(reduction)
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
        return reduced(values, self.reduction)

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


class RegressionLoss(nn.Module, ABC):
    """The same for a continuous target: predictions and targets have one shape, ``(B,)`` or ``(B, T)``.

    Args:
        reduction: ``"none"`` (one loss per row), ``"mean"`` (over rows) or ``"sum"``.

    Raises:
        ValueError: An unknown reduction; in the call, shapes that do not fit.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction

    @abstractmethod
    def losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One loss per row: prediction and target ``(B, T)`` -> ``(B,)``."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        # (B, 1) against (B,) would be broadcast to (B, B) without a word.
        if prediction.dim() not in (1, 2) or prediction.shape != target.shape:
            raise ValueError(
                "prediction and target must have the same shape, (B,) or (B, T), but have "
                f"{tuple(prediction.shape)} and {tuple(target.shape)}"
            )
        p = prediction.float() if prediction.dtype in (torch.float16, torch.bfloat16) else prediction
        y = target.to(p.dtype)
        return reduced(self.losses(p.reshape(len(p), -1), y.reshape(len(y), -1)), self.reduction)


def check_reduction(reduction: str) -> None:
    """Raises ValueError for an unknown one."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction={reduction!r} is unknown; use 'none', 'mean' or 'sum'")


def reduced(values: Tensor, reduction: str) -> Tensor:
    """The losses of rows ``(B,)`` as they are, their sum or their mean."""
    if reduction == "none":
        return values
    return values.sum() if reduction == "sum" else values.mean()
