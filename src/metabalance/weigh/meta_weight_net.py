r"""Meta-Weight-Net: a small network reads an example's loss and says how much it counts.

Shu, Xie, Yi, Zhao, Zhou, Xu & Meng, "Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting",
NeurIPS 2019, arXiv 1902.07379. :class:`~metabalance.weigh.LearnedWeights` trains it.

The authors' two repositories differ: that for label noise divides the weighted losses by the batch size
(``normalize="none"``) and trains the network by Adam, that for imbalance by the sum of the weights
(``"sum"``), trains it by SGD with a learning rate of 1e-5, and lets the gradient of the look-ahead run through
the loss that the network reads too (``detach=False``). :data:`PUBLISHED` holds both. The imbalance
repository's look-ahead keeps the learning rate of before a drop for one more epoch (79 and 89); here it is
always the current one.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["PUBLISHED", "MetaWeightNet"]

PUBLISHED: dict[str, dict[str, Any]] = {
    "noise": {
        "optimizer": partial(torch.optim.Adam, lr=1e-3, weight_decay=1e-4),
        "normalize": "none",
        "detach": True,
    },
    "imbalance": {
        "optimizer": partial(torch.optim.SGD, lr=1e-5, momentum=0.9, nesterov=True, weight_decay=5e-4),
        "normalize": "sum",
        "detach": False,
    },
}


class MetaWeightNet(nn.Module):
    r"""Weights :math:`v_i = \sigma(a^\top \mathrm{ReLU}(w \ell_i + b) + d)` in (0, 1).

    Examples with equal losses get equal weights, whatever their class.

    Args:
        hidden: Width of the one hidden layer.

    Shape:
        losses ``(B,)`` -> ``(B,)``; the target and everything else is taken and not used.

    >>> net = MetaWeightNet()
    >>> _ = nn.init.zeros_(net.output.weight), nn.init.zeros_(net.output.bias)
    >>> net(torch.tensor([0.1, 2.0])).tolist()
    [0.5, 0.5]
    """

    def __init__(self, hidden: int = 100) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, but {hidden} was given")
        self.hidden = nn.Linear(1, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, losses: Tensor, target: Tensor | None = None, **_: Any) -> Tensor:
        return self.output(self.hidden(losses[:, None]).relu())[:, 0].sigmoid()
