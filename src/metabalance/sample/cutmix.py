"""CutMix: a patch of an image is pasted onto another, and the labels mix by the area.

Yun, Han, Oh, Chun, Choe & Yoo, "CutMix: Regularization strategy to train strong classifiers with localizable
features", ICCV 2019, arXiv 1905.04899. The authors' code calls the height W and the width H; the patch is the
same.
"""

import math

import torch
from torch import Tensor

from metabalance.sample.mixup import beta_weight, check_alpha, mix, shares

__all__ = ["CutMix", "patch"]


class CutMix:
    r"""A rectangle of relative area :math:`1-\lambda`, :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)`, comes
    from the partner's image, at the same place.

    The rectangle is cut off at the border, and the label mixes by what remains of it.

    Args:
        num_classes: C.
        alpha: As in :class:`~metabalance.sample.Mixup`.
        probability: Of a batch being changed at all; the paper takes 0.5 on CIFAR and 1 on ImageNet.

    Shape:
        inputs ``(B, channels, H, W)``, target ``(B,)`` or shares ``(B, C)`` -> the same inputs, shares ``(B, C)``.

    Raises:
        ValueError: ``alpha`` is negative or ``probability`` outside [0, 1]; in the call, inputs that are no images.

    >>> images = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    >>> x, y = CutMix(num_classes=2)(images, torch.tensor([0, 1]), torch.Generator().manual_seed(3))
    >>> bool((x.mean((1, 2, 3)) == y[:, 1]).all())  # an image's share of ones is its share of class 1
    True
    """

    def __init__(self, num_classes: int, alpha: float = 1.0, probability: float = 1.0) -> None:
        check_alpha(alpha)
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must lie between 0 and 1, but {probability} was given")
        self.num_classes = num_classes
        self.alpha = alpha
        self.probability = probability

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if inputs.dim() != 4:
            raise ValueError(
                f"CutMix pastes patches of images (B, channels, height, width), but the inputs have shape "
                f"{tuple(inputs.shape)}; use Mixup for other inputs"
            )
        label = shares(target, self.num_classes, inputs)
        if float(torch.rand(1, generator=generator)) >= self.probability:
            return inputs, label
        height, width = inputs.shape[2:]
        weight = beta_weight(self.alpha, generator)
        row, column = (int(torch.randint(size, (1,), generator=generator)) for size in (height, width))
        partner = torch.randperm(len(inputs), generator=generator).to(inputs.device)
        rows, columns = patch(height, width, weight, row, column)
        mixed = inputs.clone()
        mixed[:, :, rows, columns] = inputs[partner][:, :, rows, columns]
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        return mixed, mix(label, partner, 1 - area / (height * width))


def patch(height: int, width: int, weight: float, row: int, column: int) -> tuple[slice, slice]:
    """The rows and columns of a patch of relative area ``1 - weight`` around a pixel, cut off at the border.

    >>> patch(8, 8, weight=0.75, row=0, column=4)
    (slice(0, 2, None), slice(2, 6, None))
    """
    side = math.sqrt(1 - weight)
    half_height, half_width = int(height * side) // 2, int(width * side) // 2
    return (
        slice(max(row - half_height, 0), min(row + half_height, height)),
        slice(max(column - half_width, 0), min(column + half_width, width)),
    )
