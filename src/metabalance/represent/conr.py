"""ConR: rows whose targets differ are pushed apart where the model still confuses them, the harder the rarer.

Keramati, Meng & Evans, "ConR: Contrastive Regularizer for Deep Imbalanced Regression", ICLR 2024, arXiv 2309.06651.
The authors' code leaves masked entries in the denominator as exp(0) = 1 (``leak=True`` does so too, for comparison),
and gives NaN where no row has a positive.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.represent.base import at_least_float32, product
from metabalance.represent.supcon import check_temperature
from metabalance.represent.values import check_values, distances

__all__ = ["ConRLoss"]


class ConRLoss(nn.Module):
    r"""A penalty on features, for any loss of a regression. With :math:`d` and :math:`\hat d` the distances of two
    rows' targets and predictions, the positives of row i are :math:`P_i = \{j \ne i: d_{ij} \le w\}` and its negatives
    :math:`N_i = \{j: d_{ij} > w,\ \hat d_{ij} \le w\}`. Rows with both are anchors, and cost

    .. math:: \ell_i = -\frac{1}{|P_i|} \sum_{j \in P_i} \log
        \frac{e^{s_{ij}}}{\sum_{k \in P_i} e^{s_{ik}} + \sum_{q \in N_i} S_{iq} e^{s_{iq}}},

    with :math:`s` the cosine over the temperature and the push :math:`S_{iq} = \eta_i e^{c\, d_{iq}}`, or
    :math:`\eta_i c\, d_{iq}` when linear. The penalty is the mean of :math:`\eta_i \ell_i` over all rows (of
    :math:`\ell_i` when linear). Predictions that are right leave no negatives: it is 0 then, and also without
    positives. Two stacked views of each row (:class:`metabalance.data.augment.TwoViews`) give every row one.

    Args:
        window: :math:`w`, in the unit of the target: 1 for ages, 0.2 for depths in metres.
        temperature: :math:`\tau`.
        push_scale: :math:`c`, per unit of the target.
        push: ``"exp"`` (ages) or ``"linear"`` (depths).
        anchor_mean: ``"all"``: over all rows, as published; ``"anchors"``: over the anchors.
        leak: Add the 2N - |P| ones to the denominator, as the authors' code does.
        label_distance: ``((B, T), (B, T)) -> (B, B)``, in place of the Euclidean one; for predictions as well.

    Shape:
        features ``(B, D)``, target and prediction ``(B,)`` or ``(B, T)``, weight ``(B,)`` (:math:`\eta`, the rows' loss
        weights; ones without) -> ``()``. No gradient flows through the predictions. Published coefficient: 4 for ages.

    Raises:
        ValueError: Settings outside their limits; in the call, shapes that do not fit or targets that are not finite.

    >>> loss = ConRLoss(window=1.0, temperature=1.0, push_scale=0.0)
    >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    >>> loss(features, torch.tensor([20.0, 20.0, 40.0]), torch.tensor([30.0, 30.0, 30.0]))  # 2/3 log 2
    tensor(0.4621)
    """

    wants_predictions = True

    def __init__(
        self,
        window: float = 1.0,
        temperature: float = 0.07,
        push_scale: float = 0.01,
        push: str = "exp",
        anchor_mean: str = "all",
        leak: bool = False,
        label_distance: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        if not window >= 0 or not push_scale >= 0:
            raise ValueError(
                f"window and push_scale must be at least 0, but {window} and {push_scale} were given"
            )
        if push not in ("exp", "linear") or anchor_mean not in ("all", "anchors"):
            raise ValueError(
                f"push must be 'exp' or 'linear' and anchor_mean 'all' or 'anchors', but {push!r} and "
                f"{anchor_mean!r} were given"
            )
        self.window, self.temperature, self.push_scale, self.push = window, temperature, push_scale, push
        self.anchor_mean, self.leak, self.label_distance = anchor_mean, leak, label_distance

    def forward(
        self, features: Tensor, target: Tensor, prediction: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        y = check_values(features, target)
        guess = check_values(features, prediction.detach(), "prediction")
        if y.shape != guess.shape:
            raise ValueError(
                f"prediction and target must have one shape, but have {tuple(prediction.shape)} and "
                f"{tuple(target.shape)}"
            )
        z = F.normalize(at_least_float32(features), dim=1)
        eta = z.new_ones(len(z)) if weight is None else weight.to(z.dtype)
        distance = self.label_distance or distances
        losses, anchor = self._losses(z, distance(y, y), distance(guess, guess), eta)
        losses = losses * eta if self.push == "exp" else losses
        return losses.sum() / (len(z) if self.anchor_mean == "all" else anchor.sum().clamp_min(1))

    def _losses(self, z: Tensor, d: Tensor, guessed: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
        """Each row's loss ``(B,)``, 0 unless it is an anchor, and whether it is ``(B,)``."""
        near = d <= self.window
        negative = (guessed <= self.window) & ~near
        positive = near.fill_diagonal_(False)
        positives = positive.sum(1)
        anchor = negative.any(1) & (positives > 0)
        s = product(z, z.T) / self.temperature
        # In logarithms: exp(c d) overflows for targets of a large scale.
        push = self.push_scale * d.to(z.dtype)
        push = push if self.push == "exp" else push.log()
        # -1e30 for nothing: the gradient of -inf is NaN in a row that has nothing else.
        push = torch.where(negative, push + eta.log()[:, None], -1e30).clamp_min(-1e30)
        logits = s + push.masked_fill(positive, 0)
        if self.leak:
            ones = (len(z) - positives).clamp_min(1).to(z.dtype).log()
            logits = torch.cat([logits, ones[:, None]], 1)
        pulled = (s * positive).sum(1) / positives.clamp_min(1)
        # logsumexp by hand: exp of numbers that underflow takes ten times as long, and e^-80 is nothing beside 1.
        most = logits.detach().amax(1)
        bottom = (logits - most[:, None]).clamp_min(-80).exp().sum(1).log() + most
        return torch.where(anchor, bottom - pulled, 0), anchor
