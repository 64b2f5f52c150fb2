"""Pinball loss: a head that predicts quantiles, so that a row's uncertainty is part of the answer.

Koenker & Bassett, "Regression Quantiles", Econometrica 1978.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from metabalance.loss.base import check_reduction, reduced

__all__ = ["PinballLoss"]


class PinballLoss(nn.Module):
    r"""The mean over quantiles :math:`q` of :math:`\max(q\,(y - \hat y_q),\ (q - 1)(y - \hat y_q))`.

    One quantile of 0.5 gives half the absolute error. Predicted quantiles of a row can cross; sort them before use.

    Args:
        quantiles: Q numbers between 0 and 1, increasing.
        reduction: ``"none"``, ``"mean"`` (over rows) or ``"sum"``.

    Shape:
        prediction ``(B, Q)``, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: Quantiles that are none; in the call, shapes that do not fit.

    >>> PinballLoss((0.1, 0.9))(torch.tensor([[1.0, 3.0]]), torch.tensor([4.0]))  # (0.1 * 3 + 0.9 * 1) / 2
    tensor(0.6000)
    """

    levels: Tensor

    def __init__(self, quantiles: Sequence[float] = (0.05, 0.5, 0.95), reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        q = [float(level) for level in quantiles]
        if not q or not all(0 < level < 1 for level in q) or any(a >= b for a, b in pairwise(q)):
            raise ValueError(f"quantiles must lie between 0 and 1 and increase, but {q} were given")
        self.reduction = reduction
        self.register_buffer("levels", torch.tensor(q))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        if (
            prediction.dim() != 2
            or prediction.shape[1] != len(self.levels)
            or target.shape != prediction.shape[:1]
        ):
            raise ValueError(
                f"prediction must be (B, {len(self.levels)}), a column for each quantile, and target (B,), but they "
                f"have shapes {tuple(prediction.shape)} and {tuple(target.shape)}"
            )
        q = self.levels.to(prediction.dtype)
        above = target[:, None].to(prediction.dtype) - prediction
        return reduced(torch.maximum(q * above, (q - 1) * above).mean(1), self.reduction)
