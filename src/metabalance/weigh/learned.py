r"""Learned weights: a look-ahead on the weighted batch is judged on a second one, and the weigher learns from it.

The alternation of Shu et al., "Meta-Weight-Net", NeurIPS 2019, arXiv 1902.07379, for any weigher
:math:`v_i = V(\ell_i, y_i; \Theta)`:

.. math:: \theta'(\Theta) = \theta - \eta \nabla_\theta \textstyle\sum_i c_i(\Theta)\, \ell_i(\theta), \quad
    \Theta \leftarrow \mathrm{Opt}(\Theta, \nabla_\Theta L_{meta}(\theta'(\Theta))),

and then one step of θ, from where it was, with the weights of the new Θ. The gradient is exact; it comes from
:func:`metabalance.example_gradients.weight_gradient`, and the real step reuses the look-ahead's forward pass.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.bilevel import average_over_ranks, gradient, unwrap
from metabalance.example_gradients import weight_gradient
from metabalance.ranks import mean, spread
from metabalance.weigh.base import MetaStep, batch_weights, example_losses, meta_objective, update

__all__ = ["NORMALIZE", "LearnedWeights", "normalized"]

NORMALIZE = ("none", "sum", "detached_sum")


def normalized(weights: Tensor, normalize: str = "none") -> Tensor:
    r"""Coefficients ``(B,)`` of the losses in a batch's sum, from weights ``(B,)``.

    ``"none"`` divides by B, ``"sum"`` by :math:`\sum_j v_j`, and ``"detached_sum"`` by the same number taken
    as a constant: the same value, another gradient. Weights that are all zero stay so. Under
    ``torch.distributed`` the sum is the mean of the processes' sums, so that a gradient that is averaged over them
    is that of all rows together.

    >>> v = torch.tensor([0.2, 0.6])
    >>> normalized(v), normalized(v, "sum")
    (tensor([0.1000, 0.3000]), tensor([0.2500, 0.7500]))
    """
    if normalize not in NORMALIZE:
        raise ValueError(f"normalize={normalize!r} is unknown; use one of {', '.join(map(repr, NORMALIZE))}")
    if normalize == "none":
        return weights / len(weights)
    total = mean(weights.sum())
    total = total + (total == 0)
    return weights / (total.detach() if normalize == "detached_sum" else total)


class LearnedWeights(MetaStep):
    r"""A step of the engine that trains a weigher along with the network.

    Args:
        weigher: An ``nn.Module``: ``(losses (B,), target (B,)) -> (B,)``. Where batches carry row numbers, they
            come as the keyword ``index``. It moves to the network's device at the first step.
        meta_loader: Batches that judge the look-aheads.
        inner_lr: η; None is the optimizer's current learning rate.
        optimizer: ``(parameters) -> Optimizer``, the weigher's own; by default Adam at 1e-3 with weight decay
            1e-4.
        normalize: How weights become coefficients, see :func:`normalized`. The user's weights of the rows are
            multiplied on afterwards.
        detach: Whether the loss that the weigher reads is a constant to the look-ahead. ``False``
            differentiates through it too, as one of Meta-Weight-Net's repositories does.
        start_epoch: Before this epoch steps are plain. Epochs are counted by :meth:`update`: put the step among
            the engine's ``parts`` as well.
        every: The weigher learns in every so many-th step only; the other steps use it as it is.

    Raises:
        ValueError: A setting outside its range; in the call, an objective without ``losses``.

    >>> from metabalance.weigh import MetaWeightNet
    >>> step = LearnedWeights(MetaWeightNet(), [], normalize="sum")
    >>> step.start_epoch, step.every
    (0, 1)
    """

    def __init__(
        self,
        weigher: nn.Module,
        meta_loader: Any,
        *,
        inner_lr: float | None = None,
        optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer] | None = None,
        normalize: str = "none",
        detach: bool = True,
        start_epoch: int = 0,
        every: int = 1,
    ) -> None:
        super().__init__(meta_loader, inner_lr)
        if normalize not in NORMALIZE:
            raise ValueError(
                f"normalize={normalize!r} is unknown; use one of {', '.join(map(repr, NORMALIZE))}"
            )
        if start_epoch < 0 or every < 1:
            raise ValueError(
                f"start_epoch must not be negative and every at least 1, but {start_epoch} and {every} were given"
            )
        self.weigher = weigher
        parameters = list(weigher.parameters())
        self.optimizer = (
            torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-4)
            if optimizer is None
            else optimizer(parameters)
        )
        self.normalize = normalize
        self.detach = detach
        self.start_epoch = start_epoch
        self.every = every
        self.epoch = 0
        self.steps = 0  # since start_epoch
        self._agreed = False

    def __call__(self, model: Any, batch: Any, objective: Any, optimizer: torch.optim.Optimizer) -> Tensor:
        """One update of the weigher, if it is its turn, and one of the network; returns its loss ``()``."""
        bare, losses = unwrap(model), example_losses(objective)
        if self.epoch < self.start_epoch:
            return update(bare, batch, objective, optimizer)
        self._move(next(bare.parameters()).device)
        learn = self.steps % self.every == 0
        self.steps += 1
        if not learn:
            each = losses(bare, batch)
            return update(bare, batch, objective, optimizer, self.coefficients(each.detach(), batch), each)
        found = weight_gradient(
            bare,
            losses,
            batch,
            lambda each: self._slopes(each, batch),
            meta_objective(losses),
            self.draw(bare),
            inner_lr=self.step_size(optimizer),
        )
        self._learn(found.coefficients, found.grad)
        each = found.losses
        return update(bare, batch, objective, optimizer, self.coefficients(each.detach(), batch), each)

    def coefficients(self, losses: Tensor, batch: Any) -> Tensor:
        """What the losses ``(B,)`` of a batch are multiplied by in its sum ``(B,)``."""
        extra = {"index": batch[3]} if len(batch) > 3 else {}
        own = next((p.dtype for p in self.weigher.parameters()), losses.dtype)
        weights = self.weigher(losses.to(own), batch[1], **extra).to(losses.dtype)
        return normalized(weights, self.normalize) * batch_weights(batch, losses)

    def update(self, epoch: int, **_: Any) -> None:
        """The engine's event after each epoch."""
        self.epoch = epoch + 1

    def state_dict(self) -> dict[str, Any]:
        """The weigher, its optimizer, and the positions in the schedule and in the second stream."""
        return super().state_dict() | {
            "weigher": self.weigher.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self.weigher.load_state_dict(state["weigher"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.steps = state["epoch"], state["steps"]

    def _slopes(self, losses: Tensor, batch: Any) -> Tensor:
        r"""Derivatives ``(B,)`` of the look-ahead's loss :math:`\sum_i c_i \ell_i` by each loss."""
        if self.detach:
            return self.coefficients(losses, batch)
        losses = losses.requires_grad_()
        value = (self.coefficients(losses, batch) * losses).sum()
        return torch.autograd.grad(value, losses, create_graph=True)[0]

    def _learn(self, coefficients: Tensor, grad: Tensor) -> None:
        params = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        grads = gradient((coefficients * grad).sum(), params)
        for p, g in zip(params, average_over_ranks(grads, params)):
            p.grad = g
        self.optimizer.step()

    def _move(self, device: torch.device) -> None:
        if not self._agreed:
            spread(self.weigher)
            self._agreed = True
        if all(p.device == device for p in self.weigher.parameters()):
            return
        self.weigher.to(device)
        self.optimizer.load_state_dict(self.optimizer.state_dict())  # moves its state along
