r"""CurveNet: a small network reads the loss curve of an example, and its class, and says how much it counts.

Jiang, Li, Wang, Huang, Zhang & Xu, "Delving into sample loss curve to embrace noisy and imbalanced data",
AAAI 2022, arXiv 2201.00849 (not the CurveNet of point clouds). Rows with wrong labels and rows of rare classes
have equally large losses; over the epochs of :mod:`metabalance.weigh.loss_curves` they differ.

With :math:`\hat r_i` the curve less the mean curve of the observed class, of the epochs from 5 to the last but
one, and :math:`e_y` an embedding of the class, :math:`w_i = b + \sigma(g(h(\hat r_i) + 2 e_{y_i}))`. It is trained
as in Meta-Weight-Net, and after 40 % of the epochs each row keeps the weight it had last.

Departures of the authors' code: its look-ahead takes the real optimiser's step, Nesterov momentum (1.9 times the
gradient) and weight decay included; here it is a plain gradient step. It adds the embedding twice, perhaps by
accident: ``embed_scale``. Its class counts for the optional deferred re-weighting are those of the true labels,
which nobody has; that option is left out. Shorter runs than the published 300 + 200 epochs give shorter curves.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.bilevel import unwrap
from metabalance.example_gradients import weight_gradient
from metabalance.ranks import together
from metabalance.weigh.base import batch_weights, example_losses, meta_objective, update
from metabalance.weigh.learned import LearnedWeights, normalized

__all__ = ["CurveNetStep", "CurveWeigher", "CurveWeightNet"]


class CurveWeightNet(nn.Module):
    r"""Weights in :math:`(b, b + f)` from normalised loss curves and classes.

    Args:
        curve_len: T, epochs of a curve.
        num_classes: C.
        hidden: Width of the embedding; the other layers have this or twice as much.
        factor: :math:`f`.
        bias: :math:`b`, the least weight.
        init_logit: Bias of the last layer at the start: 4.5 makes all weights near 1.009, as if unweighted.
        embed_scale: How often the embedding is added.

    Shape:
        curves ``(B, T)``, target ``(B,)`` -> ``(B,)``.

    Raises:
        ValueError: A size below 1.

    >>> _ = torch.manual_seed(0)
    >>> net = CurveWeightNet(curve_len=6, num_classes=2)
    >>> net(torch.zeros(2, 6), torch.tensor([0, 1])).detach().round(decimals=1)
    tensor([1., 1.])
    """

    def __init__(
        self,
        curve_len: int,
        num_classes: int,
        hidden: int = 64,
        factor: float = 1.0,
        bias: float = 0.02,
        init_logit: float = 4.5,
        embed_scale: float = 2.0,
    ) -> None:
        super().__init__()
        if min(curve_len, num_classes, hidden) < 1:
            raise ValueError(
                "curve_len, num_classes and hidden must be at least 1, but "
                f"{curve_len}, {num_classes} and {hidden} were given"
            )
        self.factor, self.bias, self.embed_scale = factor, bias, embed_scale
        self.curve = nn.Sequential(
            nn.Linear(curve_len, 2 * hidden),
            nn.ReLU(),
            nn.Linear(2 * hidden, 2 * hidden),
            nn.ReLU(),
            nn.Linear(2 * hidden, hidden),
            nn.ReLU(),
        )
        self.embedding = nn.Embedding(num_classes, hidden)
        self.weight = nn.Sequential(
            nn.Linear(hidden, 2 * hidden),
            nn.ReLU(),
            nn.Linear(2 * hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )
        nn.init.xavier_uniform_(self.embedding.weight)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.constant_(self.weight[-1].bias, init_logit)  # type: ignore[arg-type]

    def forward(self, curves: Tensor, target: Tensor) -> Tensor:
        code = self.curve(curves) + self.embed_scale * self.embedding(target)
        return self.factor * self.weight(code).squeeze(1).sigmoid() + self.bias


class CurveWeigher(nn.Module):
    """The network with the curves of all training rows: a weigher that needs only row numbers.

    Args:
        net: ``(curves (B, T), target (B,)) -> (B,)``.
        curves: Normalised curves ``(N, T)``.

    Attributes:
        last: The weights ``(N,)`` given last; 1 for a row not seen yet.
    """

    curves: Tensor
    last: Tensor

    def __init__(self, net: nn.Module, curves: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("curves", curves)
        self.register_buffer("last", torch.ones(len(curves), dtype=curves.dtype))

    def forward(self, losses: Tensor, target: Tensor, *, index: Tensor | None = None) -> Tensor:
        if index is None:
            raise ValueError("curves belong to rows: batches must be (inputs, target, weight, index)")
        weights = self.net(self.curves[index], target)
        rows, latest = together(index, weights.detach())
        self.last[rows] = latest.to(self.last.dtype)
        return weights.to(losses.dtype)


class CurveNetStep(LearnedWeights):
    """The allocating stage: learns the weights at first, then leaves to each row the one it had last.

    Args:
        weigher: Holds the curves.
        meta_loader: Clean, balanced batches.
        freeze_after: Epochs of learning; None never stops. Epochs are counted by ``update``: put the step among
            the engine's ``parts`` as well.
        freeze_modules: Names of modules of the network that stay as they are in the look-ahead, which is then
            cheaper (the paper's skip-layer meta optimisation): the lowest layers first.
        settings: Those of :class:`LearnedWeights`.
    """

    needs = frozenset({"own_step", "bare", "rows"})

    weigher: CurveWeigher

    def __init__(
        self,
        weigher: CurveWeigher,
        meta_loader: Any,
        *,
        freeze_after: int | None = None,
        freeze_modules: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        super().__init__(weigher, meta_loader, **settings)
        self.freeze_after = freeze_after
        self.freeze_modules = tuple(freeze_modules)

    def __call__(self, model: Any, batch: Any, objective: Any, optimizer: torch.optim.Optimizer) -> Tensor:
        frozen = self.freeze_after is not None and self.epoch >= self.freeze_after
        if self.epoch < self.start_epoch or not (frozen or self.freeze_modules):
            return super().__call__(model, batch, objective, optimizer)
        bare, losses = unwrap(model), example_losses(objective)
        self._move(next(bare.parameters()).device)
        if frozen:
            each = losses(bare, batch)
            c = normalized(self.weigher.last[batch[3]].to(each.dtype), self.normalize)
            return update(bare, batch, objective, optimizer, c * batch_weights(batch, each), each)
        if self.steps % self.every == 0:
            with _skipped(bare, self.freeze_modules):
                found = weight_gradient(
                    bare,
                    losses,
                    batch,
                    lambda each: self.coefficients(each, batch),
                    meta_objective(losses),
                    self.draw(bare),
                    inner_lr=self.step_size(optimizer),
                )
            self._learn(found.coefficients, found.grad)
        self.steps += 1
        each = losses(bare, batch)
        return update(bare, batch, objective, optimizer, self.coefficients(each.detach(), batch), each)


@contextmanager
def _skipped(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Inside, the parameters of these modules need no gradient, and they are in evaluation mode."""
    modules = [model.get_submodule(name) for name in names]
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    modes = [(m, m.training) for module in modules for m in module.modules()]
    for p in parameters:
        p.requires_grad_(False)
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)
        for module, training in modes:
            module.training = training
