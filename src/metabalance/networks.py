"""Networks that serve when the user brings none: an MLP for tables, and the long-tail benchmarks' own for images.

He, Zhang, Ren & Sun, CVPR 2016, arXiv 1512.03385 (the residual networks for CIFAR); Zagoruyko & Komodakis, BMVC
2016, arXiv 1605.07146 (the wide ones); Snell, Swersky & Zemel, NeurIPS 2017, arXiv 1703.05175 (the four-layer
ConvNet). Image networks take values from 0 to 1 and standardise them themselves.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MLP", "NETWORKS", "ConvNet", "ResNet32", "Standardize", "WideResNet", "build_network"]


class MLP(nn.Sequential):
    """A multi-layer perceptron with ReLU: ``(B, ...) -> (B, C)``.

    Args:
        num_features: D, all inputs of a row together.
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

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.flatten(1) if inputs.dim() > 2 else inputs)


class Standardize(nn.Module):
    """Subtracts a mean and divides by a deviation per channel; they are buffers and travel with the weights.

    Args:
        channels: Channels of the images.

    >>> layer = Standardize(1)
    >>> layer.fit(torch.tensor([[[[0.0, 1.0]]]]))
    >>> layer(torch.ones(1, 1, 1, 1)).item()
    1.0
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))

    def fit(self, images: Tensor) -> None:
        """Takes mean and deviation of training images ``(N, channels, H, W)``."""
        std, mean = torch.std_mean(images, dim=(0, 2, 3), keepdim=True, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-6))  # a channel that is constant stays 0

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.std


class ConvNet(nn.Sequential):
    """Four blocks of 3×3 convolution, batch norm, ReLU and, where the image is large enough, 2×2 pooling.

    Args:
        channels: Channels of the images.
        num_classes: C.
        width: Channels of every convolution.
    """

    def __init__(self, channels: int, num_classes: int, width: int = 64) -> None:
        blocks: list[nn.Module] = [Standardize(channels)]
        for i in range(4):
            blocks += [
                nn.Conv2d(channels if i == 0 else width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                _HalvePool(),
            ]
        super().__init__(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))


class _HalvePool(nn.Module):
    """Max pooling by 2, which leaves images of a single pixel as they are."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if min(x.shape[-2:]) >= 2 else x


class ResNet32(nn.Module):
    """The residual network of the long-tail benchmarks on CIFAR: 3 stages of 5 blocks, widths 16, 32 and 64.

    Shortcuts have no parameters (option A of the paper): they skip pixels and pad channels with zeros.

    Args:
        channels: Channels of the images.
        num_classes: C.
        blocks: Blocks of a stage; 3 gives ResNet-20, 5 ResNet-32, 9 ResNet-56.
    """

    def __init__(self, channels: int, num_classes: int, blocks: int = 5) -> None:
        super().__init__()
        self.standardize = Standardize(channels)
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        layers: list[nn.Module] = []
        before = 16
        for stage, width in enumerate((16, 32, 64)):
            for block in range(blocks):
                layers.append(_Block(before, width, stride=2 if stage and not block else 1))
                before = width
        self.blocks = nn.Sequential(*layers)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(self.standardize(inputs))))
        return self.fc(self.blocks(x).mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.stride = stride
        self.pad = width - before

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1 or self.pad:
            x = F.pad(
                x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad // 2, self.pad - self.pad // 2)
            )
        return F.relu(out + x)


class WideResNet(nn.Module):
    """A wide residual network with activations before the convolutions, by default WRN-28-2.

    Args:
        channels: Channels of the images.
        num_classes: C.
        depth: Layers, 6 n + 4.
        widen: Factor on the widths 16, 32 and 64.
        dropout: Probability of dropping an activation between the convolutions of a block.

    Raises:
        ValueError: A depth that is not 6 n + 4.
    """

    def __init__(
        self, channels: int, num_classes: int, depth: int = 28, widen: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth must be 6 n + 4, such as 16, 28 or 40, but {depth} was given")
        self.standardize = Standardize(channels)
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        layers: list[nn.Module] = []
        before = 16
        for stage, width in enumerate((16 * widen, 32 * widen, 64 * widen)):
            for block in range((depth - 4) // 6):
                layers.append(_WideBlock(before, width, 2 if stage and not block else 1, dropout))
                before = width
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.blocks(self.stem(self.standardize(inputs)))
        return self.fc(F.relu(self.norm(x)).mean((2, 3)))


class _WideBlock(nn.Module):
    def __init__(self, before: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        same = stride == 1 and before == width
        self.shortcut = None if same else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x))
        out = self.conv2(self.dropout(F.relu(self.norm2(self.conv1(active)))))
        return out + (x if self.shortcut is None else self.shortcut(active))


# Name -> a network for images, made of their channels and the number of classes.
NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "convnet": ConvNet,
    "resnet32": ResNet32,
    "wideresnet": WideResNet,
}


def build_network(
    name: str | None,
    shape: Sequence[int],
    num_classes: int,
    hidden: Sequence[int] = (64, 64),
    dropout: float = 0.0,
) -> nn.Module:
    """The network of that name for inputs of that shape.

    Args:
        name: ``"mlp"`` or one of ``NETWORKS``; None is an MLP for tables and a ConvNet for images.
        shape: Of one input, ``(D,)`` or ``(channels, height, width)``.
        num_classes: C.
        hidden: Widths of the MLP.
        dropout: Dropout of the MLP.

    Raises:
        ValueError: An unknown name, or an image network for inputs that are no images.

    >>> build_network(None, (1, 28, 28), 10)(torch.rand(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    images = len(shape) == 3
    name = name or ("convnet" if images else "mlp")
    if name == "mlp":
        size = 1
        for length in shape:
            size *= int(length)
        return MLP(size, num_classes, hidden, dropout)
    if name not in NETWORKS:
        raise ValueError(
            f"the network {name!r} is unknown; use mlp, {', '.join(NETWORKS)}, or a module of your own"
        )
    if not images:
        raise ValueError(
            f"{name} takes images (channels, height, width), but an input has shape {tuple(shape)}; use mlp"
        )
    return NETWORKS[name](int(shape[0]), num_classes)
