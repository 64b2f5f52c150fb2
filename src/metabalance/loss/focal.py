"""Focal loss: what the model already gets right counts for little.

Lin, Goyal, Girshick, He & Dollár, ICCV 2017, arXiv 1708.02002: there with a sigmoid for each class, here by
default with one softmax, as long-tailed recognition has it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from metabalance.loss.base import ClassificationLoss
from metabalance.loss.weighted import as_class_weights, weight_of


class FocalLoss(ClassificationLoss):
    r""":math:`\ell = -\alpha_y (1 - p_y)^\gamma \log p_y`, with :math:`p = \mathrm{softmax}(z)`.

    ``gamma=0`` gives (weighted) cross-entropy. With ``activation="sigmoid"`` every class is a question of its own:
    :math:`\ell = -\alpha_y \sum_c (1 - q_c)^\gamma \log q_c`, where :math:`q` is the sigmoid's probability of the
    right answer. Such a head starts better from a bias of :math:`-\log(C - 1)`.

    Args:
        gamma: How strongly easy examples are discounted, at least 0.
        alpha: Class weights ``(C,)``; they weigh the loss and never enter :math:`p`.
        detach_modulator: Treat :math:`(1-p_y)^\gamma` as a constant in the gradient, as some published codes
            do.
        activation: ``"softmax"`` or ``"sigmoid"``.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: ``gamma`` is negative, or the weights are, or the activation is unknown.

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
        activation: str = "softmax",
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        check_focal(gamma, activation)
        self.gamma, self.activation = gamma, activation
        self.detach_modulator = detach_modulator
        self.register_buffer("alpha", None if alpha is None else as_class_weights(alpha))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        rule = ACTIVATIONS[self.activation]
        losses = rule(logits, target, self.gamma, self.detach_modulator)
        return losses if self.alpha is None else losses * weight_of(self.alpha, logits, target, losses.dtype)


def focal_losses(logits: Tensor, target: Tensor, gamma: float, detach_modulator: bool = False) -> Tensor:
    """Focal losses ``(B,)`` without class weights; see :class:`FocalLoss`."""
    losses = F.cross_entropy(logits, target, reduction="none")
    if gamma == 0:
        return losses
    # log(1 - p_y) as the log-odds mass of the other classes. 1 - exp(log p_y) would round to 0 for easy
    # examples, and the gradient of 0**gamma is infinite for gamma < 1.
    true = torch.zeros_like(logits, dtype=torch.bool).scatter(1, target[:, None], True)
    others = logits.masked_fill(true, float("-inf")).logsumexp(1)
    modulator = torch.exp(gamma * (others - logits.logsumexp(1)))
    return (modulator.detach() if detach_modulator else modulator) * losses


def sigmoid_focal_losses(
    logits: Tensor, target: Tensor, gamma: float, detach_modulator: bool = False
) -> Tensor:
    """Focal losses ``(B,)`` of one sigmoid per class, summed over the classes, without class weights."""
    sign = torch.full_like(logits, -1.0).scatter(1, target[:, None], 1.0)
    # The logarithms of q and 1 - q both: the published form, by log1p(exp(-z)), overflows below about -88.
    modulator = torch.exp(gamma * F.logsigmoid(-sign * logits))
    return -((modulator.detach() if detach_modulator else modulator) * F.logsigmoid(sign * logits)).sum(1)


ACTIVATIONS = {"softmax": focal_losses, "sigmoid": sigmoid_focal_losses}


def check_focal(gamma: float, activation: str) -> None:
    """Raises ValueError for settings that make no focal loss."""
    if not gamma >= 0:
        raise ValueError(f"gamma must be at least 0, but {gamma} was given")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r} is unknown; use 'softmax' or 'sigmoid'")
