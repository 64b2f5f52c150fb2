"""mixup: examples are averaged in pairs, and their labels with them.

Zhang, Cisse, Dauphin & Lopez-Paz, "mixup: Beyond empirical risk minimization", ICLR 2018, arXiv 1710.09412.
As in the authors' code, one weight is drawn for a whole batch and partners are a permutation of it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Mixup", "beta_weight", "mix", "shares"]


class Mixup:
    r""":math:`\tilde x = \lambda x_i + (1-\lambda) x_j` and :math:`\tilde y = \lambda y_i + (1-\lambda) y_j`, with
    :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)`.

    ``alpha=0`` leaves the batch as it is. Cross-entropy is linear in the label, so the mixed label gives the two
    weighted losses of the paper.

    Args:
        num_classes: C.
        alpha: How strongly examples mix, at least 0; the paper takes 1 on CIFAR and 0.2 on ImageNet.

    Shape:
        inputs ``(B, ...)``, target ``(B,)`` or shares ``(B, C)`` -> inputs ``(B, ...)``, shares ``(B, C)``.

    Raises:
        ValueError: ``alpha`` is negative.

    >>> inputs, target = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
    >>> x, y = Mixup(num_classes=2)(inputs, target, torch.Generator().manual_seed(1))
    >>> bool((x[:, 0] == y[:, 1]).all())  # this input is its label: they mix alike
    True
    """

    def __init__(self, num_classes: int, alpha: float = 1.0) -> None:
        check_alpha(alpha)
        self.num_classes = num_classes
        self.alpha = alpha

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        label = shares(target, self.num_classes, inputs)
        weight = beta_weight(self.alpha, generator)
        partner = torch.randperm(len(inputs), generator=generator).to(inputs.device)
        return mix(inputs, partner, weight), mix(label, partner, weight)


def mix(values: Tensor, partner: Tensor, weight: float | Tensor) -> Tensor:
    """``weight * values + (1 - weight) * values[partner]``, the weight a number or one per row ``(B,)``."""
    if isinstance(weight, Tensor):
        weight = weight.to(values).reshape(-1, *[1] * (values.dim() - 1))
    return weight * values + (1 - weight) * values[partner]


def beta_weight(alpha: float, generator: torch.Generator) -> float:
    """A draw from Beta(alpha, alpha); 1 for ``alpha=0``, the limit up to the order of the pair."""
    # torch's Beta takes no generator.
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha)) if alpha > 0 else 1.0


def shares(target: Tensor, num_classes: int, inputs: Tensor) -> Tensor:
    """Labels as shares of the classes ``(B, C)`` in the inputs' dtype; shares are left as they are."""
    if target.dim() == 2:
        return target
    dtype = inputs.dtype if inputs.is_floating_point() else torch.get_default_dtype()
    return F.one_hot(target, num_classes).to(dtype)


def check_alpha(alpha: float) -> None:
    """Raises ValueError unless ``alpha`` is a finite number, at least 0."""
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha must be a finite number, at least 0 (no mixing), but {alpha} was given")
