"""What a mistake costs: ``nn.Module: (logits (B, C), target (B,)) -> (B,)``, or ``()`` by ``reduction``.

``"none"`` gives one loss per example, ``"sum"`` their sum, ``"mean"`` (the default) their sum divided by the
*number of examples*. torch divides a weighted mean by the summed weights instead, so that in a batch of one
class the weights cancel out. Losses of a continuous target take predictions and targets of one shape, ``(B,)``
or ``(B, T)``; :class:`PinballLoss` takes a column for each quantile, :class:`BetaNLLLoss` two for each target. A loss may
have ``update(**report)``, which the engine calls after validation.
"""

from metabalance.loss.arb import ARBLoss, attraction_repulsion
from metabalance.loss.balanced_mse import BMCLoss, BNILoss, GAILoss, binned_prior, gaussian_prior
from metabalance.loss.balanced_softmax import BalancedSoftmaxLoss
from metabalance.loss.beta_nll import BetaNLLLoss
from metabalance.loss.cdb import CDBLoss
from metabalance.loss.class_balanced import ClassBalancedLoss
from metabalance.loss.dice import DiceLoss, SelfAdjustingDiceLoss, flatten_tokens
from metabalance.loss.focal import FocalLoss
from metabalance.loss.focal_r import FocalRLoss
from metabalance.loss.label_aware_smoothing import LabelAwareSmoothingLoss
from metabalance.loss.label_smoothing import ClassSmoothingLoss
from metabalance.loss.ldam import CosineLinear, LDAMLoss
from metabalance.loss.logit_adjustment import LogitAdjustedLoss
from metabalance.loss.pinball import PinballLoss
from metabalance.loss.tversky import TverskyLoss
from metabalance.loss.weighted import WeightedCrossEntropy

__all__ = [
    "ARBLoss",
    "BMCLoss",
    "BNILoss",
    "BalancedSoftmaxLoss",
    "BetaNLLLoss",
    "CDBLoss",
    "ClassBalancedLoss",
    "ClassSmoothingLoss",
    "CosineLinear",
    "DiceLoss",
    "FocalLoss",
    "FocalRLoss",
    "GAILoss",
    "LDAMLoss",
    "LabelAwareSmoothingLoss",
    "LogitAdjustedLoss",
    "PinballLoss",
    "SelfAdjustingDiceLoss",
    "TverskyLoss",
    "WeightedCrossEntropy",
    "attraction_repulsion",
    "binned_prior",
    "flatten_tokens",
    "gaussian_prior",
]
