"""Attraction-repulsion-balanced loss: what pulls a class vector to its own examples matches what pushes it away.

Xie, Yang, Cai & He, Neurocomputing 527, 2023, arXiv 2204.08735. With the counts of the training set it is the
balanced softmax (Ren et al., NeurIPS 2020) under another derivation; its own form counts each batch. The
authors' code clamps the logits to 30 instead of subtracting their maximum, so that no gradient passes beyond.
Which of the two counts gave which figure of the paper is UNCONFIRMED: configurations exist for both.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metabalance.loss.base import ClassificationLoss, check_num_classes
from metabalance.loss.logit_adjustment import log_prior
from metabalance.ranks import total


class ARBLoss(ClassificationLoss):
    r""":math:`\ell = -\log \frac{m_y e^{z_y}}{\sum_c m_c e^{z_c}}`, with :math:`m` the counts of the batch.

    Equal counts give cross-entropy. With the batch's counts a class that is absent from it is not pushed away,
    a batch of one class costs nothing, and the losses of one row depend on the other rows: never feed it
    class-balanced batches, where it is cross-entropy. The bare logits are the scores of a balanced world; do
    not correct them for the prior a second time.

    Args:
        counts: Training counts ``(C,)``, for the balanced softmax; by default each batch is counted.
        clamp: Limit of the absolute logits; the authors' code has 30.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: Impossible counts, or a clamp that is not above 0.

    >>> loss = ARBLoss(reduction="none")
    >>> loss(torch.zeros(4, 3), torch.tensor([0, 0, 0, 1]))  # -log 3/4 and -log 1/4
    tensor([0.2877, 0.2877, 0.2877, 1.3863])
    """

    log_count: Tensor | None

    def __init__(self, counts: Any = None, clamp: float | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if clamp is not None and not clamp > 0:
            raise ValueError(f"clamp must be above 0, or None for none, but {clamp} was given")
        self.clamp = clamp
        self.compares_rows = counts is None
        log_count = None if counts is None else log_prior(counts).to(torch.get_default_dtype())
        self.register_buffer("log_count", log_count)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        one_hot = torch.zeros_like(logits).scatter(1, target[:, None], 1.0)
        return F.cross_entropy(self.adjusted(logits, one_hot), target, reduction="none")

    def mixed_losses(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Losses ``(B,)`` of mixed labels ``(B, C)``, whose sums count the batch: those of the unmixed one."""
        cost = -self.adjusted(logits, shares).log_softmax(1)
        return (shares * cost.masked_fill(shares == 0, 0.0)).sum(1)  # 0 times the infinity of an absent class

    def adjusted(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Logits ``(B, C)`` plus the logarithms of the counts, minus infinity for a class absent from the batch."""
        # Not half precision: it cannot count beyond a few hundred.
        z = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.clamp is not None:
            z = z.clamp(-self.clamp, self.clamp)
        if self.log_count is None:
            return z + total(shares.to(z.dtype).sum(0)).log()  # of all processes' batches
        check_num_classes(z, self.log_count)
        return z + self.log_count.to(z.dtype)


def attraction_repulsion(logits: Tensor, target: Tensor, counts: Any = None) -> tuple[Tensor, Tensor]:
    r"""How strongly each class vector is pulled by its own examples and pushed by all others.

    :math:`A_k = \sum_{y_i = k} (1 - p_{ik})` and :math:`R_k = \sum_{y_i \ne k} p_{ik}`: the coefficients of the
    features in the gradient of class vector :math:`k`. At equal logits cross-entropy gives ratios
    :math:`A_k/R_k` as unequal as the classes, the balanced loss 1 for each.

    Args:
        logits: ``(B, C)``.
        target: ``(B,)``.
        counts: Counts ``(C,)`` in the softmax, as :class:`ARBLoss` has them; by default those of
            cross-entropy, all equal.

    Returns:
        Attraction and repulsion, ``(C,)`` each.

    >>> target = torch.tensor([0, 0, 0, 1])
    >>> attraction_repulsion(torch.zeros(4, 2), target)
    (tensor([1.5000, 0.5000]), tensor([0.5000, 1.5000]))
    >>> attraction_repulsion(torch.zeros(4, 2), target, counts=[3, 1])
    (tensor([0.7500, 0.7500]), tensor([0.7500, 0.7500]))
    """
    if counts is not None:
        logits = logits + torch.as_tensor(counts, dtype=logits.dtype, device=logits.device).log()
    p = logits.softmax(1)
    own = torch.zeros_like(p).scatter(1, target[:, None], 1.0)
    return (own * (1 - p)).sum(0), ((1 - own) * p).sum(0)
