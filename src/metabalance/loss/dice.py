"""Dice loss: one minus a soft F1, so that the many easy negatives of a rare class do not drown it.

Li, Sun, Meng, Liang, Wu & Li, ACL 2020, arXiv 1911.02855; the squared form is Milletari, Navab & Ahmadi, 3DV
2016, arXiv 1606.04797. Departures of the authors' code: without the square, its denominator sums over the
batch and its numerator over one example, so that the loss hardly moves (here both are of the example); its
mining of hard negatives keeps two too few, or raises; its power of ``1 - p`` has a NaN gradient once ``p``
rounds to 1. Its published runs have the square, ``smooth=1`` and ``alpha=0.01``, the defaults here;
``alpha=1``, as drawn in the paper, does not train. UNCONFIRMED: tagging tasks, for which it has no script.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from metabalance.loss.base import ClassificationLoss
from metabalance.ranks import mean, world_size

LEVELS = ("example", "class")


class DiceLoss(ClassificationLoss):
    r""":math:`\ell = \sum_c \left(1 - \frac{2 \tilde p_c y_c + s}{\tilde p_c^2 + y_c^2 + s}\right)` with one-hot
    :math:`y`, where :math:`\tilde p = (1 - p)^\alpha p` and :math:`p = \mathrm{softmax}(z)`.

    Not a proper scoring rule: the probabilities it leads to are not calibrated, and a threshold for them is to
    be chosen on held-out rows. With ``alpha`` above 0, :math:`\tilde p` peaks at :math:`p = 1/(1 + \alpha)` and
    falls again: an example is pushed no further than this, and a negative beyond it is pushed the wrong way.
    :math:`s` is what lets negatives teach: without it each of them costs 1, whatever :math:`p`.

    Args:
        level: ``"example"`` for one Dice coefficient per example and class; ``"class"`` for one per class over
            the batch, 1 - F1 if predictions are certain. Every example's loss is then that of the batch.
        square: Whether the denominator has squares.
        smooth: :math:`s`, above 0.
        alpha: How much easy examples are discounted.
        ohem_ratio: Above 0, a class learns from its own examples and from the hardest of the others alone, so
            many for each of its own in the batch (from all, if that makes none).
        classes: The classes that are summed over; by default all. ``[1]`` for the positive one of two.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``; for tokens see :func:`flatten_tokens`.

    Raises:
        ValueError: An unknown level, a setting out of range, or a class that the logits do not have.

    >>> loss = DiceLoss(classes=[1], reduction="none")  # p = 1/2: a positive costs 1/9, a negative 1/5
    >>> loss(torch.zeros(2, 2), torch.tensor([1, 0]))
    tensor([0.1111, 0.2000])
    """

    def __init__(
        self,
        level: str = "example",
        square: bool = True,
        smooth: float = 1.0,
        alpha: float = 0.0,
        ohem_ratio: float = 0.0,
        classes: Sequence[int] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if level not in LEVELS:
            raise ValueError(f"level={level!r} is unknown; use 'example' or 'class'")
        if not (smooth > 0 and alpha >= 0 and ohem_ratio >= 0):
            raise ValueError(
                "smooth must be above 0, alpha and ohem_ratio at least 0, but "
                f"{smooth}, {alpha} and {ohem_ratio} were given"
            )
        self.level, self.square, self.smooth, self.alpha = level, square, smooth, alpha
        self.ohem_ratio = ohem_ratio
        self.compares_rows = level == "class" or ohem_ratio > 0
        self.classes = None if classes is None else list(classes)

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.mixed_losses(logits, torch.zeros_like(logits).scatter(1, target[:, None], 1.0))

    def mixed_losses(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Losses ``(B,)`` of labels ``(B, C)``, which enter the Dice coefficient as they are."""
        # Not half precision: sums of squares of small probabilities vanish in it.
        z = logits.to(torch.promote_types(logits.dtype, torch.float32))
        y = shares.to(z.dtype)
        p = self_adjusted(z, self.alpha)
        if self.ohem_ratio > 0:
            p = p.masked_fill(~hardest(z.detach().softmax(1), y, self.ohem_ratio), 0.0)
        p, y = of_classes(p, self.classes), of_classes(y, self.classes)
        each = dice_losses(p, y, self.smooth, self.square, over_batch=self.level == "class")
        return each.sum(1).expand(len(logits))


