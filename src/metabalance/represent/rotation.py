"""Rotation as a pretext: the network learns to say by how many quarter turns an image was rotated.

Gidaris, Singh & Komodakis, "Unsupervised Representation Learning by Predicting Image Rotations", ICLR 2018, arXiv
1803.07728, which shows all four rotations of each image. One random rotation of each, before training under
imbalance: Yang & Xu, "Rethinking the Value of Labels for Improving Class-Imbalanced Learning", NeurIPS 2020, arXiv
2006.07529. In the latter's code (YyzHarry/imbalanced-semi-self) the four rotations are not balanced within a batch.
"""

import torch
from torch import Tensor


class RotationTransform:
    """A batch transform: images rotated by random quarter turns, and the turns as the target.

    Flips and rotations together leave the four classes apart. Where an image is its own rotation (a round
    cell, an O), there is little to learn.

    >>> images = torch.arange(8.0).reshape(2, 1, 2, 2)
    >>> rotated, turns = RotationTransform()(images, torch.tensor([7, 7]), torch.Generator().manual_seed(0))
    >>> rotated.shape, turns.shape
    (torch.Size([2, 1, 2, 2]), torch.Size([2]))
    """

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return rotate_batch(inputs, generator)


def rotate_batch(inputs: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Each image turned counter-clockwise by a random number of quarter turns.

    Args:
        inputs: Square images ``(B, channels, S, S)``.
        generator: All randomness.

    Returns:
        The images, and the turns ``(B,)`` from 0 to 3; each occurs B // 4 times, or once more.

    Raises:
        ValueError: Anything but square images.

    >>> _, turns = rotate_batch(torch.zeros(8, 3, 4, 4))
    >>> turns.bincount()
    tensor([2, 2, 2, 2])
    """
    if inputs.dim() != 4 or inputs.shape[2] != inputs.shape[3]:
        raise ValueError(
            "rotations by quarter turns need square images (B, channels, S, S), but the inputs have shape "
            f"{tuple(inputs.shape)}"
        )
    # Which turns get the remainder is random too.
    first = torch.randint(4, (1,), generator=generator)
    order = torch.randperm(len(inputs), generator=generator)
    turns = ((order + first) % 4).to(inputs.device)
    rotated = torch.empty_like(inputs)
    for k in range(4):
        rows = (turns == k).nonzero().squeeze(1)
        rotated[rows] = torch.rot90(inputs[rows], k, (2, 3))
    return rotated, turns
