"""Tversky loss: false alarms and misses at prices of their own, the Dice loss in between.

Salehi, Erdogmus & Gholipour, MLMI 2017, arXiv 1706.05721; as a loss for language data Li, Sun, Meng, Liang, Wu
& Li, ACL 2020, arXiv 1911.02855. UNCONFIRMED: which of its two factors the second paper calls alpha; here, as
in the first, alpha is that of the false alarms.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from metabalance.loss.base import ClassificationLoss
from metabalance.loss.dice import LEVELS, of_classes
from metabalance.ranks import mean, world_size


class TverskyLoss(ClassificationLoss):
    r""":math:`\ell = \sum_c \left(1 - \frac{p_c y_c + s}{p_c y_c + \alpha p_c (1 - y_c) + \beta (1 - p_c) y_c +
    s}\right)` with one-hot :math:`y` and :math:`p = \mathrm{softmax}(z)`.

    ``alpha = beta = 1/2`` is the Dice loss without squares (with ``smooth`` twice as large), 1 and 1 the soft
    Jaccard loss. Not a proper scoring rule; see :class:`~metabalance.loss.DiceLoss`.

    Args:
        alpha: The price of false alarms.
        beta: The price of misses; above ``alpha`` for a higher recall.
        level: ``"example"`` for one coefficient per example and class, ``"class"`` for one per class over the
            batch.
        smooth: :math:`s`, above 0.
        classes: The classes that are summed over; by default all.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: An unknown level, a setting out of range, or a class that the logits do not have.

    >>> loss = TverskyLoss(alpha=0.25, beta=0.75, classes=[1], reduction="none")
    >>> loss(torch.zeros(2, 2), torch.tensor([1, 0]))  # a miss and a false alarm, both by 1/2
    tensor([0.2000, 0.1111])
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        level: str = "example",
        smooth: float = 1.0,
        classes: Sequence[int] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if level not in LEVELS:
            raise ValueError(f"level={level!r} is unknown; use 'example' or 'class'")
        if not (smooth > 0 and alpha >= 0 and beta >= 0):
            raise ValueError(
                "smooth must be above 0, alpha and beta at least 0, but "
                f"{smooth}, {alpha} and {beta} were given"
            )
        self.alpha, self.beta, self.level, self.smooth = alpha, beta, level, smooth
        self.compares_rows = level == "class"
        self.classes = None if classes is None else list(classes)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.mixed_losses(logits, torch.zeros_like(logits).scatter(1, target[:, None], 1.0))

    def mixed_losses(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Losses ``(B,)`` of labels ``(B, C)``, which enter the coefficient as they are."""
        z = logits.to(torch.promote_types(logits.dtype, torch.float32))
        p, y = of_classes(z.softmax(1), self.classes), of_classes(shares.to(z.dtype), self.classes)
        hit, alarm, miss = p * y, p * (1 - y), (1 - p) * y
        if self.level == "class":
            # of all processes' batches
            hit, alarm, miss = (mean(part.sum(0, keepdim=True)) * world_size() for part in (hit, alarm, miss))
        each = 1 - (hit + self.smooth) / (hit + self.alpha * alarm + self.beta * miss + self.smooth)
        return each.sum(1).expand(len(logits))
