"""Regressor re-training: keep the representation and fit the last layer anew, with rare target values weighing more.

Yang, Zha, Chen, Wang & Katabi, ICML 2021, arXiv 2102.09554 (RRT), after the decoupling of Kang et al., ICLR 2020, arXiv
1910.09217. The authors re-train the layer by gradient steps on an absolute error; of a squared error the weighted optimum
is known in closed form. For other losses train it with the trunk frozen (:func:`metabalance.adjust.freeze_trunk`).
"""

import torch
from torch import Tensor, nn

from metabalance.heads import last_linear

__all__ = ["refit_regressor"]


@torch.no_grad()
def refit_regressor(
    model: nn.Module, features: Tensor, target: Tensor, weight: Tensor | None = None, ridge: float = 1e-3
) -> nn.Linear:
    r"""Sets the last ``nn.Linear`` to the minimum of
    :math:`\frac1N \sum_i w_i \|W z_i + b - y_i\|^2 + \rho \|W\|_S^2`, in place.

    The penalty is on the coefficients of standardised features, so that their unit does not matter.

    Args:
        model: The network.
        features: Inputs of that layer ``(N, D)``, of training rows (:func:`metabalance.heads.features`).
        target: ``(N,)`` or ``(N, T)``, as the network predicts it.
        weight: ``(N,)``, such as :func:`metabalance.weigh.label_density_weights`; ones without.
        ridge: :math:`\rho`, above 0.

    Returns:
        The layer.

    Raises:
        ValueError: There is no ``nn.Linear``, shapes do not fit, or values are not finite.

    >>> model = nn.Sequential(nn.Identity(), nn.Linear(1, 1))
    >>> z = torch.tensor([[0.0], [1.0], [2.0]])
    >>> head = refit_regressor(model, z, 3 * z[:, 0] + 1, ridge=1e-9)
    >>> round(head.weight.item(), 4), round(head.bias.item(), 4)
    (3.0, 1.0)
    """
    head = last_linear(model)
    z, y = features.detach().double(), target.detach().double().reshape(len(target), -1)
    w = torch.ones(len(z), dtype=z.dtype, device=z.device) if weight is None else weight.double()
    if z.shape != (len(y), head.in_features) or y.shape[1] != head.out_features or w.shape != z.shape[:1]:
        raise ValueError(
            f"the last layer maps {head.in_features} features to {head.out_features} targets, but features, target and "
            f"weight have shapes {tuple(features.shape)}, {tuple(target.shape)} and {tuple(w.shape)}"
        )
    sound = (
        all(bool(torch.isfinite(x).all()) for x in (z, y, w)) and bool((w >= 0).all()) and float(w.sum()) > 0
    )
    if not sound or not ridge > 0:
        raise ValueError(
            "features, targets and weights must be finite, weights not negative, and ridge above 0"
        )
    share = w / w.sum()
    centre, level = share @ z, share @ y
    deviation = z - centre
    scale = (share @ deviation.square()).sqrt()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    u = deviation / scale
    gram = u.T @ (share[:, None] * u) + ridge * torch.eye(len(scale), dtype=z.dtype, device=z.device)
    slope = torch.linalg.solve(gram, u.T @ (share[:, None] * (y - level))) / scale[:, None]
    head.weight.copy_(slope.T)
    if head.bias is not None:
        head.bias.copy_(level - centre @ slope)
    return head
