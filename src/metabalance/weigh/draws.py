"""Batches without end from a second loader, for steps that weigh by it (as in Ren et al., ICML 2018)."""

from collections.abc import Iterator
from typing import Any

__all__ = ["Draws"]


class Draws:
    """Passes over a loader, each with its own epoch number, one batch at a time.

    Args:
        loader: Any loader; one with ``state_dict`` goes on with the very next batch, of any other the batches
            already drawn are skipped.

    Raises:
        ValueError: In a draw: the loader is empty.

    >>> draws = Draws([1, 2])
    >>> [draws.draw() for _ in range(3)]
    [1, 2, 1]
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.epoch = 0
        self.taken = 0  # batches of this epoch
        self._iterator: Iterator | None = None

    def draw(self) -> Any:
        """The next batch."""
        for _ in range(2):
            if self._iterator is None:
                self._start()
            for batch in self._iterator or ():
                self.taken += 1
                return batch
            self.epoch, self._iterator = self.epoch + 1, None
        raise ValueError("the second loader gives no batch: its sampler or data set is empty")

    def _start(self) -> None:
        owner = self.loader if hasattr(self.loader, "set_epoch") else getattr(self.loader, "sampler", None)
        if owner is not None and hasattr(owner, "set_epoch"):
            owner.set_epoch(self.epoch)
        self._iterator, self.taken = iter(self.loader), 0

    def state_dict(self) -> dict[str, Any]:
        own = self.loader.state_dict() if hasattr(self.loader, "state_dict") else None
        started = self._iterator is not None
        return {"epoch": self.epoch, "taken": self.taken, "started": started, "loader": own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.taken, self._iterator = state["epoch"], state["taken"], None
        if state["loader"] is not None:
            self.loader.load_state_dict(state["loader"])
            self._iterator = iter(self.loader) if state["started"] else None
        elif state["started"]:
            self._start()
            for _ in range(state["taken"]):
                self.draw()
