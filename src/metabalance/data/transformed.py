"""A loader whose batches are changed on the way: augmented, mixed, shown in two views."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metabalance.ranks import rank

__all__ = ["Transformed"]


class Transformed:
    """Applies ``transform(inputs, target, generator) -> (inputs, target)`` to each batch of a loader.

    All randomness comes from a generator made anew for each batch from the seed, the epoch and the batch's
    number (and the process's, where there are several), so a resumed run sees the very same batches.
    Weights and indices of a batch follow its rows; where
    a transform stacks several views, they are repeated.

    Args:
        loader: A loader with ``set_epoch``, ``state_dict``, ``load_state_dict`` and ``position``, such as
            :class:`~metabalance.data.batches.BatchLoader`.
        transform: See above; a target ``(B, C)`` of shares is a mixed label.
        seed: Everything random follows from it. Transforms around one another need different ones.

    >>> from metabalance.data.batches import BatchLoader
    >>> flip = lambda inputs, target, generator: (-inputs, target)
    >>> loader = Transformed(BatchLoader((torch.arange(3), torch.zeros(3)), batch_size=2), flip, seed=0)
    >>> [inputs.tolist() for inputs, _ in loader]
    [[0, -1], [-2]]
    """

    def __init__(
        self,
        loader: Any,
        transform: Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]],
        seed: int = 0,
    ) -> None:
        self.loader = loader
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in self.loader:
            yield self.apply(batch, self.loader.epoch, self.loader.position)

    @property
    def epoch(self) -> int:
        return self.loader.epoch

    @property
    def position(self) -> int:
        return self.loader.position

    def apply(self, batch: tuple[Tensor, ...], epoch: int, position: int) -> tuple[Tensor, ...]:
        """The batch after the transform."""
        words = np.random.SeedSequence(
            [self.seed, epoch, position, *([rank()] if rank() else [])]
        ).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(words[0]) >> 1)
        inputs, target = self.transform(batch[0], batch[1], generator)
        views = len(inputs) // max(len(batch[0]), 1)
        return (inputs, target, *(extra.repeat(views) if views > 1 else extra for extra in batch[2:]))

    def set_epoch(self, epoch: int) -> None:
        """Passed on to the loader."""
        self.loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """The loader's; this class keeps nothing between batches."""
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Passed on to the loader."""
        self.loader.load_state_dict(state)
