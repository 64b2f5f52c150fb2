"""Networks for tables: the one that serves when the user brings none."""

from collections.abc import Sequence

from torch import nn

__all__ = ["MLP"]


class MLP(nn.Sequential):
    """A multi-layer perceptron with ReLU: ``(B, D) -> (B, C)``.

    Args:
        num_features: D.
        num_classes: C.
        hidden: Widths of the hidden layers.
        dropout: Probability of dropping a hidden unit.
    """

    def __init__(
        self, num_features: int, num_classes: int, hidden: Sequence[int] = (64, 64), dropout: float = 0.0
    ) -> None:
        layers: list[nn.Module] = []
        width = num_features
        for size in hidden:
            layers += [nn.Linear(width, size), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        super().__init__(*layers, nn.Linear(width, num_classes))
