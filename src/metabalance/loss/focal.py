"""Focal loss: what the model already gets right counts for little.

Lin, Goyal, Girshick, He & Dollár, ICCV 2017, arXiv 1708.02002 (there with a sigmoid; this is the softmax
form).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from metabalance.loss.base import ClassificationLoss
from metabalance.loss.weighted import as_class_weights, weight_of


class FocalLoss(ClassificationLoss):
    r""":math:`\ell = -\alpha_y (1 - p_y)^\gamma \log p_y`, with :math:`p = \mathrm{softmax}(z)`.

    ``gamma=0`` gives (weighted) cross-entropy.

    Args:
        gamma: How strongly easy examples are discounted, at least 0.
        alpha: Class weights ``(C,)``; they weigh the loss and never enter :math:`p`.
        detach_modulator: Treat :math:`(1-p_y)^\gamma` as a constant in the gradient, as some published codes
            do.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: ``gamma`` is negative, or the weights are.

    >>> loss = FocalLoss(gamma=2.0, reduction="none")  # p = 1/2 for both: a quarter of cross-entropy
    >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor([0.1733, 0.1733])
    """

    alpha: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: Tensor | Sequence[float] | None = None,
        detach_modulator: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if not gamma >= 0:
            raise ValueError(f"gamma must be at least 0, but {gamma} was given")
        self.gamma = gamma
        self.detach_modulator = detach_modulator
        self.register_buffer("alpha", None if alpha is None else as_class_weights(alpha))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = focal_losses(logits, target, self.gamma, self.detach_modulator)
        return losses if self.alpha is None else losses * weight_of(self.alpha, logits, target, losses.dtype)


def focal_losses(logits: Tensor, target: Tensor, gamma: float, detach_modulator: bool = False) -> Tensor:
    """Focal losses ``(B,)`` without class weights; see :class:`FocalLoss`."""
    losses = F.cross_entropy(logits, target, reduction="none")
    if gamma == 0:
        return losses
    # log(1 - p_y) as the log-odds mass of the other classes. 1 - exp(log p_y) would round to 0 for easy
    # examples, and the gradient of 0**gamma is infinite for gamma < 1.
    one_hot = torch.zeros_like(logits, dtype=torch.bool).scatter(1, target[:, None], True)
    others = logits.masked_fill(one_hot, float("-inf")).logsumexp(1)
    modulator = torch.exp(gamma * (others - logits.logsumexp(1)))
    return (modulator.detach() if detach_modulator else modulator) * losses
