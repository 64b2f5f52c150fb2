"""Label-distribution-aware margins: the rarer a class, the wider the margin by which it has to win.

Cao, Wei, Gaidon, Arechiga & Ma, NeurIPS 2019, arXiv 1906.07413. The logits are cosines, from a head without
bias. The authors' weighted mean divides by the batch's summed weights, so that in a batch of one class the
weights cancel out; here the mean is over examples. One class without examples makes their margins NaN.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.counts import class_priors
from metabalance.loss.base import ClassificationLoss, check_num_classes
from metabalance.loss.weighted import as_class_weights, weight_of


class LDAMLoss(ClassificationLoss):
    r""":math:`\ell = w_y\,\mathrm{CE}(s\,(z - \Delta_y e_y),\, y)`, with margins
    :math:`\Delta_c = \Delta_{max}\,(n_{min}/n_c)^{1/4}`.

    ``max_margin=0`` gives (weighted) cross-entropy of the scaled logits; equal counts give one margin for all
    classes, not cross-entropy. The margin acts in training alone: at prediction the logits are used as they
    are. Cosines need a scale (two classes at cosines 1 and -1 are only 88 % and 12 % sure of themselves);
    a head that already multiplies by :math:`s` goes with ``scale=1`` and ``max_margin`` times :math:`s`.

    Args:
        counts: Training counts ``(C,)``. A class without examples has the largest margin and leaves the others
            as they are.
        max_margin: The margin of the rarest class, as a cosine.
        scale: The inverse temperature :math:`s`; it multiplies the margin too.
        weight: Class weights ``(C,)``, which deferred re-weighting sets.
        reduction: ``"none"``, ``"mean"`` (over examples) or ``"sum"``.

    Shape:
        logits ``(B, C)``, best from a :class:`CosineLinear`, target ``(B,)`` -> ``(B,)`` or ``()``.

    Raises:
        ValueError: A negative margin, a scale that is not above 0, impossible counts or weights.

    >>> LDAMLoss([1600, 100]).margin
    tensor([0.2500, 0.5000])
    >>> LDAMLoss([1600, 100], scale=1.0)(torch.zeros(1, 2), torch.tensor([1]))  # log(1 + e^0.5)
    tensor(0.9741)
    """

    margin: Tensor
    weight: Tensor | None

    def __init__(
        self,
        counts: Any,
        max_margin: float = 0.5,
        scale: float = 30.0,
        weight: Tensor | Sequence[float] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if not max_margin >= 0:
            raise ValueError(f"max_margin must be at least 0, but {max_margin} was given")
        if not scale > 0:
            raise ValueError(f"scale must be above 0, but {scale} was given")
        self.scale = scale
        self.register_buffer("margin", class_margins(counts, max_margin).to(torch.get_default_dtype()))
        self.register_buffer("weight", None if weight is None else as_class_weights(weight))

    def losses(self, logits: Tensor, target: Tensor) -> Tensor:
        check_num_classes(logits, self.margin)
        # In half precision thirty times a cosine is known to a tenth, as coarse as the margins themselves.
        z = logits.to(torch.promote_types(logits.dtype, torch.float32))
        margin = self.margin.to(z.dtype)[target][:, None]
        true = torch.zeros_like(z, dtype=torch.bool).scatter(1, target[:, None], True)
        losses = F.cross_entropy(self.scale * torch.where(true, z - margin, z), target, reduction="none")
        return losses if self.weight is None else losses * weight_of(self.weight, z, target, losses.dtype)


def class_margins(counts: Any, max_margin: float) -> Tensor:
    """Margins ``(C,)``, float64: ``max_margin`` for the rarest class, less by the fourth root of the size."""
    prior = class_priors(counts)  # refuses impossible counts
    rarest = prior[prior > 0].min()
    return max_margin * (rarest / prior.clamp_min(rarest)) ** 0.25


class CosineLinear(nn.Linear):
    r"""A linear layer without bias that gives cosines: :math:`z_c = s \cos(h, w_c)`.

    Args:
        in_features: The width of the features, D.
        out_features: The number of classes, C.
        scale: What the cosines are multiplied by.

    Shape:
        ``(..., D)`` -> ``(..., C)``, between ``-scale`` and ``scale``; 0 for features that are all 0.

    >>> head = CosineLinear(2, 2)
    >>> _ = head.weight.data.copy_(torch.tensor([[2.0, 0.0], [3.0, 4.0]]))
    >>> head(torch.tensor([[5.0, 0.0]]))
    tensor([[1.0000, 0.6000]], grad_fn=<MulBackward0>)
    """

    def __init__(
        self, in_features: int, out_features: int, scale: float = 1.0, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(in_features, out_features, bias=False, device=device, dtype=dtype)
        self.scale = scale

    def reset_parameters(self) -> None:
        """Class vectors of length 1, uniform in the cube before they are cut to length."""
        with torch.no_grad():
            self.weight.copy_(F.normalize(self.weight.uniform_(-1, 1), dim=1))

    def forward(self, input: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(input, dim=-1), F.normalize(self.weight, dim=-1))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, scale={self.scale}"
