"""Class-wise difficulty-balanced loss: a class counts for as much as the model still fails on it.

Sinha, Ohashi & Nakamura, ACCV 2020, arXiv 2010.01824. The authors' code has two dynamic exponents: the one of
its helper and of its ImageNet-LT part is taken for the intended one, what its CIFAR and EGTEA trainers run is
here ``"dynamic_coded"``. Its ImageNet-LT trainer divides by the batch's summed weights, which takes most of
the re-weighting back; the others, as here, by the number of examples. Its focal form is a sigmoid loss summed
over the classes and does not run; here it is the softmax form. UNCONFIRMED: that the paper has a focal form.
"""

import math
from typing import Any

import torch
from torch import Tensor

from metabalance.loss.base import ClassificationLoss
from metabalance.loss.focal import focal_losses
from metabalance.loss.weighted import weight_of

TAUS = ("dynamic", "dynamic_coded")


class CDBLoss(ClassificationLoss):
    r""":math:`\ell = w_y (1 - p_y)^\gamma (-\log p_y)` with :math:`w_c = C\,d_c^\tau / \sum_k d_k^\tau`, where
    :math:`d_c = 1 - \text{recall}_c` on held-out rows.

    A fresh loss, equal difficulties, or ``tau=0`` give cross-entropy (at ``gamma=0``). Class sizes play no
    part. A class that is never missed weighs nothing until the next validation.

    Args:
        num_classes: The number of classes, C.
        tau: How sharply difficulty turns into weight: a number, or ``"dynamic"``, which grows with the spread
            of the recalls (see :func:`dynamic_tau`); ``"dynamic_coded"`` is what the authors' CIFAR code runs.
        gamma: 0 for cross-entropy, larger for the focal form.
        eps: What keeps the dynamic tau finite when a class is always missed.
        normalize: Whether the weights sum to C.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: An impossible setting; in :meth:`update`, recalls that are not one for each class or not
            between 0 and 1.

    >>> loss = CDBLoss(num_classes=2, tau=1.0)
    >>> loss.update(recall=torch.tensor([0.75, 0.25]))  # class 1 is three times as hard
    >>> loss.weight
    tensor([0.5000, 1.5000])
    """

    weight: Tensor
    difficulty: Tensor

    def __init__(
        self,
        num_classes: int,
        tau: float | str = "dynamic",
        gamma: float = 0.0,
        eps: float = 0.01,
        normalize: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if tau not in TAUS and (isinstance(tau, str) or not 0 <= tau < math.inf):
            raise ValueError(f"tau={tau!r} is unknown; use a number from 0, 'dynamic' or 'dynamic_coded'")
        if not gamma >= 0:
            raise ValueError(f"gamma must be at least 0, but {gamma} was given")
        if not eps > 0:
            raise ValueError(f"eps must be above 0, but {eps} was given")
        self.tau, self.gamma, self.eps, self.normalize = tau, gamma, eps, normalize
        self.register_buffer("difficulty", torch.ones(num_classes))
        self.register_buffer("weight", torch.ones(num_classes))

    def update(self, recall: Any = None, **_: Any) -> None:
        """Sets the weights from held-out recalls ``(C,)``; the engine calls it after each validation.

        A class without held-out rows has a recall of NaN and keeps its difficulty, which is 1 at first: as if
        it were always missed. It has no part in the dynamic tau. Without recalls (a run without validation)
        nothing changes.
        """
        if recall is None:
            return
        found = torch.as_tensor(recall, dtype=self.difficulty.dtype, device=self.difficulty.device)
        known = ~found.isnan()
        if found.shape != self.difficulty.shape or bool(((found < 0) | (found > 1))[known].any()):
            raise ValueError(
                f"recall must be {len(self.difficulty)} numbers between 0 and 1, or NaN for a class without "
                f"rows, but {found.tolist()} was given"
            )
        if not known.any():
            return
        self.difficulty.copy_(torch.where(known, 1 - found, self.difficulty))
        if isinstance(self.tau, str):
            tau = dynamic_tau(found[known], self.eps, coded=self.tau == "dynamic_coded")
        else:
            tau = self.tau
        self.weight.copy_(difficulty_weights(self.difficulty, tau, self.normalize))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = focal_losses(logits, target, self.gamma)
        return losses * weight_of(self.weight, logits, target, losses.dtype)


def dynamic_tau(recall: Tensor, eps: float = 0.01, coded: bool = False) -> float:
    r""":math:`\tau = 2\sigma(b - 1)` with :math:`b = \max_c A_c / (\min_c A_c + \epsilon)` for recalls ``(C,)``.

    Near 1 (below it) when all classes are equally hard, towards 2 as they differ; ``coded``:
    :math:`\sigma(b)`, as the authors' CIFAR and EGTEA trainers compute it.

    >>> print(f"{dynamic_tau(torch.tensor([0.8, 0.4])):.3f}")
    1.443
    """
    b = float(recall.max() / (recall.min() + eps))
    return torch.tensor(b).sigmoid().item() if coded else 2 * torch.tensor(b - 1).sigmoid().item()


def difficulty_weights(difficulty: Tensor, tau: float, normalize: bool = True) -> Tensor:
    """Difficulties to the power ``tau``, ``(C,)``; scaled to sum to C, and all 1 if no class is ever missed."""
    w = difficulty**tau
    if not normalize:
        return w
    total = w.sum()
    return w * (len(w) / total) if total > 0 else torch.ones_like(w)
