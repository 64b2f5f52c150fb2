"""Examples that are changed a little and stay what they are: images moved and mirrored, cells of a table swapped.

Images are augmented by kornia, a whole batch at once. Rows of a table have no such symmetry; replacing some of
their values by those of other rows is the corruption of SCARF (Bahri, Jiang, Tay & Metzler, ICLR 2022, arXiv
2106.15147). Where the target is continuous, views stay nearer: Gaussian noise, or a little of another row with a near
target, the label-preserving half of mixup (Zhang et al., ICLR 2018, arXiv 1710.09412).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Augment", "Corrupt", "FeatureNoise", "NearMix", "TwoViews", "default_augment"]

Transform = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


class Augment:
    """Random crops and mirrored copies of images, or any pipeline of kornia's.

    Args:
        crop: Pixels of zero padding around the image before a crop of its own size is taken; 0 for none. The
            long-tail benchmarks on CIFAR take 4.
        flip: Whether half of the images are mirrored. Wrong where left and right mean something, as in digits.
        pipeline: Modules of ``kornia.augmentation``, in place of the two.

    The call takes inputs ``(B, channels, H, W)`` with values from 0 to 1, the target and a generator.

    Raises:
        ImportError: kornia is not installed.
        ValueError: In the call: inputs that are no images.

    >>> images, target = torch.rand(4, 1, 8, 8), torch.zeros(4)
    >>> moved, _ = Augment(crop=2)(images, target, torch.Generator().manual_seed(0))
    >>> moved.shape
    torch.Size([4, 1, 8, 8])
    """

    def __init__(self, crop: int = 4, flip: bool = True, pipeline: nn.Module | None = None) -> None:
        self.crop = crop
        self.flip = flip
        self.pipeline = pipeline
        self._built: nn.Module | None = pipeline

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if inputs.dim() != 4:
            raise ValueError(
                f"images are (B, channels, height, width), but the inputs have shape {tuple(inputs.shape)}; "
                "use Corrupt for the rows of a table"
            )
        if self._built is None:
            self._built = _pipeline(self.crop, self.flip, (inputs.shape[2], inputs.shape[3]))
        # kornia draws from the global generator: it is lent one that starts where ours says.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
            return self._built(inputs), target


class Corrupt:
    """Replaces each value of a row, with some probability, by that of a random row of the batch.

    Args:
        probability: Of a value being replaced.

    >>> rows = torch.arange(6.0).reshape(3, 2)
    >>> mixed, _ = Corrupt(0.5)(rows, torch.zeros(3), torch.Generator().manual_seed(0))
    >>> bool((mixed % 2 == rows % 2).all())  # values stay in their columns
    True
    """

    def __init__(self, probability: float = 0.3) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must lie between 0 and 1, but {probability} was given")
        self.probability = probability

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        flat = inputs.reshape(len(inputs), -1)
        swap = torch.rand(flat.shape, generator=generator) < self.probability
        other = torch.randint(len(flat), flat.shape, generator=generator)
        swap, other = swap.to(flat.device), other.to(flat.device)
        return torch.where(swap, flat.gather(0, other), flat).reshape(inputs.shape), target


class FeatureNoise:
    """Adds Gaussian noise to each value of a row, in standard deviations of its column in the batch.

    Args:
        scale: Of the noise, at least 0; 0 leaves the rows as they are, and so does a column that is constant.

    >>> noisy, _ = FeatureNoise(0.1)(torch.rand(8, 3), torch.zeros(8), torch.Generator().manual_seed(0))
    >>> noisy.shape
    torch.Size([8, 3])
    """

    def __init__(self, scale: float = 0.1) -> None:
        if not 0 <= scale < float("inf"):
            raise ValueError(f"scale must be finite and at least 0, but {scale} was given")
        self.scale = scale

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        noise = torch.randn(inputs.shape, generator=generator).to(inputs)
        return inputs + self.scale * inputs.std(0, correction=0) * noise, target


class NearMix:
    """Moves each row a little towards the row of the batch whose target is nearest, and leaves its target as it is.

    Args:
        share: Of the other row at most, below 0.5; how much is uniform from 0.

    >>> rows, target = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([1.0, 2.0, 8.0])
    >>> mixed, _ = NearMix(0.2)(rows, target, torch.Generator().manual_seed(0))
    >>> bool(((mixed - rows).abs() <= 0.2 * 8).all())
    True
    """

    def __init__(self, share: float = 0.2) -> None:
        if not 0 <= share < 0.5:
            raise ValueError(f"share must be at least 0 and below 0.5, but {share} was given")
        self.share = share

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if len(inputs) < 2:
            return inputs, target
        y = target.reshape(len(target), -1)
        apart = torch.linalg.vector_norm((y[:, None] - y[None]).double(), dim=2).fill_diagonal_(float("inf"))
        other = inputs[apart.argmin(1)]
        weight = self.share * torch.rand(len(inputs), generator=generator).to(inputs)
        return inputs.lerp(other, weight.reshape(-1, *[1] * (inputs.dim() - 1))), target


class TwoViews:
    """Two augmented copies of each example, stacked: ``(B, ...) -> (2B, ...)``, the first views first.

    Args:
        augment: A transform of one view.

    >>> views, target = TwoViews(Corrupt())(torch.rand(3, 2), torch.arange(3), torch.Generator())
    >>> views.shape, target.tolist()
    (torch.Size([6, 2]), [0, 1, 2, 0, 1, 2])
    """

    def __init__(self, augment: Transform) -> None:
        self.augment = augment

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        first, target_1 = self.augment(inputs, target, generator)
        second, target_2 = self.augment(inputs, target, generator)
        return torch.cat([first, second]), torch.cat([target_1, target_2])


def default_augment(task: Any) -> Transform:
    """Crops and mirroring for images, swapped values for tables: what a recipe takes when nothing is said."""
    return Augment(crop=max(1, task.inputs.shape[-1] // 8)) if task.images else Corrupt()


def _pipeline(crop: int, flip: bool, size: tuple[int, int]) -> nn.Module:
    try:
        import kornia.augmentation as K
    except ImportError as error:
        raise ImportError(
            "augmenting images needs kornia; install it with pip install 'metabalance[images]'"
        ) from error
    steps: list[nn.Module] = []
    if crop:
        steps.append(K.RandomCrop(size, padding=crop))
    if flip:
        steps.append(K.RandomHorizontalFlip())
    return nn.Sequential(*steps)
