"""Supervised contrastive loss: rows of one class are pulled together, all others pushed away.

Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu & Krishnan, NeurIPS 2020, arXiv 2004.11362 (its
"out" form, the mean over positives outside the logarithm). The authors' code (HobbitLong/SupContrast) differs
in three ways: it multiplies by temperature / 0.07; rows without a positive count in its mean, as zeros; and it
subtracts a maximum that includes a row's similarity to itself, which gives NaN for large features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.represent.base import at_least_float32, check_features, product


class SupConLoss(nn.Module):
    r"""The mean, over the anchors i that have positives, of

    .. math:: -\frac{1}{|P(i)|} \sum_{p \in P(i)} \log \frac{e^{z_i \cdot z_p/\tau}}
        {\sum_{a \ne i} e^{z_i \cdot z_a/\tau}}.

    :math:`P(i)` are the other rows of the anchor's class. A rare class is often alone in its batch: such an
    anchor has no positive and is left out. Stacked views, or class-aware batches, give it one.

    Args:
        temperature: :math:`\tau`.
        normalize: Put the features on the unit sphere first, as the authors do inside their network.
        count_lonely: Let anchors without a positive count in the mean, as zeros, as the authors' code does:
            the penalty then fades where the batch holds few of them.

    Shape:
        features ``(B, D)``, target ``(B,)`` -> ``()``.

    Raises:
        ValueError: A temperature that is not above 0; in the call, shapes that do not fit.

    >>> loss = SupConLoss(temperature=1.0)
    >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> loss(features, torch.tensor([0, 0, 1]))  # log(1 + 1/e)
    tensor(0.3133)
    """

    def __init__(self, temperature: float = 0.07, normalize: bool = True, count_lonely: bool = False) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature
        self.normalize = normalize
        self.count_lonely = count_lonely

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        check_features(features, target)
        z = at_least_float32(features)
        z = F.normalize(z, dim=1) if self.normalize else z
        losses, positives = supcon_losses(z, target, self.temperature)
        counted = len(target) if self.count_lonely else (positives > 0).sum().clamp_min(1)
        return losses.sum() / counted


def supcon_losses(features: Tensor, target: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Each anchor's loss ``(B,)``, 0 without a positive, and its number of positives ``(B,)``.

    Features ``(B, D)``, of float32 or more, are taken as they are.
    """
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    # The lowest number, not -inf: the logarithm of a batch of one row would have a NaN gradient.
    similarity = product(features, features.T) / temperature
    similarity = similarity.masked_fill(itself, torch.finfo(similarity.dtype).min)
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    positive = (target[:, None] == target) & ~itself
    positives = positive.sum(1)
    total = log_share.masked_fill(~positive, 0).sum(1)
    return -total / positives.clamp_min(1), positives


def check_temperature(temperature: float) -> None:
    """Raises ValueError unless the temperature is above 0."""
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be a finite number above 0, but {temperature} was given")
