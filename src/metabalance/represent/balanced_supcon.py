"""Balanced contrastive loss: a class pushes with its mean, however many rows of it the batch holds.

Zhu, Wang, Chen, Chen & Jiang, CVPR 2022, arXiv 2207.09052. The formula is that of the authors' code
(FlamieZhu/Balanced-Contrastive-Learning), in which the anchor itself takes part nowhere. There the prototypes are
an MLP's image of the classifier's rows and the features are projected by another; here prototypes are free
parameters, and a projection is put in front by :class:`~metabalance.represent.Projected`. The code's maximum
includes the anchor's similarity to itself, and it divides by zero for an anchor without a positive.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.represent.base import at_least_float32, check_features, product
from metabalance.represent.supcon import check_temperature


class BalancedSupConLoss(nn.Module):
    r"""The mean over anchors i of

    .. math:: -\frac{1}{|P(i)|} \sum_{p \in P(i)} \log \frac{e^{z_i \cdot z_p/\tau}}
        {\sum_j \frac{1}{|A_j(i)|} \sum_{k \in A_j(i)} e^{z_i \cdot z_k/\tau}}.

    :math:`A_j(i)` are the rows of class j other than the anchor, and the prototype of the class;
    :math:`P(i)` is :math:`A_j(i)` of the anchor's own class. Averaging within classes balances the repulsion;
    prototypes see to it that every class is in every batch, and every anchor has a positive.

    Args:
        num_classes: C.
        feature_dim: D, for learned prototypes ``(C, D)``; None does without them. Anchors alone in their class
            are then left out.
        temperature: :math:`\tau`; the authors' script trains with 0.07.
        normalize: Put features and prototypes on the unit sphere first.

    Shape:
        features ``(B, D)``, target ``(B,)`` -> ``()``.

    Raises:
        ValueError: Fewer than 2 classes, or a temperature that is not above 0; in the call, shapes that do not
            fit.

    >>> loss = BalancedSupConLoss(num_classes=2, temperature=1.0)
    >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> loss(features, torch.tensor([0, 0, 1, 1]))  # the two rows of the other class count as one: log(1 + 1/e)
    tensor(0.3133)
    """

    prototypes: Tensor | None

    def __init__(
        self,
        num_classes: int,
        feature_dim: int | None = None,
        temperature: float = 0.07,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, but {num_classes} was given")
        self.num_classes = num_classes
        self.temperature = temperature
        self.normalize = normalize
        self.register_parameter("prototypes", None)
        if feature_dim is not None:
            self.prototypes = nn.Parameter(torch.randn(num_classes, feature_dim) / feature_dim**0.5)

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        check_features(features, target)
        z, labels = at_least_float32(features), target
        if self.prototypes is not None:
            if features.shape[1] != self.prototypes.shape[1]:
                raise ValueError(
                    f"the prototypes have {self.prototypes.shape[1]} dimensions, but the features have "
                    f"{features.shape[1]}; build the loss with feature_dim={features.shape[1]}"
                )
            z = torch.cat([z, self.prototypes.to(z.dtype)])
            labels = torch.cat([target, torch.arange(self.num_classes, device=target.device)])
        if self.normalize:
            z = F.normalize(z, dim=1)
        losses, positives = balanced_supcon_losses(
            z, labels, self.num_classes, self.temperature, anchors=len(target)
        )
        return losses.sum() / (positives > 0).sum().clamp_min(1)


def balanced_supcon_losses(
    features: Tensor, target: Tensor, num_classes: int, temperature: float, anchors: int
) -> tuple[Tensor, Tensor]:
    """The losses ``(A,)`` of the first A rows as anchors, 0 without a positive, and their numbers of positives.

    Features ``(B, D)``, of float32 or more, are taken as they are.
    """
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)[:anchors]
    same = target[:anchors, None] == target
    positive = same & ~itself
    similarity = product(features[:anchors], features.T) / temperature
    counts = F.one_hot(target, num_classes).sum(0)
    share = (
        (counts[target] - same.long()).clamp_min(1).to(features.dtype)
    )  # |A_j(i)|: the anchor's class is one less
    lowest = torch.finfo(features.dtype).min
    denominator = (similarity.masked_fill(itself, lowest) - share.log()).logsumexp(1, keepdim=True)
    positives = positive.sum(1)
    total = (similarity - denominator).masked_fill(~positive, 0).sum(1)
    return -total / positives.clamp_min(1), positives
