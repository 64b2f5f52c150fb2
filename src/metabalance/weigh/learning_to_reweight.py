r"""Learning to reweight: an example counts if a step on it would help a small balanced set.

Ren, Zeng, Yang & Urtasun, "Learning to Reweight Examples for Robust Deep Learning", ICML 2018, arXiv
1803.09050. The same weights, on a graph, are Meta-GCN's (Mohammadizadeh, Mozhdehi, Ioannou & Wang, Canadian
AI 2023, arXiv 2406.17073).

The look-ahead starts from weights of zero, so that θ' = θ, and its step size cancels in the normalisation:
:math:`w_i \propto \max(0, \langle\nabla\ell_i(\theta), \nabla L_{meta}(\theta)\rangle)`. The authors' code is
TensorFlow 1 and was not run; that it clips and normalises as below is from the paper.
"""

from typing import Any

import torch
from torch import Tensor

from metabalance.bilevel import unwrap
from metabalance.example_gradients import weight_gradient
from metabalance.ranks import mean
from metabalance.weigh.base import MetaStep, batch_weights, example_losses, meta_objective, update

__all__ = ["LearningToReweight", "reweight"]


def reweight(alignments: Tensor) -> Tensor:
    r"""Weights :math:`w_i = \max(u_i, 0) / \sum_j \max(u_j, 0)`; all zero where no :math:`u_i` is positive.

    Under ``torch.distributed`` they are W times that of all processes' rows, for gradients that are averaged over
    the W processes.

    Args:
        alignments: :math:`u_i = -\partial L_{meta} / \partial \epsilon_i`, or anything proportional, ``(B,)``.

    >>> reweight(torch.tensor([3.0, -1.0, 1.0]))
    tensor([0.7500, 0.0000, 0.2500])
    >>> reweight(torch.tensor([-1.0, -2.0]))
    tensor([0., 0.])
    """
    positive = alignments.clamp_min(0)
    total = mean(positive.sum())
    return positive / (total + (total == 0))


class LearningToReweight(MetaStep):
    """Learning to Reweight as a step of the engine: weights made for each batch, and forgotten after it.

    They sum to 1, so that the loss is a weighted mean and learning rates carry over. If no row of a batch
    agrees with the meta batch, the network gets no gradient from it. Under ``torch.distributed`` they sum to 1
    on average over the ranks, as one process with all rows would have them.

    A row's own weight (``sample_weight``, ``class_weight``) multiplies its learned one, as k copies of the row
    would: the look-ahead's loss is weighted, and so the alignments are.

    Args:
        meta_loader: Batches of the small balanced set.
        inner_lr: The look-ahead's step size in the paper. It cancels in the normalisation; kept for the
            signature's sake.

    Raises:
        ValueError: In the call: the meta loader is empty, or the objective has no ``losses``.
    """

    def __call__(self, model: Any, batch: Any, objective: Any, optimizer: torch.optim.Optimizer) -> Tensor:
        """One update; returns its loss ``()``, detached."""
        bare, losses = unwrap(model), example_losses(objective)
        found = weight_gradient(
            bare, losses, batch, None, meta_objective(losses), self.draw(bare), inner_lr=1.0
        )
        weights = reweight(-found.grad * batch_weights(batch, found.grad))
        return update(bare, batch, objective, optimizer, weights, found.losses)
