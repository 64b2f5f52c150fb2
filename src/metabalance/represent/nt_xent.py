"""NT-Xent, SimCLR's loss: a view is told from all other views of the batch as the twin of its other half.

Chen, Kornblith, Norouzi & Hinton, "A Simple Framework for Contrastive Learning of Visual Representations", ICML
2020, arXiv 2002.05709. It is the supervised contrastive loss with every example a class of its own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.represent.base import two_views
from metabalance.represent.supcon import check_temperature, supcon_losses


class NTXentLoss(nn.Module):
    r"""The mean over all 2B views i, with their twins i', of

    .. math:: -\log \frac{e^{z_i \cdot z_{i'}/\tau}}{\sum_{a \ne i} e^{z_i \cdot z_a/\tau}}.

    It looks at no label.

    Args:
        temperature: :math:`\tau`.

    Shape:
        features ``(2B, D)``, the first view's rows and then the second's; target ``(2B,)`` -> ``()``.

    Raises:
        ValueError: A temperature that is not above 0; in the call, shapes that do not fit, or rows that are not
            two stacked views.

    >>> NTXentLoss()(torch.ones(6, 2), torch.tensor([0, 1, 1, 0, 1, 1]))  # all alike: log(2B - 1)
    tensor(1.6094)
    """

    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        return nt_xent(*two_views(features, target), temperature=self.temperature)


def nt_xent(z1: Tensor, z2: Tensor, temperature: float = 0.5) -> Tensor:
    """The loss ``()`` of two views ``(B, D)``, which are put on the unit sphere."""
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    example = torch.arange(len(z1), device=z.device).repeat(2)
    return supcon_losses(z, example, temperature)[0].mean()
