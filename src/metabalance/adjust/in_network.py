"""Post-hoc logit adjustment built into the network, so that its own largest score is the adjusted one.

Menon, Jayasumana, Rawat, Jain, Veit & Kumar, ICLR 2021, arXiv 2007.07314.
"""

from typing import Any

import torch
from torch import Tensor, nn

from metabalance.heads import last_linear, replace_head

__all__ = ["ShiftedLogits", "shift_logits"]


class ShiftedLogits(nn.Module):
    """A head with a constant added to each of its scores.

    Args:
        head: Gives scores ``(B, C)``.
        shift: What is added ``(C,)``.

    >>> ShiftedLogits(nn.Identity(), [0.0, 1.0])(torch.zeros(1, 2))
    tensor([[0., 1.]])
    """

    shift: Tensor

    def __init__(self, head: nn.Module, shift: Any) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("shift", torch.as_tensor(shift, dtype=torch.get_default_dtype()))

    def forward(self, features: Tensor) -> Tensor:
        scores = self.head(features)
        return scores + self.shift.to(scores.dtype)


@torch.no_grad()
def shift_logits(model: nn.Module, shift: Any) -> nn.Module:
    r"""Adds ``shift (C,)`` to the network's scores, in place; :math:`-\tau \log \pi` is logit adjustment.

    It goes into the bias of the last ``nn.Linear``, so that the network keeps its names; a head that has no bias,
    or that does something else with it, is wrapped in :class:`ShiftedLogits`.

    Args:
        model: A network whose scores are those of its last ``nn.Linear``.
        shift: One number for each class, all finite.

    Returns:
        The model.

    Raises:
        ValueError: Not one finite number for each class, or no ``nn.Linear`` inside the model.

    >>> model = nn.Sequential(nn.Linear(1, 2))
    >>> _ = nn.init.zeros_(model[0].bias)
    >>> shift_logits(model, -torch.tensor([0.9, 0.1]).log())[0].bias
    Parameter containing:
    tensor([0.1054, 2.3026], requires_grad=True)
    """
    head = last_linear(model)
    values = torch.as_tensor(shift, dtype=torch.float64).reshape(-1)
    if len(values) != head.out_features or not bool(torch.isfinite(values).all()):
        raise ValueError(
            f"the shift must be {head.out_features} finite numbers, one for each score, but is {values.tolist()}"
        )
    if type(head) is nn.Linear and head.bias is not None:
        head.bias.add_(values.to(head.bias))
    else:
        replace_head(model, ShiftedLogits(head, values).to(head.weight.device))
    return model
