"""Nearest class mean: a trained trunk's features are compared with the average of each class, whatever its size.

Kang, Xie, Rohrbach, Yan, Gordo, Feng & Kalantidis, "Decoupling Representation and Classifier for Long-Tailed
Recognition", ICLR 2020, arXiv 1910.09217; the idea of Mensink, Verbeek, Perronnin & Csurka, PAMI 2013.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["NearestClassMean"]

NORMALIZE = ("cl2n", "l2n", "none")


class NearestClassMean(nn.Module):
    r"""Scores :math:`-\lVert h - \mu_c \rVert^2`, the largest at the nearest class mean.

    ``"cl2n"`` subtracts the mean of all training features and scales each to length 1 before anything else,
    ``"l2n"`` only scales. How many examples a class has plays no part, except in that overall mean.

    Args:
        num_features: D.
        num_classes: C.
        normalize: ``"cl2n"`` (the authors' default), ``"l2n"`` or ``"none"``.

    Shape:
        features ``(B, D)`` -> ``(B, C)``; minus infinity for a class without training examples.

    Raises:
        ValueError: An unknown ``normalize``; in ``fit``, shapes that do not fit.

    >>> model = NearestClassMean(num_features=1, num_classes=2, normalize="none")
    >>> model.fit(torch.tensor([[0.0], [0.0], [4.0]]), torch.tensor([0, 0, 1]))(torch.tensor([[1.0]]))
    tensor([[-1., -9.]])
    """

    mean: Tensor
    centres: Tensor

    def __init__(self, num_features: int, num_classes: int, normalize: str = "cl2n") -> None:
        super().__init__()
        if normalize not in NORMALIZE:
            raise ValueError(f"normalize={normalize!r} is unknown; use {', '.join(map(repr, NORMALIZE))}")
        self.normalize = normalize
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("centres", torch.full((num_classes, num_features), float("nan")))

    @torch.no_grad()
    def fit(self, features: Tensor, target: Tensor) -> "NearestClassMean":
        """Takes the means of features ``(N, D)`` with classes ``(N,)``, and returns itself."""
        if features.shape != (len(target), self.centres.shape[1]):
            raise ValueError(
                f"features must be ({len(target)}, {self.centres.shape[1]}), one row per label, "
                f"but have shape {tuple(features.shape)}"
            )
        self.mean = features.mean(0)
        h = self._normalized(features)
        hot = F.one_hot(target, len(self.centres)).to(h.dtype)
        self.centres = (hot.T @ h) / hot.sum(0)[:, None]  # 0/0 is NaN: no examples, no mean
        return self

    def forward(self, features: Tensor) -> Tensor:
        # Not torch.cdist: its square root has no gradient at distance 0. NaN is taken out before the difference,
        # for it would come back in the gradient.
        absent = self.centres.isnan().any(1)
        centres = torch.where(absent[:, None], 0, self.centres)
        distance = (self._normalized(features)[:, None] - centres).square().sum(2)
        return torch.where(absent, float("-inf"), -distance)

    def _normalized(self, features: Tensor) -> Tensor:
        if self.normalize == "cl2n":
            features = features - self.mean
        return features if self.normalize == "none" else F.normalize(features, dim=1)
