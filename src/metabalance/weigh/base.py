"""What the steps with learned weights share: the weighted update of the network, and the second stream."""

from typing import Any

import torch
from torch import Tensor, nn

from metabalance.bilevel import Stream, average_over_ranks, batch_norm_statistics, gradient, to_device


class MetaStep:
    """A step of the engine that draws a second stream, the meta batches that judge.

    Args:
        meta_loader: Batches ``(inputs, target)`` or ``(inputs, target, weight)``, begun anew when exhausted.
        inner_lr: Step size of the look-ahead; None is the optimizer's current learning rate.
    """

    needs = frozenset({"own_step", "bare"})

    def __init__(self, meta_loader: Any, inner_lr: float | None = None) -> None:
        if inner_lr is not None and not 0 < inner_lr < float("inf"):
            raise ValueError(f"inner_lr must be finite and above 0, or None, but {inner_lr} was given")
        self.meta_loader = meta_loader
        self.inner_lr = inner_lr
        self._stream = Stream(meta_loader)

    def draw(self, model: nn.Module) -> Any:
        """The next meta batch, on the model's device."""
        return to_device(self._stream.draw(), next(model.parameters()).device)

    def step_size(self, optimizer: torch.optim.Optimizer) -> float:
        """η of the look-ahead."""
        return float(optimizer.param_groups[0]["lr"]) if self.inner_lr is None else self.inner_lr

    def state_dict(self) -> dict[str, Any]:
        """The position in the second stream."""
        return {"stream": self._stream.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues with the very next meta batch."""
        self._stream.load_state_dict(state["stream"])


def example_losses(objective: Any) -> Any:
    """The objective's method ``losses(model, batch) -> (B,)``.

    Raises:
        ValueError: It has none.
    """
    if not hasattr(objective, "losses"):
        raise ValueError(
            "learned weights need the loss of every example: give an Objective, or any callable that has a "
            "method losses(model, batch) -> (B,)"
        )
    return objective.losses


def batch_weights(batch: Any, losses: Tensor) -> Tensor:
    """The user's weights ``(B,)`` of the batch's rows; ones without any."""
    given = batch[2] if len(batch) > 2 else None
    return torch.ones_like(losses) if given is None else given.to(losses.dtype)


def meta_objective(losses: Any) -> Any:
    """``(model, batch) -> ()``, the mean of the batch's (weighted) losses."""

    def mean(model: Any, batch: Any) -> Tensor:
        each = losses(model, batch)
        return (each * batch_weights(batch, each)).mean()

    return mean


def update(
    model: Any,
    batch: Any,
    objective: Any,
    optimizer: Any,
    coefficients: Tensor | None = None,
    losses: Tensor | None = None,
) -> Tensor:
    r"""One update of the network on :math:`\sum_i c_i \ell_i` plus the objective's penalties.

    Args:
        model: An unwrapped module.
        batch: The rows.
        objective: See :func:`example_losses`; its penalties, if any, ask for a forward pass of their own.
        optimizer: Over the network's parameters, and the objective's.
        coefficients: :math:`c_i` ``(B,)``, the user's weights included; None leaves the objective as it is.
        losses: The losses ``(B,)`` at the current parameters, with their graph.

    Returns:
        The value before the update ``()``, detached.
    """
    if coefficients is None or losses is None:
        loss = objective(model, batch)
    elif len(getattr(objective, "penalties", ())):
        rows = coefficients.detach() * len(coefficients)  # the objective's mean is over rows
        with batch_norm_statistics(model, update=False):  # the pass that gave the losses has updated them
            loss = objective(model, (*batch[:2], rows, *batch[3:]))
    else:
        loss = (coefficients.detach() * losses).sum()
    params = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    # Not loss.backward(): under DDP the losses come from the bare module, and the averaging is ours.
    for p, g in zip(params, average_over_ranks(gradient(loss, params), params)):
        p.grad = g
    optimizer.step()
    return loss.detach()
