"""Recipes whose idea is what a mistake costs."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.counts import class_counts, class_priors, class_weights
from metabalance.heads import last_linear, replace_head
from metabalance.loss import (
    ARBLoss,
    BalancedSoftmaxLoss,
    CDBLoss,
    ClassBalancedLoss,
    ClassSmoothingLoss,
    CosineLinear,
    FocalLoss,
    LabelAwareSmoothingLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    SelfAdjustingDiceLoss,
    WeightedCrossEntropy,
)
from metabalance.optimize import DeferredReweighting
from metabalance.recipes.base import Plan, class_factor, prior_after, single_phase
from metabalance.streams import Task

__all__ = [
    "arb",
    "balanced_softmax",
    "cdb",
    "class_balanced",
    "class_smoothing",
    "class_weight",
    "dice",
    "focal",
    "label_aware_smoothing",
    "ldam",
    "ldam_drw",
    "logit_adjustment",
]


def class_weight(task: Task, weight: Any = "balanced", beta: float = 0.9999) -> Plan:
    """Cross-entropy with class weights: ``balanced``, ``sqrt``, ``effective`` or one number per class."""
    weights = class_weights(task.counts, weight, beta=beta)
    loss = WeightedCrossEntropy(weights, reduction="none")
    return single_phase(task, "natural", loss, prior_after(task, weights))


def focal(task: Task, gamma: float = 2.0) -> Plan:
    """Focal loss: easy examples count less (Lin et al. 2017)."""
    return single_phase(task, "natural", FocalLoss(gamma=gamma, reduction="none"))


def class_balanced(task: Task, beta: float = 0.9999, gamma: float = 0.0) -> Plan:
    """Class-balanced loss: weights by the effective number of samples (Cui et al. 2019)."""
    loss = ClassBalancedLoss(task.counts, beta=beta, gamma=gamma, reduction="none")
    weights = class_weights(task.counts, "effective", beta=beta)
    return single_phase(task, "natural", loss, prior_after(task, weights))


def logit_adjustment(task: Task, tau: float = 1.0) -> Plan:
    """Logit-adjusted loss: the log prior is added to the logits in training (Menon et al. 2021)."""
    left = torch.where(task.prior > 0, task.prior.clamp_min(1e-300) ** (1 - tau), 0.0)
    loss = LogitAdjustedLoss(task.counts, tau=tau, reduction="none")
    return single_phase(task, "natural", loss, class_priors(left * class_factor(task)))


def balanced_softmax(task: Task) -> Plan:
    """Balanced softmax: the same function as logit adjustment with tau 1 (Ren et al. 2020)."""
    loss = BalancedSoftmaxLoss(task.counts, reduction="none")
    return single_phase(task, "natural", loss, class_priors((task.prior > 0).double() * class_factor(task)))


def ldam(task: Task, max_margin: float = 0.5, scale: float = 30.0) -> Plan:
    """LDAM: wider margins for rarer classes, between cosines of a head without bias (Cao et al. 2019).

    The head multiplies its cosines by ``scale`` and the loss its margins, which is the paper's loss of bare
    cosines; the network's outputs are then logits, for a validation loss and for probabilities.
    """
    # A margin is no shift of the prior: the natural one is the nearest, and exact without margins.
    loss = LDAMLoss(task.counts, max_margin=max_margin * scale, scale=1.0, reduction="none")
    return single_phase(task, "natural", loss, prepare=partial(cosine_head, scale=scale))


def ldam_drw(
    task: Task, max_margin: float = 0.5, scale: float = 30.0, start: float = 0.8, beta: float = 0.9999
) -> Plan:
    """LDAM with class weights in the last part of training, from 160 of 200 epochs (Cao et al. 2019)."""
    if not 0 <= start < 1:
        raise ValueError(f"start must be at least 0 and below 1, a part of training, but {start} was given")
    margins = LDAMLoss(task.counts, max_margin=max_margin * scale, scale=1.0, reduction="none")
    loss = DeferredReweighting(margins, task.counts, int(start * task.epochs), beta, reduction="none")
    prior = prior_after(task, class_weights(task.counts, "effective", beta=beta))
    prepare = partial(cosine_head, scale=scale)
    return single_phase(task, "natural", loss, prior, prepare=prepare, parts=(loss,), select_from=start)


def cosine_head(model: nn.Module, scale: float = 1.0) -> None:
    """Puts a fresh :class:`~metabalance.loss.CosineLinear` in the place of the network's last ``nn.Linear``."""
    old = last_linear(model)
    place = {"device": old.weight.device, "dtype": old.weight.dtype}
    replace_head(model, CosineLinear(old.in_features, old.out_features, scale, **place))


def arb(task: Task, counts: str = "batch") -> Plan:
    """ARB-Loss: balanced softmax with the counts of each ``batch``, or ``global`` ones (Xie et al. 2023)."""
    if counts not in ("batch", "global"):
        raise ValueError(f"counts={counts!r} is unknown; use 'batch' or 'global'")
    loss = ARBLoss(None if counts == "batch" else task.counts, reduction="none")
    # The counts of a batch are of rows, so the weights of the rows stay in the prior.
    rows = (
        class_counts(task.target, task.num_classes)
        if counts == "batch" and task.rows is None
        else task.counts
    )
    left = torch.where(rows > 0, task.counts / rows.clamp_min(1e-300), 0.0)
    return single_phase(task, "natural", loss, class_priors(left * class_factor(task)))


def cdb(task: Task, tau: float | str = "dynamic", gamma: float = 0.0) -> Plan:
    """CDB loss: classes weigh by how much the model fails on them in validation (Sinha et al. 2020)."""
    loss = CDBLoss(task.num_classes, tau=tau, gamma=gamma, reduction="none")
    # The natural prior holds for the first weights, all 1; where they go is known only after training, and
    # left to the calibration on held-out rows.
    return single_phase(task, "natural", loss, parts=(loss,))


def dice(task: Task, alpha: float = 0.01, square: bool = True, smooth: float = 1.0) -> Plan:
    """Self-adjusting dice loss, over all classes (Li et al. 2020); its scores are not probabilities."""
    loss = SelfAdjustingDiceLoss(alpha=alpha, square=square, smooth=smooth, reduction="none")
    return single_phase(task, "natural", loss)  # not a proper scoring rule: no prior is exact


def class_smoothing(task: Task, head: float = 0.0, tail: float = 0.2, spread: str = "uniform") -> Plan:
    """Class-conditional label smoothing: softer labels for rarer classes (Shwartz-Ziv et al. 2023)."""
    loss = ClassSmoothingLoss(task.counts, head, tail, spread, reduction="none")
    return single_phase(task, "natural", loss, smoothed_prior(task, loss.epsilon, loss.received))


def label_aware_smoothing(
    task: Task, head: float = 0.3, tail: float = 0.0, shape: str = "concave", power: float = 1.0
) -> Plan:
    """Label-aware smoothing, the loss of MiSLAS: softer labels for larger classes (Zhong et al. 2021)."""
    loss = LabelAwareSmoothingLoss(task.counts, head, tail, shape, power, reduction="none")
    return single_phase(
        task, "natural", loss, smoothed_prior(task, loss.epsilon, torch.ones(task.num_classes))
    )


def smoothed_prior(task: Task, epsilon: Tensor, received: Tensor) -> Tensor:
    """The prior ``(C,)`` of labels that give away ``epsilon``: exact on average, not row by row."""
    hard = class_priors(task.prior * class_factor(task))
    given = epsilon.double()
    return hard * (1 - given) + (hard * given).sum() * class_priors(received)