class SelfAdjustingDiceLoss(DiceLoss):
    r"""Dice loss of :math:`(1 - p)^\alpha p` in place of :math:`p`; see :class:`DiceLoss`.

    Args:
        alpha: The authors try .1, .01 and .001 on held-out rows.
        level: See :class:`DiceLoss`, as for all others.
        square: As there.
        smooth: As there.
        ohem_ratio: As there; the authors' scripts have 0, .1 or .3.
        classes: As there.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: As :class:`DiceLoss`.

    >>> certain = torch.tensor([[40.0, 0.0]], requires_grad=True)  # beyond the peak: a little too sure
    >>> loss = SelfAdjustingDiceLoss(classes=[0])
    >>> loss(certain, torch.tensor([0])).backward()
    >>> bool(certain.grad[0, 0] > 0)
    True
    """

    def __init__(
        self,
        alpha: float = 0.01,
        level: str = "example",
        square: bool = True,
        smooth: float = 1.0,
        ohem_ratio: float = 0.0,
        classes: Sequence[int] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(level, square, smooth, alpha, ohem_ratio, classes, reduction)


def self_adjusted(logits: Tensor, alpha: float) -> Tensor:
    r""":math:`(1 - p)^\alpha p` of each class, ``(B, C)``, from logits ``(B, C)``."""
    log_p = logits.log_softmax(1)
    if alpha == 0:
        return log_p.exp()
    # log(1 - p): of the likeliest class as the log-odds mass of the others, since 1 - p may round to 0, and
    # the gradient of 0**alpha is infinite.
    top = torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.argmax(1, keepdim=True), True)
    others = logits.masked_fill(top, float("-inf")).logsumexp(1, keepdim=True)
    log_rest = torch.where(
        top, others - logits.logsumexp(1, keepdim=True), torch.log1p(-log_p.exp().masked_fill(top, 0.0))
    )
    return torch.exp(log_p + alpha * log_rest)


def dice_losses(
    p: Tensor, y: Tensor, smooth: float = 1.0, square: bool = True, over_batch: bool = False
) -> Tensor:
    """One minus the Dice coefficients of ``p`` and ``y``, both ``(B, C)``: ``(B, C)``, or ``(1, C)`` over the batch.

    >>> dice_losses(torch.tensor([[0.5]]), torch.tensor([[1.0]]), smooth=1.0)  # 1 - (1 + 1)/(1/4 + 1 + 1)
    tensor([[0.1111]])
    """
    parts = (p * y, p.square() if square else p, y.square() if square else y)
    both, ours, theirs = (
        (mean(part.sum(0, keepdim=True)) * world_size() for part in parts) if over_batch else parts
    )
    return 1 - (2 * both + smooth) / (ours + theirs + smooth)


def hardest(p: Tensor, y: Tensor, ratio: float) -> Tensor:
    """Which examples a class learns from ``(B, C)``: its own, and the likeliest ``ratio`` times as many others."""
    own = y > 0
    keep = (ratio * own.sum(0)).floor()
    rank = p.masked_fill(own, -1.0).argsort(stable=True, dim=0, descending=True).argsort(0)
    return own | (rank < keep) | (keep == 0)


def of_classes(columns: Tensor, classes: Sequence[int] | None) -> Tensor:
    """The columns ``(B, K)`` of some classes, out of ``(B, C)``; all for None."""
    if classes is None:
        return columns
    if not classes or min(classes) < 0 or max(classes) >= columns.shape[1]:
        raise ValueError(f"classes={classes} does not fit logits of {columns.shape[1]} classes")
    return columns[:, classes]


def flatten_tokens(logits: Tensor, target: Tensor, ignore_index: int = -100) -> tuple[Tensor, Tensor]:
    """Tokens as examples, padding left out, for any loss of this package.

    Args:
        logits: ``(B, T, C)``.
        target: ``(B, T)``, with ``ignore_index`` where there is no label.
        ignore_index: What marks padding.

    Returns:
        logits ``(M, C)`` and target ``(M,)`` of the M tokens that have a label.

    Raises:
        ValueError: Shapes that do not fit.

    >>> logits, target = flatten_tokens(torch.zeros(2, 3, 5), torch.tensor([[1, 4, -100], [2, -100, -100]]))
    >>> logits.shape, target
    (torch.Size([3, 5]), tensor([1, 4, 2]))
    """
    if logits.dim() != 3 or target.shape != logits.shape[:2]:
        raise ValueError(
            f"tokens need logits (B, T, C) and target (B, T), but have {tuple(logits.shape)} and {tuple(target.shape)}"
        )
    labelled = target != ignore_index
    return logits[labelled], target[labelled]
