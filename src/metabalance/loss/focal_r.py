"""Focal-R: errors that are already small count for little.

Yang, Zha, Chen, Wang & Katabi, ICML 2021, arXiv 2102.09554, as a baseline of theirs: the focal loss of Lin et al.,
ICCV 2017, for a continuous target.
"""

import torch
from torch import Tensor

from metabalance.loss.base import RegressionLoss

__all__ = ["FocalRLoss"]


class FocalRLoss(RegressionLoss):
    r""":math:`m(|e|)^\gamma\, |e|` or :math:`m(|e|)^\gamma\, e^2`, with :math:`e = \hat y - y` and the modulator
    :math:`m(x) = 2\sigma(\beta x) - 1`, or :math:`\tanh(\beta x)`.

    ``gamma=0`` gives the plain loss, and so does an infinite ``beta``. Several targets are averaged.

    Args:
        beta: Per unit of the target, above 0: errors far above 1/beta keep their loss. The authors take 0.2 for ages
            and 20 for similarities from 0 to 1.
        gamma: How strongly small errors are discounted, at least 0.
        activation: ``"sigmoid"`` or ``"tanh"``.
        base: ``"l1"`` or ``"mse"``.
        reduction: ``"none"``, ``"mean"`` (over rows) or ``"sum"``.

    Shape:
        prediction and target ``(B,)`` or ``(B, T)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: Settings outside these limits.

    >>> FocalRLoss(beta=1.0, reduction="none")(torch.tensor([0.0, 10.0]), torch.tensor([0.5, 0.0]))
    tensor([0.1225, 9.9991])
    """

    def __init__(
        self,
        beta: float = 0.2,
        gamma: float = 1.0,
        activation: str = "sigmoid",
        base: str = "l1",
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if not beta > 0 or not gamma >= 0:
            raise ValueError(f"beta must be above 0 and gamma at least 0, but {beta} and {gamma} were given")
        if activation not in ("sigmoid", "tanh") or base not in ("l1", "mse"):
            raise ValueError(
                f"activation must be 'sigmoid' or 'tanh' and base 'l1' or 'mse', but {activation!r} and {base!r} "
                "were given"
            )
        self.beta, self.gamma, self.activation, self.base = beta, gamma, activation, base

    def losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        error = (prediction - target).abs()
        # 2 sigmoid(x) - 1 = tanh(x / 2). The clamp keeps the gradient of 0**gamma finite at an exact hit.
        scaled = self.beta * error.clamp_min(torch.finfo(error.dtype).tiny)
        modulator = torch.tanh(scaled / 2 if self.activation == "sigmoid" else scaled) ** self.gamma
        return (modulator * (error if self.base == "l1" else error.square())).mean(1)
