"""What the penalties on features share: shape checks, stacked views, and a projection in front."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def check_features(features: Tensor, target: Tensor) -> None:
    """Raises ValueError unless features are ``(B, D)`` and target has one class index for each row."""
    if features.dim() != 2:
        raise ValueError(f"features must be (B, D), but have shape {tuple(features.shape)}")
    if target.dim() != 1 or len(target) != len(features):
        raise ValueError(
            f"target must be ({len(features)},), one class index per row of the features, "
            f"but has shape {tuple(target.shape)}"
        )


def at_least_float32(features: Tensor) -> Tensor:
    """Half precisions as float32: similarities over a temperature of 0.07 need more than eight bits."""
    return features.float() if features.dtype in (torch.float16, torch.bfloat16) else features


def product(left: Tensor, right: Tensor) -> Tensor:
    """The matrix product in the operands' own precision, inside autocast too."""
    with torch.autocast(left.device.type, enabled=False):
        return left @ right


def two_views(features: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The halves ``(B, D)`` of stacked views ``(2B, D)``: row i of one and row i of the other are one example.

    Half precisions become float32.

    Raises:
        ValueError: An odd number of rows, or halves with different targets.
    """
    check_features(features, target)
    views = at_least_float32(features).chunk(2)
    # Anything else would silently pull unrelated examples together.
    paired = len(features) % 2 == 0 and (torch.compiler.is_compiling() or torch.equal(*target.chunk(2)))
    if not paired:
        raise ValueError(
            f"the {len(features)} rows are not two stacked views of the same examples; use a batch transform "
            "that gives cat([view1, view2]) and the target twice"
        )
    return views[0], views[1]


class Projector(nn.Sequential):
    """A multi-layer perceptron behind the features, thrown away after training: ``(B, D) -> (B, sizes[-1])``.

    Args:
        feature_dim: D.
        sizes: Widths of its layers, the last the output's.
        batch_norm: Batch norm before each ReLU.

    >>> Projector(64, (128, 32))(torch.zeros(5, 64)).shape
    torch.Size([5, 32])
    """

    def __init__(self, feature_dim: int, sizes: Sequence[int], batch_norm: bool = False) -> None:
        widths = [feature_dim, *sizes]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths[:-1]):
            layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after)] if batch_norm else []), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-2], widths[-1]))


class Projected(nn.Module):
    """A penalty on projected features: ``penalty(projector(features), target)``.

    The penalty then shapes a space of its own, and the classifier's features keep what it would discard.

    Args:
        penalty: ``(features (B, P), target (B,)) -> ()``.
        projector: ``(B, D) -> (B, P)``, trained along.

    >>> from metabalance.represent import SupConLoss
    >>> penalty = Projected(SupConLoss(), Projector(16, (16, 8)))
    >>> penalty(torch.randn(6, 16), torch.tensor([0, 0, 0, 1, 1, 1])).shape
    torch.Size([])
    """

    def __init__(self, penalty: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.penalty = penalty
        self.projector = projector

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        return self.penalty(self.projector(features), target)
