"""Class-balanced loss: a class weighs the inverse of its effective number of examples.

Cui, Jia, Lin, Song & Belongie, CVPR 2019, arXiv 1901.05555.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.counts import effective_number
from metabalance.loss.base import ClassificationLoss
from metabalance.loss.focal import ACTIVATIONS, check_focal
from metabalance.loss.weighted import as_class_weights, weight_of


class ClassBalancedLoss(ClassificationLoss):
    r""":math:`\ell = w_y (1 - p_y)^\gamma (-\log p_y)`, with :math:`w_c \propto (1-\beta)/(1-\beta^{n_c})`.

    ``beta=0``, or equal counts, give cross-entropy; ``beta`` towards 1 gives inverse counts. Once every class
    has many more than :math:`1/(1-\beta)` examples, the weights are all 1 again.

    Args:
        counts: Training counts ``(C,)`` of the whole data set, not of a batch.
        beta: In ``[0, 1]``; the paper tries .9, .99, .999 and .9999.
        gamma: 0 for cross-entropy, larger for the focal form.
        activation: ``"softmax"``, or ``"sigmoid"``, with which the paper has its focal form; see
            :class:`~metabalance.loss.FocalLoss`.
        reduction: ``"none"``, ``"mean"`` (over examples, as the authors' code) or ``"sum"``.

    The weights sum to the number of classes, as in the paper; a class without examples weighs 0 and is not
    counted.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: ``beta`` outside ``[0, 1]``, a negative ``gamma``, an unknown activation, or impossible counts.

    >>> ClassBalancedLoss([10, 1], beta=0.9).weight
    tensor([0.2662, 1.7338])
    """

    weight: Tensor

    def __init__(
        self,
        counts: Any,
        beta: float = 0.9999,
        gamma: float = 0.0,
        activation: str = "softmax",
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        check_focal(gamma, activation)
        self.gamma, self.activation = gamma, activation
        self.register_buffer("weight", effective_weights(counts, beta))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = ACTIVATIONS[self.activation](logits, target, self.gamma, False)
        return losses * weight_of(self.weight, logits, target, losses.dtype)


def effective_weights(counts: Any, beta: float) -> Tensor:
    """Inverse effective numbers ``(C,)``, scaled to sum to the number of classes that have examples."""
    number = effective_number(counts, beta)
    present = number > 0
    inverse = torch.where(
        present, 1 / number.clamp_min(torch.finfo(number.dtype).tiny), torch.zeros_like(number)
    )
    return as_class_weights(inverse * (present.sum() / inverse.sum()))
