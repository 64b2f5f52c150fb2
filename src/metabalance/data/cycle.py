"""An epoch of a fixed number of batches, whatever the stream's own length.

Over-sampled epochs are long, under-sampled ones short: counted in passes, the remedies would train for
very different times. Counted in batches, every remedy gets the same number of steps between validations.
"""

from collections.abc import Iterator
from typing import Any

__all__ = ["Cycle"]


class Cycle:
    """Takes ``length`` batches per epoch from ``loader``, starting it anew as often as needed.

    The loader's passes go on across epochs: nothing is skipped at an epoch's end.

    Args:
        loader: A loader with ``set_epoch``, ``state_dict`` and ``load_state_dict``.
        length: Batches per epoch.

    Raises:
        ValueError: ``length`` is not positive, or the loader is empty.

    >>> import torch
    >>> from metabalance.data.batches import BatchLoader
    >>> cycle = Cycle(BatchLoader((torch.arange(6),), batch_size=2), length=2)
    >>> [[rows.tolist() for (rows,) in cycle] for epoch in range(2)]
    [[[0, 1], [2, 3]], [[4, 5], [0, 1]]]
    """

    def __init__(self, loader: Any, length: int) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, but {length} was given")
        if len(loader) < 1:
            raise ValueError("the loader gives no batch: its sampler is empty")
        self.loader = loader
        self.length = length
        self.taken = 0  # batches of the current epoch
        self.passes = 0  # completed passes over the loader
        self._iterator: Iterator | None = None

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: the loader's own epoch is the number of its passes, which this class counts."""

    def __iter__(self) -> Iterator:
        while self.taken < self.length:
            batch = self._next()
            self.taken += 1
            yield batch
        self.taken = 0

    def state_dict(self) -> dict:
        return {"taken": self.taken, "passes": self.passes, "loader": self.loader.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.taken, self.passes = state["taken"], state["passes"]
        self.loader.load_state_dict(state["loader"])
        self._iterator = iter(self.loader)

    def _next(self) -> Any:
        if self._iterator is None:
            self.loader.set_epoch(self.passes)
            self._iterator = iter(self.loader)
        batch = next(self._iterator, None)
        if batch is None:
            self.passes += 1
            self.loader.set_epoch(self.passes)
            self._iterator = iter(self.loader)
            batch = next(self._iterator)
        return batch
