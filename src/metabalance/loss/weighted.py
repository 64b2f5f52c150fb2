"""Weighted cross-entropy: a mistake costs what its true class weighs, averaged over examples.

Manski & Lerman, Econometrica 1977: the weighted likelihood of a sample drawn class by class.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from metabalance.loss.base import ClassificationLoss, check_num_classes


class WeightedCrossEntropy(ClassificationLoss):
    r""":math:`\ell = -w_y \log p_y`, with :math:`p = \mathrm{softmax}(z)`.

    No weights, or equal ones of 1, give plain cross-entropy.

    Args:
        weight: Class weights ``(C,)``, see :func:`metabalance.counts.class_weights`; ``None`` is 1 for each.
        reduction: ``"none"``, ``"mean"`` (over examples, not over weights) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: Negative or infinite weights, or not one for each class.

    >>> loss = WeightedCrossEntropy([1.0, 3.0], reduction="none")
    >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor([0.6931, 2.0794])
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | Sequence[float] | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", None if weight is None else as_class_weights(weight))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, target, reduction="none")
        return (
            losses if self.weight is None else losses * weight_of(self.weight, logits, target, losses.dtype)
        )


def as_class_weights(weight: Tensor | Sequence[float]) -> Tensor:
    """Class weights ``(C,)`` as a fresh tensor of the default dtype; ValueError if one makes no sense."""
    # Not float64, whatever was given: half of the accelerators have none.
    w = torch.as_tensor(weight).detach().to(torch.get_default_dtype()).reshape(-1).clone()
    if not bool(torch.isfinite(w).all()) or bool((w < 0).any()):
        raise ValueError(f"class weights must be finite and not negative, but {w.tolist()} were given")
    return w


def weight_of(weight: Tensor, logits: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight ``(B,)`` of each example's class."""
    check_num_classes(logits, weight)
    return weight.to(dtype)[target]
