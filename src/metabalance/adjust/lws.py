"""Learnable weight scaling: one number per class stretches the scores of a classifier that is otherwise frozen.

Kang, Xie, Rohrbach, Yan, Gordo, Feng & Kalantidis, "Decoupling Representation and Classifier for Long-Tailed
Recognition", ICLR 2020, arXiv 1910.09217. The authors' code keeps it in a file named after τ-normalisation.
"""

import torch
from torch import Tensor, nn

__all__ = ["ScaledLinear"]


class ScaledLinear(nn.Linear):
    r"""The layer :math:`z_c = f_c (w_c^\top h + b_c)`, where only :math:`f` is trained, from 1 on.

    A fresh one gives what ``linear`` gives; :math:`f_c = \lVert w_c \rVert^{-\tau}` is τ-normalisation.

    Args:
        linear: A trained plain ``nn.Linear``, whose weights are copied and frozen.

    Shape:
        ``(..., D)`` -> ``(..., C)``.

    Raises:
        ValueError: Not a plain ``nn.Linear``.

    >>> scaled = ScaledLinear(nn.Linear(2, 3))
    >>> [name for name, p in scaled.named_parameters() if p.requires_grad], scaled.scale.tolist()
    (['scale'], [1.0, 1.0, 1.0])
    """

    def __init__(self, linear: nn.Linear) -> None:
        if type(linear) is not nn.Linear:
            raise ValueError(f"only a plain nn.Linear can be scaled, but a {type(linear).__name__} was given")
        weight = linear.weight
        super().__init__(
            linear.in_features, linear.out_features, linear.bias is not None, weight.device, weight.dtype
        )
        self.load_state_dict(linear.state_dict())
        for p in self.parameters():
            p.requires_grad_(False)
        self.scale = nn.Parameter(torch.ones_like(weight[:, 0]))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * self.scale

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain ``nn.Linear`` that gives the same."""
        linear = nn.Linear(
            self.in_features, self.out_features, self.bias is not None, self.weight.device, self.weight.dtype
        )
        linear.weight.copy_(self.weight * self.scale[:, None])
        if self.bias is not None:
            linear.bias.copy_(self.bias * self.scale)
        return linear
