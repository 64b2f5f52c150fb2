r"""Optimal-transport re-weighting: examples weigh so that the training set, moved onto a balanced one, moves least.

Guo, Li, Zheng, Zhao, Zhou & Zha, "Learning to re-weight examples with optimal transport for imbalanced
classification", NeurIPS 2022, arXiv 2208.02951.

With features :math:`z` and labels :math:`q` of a batch, and those of a small balanced set (or of its class
means, the prototypes) in the rows of

.. math:: C_{ji} = \alpha\,(1 - \cos(\bar z_j, z_i)) + (1-\alpha)\,\tfrac1K \|\bar q_j - q_i\|^2,

the masses :math:`\nu = \mathrm{softmax}(v)` of the batch descend on the transport cost from uniform
:math:`\mu`; the classifier is then trained with them. The classifier is never differentiated through.

Departures of the authors' code, which :data:`PUBLISHED` brings together: the class-balanced weights to start
with, and a step so small that they stay; the raw :math:`v`, which can become negative, as weights in place of
the softmax; Sinkhorn iterations that stop after a few rounds, with class masses that can be visibly off; prototypes
that are means of pixels, seen in training mode; and only the last layer is trained, with ten times the loss on
the balanced set added. Its 1e-8 within logarithms is not repeated. Here v starts at 0 and steps along
:math:`g - \nu^T g`, for the gradient :math:`g` by ν: times ν, as the chain rule has it, the step of a heavy
example outgrows every learning rate. Over free masses the cost is least where each prototype takes all from its
nearest examples, so that many steps are not better than some.

UNCONFIRMED, for want of the paper's text: its step sizes, and whether its prototypes are means of pixels or of
features.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.counts import class_counts, class_weights
from metabalance.weigh.sinkhorn import SinkhornOT

__all__ = ["PUBLISHED", "OTReweighter", "class_means", "transport_costs"]

COSTS = ("combined", "feature", "label", "twoloss")

# What the authors' code does, as settings of OTReweighter. Its step of 0.01 is on a mean over batches of 16.
PUBLISHED: dict[str, Any] = {
    "transport": SinkhornOT(eps=0.1, max_iter=200, tol=0.1, stop="potential", unroll=True),
    "init": "class_balanced",
    "beta": 0.9999,
    "mass": "raw",
    "natural": False,
    "lr": 0.01 / 16,
    "weight_decay": 5e-4 * 16,
    "inner_steps": 1,
}


class OTReweighter(nn.Module):
    """Weights of training examples that make moving them onto a balanced set cheap.

    Args:
        num_samples: N, rows of the training set.
        counts: Training counts ``(C,)``.
        cost: ``"combined"``, ``"feature"`` or ``"label"``; or ``"twoloss"``, the sum of the two transports.
        alpha: Share of the features in the combined cost.
        parametrization: ``"vector"``, one number for each row; or ``"weightnet"``, a small network of the
            features.
        feature_dim: D, for the weight network.
        hidden: Width of the weight network.
        lr: Step size of the vector, for B times the transport cost: the mean weight is 1 whatever the batch size
            (by default 0.5). Of the network it is Adam's (0.01).
        weight_decay: Pull of the numbers (of the network's parameters) towards 0.
        inner_steps: Steps for each batch.
        init: Weights to begin with: ``"uniform"`` or ``"class_balanced"``, by effective numbers.
        beta: For the effective numbers.
        mass: ``"softmax"`` over the batch; or ``"raw"``, the numbers themselves, for the classifier (the
            transport is always that of the softmax).
        natural: Step along the gradient by the masses, less its mean, instead of that by the numbers.
        transport: The solver, ``(cost (M, B), mu (M,), nu (B,)) -> ()``.

    Shape:
        index ``(B,)``, target ``(B,)`` (or shares of classes ``(B, C)``), features ``(B, D)`` -> ``(B,)``.

    Raises:
        ValueError: A setting outside its range.

    >>> reweighter = OTReweighter(num_samples=4, counts=[3, 1], cost="label", lr=0.05, inner_steps=50)
    >>> index, target, features = torch.arange(4), torch.tensor([0, 0, 0, 1]), torch.ones(4, 1)
    >>> weights = reweighter.fit(index, target, features, torch.ones(2, 1), torch.tensor([0, 1]))
    >>> weights.round(decimals=1)  # half of the mass for each class
    tensor([0.7000, 0.7000, 0.7000, 2.0000])
    """

    v: Tensor
    start: Tensor

    def __init__(
        self,
        num_samples: int,
        counts: Any,
        *,
        cost: str = "combined",
        alpha: float = 0.5,
        parametrization: str = "vector",
        feature_dim: int | None = None,
        hidden: int = 100,
        lr: float | None = None,
        weight_decay: float = 0.0,
        inner_steps: int = 1,
        init: str = "uniform",
        beta: float = 0.9999,
        mass: str = "softmax",
        natural: bool = True,
        transport: nn.Module | None = None,
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ("cost", cost, COSTS),
            ("parametrization", parametrization, ("vector", "weightnet")),
            ("init", init, ("uniform", "class_balanced")),
            ("mass", mass, ("softmax", "raw")),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is unknown; use one of {', '.join(map(repr, allowed))}")
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie between 0 and 1, but {alpha} was given")
        if lr is None:
            lr = 0.5 if parametrization == "vector" else 0.01
        if not 0 <= lr < float("inf") or not 0 <= weight_decay < float("inf"):
            raise ValueError(
                f"lr and weight_decay must be finite and not negative, but {lr} and {weight_decay} were given"
            )
        if inner_steps < 1:
            raise ValueError(f"inner_steps must be at least 1, but {inner_steps} was given")
        weights = class_weights(counts, "effective" if init == "class_balanced" else None, beta=beta)
        if init == "class_balanced" and mass == "raw":
            weights = weights * len(weights) / weights.sum()
        present = weights > 0
        start = weights if mass == "raw" else torch.where(present, weights, 1.0).log()
        self.cost, self.alpha, self.lr, self.weight_decay = cost, float(alpha), float(lr), float(weight_decay)
        self.inner_steps, self.mass, self.natural = int(inner_steps), mass, bool(natural)
        self.transport = SinkhornOT() if transport is None else transport
        self.register_buffer("start", start.to(torch.get_default_dtype()))
        self.net: nn.Sequential | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        if parametrization == "weightnet":
            if feature_dim is None:
                raise ValueError("the weight network needs feature_dim, the width of the features")
            if mass == "raw":
                raise ValueError("mass='raw' is for the vector; the weight network is followed by a softmax")
            layers = nn.Linear(feature_dim, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False)
            self.net = nn.Sequential(*layers)
            self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr, weight_decay=weight_decay)
        else:
            self.register_buffer("v", torch.zeros(num_samples))  # less the start of the row's class

    def fit(
        self, index: Tensor, target: Tensor, features: Tensor, meta_features: Tensor, meta_target: Tensor
    ) -> Tensor:
        """Steps towards cheaper transport, and the weights ``(B,)`` after it, which average 1 (unless raw).

        Args:
            index: Rows of the training set ``(B,)``.
            target: Their classes ``(B,)``.
            features: ``(B, D)``; gradients are not followed.
            meta_features: Those of the balanced set ``(M, D)``: its rows, or :func:`class_means`.
            meta_target: ``(M,)``.
        """
        num_classes = len(self.start)
        labels, meta_labels = (
            one_hot(target, num_classes, features),
            one_hot(meta_target, num_classes, features),
        )
        features = features.detach()
        costs = transport_costs(meta_features.detach(), meta_labels, features, labels, self.cost, self.alpha)
        mu = features.new_full((len(meta_features),), 1 / len(meta_features))
        with torch.enable_grad():
            for _ in range(self.inner_steps):
                if self.net is None:
                    self._step_vector(index, labels, mu, costs)
                else:
                    self._step_net(self.net, features, labels, mu, costs)
        return self(index, target, features)

    @torch.no_grad()
    def forward(self, index: Tensor, target: Tensor, features: Tensor | None = None) -> Tensor:
        """The weights ``(B,)`` as they are; the weight network needs the features ``(B, D)``."""
        labels = one_hot(target, len(self.start), self.start)
        v = self._numbers(index, labels, features)
        return len(v) * (v if self.mass == "raw" else v.softmax(0))

    def _numbers(self, index: Tensor, labels: Tensor, features: Tensor | None) -> Tensor:
        start = labels.to(self.start.dtype) @ self.start
        if self.net is None:
            return start + self.v[index]
        if features is None:
            raise ValueError("the weight network needs the features of the batch")
        own = next(self.net.parameters()).dtype
        return start + self.net(features.to(own)).squeeze(1)

    def _step_vector(self, index: Tensor, labels: Tensor, mu: Tensor, costs: Sequence[Tensor]) -> None:
        v = self._numbers(index, labels, None).detach().requires_grad_()
        nu = v.softmax(0)
        price = torch.stack([self.transport(c, mu, nu.to(c.dtype)) for c in costs]).sum()
        if self.natural:
            (slope,) = torch.autograd.grad(price, nu)
            slope = slope.sub((nu.detach() * slope).sum())
        else:
            (slope,) = torch.autograd.grad(len(v) * price, v)
        # A row that is in the batch twice takes one of its two equal steps.
        step = self.lr * (slope + self.weight_decay * v.detach())
        self.v[index] = self.v[index] - step.to(self.v.dtype)

    def _step_net(
        self, net: nn.Module, features: Tensor, labels: Tensor, mu: Tensor, costs: Sequence[Tensor]
    ) -> None:
        v = self._numbers(mu, labels, features)
        nu = v.softmax(0)
        price = torch.stack([self.transport(c, mu, nu.to(c.dtype)) for c in costs]).sum()
        parameters = list(net.parameters())
        for p, slope in zip(parameters, torch.autograd.grad(len(v) * price, parameters)):
            p.grad = slope
        assert self.optimizer is not None
        self.optimizer.step()


def transport_costs(
    meta_features: Tensor,
    meta_labels: Tensor,
    features: Tensor,
    labels: Tensor,
    cost: str,
    alpha: float = 0.5,
) -> list[Tensor]:
    """Cost matrices ``(M, B)``: one, or for ``"twoloss"`` the two whose transports are added.

    Args:
        meta_features: ``(M, D)``.
        meta_labels: Shares of classes ``(M, C)``.
        features: ``(B, D)``.
        labels: ``(B, C)``.
        cost: See :class:`OTReweighter`.
        alpha: Share of the features in the combined cost.

    >>> features, labels = torch.eye(2), torch.eye(2)
    >>> transport_costs(features, labels, features, labels, "combined", alpha=0.25)
    [tensor([[0., 1.],
            [1., 0.]])]
    """
    by_feature = 1 - F.normalize(meta_features, dim=1) @ F.normalize(features, dim=1).T
    by_label = (meta_labels[:, None] - labels).square().mean(2)
    if cost == "twoloss":
        return [by_feature, by_label]
    share = {"combined": alpha, "feature": 1.0, "label": 0.0}[cost]
    return [share * by_feature + (1 - share) * by_label]


def class_means(features: Tensor, target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Prototypes: the mean feature ``(K, D)`` of each class that occurs, and the classes ``(K,)``.

    >>> class_means(torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([0, 0, 2]), num_classes=3)
    (tensor([[1.],
            [5.]]), tensor([0, 2]))
    """
    counts = class_counts(target, num_classes).to(features)
    sums = features.new_zeros(num_classes, *features.shape[1:]).index_add(0, target, features)
    classes = counts.nonzero().squeeze(1)
    means = sums[classes] / counts[classes].view(-1, *[1] * (features.dim() - 1))
    return means, classes


def one_hot(target: Tensor, num_classes: int, like: Tensor) -> Tensor:
    """Classes ``(B,)`` as shares ``(B, C)``; shares are left as they are."""
    return (target if target.dim() == 2 else F.one_hot(target, num_classes)).to(like)
