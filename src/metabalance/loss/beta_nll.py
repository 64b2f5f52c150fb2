"""Beta-NLL: a Gaussian's likelihood, with each row weighed so that a wide variance does not excuse a bad mean.

Seitzer, Tavakoli, Antic & Martius, "On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural
Networks", ICLR 2022, arXiv 2203.09168.
"""

import torch
from torch import Tensor, nn

from metabalance.loss.base import check_reduction, reduced

__all__ = ["BetaNLLLoss"]

# Of the logarithm of the variance: beyond, exp overflows in float32 long before a fit is any worse.
MOST = 15.0


class BetaNLLLoss(nn.Module):
    r"""The mean over targets of :math:`\mathrm{sg}[\sigma^{2\beta}]\ \tfrac12 \left(\log \sigma^2 + (y - \mu)^2/\sigma^2
    \right)`, where no gradient flows through sg.

    ``beta=0`` is the Gaussian's negative log-likelihood up to a constant, which neglects the mean wherever the variance is
    large; with ``beta=1`` the mean learns as from half a squared error.

    Args:
        beta: From 0 to 1.
        reduction: ``"none"``, ``"mean"`` (over rows) or ``"sum"``.

    Shape:
        prediction ``(B, 2T)``, for each target its mean and the logarithm of its variance (kept within ±15); target
        ``(B,)`` or ``(B, T)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: beta outside its limits; in the call, shapes that do not fit.

    >>> BetaNLLLoss(beta=0.0)(torch.tensor([[1.0, 0.0]]), torch.tensor([3.0]))  # 2^2 / 2
    tensor(2.)
    """

    def __init__(self, beta: float = 0.5, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must lie between 0 and 1, but {beta} was given")
        self.beta, self.reduction = beta, reduction

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        y = target.reshape(len(target), -1)
        if target.dim() not in (1, 2) or prediction.shape != (len(y), 2 * y.shape[1]):
            raise ValueError(
                "prediction must hold a mean and a log-variance for each target, (B, 2T), and target be (B,) or (B, T), but "
                f"they have shapes {tuple(prediction.shape)} and {tuple(target.shape)}"
            )
        p = prediction.float() if prediction.dtype in (torch.float16, torch.bfloat16) else prediction
        mean, log_var = p.reshape(len(y), -1, 2).unbind(2)
        log_var = log_var.clamp(-MOST, MOST)
        likelihood = (log_var + (y.to(p.dtype) - mean).square() * (-log_var).exp()) / 2
        return reduced(((self.beta * log_var.detach()).exp() * likelihood).mean(1), self.reduction)
