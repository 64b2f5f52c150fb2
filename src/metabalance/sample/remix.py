"""Remix: mixup whose label goes to the rarer of two examples where their classes are very unequal.

Chou, Chang, Pan, Wei & Juan, "Remix: Rebalanced mixup", ECCV Workshops 2020, arXiv 2007.03943. No official code
was found; the formula is that of the paper and of the port in ntucllab/imbalanced-DL.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.sample.mixup import beta_weight, check_alpha, mix, shares

__all__ = ["Remix", "label_weight"]


class Remix:
    r"""mixup of the inputs; of the labels with :math:`\lambda_y = 0` if :math:`n_i / n_j \ge \kappa` and
    :math:`\lambda < \tau`, with :math:`\lambda_y = 1` if :math:`n_i / n_j \le 1/\kappa` and
    :math:`1 - \lambda < \tau`, else with :math:`\lambda_y = \lambda`.

    ``kappa=inf``, ``tau=0`` and equal counts give mixup.

    Args:
        counts: Class counts ``(C,)``.
        alpha: As in :class:`~metabalance.sample.Mixup`.
        kappa: How many times larger a class must be to lose its share, above 1.
        tau: The share of the larger class below which it is lost.

    Shape:
        inputs ``(B, ...)``, target ``(B,)`` or shares ``(B, C)`` (the largest one counts as the class) -> inputs
        ``(B, ...)``, shares ``(B, C)``.

    Raises:
        ValueError: ``alpha`` is negative, ``kappa`` not above 1 or ``tau`` outside [0, 1].

    >>> remix, g = Remix(counts=[90, 10]), torch.Generator().manual_seed(1)
    >>> x, y = remix(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]), g)
    >>> x, y
    (tensor([[0.7299],
            [0.2701]]), tensor([[0.0000, 1.0000],
            [0.7299, 0.2701]]))
    """

    def __init__(self, counts: Any, alpha: float = 1.0, kappa: float = 3.0, tau: float = 0.5) -> None:
        check_alpha(alpha)
        if not kappa > 1:
            raise ValueError(f"kappa must be above 1 (infinite gives mixup), but {kappa} was given")
        if not 0 <= tau <= 1:
            raise ValueError(f"tau must lie between 0 (mixup) and 1, but {tau} was given")
        self.counts = torch.as_tensor(counts, dtype=torch.float64)
        self.alpha = alpha
        self.kappa = kappa
        self.tau = tau

    def __call__(self, inputs: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        label = shares(target, len(self.counts), inputs)
        weight = beta_weight(self.alpha, generator)
        partner = torch.randperm(len(inputs), generator=generator).to(inputs.device)
        count = self.counts.to(inputs.device)[label.argmax(1)]
        weight_y = label_weight(weight, count, count[partner], self.kappa, self.tau)
        return mix(inputs, partner, weight), mix(label, partner, weight_y)


def label_weight(weight: float, own: Tensor, other: Tensor, kappa: float = 3.0, tau: float = 0.5) -> Tensor:
    """The label's weights ``(B,)`` for pairs of classes of sizes ``own`` and ``other`` ``(B,)``.

    >>> label_weight(0.4, torch.tensor([90.0, 20.0, 10.0]), torch.tensor([10.0, 10.0, 90.0]))
    tensor([0.0000, 0.4000, 0.4000])
    >>> label_weight(0.6, torch.tensor([90.0, 20.0, 10.0]), torch.tensor([10.0, 10.0, 90.0]))
    tensor([0.6000, 0.6000, 1.0000])
    """
    lam = torch.full_like(own, weight)
    # Products, not ratios: 90 / 30 need not be 3 in floating point.
    lam = torch.where((own >= kappa * other) & (lam < tau), 0.0, lam)
    return torch.where((kappa * own <= other) & (1 - weight < tau), 1.0, lam)
