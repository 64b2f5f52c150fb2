"""VICReg: two views agree, every dimension keeps its spread, and no two dimensions say the same.

Bardes, Ponce & LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
ICLR 2022, arXiv 2105.04906. Added to a supervised loss from the start it is the joint self-supervision of
Shwartz-Ziv, Goldblum, Li, Bruss & Wilson, "Simplifying Neural Network Training Under Class Imbalance", NeurIPS
2023, arXiv 2312.02517. UNCONFIRMED: which self-supervised loss that paper adds, and with what coefficient; its
code holds none.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.represent.base import product, two_views


class VICRegLoss(nn.Module):
    """:func:`vicreg` on the halves of stacked views; it looks at no label.

    The authors put a projector of three wide layers in front: see :class:`~metabalance.represent.Projected`.

    Args:
        invariance, variance, covariance: Coefficients of the three terms.

    Shape:
        features ``(2B, D)``, the first view's rows and then the second's; target ``(2B,)`` -> ``()``.

    Raises:
        ValueError: In the call: shapes that do not fit, or rows that are not two stacked views.

    >>> import torch
    >>> view = torch.tensor([[1.0], [-1.0]])
    >>> VICRegLoss()(torch.cat([view, view + 1]), torch.tensor([0, 1, 0, 1]))  # only invariance is violated
    tensor(25.)
    """

    def __init__(self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> None:
        super().__init__()
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        z1, z2 = two_views(features, target)
        return vicreg(z1, z2, self.invariance, self.variance, self.covariance)


def vicreg(
    z1: Tensor, z2: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> Tensor:
    r"""The loss ``()`` of two views ``(B, D)``.

    .. math:: \lambda\, \mathrm{mse}(z, z') + \mu\, \tfrac{1}{2} [v(z) + v(z')] + \nu\, [c(z) + c(z')],

    with :math:`v(z) = \frac{1}{D} \sum_j \max(0, 1 - \sqrt{\mathrm{Var}(z_j) + 10^{-4}})` and
    :math:`c(z) = \frac{1}{D} \sum_{i \ne j} \mathrm{Cov}(z)_{ij}^2`. This is the authors' code, which the
    published coefficients belong to; second-hand accounts of the paper have no half before the variance terms
    (UNCONFIRMED). One row has no variance: then only the first term is left.
    """
    loss = invariance * F.mse_loss(z1, z2)
    if len(z1) < 2:
        return loss
    for z in (z1, z2):
        deviation = z - z.mean(0)
        spread = (z.var(0) + 1e-4).sqrt()
        cov = product(deviation.T, deviation) / (len(z) - 1)
        off_diagonal = cov.square().sum() - cov.diagonal().square().sum()
        loss = loss + variance * F.relu(1 - spread).mean() / 2 + covariance * off_diagonal / z.shape[1]
    return loss
