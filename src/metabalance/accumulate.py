"""Gradient accumulation: one update of the gradients of several batches, as one batch of all their rows gives it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["AccumulatedStep"]


class AccumulatedStep:
    """The plain step, with an update after every ``batches`` batches.

    The gradient is that of the mean over all rows of the group: batches of different lengths count by their rows,
    and a weight is a loss weight as ever. A group that an epoch's end cuts short is stepped on with what it has
    (:meth:`flush`). The gradients gathered so far are part of the state, so that a resumed run goes on in the
    middle of a group.

    Args:
        batches: How many batches an update gathers.

    Raises:
        ValueError: ``batches`` is below 1.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(model.weight)
    >>> step, optimizer = AccumulatedStep(2), torch.optim.SGD(model.parameters(), lr=1.0)
    >>> mean = lambda model, batch: (batch[1] * model(batch[0])[:, 0]).mean()
    >>> for goal in ([1.0], [4.0, 4.0]):  # rows of slope 1, 4 and 4: their mean is 3
    ...     _ = step(model, (torch.ones(len(goal), 1), torch.tensor(goal)), mean, optimizer)
    >>> model.weight.item()
    -3.0
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, batches: int) -> None:
        if batches < 1:
            raise ValueError(f"accumulate must be at least 1 batch, but {batches} was given")
        self.batches = batches
        self.taken = 0  # batches of this group
        self.rows = 0
        self.stepped = False  # whether the latest call, or flush, updated the weights
        self._optimizer: torch.optim.Optimizer | None = None
        self._pending: list[Tensor | None] | None = None

    def __call__(
        self, model: nn.Module, batch: Sequence[Any], objective: Callable, optimizer: torch.optim.Optimizer
    ) -> Tensor:
        """Adds the batch's gradient, and updates if the group is full; returns the batch's loss ``()``."""
        self._optimizer = optimizer
        self._restore(optimizer)
        if not self.taken:
            optimizer.zero_grad()
        loss, rows = objective(model, batch), len(batch[1])
        (loss * rows).backward()
        self.taken += 1
        self.rows += rows
        self.stepped = False
        if self.taken == self.batches:
            self.flush(optimizer)
        return loss.detach()

    def flush(self, optimizer: torch.optim.Optimizer) -> bool:
        """Updates with the batches gathered so far; False if there are none."""
        if not self.taken:
            return False
        self._restore(optimizer)
        for p in _parameters(optimizer):
            if p.grad is not None:
                p.grad /= self.rows
        optimizer.step()
        self.taken = self.rows = 0
        self.stepped = True
        return True

    def state_dict(self) -> dict[str, Any]:
        """The gradients of the group so far, and how many batches and rows they are of."""
        grads: list[Tensor | None] = []
        if self.taken:
            grads = self._pending or [
                None if p.grad is None else p.grad.clone() for p in _parameters(self._optimizer)
            ]
        return {"batches": self.batches, "taken": self.taken, "rows": self.rows, "grads": grads}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on in the middle of the group.

        Raises:
            ValueError: The state is of groups of another size.
        """
        if state["batches"] != self.batches:
            raise ValueError(f"accumulate was {state['batches']} and is {self.batches}")
        self.taken, self.rows = state["taken"], state["rows"]
        self._pending = state["grads"] if self.taken else None

    def _restore(self, optimizer: torch.optim.Optimizer) -> None:
        if self._pending is not None:
            for p, grad in zip(_parameters(optimizer), self._pending, strict=True):
                p.grad = None if grad is None else grad.to(p.device)
            self._pending = None


def _parameters(optimizer: Any) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]
