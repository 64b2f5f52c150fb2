"""Logit-adjusted loss: the prior is added in training, so that the bare logits are balanced.

Menon, Jayasumana, Rawat, Jain, Veit & Kumar, ICLR 2021, arXiv 2007.07314.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metabalance.counts import class_priors
from metabalance.loss.base import ClassificationLoss, check_num_classes


class LogitAdjustedLoss(ClassificationLoss):
    r""":math:`\ell = \mathrm{CE}(z + \tau \log \pi,\, y)`, with the training prior :math:`\pi`.

    The model's bare logits are the scores of a balanced world: do not correct them for the prior a second
    time. Equal counts, or ``tau=0``, give cross-entropy; ``tau=1`` is the balanced softmax.

    Args:
        counts: Training counts ``(C,)``, or any numbers proportional to them.
        tau: How much of the prior is taken out.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    A class without training examples is treated like one with a single example (or with the smallest count,
    if that is less): the logarithm of its own prior would be infinite. The authors' code adds 1e-12 to
    :math:`\pi^\tau` instead, which leaves such a class free to win at prediction.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: Impossible counts, not one for each class, or a ``tau`` that is not finite.

    >>> loss = LogitAdjustedLoss([90, 10], reduction="none")
    >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]))  # -log 0.9 and -log 0.1
    tensor([0.1054, 2.3026])
    """

    adjustment: Tensor

    def __init__(self, counts: Any, tau: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if not math.isfinite(tau):
            raise ValueError(f"tau must be a finite number, but {tau} was given")
        self.tau = tau
        self.register_buffer("adjustment", (tau * log_prior(counts)).to(torch.get_default_dtype()))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        check_num_classes(logits, self.adjustment)
        return F.cross_entropy(logits + self.adjustment.to(logits.dtype), target, reduction="none")


def log_prior(counts: Any) -> Tensor:
    """Logarithms ``(C,)``, float64, of the class shares, all finite; see :class:`LogitAdjustedLoss`."""
    prior = class_priors(counts)  # refuses impossible counts
    n = torch.as_tensor(counts, dtype=prior.dtype).reshape(-1)
    smallest = n[n > 0].min().clamp_max(1)
    return class_priors(torch.where(n > 0, n, smallest)).log()
