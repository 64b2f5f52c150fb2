"""Recipes whose idea is what a mistake costs."""

from typing import Any

import torch

from metabalance.counts import class_priors, class_weights
from metabalance.loss import (
    BalancedSoftmaxLoss,
    ClassBalancedLoss,
    FocalLoss,
    LogitAdjustedLoss,
    WeightedCrossEntropy,
)
from metabalance.recipes.base import Plan, class_factor, prior_after, single_phase
from metabalance.streams import Task

__all__ = ["balanced_softmax", "class_balanced", "class_weight", "focal", "logit_adjustment"]


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
