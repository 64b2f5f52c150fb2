"""Balanced softmax: each class enters the softmax in proportion to its count.

Ren, Yu, Sheng, Ma, Zhao, Yi & Li, NeurIPS 2020, arXiv 2007.10740. Found at the same time as, and equal to,
the logit-adjusted loss at tau 1.
"""

from typing import Any

from metabalance.loss.logit_adjustment import LogitAdjustedLoss


class BalancedSoftmaxLoss(LogitAdjustedLoss):
    r""":math:`\ell = -\log \frac{n_y e^{z_y}}{\sum_c n_c e^{z_c}}`.

    Args:
        counts: Training counts ``(C,)``; for a class without examples see :class:`LogitAdjustedLoss`.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: Impossible counts, or not one for each class.

    >>> import torch
    >>> BalancedSoftmaxLoss([3, 1])(torch.zeros(1, 2), torch.tensor([1]))  # -log 1/4
    tensor(1.3863)
    """

    def __init__(self, counts: Any, reduction: str = "mean") -> None:
        super().__init__(counts, tau=1.0, reduction=reduction)
