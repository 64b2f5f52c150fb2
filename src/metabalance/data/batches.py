"""Batches cut from whole tensors: one indexing call for each, and it remembers where it is."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["BatchLoader"]


class BatchLoader:
    """Iterates over batches of tensors that fit in memory.

    A ``DataLoader`` fetches row by row and collates; for a table that costs more than the training step. Here
    a batch is one ``index_select`` (with a sampler) or a view (without). An epoch's batches depend only on
    the sampler's (seed, epoch), and iteration resumes at the very next batch after :meth:`load_state_dict`.

    Args:
        tensors: ``(inputs, target)`` or ``(inputs, target, weight)``, or any tensors of one length ``N`` and
            one device.
        batch_size: Rows in a batch.
        sampler: Yields row indices for one epoch; ``None`` takes the rows as they lie. Samplers of
            :mod:`metabalance.sample` hand their indices over in one piece.
        drop_last: Leave out the last batch when it is smaller.

    Without a sampler and with ``batch_size >= N`` an epoch is the tensors themselves, uncopied.

    Raises:
        ValueError: No tensors, different lengths, or a batch size below 1.

    >>> loader = BatchLoader((torch.arange(5), torch.tensor([0, 0, 0, 1, 1])), batch_size=2)
    >>> [inputs.tolist() for inputs, target in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        batch_size: int,
        sampler: Any = None,
        drop_last: bool = False,
    ) -> None:
        lengths = [len(tensor) for tensor in tensors]
        if not lengths or len(set(lengths)) > 1:
            raise ValueError(f"the tensors of a loader must have one length, but have lengths {lengths}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but {batch_size} was given")
        self.tensors = tuple(tensors)
        self.batch_size = int(batch_size)
        self.sampler = sampler
        self.drop_last = drop_last
        self.epoch = 0
        self.position = 0  # batches of this epoch already handed out
        self._resume = False
        self._order: Tensor | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        rows = len(self.tensors[0]) if self.sampler is None else len(self.sampler)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        self.position = self.position if self._resume else 0
        if self.sampler is not None and not (self._resume and self._order is not None):
            indices = getattr(self.sampler, "indices", None)
            self._order = (
                indices() if callable(indices) else torch.tensor(list(self.sampler), dtype=torch.long)
            )
        self._resume = False
        return self._batches(None if self._order is None else self._order.to(self.tensors[0].device))

    def _batches(self, order: Tensor | None) -> Iterator[tuple[Tensor, ...]]:
        size = self.batch_size
        rows = len(self.tensors[0]) if order is None else len(order)
        last = rows - rows % size if self.drop_last else rows
        for start in range(self.position * size, last, size):
            self.position += 1
            if order is not None:
                batch = order[start : start + size]
                yield tuple(tensor.index_select(0, batch) for tensor in self.tensors)
            elif size >= rows:
                yield self.tensors
            else:
                yield tuple(tensor[start : start + size] for tensor in self.tensors)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch, and with it the sampler's order; a resumed position in this epoch is kept."""
        if epoch != self.epoch:
            self.position, self._resume, self._order = 0, False, None
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """The epoch, how many of its batches were handed out, and the sampler's state.

        A sampler without a state (one of torch's) is stored as the order it gave.
        """
        state: dict[str, Any] = {"epoch": self.epoch, "position": self.position}
        if hasattr(self.sampler, "state_dict"):
            state["sampler"] = self.sampler.state_dict()
        else:
            state["order"] = self._order
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where :meth:`state_dict` was taken: the next iteration starts with the next batch."""
        if "sampler" in state:
            self.sampler.load_state_dict(state["sampler"])
        self._order = state.get("order")
        self.epoch, self.position, self._resume = state["epoch"], state["position"], True
