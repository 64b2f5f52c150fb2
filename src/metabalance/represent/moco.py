"""Momentum contrast: a view must find its twin among thousands of keys that a slowly moving copy has made.

He, Fan, Wu, Xie & Girshick, CVPR 2020, arXiv 1911.05722; version 2 (an MLP head, temperature 0.2): Chen, Fan,
Girshick & He, 2020, arXiv 2003.04297. Before training under imbalance: Yang & Xu, NeurIPS 2020, arXiv 2006.07529.
Under DDP the keys of all processes enter the queue. The authors also shuffle the keys between processes, against
leaks through batch norm, which is not done here. Their queue takes batches only of a size that divides its own.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.bilevel import unwrap
from metabalance.ranks import together
from metabalance.represent.supcon import check_temperature


class MoCoStep:
    """MoCo as a step of the engine: batches are stacked views, the network ends in its projection head.

    The objective and the target play no part. The queue starts as random directions.

    Args:
        queue_size: Number of keys remembered. Where it nears the training set's size, old keys of the very
            same example become negatives.
        momentum: How slowly the key encoder follows. 0.999 needs thousands of steps; take less for fewer.
        temperature: Of the softmax over keys.
        seed: Of the queue's random start.

    Raises:
        ValueError: A setting out of its range; in the call, an odd number of rows.

    >>> model = nn.Linear(3, 2)
    >>> step = MoCoStep(queue_size=8)
    >>> views = torch.randn(4, 3).repeat(2, 1)
    >>> step(model, (views, torch.zeros(8)), None, torch.optim.SGD(model.parameters(), lr=0.1)).shape
    torch.Size([])
    """

    needs = frozenset({"own_step", "bare"})

    def __init__(
        self, queue_size: int = 65_536, momentum: float = 0.999, temperature: float = 0.2, seed: int = 0
    ) -> None:
        check_temperature(temperature)
        if queue_size < 1:
            raise ValueError(f"queue_size must be at least 1, but {queue_size} was given")
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must lie in [0, 1], but {momentum} was given")
        self.queue_size = queue_size
        self.momentum = momentum
        self.temperature = temperature
        self.seed = seed
        self.encoder: nn.Module | None = None  # of the keys
        self.queue: Tensor | None = None
        self.position = 0
        self._pending: dict[str, Tensor] | None = None

    def __call__(
        self, model: nn.Module, batch: Sequence[Any], objective: Any, optimizer: torch.optim.Optimizer
    ) -> Tensor:
        """One update of the network; returns the contrastive loss before it ``()``, detached."""
        if len(batch[0]) % 2:
            raise ValueError(
                f"the {len(batch[0])} rows are not two stacked views; use a batch transform that gives "
                "cat([view1, view2])"
            )
        view_q, view_k = batch[0].chunk(2)
        encoder = self._encoder(model)
        # Before the keys are made, as the authors do.
        follow(encoder, unwrap(model), self.momentum)
        with torch.no_grad():
            key = F.normalize(encoder(view_k), dim=1)
        query = F.normalize(model(view_q), dim=1)
        queue = self._queue(key)
        logits = moco_logits(query, key, queue, self.temperature)
        loss = F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=query.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        (keys,) = together(key)
        newest = keys[-self.queue_size :].to(queue.dtype)
        rows = (self.position + torch.arange(len(newest), device=queue.device)) % self.queue_size
        queue[rows] = newest
        self.position = (self.position + len(newest)) % self.queue_size
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """The key encoder's weights, the queue, and where in it the next keys go."""
        weights = self._pending if self.encoder is None else dict(self.encoder.state_dict())
        return {"encoder": weights, "queue": self.queue, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where :meth:`state_dict` was taken, also on a step that has not seen its model yet."""
        self.queue = None if state["queue"] is None else state["queue"].clone()
        self.position = state["position"]
        if self.encoder is None:
            self._pending = state["encoder"]
        elif state["encoder"] is not None:
            self.encoder.load_state_dict(state["encoder"])

    def _encoder(self, model: nn.Module) -> nn.Module:
        if self.encoder is None:
            self.encoder = deepcopy(unwrap(model)).requires_grad_(False)
            if self._pending is not None:
                self.encoder.load_state_dict(self._pending)
                self._pending = None
        return self.encoder

    def _queue(self, key: Tensor) -> Tensor:
        if self.queue is None:
            generator = torch.Generator().manual_seed(self.seed)
            start = torch.randn(self.queue_size, key.shape[1], generator=generator)
            self.queue = F.normalize(start, dim=1)
        self.queue = self.queue.to(key)
        return self.queue


def moco_logits(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Similarities ``(B, 1 + K)`` over the temperature, of a query to its own key (column 0) and to the queue.

    Args:
        query: Unit vectors ``(B, D)``.
        key: Unit vectors ``(B, D)``, row by row the twins.
        queue: Unit vectors ``(K, D)``.
        temperature: Above 0.

    >>> moco_logits(torch.eye(2), torch.eye(2), torch.eye(2)[:1], temperature=0.2)
    tensor([[5., 5.],
            [5., 0.]])
    """
    own = (query * key).sum(1, keepdim=True)
    return torch.cat([own, query @ queue.T], dim=1) / temperature


@torch.no_grad()
def follow(encoder: nn.Module, model: nn.Module, momentum: float) -> None:
    """Moves the encoder's parameters to ``momentum`` times themselves plus the rest of the model's, in place."""
    for slow, fast in zip(encoder.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast.to(slow.dtype), 1 - momentum)
