"""What a mistake costs: ``nn.Module: (logits (B, C), target (B,)) -> (B,)``, or ``()`` by ``reduction``.

``"none"`` gives one loss per example, ``"sum"`` their sum, ``"mean"`` (the default) their sum divided by the
*number of examples*. torch divides a weighted mean by the summed weights instead, so that in a batch of one
class the weights cancel out. A loss may have ``update(**report)``, which the engine calls after validation.
"""

from metabalance.loss.balanced_softmax import BalancedSoftmaxLoss
from metabalance.loss.class_balanced import ClassBalancedLoss
from metabalance.loss.focal import FocalLoss
from metabalance.loss.logit_adjustment import LogitAdjustedLoss
from metabalance.loss.weighted import WeightedCrossEntropy

__all__ = [
    "BalancedSoftmaxLoss",
    "ClassBalancedLoss",
    "FocalLoss",
    "LogitAdjustedLoss",
    "WeightedCrossEntropy",
]
