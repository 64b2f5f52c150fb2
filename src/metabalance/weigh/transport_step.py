"""Optimal-transport re-weighting as a step: weigh the batch by transport, then train with the weights.

Guo, Li, Zheng, Zhao, Zhou & Zha, NeurIPS 2022, arXiv 2208.02951; see :mod:`metabalance.weigh.optimal_transport`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from metabalance.bilevel import average_over_ranks, gradient, unwrap
from metabalance.heads import features
from metabalance.ranks import own, spread, together
from metabalance.weigh.base import MetaStep
from metabalance.weigh.optimal_transport import OTReweighter, class_means

__all__ = ["OTStep"]


class OTStep(MetaStep):
    """Weighs each batch by optimal transport to a balanced one and takes an ordinary step with the weights.

    Features are those of the network in evaluation mode, and cost a forward pass more. Batch norm that is frozen
    is kept at its running statistics while training too: else a network of which only the head is trained would
    drift (as the published one does).

    Args:
        reweighter: Holds the weights.
        meta_loader: Balanced batches ``(inputs, target, ...)``.
        meta: ``"prototype"``, the class means of a batch; or ``"whole"``, its rows.
        pixels: Take the means of the inputs, and the features of those.
        meta_coefficient: Of the balanced batch's own loss, added to the weighted one (published: 10).

    Raises:
        ValueError: An unknown ``meta``; in the call, batches without an index.

    >>> step = OTStep(OTReweighter(3, counts=[2, 1]), [(torch.eye(2), torch.tensor([0, 1]))])
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    >>> loss = lambda model, b: (nn.functional.cross_entropy(model(b[0]), b[1], reduction="none") * b[2]).mean()
    >>> batch = torch.eye(2)[[0, 0, 1]], torch.tensor([0, 0, 1]), torch.ones(3), torch.arange(3)
    >>> _ = step(model, batch, loss, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> step.reweighter(batch[3], batch[1]).argmax()
    tensor(2)
    """

    needs = frozenset({"own_step", "bare", "rows"})

    def __init__(
        self,
        reweighter: OTReweighter,
        meta_loader: Any,
        *,
        meta: str = "prototype",
        pixels: bool = False,
        meta_coefficient: float = 0.0,
    ) -> None:
        if meta not in ("prototype", "whole"):
            raise ValueError(f"meta={meta!r} is unknown; use 'prototype' or 'whole'")
        super().__init__(meta_loader)
        self.reweighter = reweighter
        self.meta = meta
        self.pixels = pixels
        self.meta_coefficient = float(meta_coefficient)
        self._agreed = False

    def __call__(
        self, model: nn.Module, batch: Sequence[Any], objective: Callable, optimizer: torch.optim.Optimizer
    ) -> Tensor:
        if len(batch) < 4:
            raise ValueError("weights are kept for each row: batches must be (inputs, target, weight, index)")
        inputs, target, weight, index = batch
        network = unwrap(model)
        meta = self.draw(network)
        if not self._agreed:
            spread(self.reweighter)
            self._agreed = True
        # The transport is that of all processes' rows: each makes the same step, and keeps the same weights.
        rows, labels = together(index, target)
        with _evaluating(network), torch.no_grad():
            (z,) = together(features(network, inputs))
            meta_z, meta_target = self._balanced(network, together(meta[0], meta[1]))
        # The transport solves linear systems, which half precision cannot.
        with torch.autocast(z.device.type, enabled=False):
            z, meta_z = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (z, meta_z))
            found = self.reweighter.to(z.device).fit(rows, labels, z, meta_z, meta_target)
        weights = own(found).to(z.dtype)
        with _frozen_norms(network):
            loss = objective(network, (inputs, target, weight * weights, index))
            if self.meta_coefficient:
                loss = loss + self.meta_coefficient * objective(network, meta)
            params = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
            # Not loss.backward(): the features come from the bare module, and so do the losses.
            for p, g in zip(params, average_over_ranks(gradient(loss, params), params)):
                p.grad = g
        optimizer.step()
        return loss.detach()

    def _balanced(self, network: nn.Module, meta: Sequence[Any]) -> tuple[Tensor, Tensor]:
        inputs, target = meta[0], meta[1]
        if self.meta == "whole":
            return features(network, inputs), target
        num_classes = len(self.reweighter.start)
        if self.pixels:
            means, classes = class_means(inputs, target, num_classes)
            return features(network, means), classes
        return class_means(features(network, inputs), target, num_classes)

    def state_dict(self) -> dict[str, Any]:
        """The weights, and the position in the balanced loader."""
        optimizer = self.reweighter.optimizer
        return super().state_dict() | {
            "reweighter": self.reweighter.state_dict(),
            "optimizer": None if optimizer is None else optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over the state of :meth:`state_dict`."""
        self.reweighter.load_state_dict(state["reweighter"])
        if self.reweighter.optimizer is not None:
            self.reweighter.optimizer.load_state_dict(state["optimizer"])
        super().load_state_dict(state)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _frozen_norms(model: nn.Module) -> Iterator[None]:
    """Frozen batch norm layers are in evaluation mode inside."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.affine]
    layers = [m for m in layers if not any(p.requires_grad for p in m.parameters())]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True
