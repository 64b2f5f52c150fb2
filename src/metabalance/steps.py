"""Steps around a step: the batch is changed first, with the network at hand."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.engine import plain_step

__all__ = ["TransformStep"]


class TransformStep:
    """Changes each batch by ``transform(model, batch) -> batch`` and hands it to another step.

    For what needs the network as it is now: adversarial examples, translated examples. Transforms that do not
    belong into the loader (:class:`metabalance.data.transformed.Transformed`).

    Args:
        transform: ``(model, batch) -> batch``. If it has a state, that is kept in checkpoints.
        step: ``(model, batch, objective, optimizer) -> loss ()``; by default the plain one.

    >>> step = TransformStep(lambda model, batch: (batch[0] * 2, batch[1]))
    >>> model = nn.Linear(2, 2)
    >>> batch = torch.ones(1, 2), torch.tensor([0])
    >>> loss = lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1])
    >>> step(model, batch, loss, torch.optim.SGD(model.parameters(), lr=0.1)).shape
    torch.Size([])
    """

    def __init__(
        self,
        transform: Callable[[nn.Module, Sequence[Any]], Sequence[Any]],
        step: Callable[..., Tensor] = plain_step,
    ) -> None:
        self.transform = transform
        self.step = step

    def __call__(
        self, model: nn.Module, batch: Sequence[Any], objective: Callable, optimizer: torch.optim.Optimizer
    ) -> Tensor:
        return self.step(model, self.transform(model, batch), objective, optimizer)

    @property
    def needs(self) -> frozenset[str]:
        """What it asks of the way of training: that of the step around which it stands, and the bare network."""
        return frozenset({"own_step", "bare", *getattr(self.step, "needs", ("unknown",))})

    def state_dict(self) -> dict[str, Any]:
        """The states of the transform and the step, where they have one."""
        return {
            name: part.state_dict() for name, part in self._parts().items() if hasattr(part, "state_dict")
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over the states of :meth:`state_dict`."""
        for name, saved in state.items():
            self._parts()[name].load_state_dict(saved)

    def _parts(self) -> dict[str, Any]:
        return {"transform": self.transform, "step": self.step}
