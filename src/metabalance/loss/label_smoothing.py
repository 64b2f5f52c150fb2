"""Class-conditional label smoothing: the rarer a class, the softer its labels, against overfitting it.

Shwartz-Ziv, Goldblum, Li, Bruss & Wilson, NeurIPS 2023, arXiv 2312.02517. Known of the paper (its code has no
label smoothing) is that minority examples are smoothed more. UNCONFIRMED: the formula, by which smoothing
grows with rarity, and the amounts; also whether the mass that is taken off is spread evenly, as here by
default, or more to the rare classes (``spread="inverse"``), as some codes of others have it. Label-aware
smoothing has the opposite sign: see :mod:`metabalance.loss.label_aware_smoothing`.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.counts import class_priors
from metabalance.loss.base import ClassificationLoss, check_num_classes
from metabalance.loss.logit_adjustment import log_prior
from metabalance.loss.weighted import weight_of

SPREADS = ("uniform", "inverse")


class ClassSmoothingLoss(ClassificationLoss):
    r""":math:`\ell = (1 - \epsilon_y)(-\log p_y) + \epsilon_y \sum_c u_c (-\log p_c)`, with
    :math:`\epsilon_c` from ``head`` for the largest class to ``tail`` for the smallest, linear in the logarithm
    of the class size, and :math:`p = \mathrm{softmax}(z)`.

    ``head = tail = 0`` gives cross-entropy, ``head = tail`` with an even spread torch's ``label_smoothing``.

    Args:
        counts: Training counts ``(C,)``. A class without examples is treated like one with a single example.
        head: The share that the largest class's labels give away.
        tail: That of the smallest.
        spread: Who gets it: ``"uniform"``, :math:`u_c = 1/C`, or ``"inverse"``, in inverse proportion to the
            class sizes.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: A share outside ``[0, 1)``, an unknown spread, or impossible counts.

    >>> ClassSmoothingLoss([1000, 100, 10], head=0.0, tail=0.2).epsilon
    tensor([0.0000, 0.1000, 0.2000])
    """

    epsilon: Tensor
    received: Tensor

    def __init__(
        self,
        counts: Any,
        head: float = 0.0,
        tail: float = 0.2,
        spread: str = "uniform",
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if spread not in SPREADS:
            raise ValueError(f"spread={spread!r} is unknown; use 'uniform' or 'inverse'")
        check_shares(head, tail)
        size = log_prior(counts)
        epsilon = tail + (head - tail) * position(size)
        received = class_priors(torch.ones_like(size) if spread == "uniform" else (-size).exp())
        self.register_buffer("epsilon", epsilon.to(torch.get_default_dtype()))
        self.register_buffer("received", received.to(torch.get_default_dtype()))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        check_num_classes(logits, self.epsilon)
        return smoothed_losses(logits, target, self.epsilon, self.received)


def smoothed_losses(logits: Tensor, target: Tensor, epsilon: Tensor, received: Tensor) -> Tensor:
    r"""Losses ``(B,)`` against labels that give away ``epsilon`` ``(C,)``, and get ``received`` ``(C,)`` of it."""
    cost = -logits.log_softmax(1)
    share = weight_of(epsilon, logits, target, cost.dtype)
    own = cost.gather(1, target[:, None])[:, 0]
    return (1 - share) * own + share * (cost @ received.to(cost.dtype))


def position(size: Tensor) -> Tensor:
    """Where sizes ``(C,)`` lie between the smallest, 0, and the largest, 1; all 1 if they are equal."""
    low, high = size.min(), size.max()
    return (size - low) / (high - low) if high > low else torch.ones_like(size)


def check_shares(head: float, tail: float) -> None:
    """Raises ValueError unless both are in ``[0, 1)``."""
    if not (0 <= head < 1 and 0 <= tail < 1):
        raise ValueError(f"head and tail must be at least 0 and below 1, but {head} and {tail} were given")
