"""MetaBalance as a step of the training loop: one stream is the loop's own, the other is drawn here.

Bansal et al., "MetaBalance", 2021, arXiv 2106.09643.
"""

from typing import Any

from torch import Tensor, nn

from metabalance.bilevel import Objective, Stream, to_device, unwrap
from metabalance.optimize.metabalance.update import MetaBalance

__all__ = ["MetaBalanceStep"]


class MetaBalanceStep:
    """MetaBalance as a step of the engine: the engine's batches are one stream, a loader here is the other.

    The loader is started anew, with ``set_epoch``, whenever it is exhausted. In the published tabular and
    image set-ups an epoch is a pass over the outer stream (so ``inner_loader`` is given); with faces and
    with a held-out meta set, over the inner one (``outer_loader``).

    Args:
        inner_loader: Batches for the look-aheads.
        outer_loader: Batches that judge them, or a list of loaders, one per group.
        settings: Those of :class:`MetaBalance`.

    Raises:
        ValueError: Not exactly one of the two loaders was given; in the call, that loader is empty, or the
            step already trains another model.

    >>> import torch
    >>> batch = torch.eye(2), torch.tensor([0, 1])
    >>> step = MetaBalanceStep(inner_loader=[batch], inner_lr=0.0)
    >>> model = nn.Linear(2, 2)
    >>> cross_entropy = lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1])
    >>> step(model, batch, cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1)).shape
    torch.Size([])
    """

    def __init__(self, *, inner_loader: Any = None, outer_loader: Any = None, **settings: Any) -> None:
        if (inner_loader is None) == (outer_loader is None):
            raise ValueError(
                "give exactly one of inner_loader and outer_loader; the other stream is the engine's"
            )
        self.inner_loader = inner_loader
        self.outer_loader = outer_loader
        self.settings = settings
        self.trainer: MetaBalance | None = None
        self._pending: dict[str, Any] | None = None
        grouped = outer_loader is not None and _is_loaders(outer_loader)
        loaders = outer_loader if grouped else [inner_loader if outer_loader is None else outer_loader]
        self._streams = [Stream(loader) for loader in loaders]
        self._grouped = grouped

    def __call__(self, model: nn.Module, batch: Any, objective: Objective, optimizer: Any) -> Tensor:
        """Takes one look-ahead; returns its outer loss ``()`` (of the latest evaluated, when stacked)."""
        trainer = self._trainer(model, objective, optimizer)
        device = trainer._params[0].device
        drawn = [to_device(stream.draw(), device) for stream in self._streams]
        other = drawn if self._grouped else drawn[0]
        pair = (other, batch) if self.outer_loader is None else (batch, other)
        return trainer.step(*pair)["outer_loss"]

    @property
    def needs(self) -> frozenset[str]:
        """What it asks of the way of training."""
        second = {"second_order"} if self.settings.get("order") == 2 else set()
        return frozenset({"own_step", "bare"} | second)

    def state_dict(self) -> dict[str, Any]:
        """The pending look-aheads and the position in the loader."""
        trainer = self._pending if self.trainer is None else self.trainer.state_dict()
        return {"trainer": trainer, "streams": [stream.state_dict() for stream in self._streams]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues with the very next batch, also on a step that has not seen its model yet."""
        for stream, saved in zip(self._streams, state["streams"], strict=True):
            stream.load_state_dict(saved)
        if self.trainer is None:
            self._pending = state["trainer"]
        elif state["trainer"] is not None:
            self.trainer.load_state_dict(state["trainer"])

    def _trainer(self, model: nn.Module, objective: Objective, optimizer: Any) -> MetaBalance:
        if self.trainer is None:
            self.trainer = MetaBalance(model, objective, optimizer, **self.settings)
            if self._pending is not None:
                self.trainer.load_state_dict(self._pending)
                self._pending = None
        elif self.trainer.model is not unwrap(model) or self.trainer.optimizer is not optimizer:
            raise ValueError("this MetaBalanceStep already trains another model; make a new one for each fit")
        return self.trainer


def _is_loaders(value: Any) -> bool:
    """A list of loaders, one per group; a list of batches is one loader."""
    return isinstance(value, (tuple, list)) and len(value) > 0 and not _is_batch(value[0])


def _is_batch(value: Any) -> bool:
    """A tuple, or a list as a DataLoader makes it, that ends in a tensor: target or weight."""
    return isinstance(value, (tuple, list)) and len(value) > 0 and not isinstance(value[-1], (tuple, list))
