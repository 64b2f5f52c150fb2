"""Label-aware smoothing: the larger a class, the softer its labels, against the head's overconfidence.

Zhong, Cui, Liu & Jia, CVPR 2021, arXiv 2104.00466 (MiSLAS). There it is the loss of a second stage, on a frozen
network under class-balanced sampling, after mixup in the first; here it is the loss alone. The authors' code
gives NaN for equal counts. The opposite sign is :mod:`metabalance.loss.label_smoothing`.
"""

import math
from typing import Any

import torch
from torch import Tensor

from metabalance.counts import class_priors
from metabalance.loss.base import ClassificationLoss, check_num_classes
from metabalance.loss.label_smoothing import check_shares, position, smoothed_losses

SHAPES = ("concave", "linear", "convex", "exp")


class LabelAwareSmoothingLoss(ClassificationLoss):
    r""":math:`\ell = (1 - \epsilon_y)(-\log p_y) + \epsilon_y \frac{1}{C} \sum_c (-\log p_c)`, with
    :math:`\epsilon_c = \epsilon_{tail} + (\epsilon_{head} - \epsilon_{tail})\,f(u_c)` and :math:`u_c` the position
    of the class size between the smallest, 0, and the largest, 1.

    ``head = tail`` gives torch's ``label_smoothing``, and 0 for both cross-entropy; equal counts give ``head``.

    Args:
        counts: Training counts ``(C,)``.
        head: The smoothing of the largest class; the authors have .1 to .4, more for more imbalance.
        tail: That of the smallest; theirs is 0 or .1.
        shape: ``"concave"``, :math:`f = \sin(\pi u/2)`, their choice; ``"linear"``; ``"convex"``,
            :math:`f = 1 - \cos(\pi u/2)`; or ``"exp"``, :math:`f = u^k`.
        power: The :math:`k` of ``"exp"``.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: A share outside ``[0, 1)``, an unknown shape, a power that is not above 0, or impossible
            counts.

    >>> LabelAwareSmoothingLoss([100, 40, 10], head=0.3, shape="linear").epsilon
    tensor([0.3000, 0.1000, 0.0000])
    """

    epsilon: Tensor

    def __init__(
        self,
        counts: Any,
        head: float = 0.3,
        tail: float = 0.0,
        shape: str = "concave",
        power: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if shape not in SHAPES:
            raise ValueError(f"shape={shape!r} is unknown; use one of {', '.join(map(repr, SHAPES))}")
        if not power > 0:
            raise ValueError(f"power must be above 0, but {power} was given")
        check_shares(head, tail)
        u = position(class_priors(counts))
        f = {
            "concave": torch.sin(math.pi / 2 * u),
            "linear": u,
            "convex": 1 - torch.cos(math.pi / 2 * u),
            "exp": u**power,
        }[shape]
        self.register_buffer("epsilon", (tail + (head - tail) * f).to(torch.get_default_dtype()))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        check_num_classes(logits, self.epsilon)
        even = torch.full_like(self.epsilon, 1 / len(self.epsilon))
        return smoothed_losses(logits, target, self.epsilon, even)
