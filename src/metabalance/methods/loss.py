"""What a mistake costs: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "class_weight", "loss",
        "Multiplies each row's loss by a weight of its class, by default inverse to the class's size.",
        (papers.KING,), "metabalance.counts:class_weights",
    ),
    recipe(
        "focal", "loss", "Lets rows that are already predicted well count for little.", (papers.LIN,),
        "metabalance.loss:FocalLoss",
    ),
    recipe(
        "class_balanced", "loss",
        "Weights classes by the inverse effective number of samples, which saturates as they grow.", (papers.CUI,),
        "metabalance.loss:ClassBalancedLoss",
    ),
    recipe(
        "logit_adjustment", "loss",
        "Adds the log class prior to the logits in training: rare classes must win by larger margins.",
        (papers.MENON,), "metabalance.loss:LogitAdjustedLoss",
    ),
    recipe(
        "balanced_softmax", "loss",
        "Adds the log class counts to the logits in training: logit adjustment with tau 1.", (papers.REN,),
        "metabalance.loss:BalancedSoftmaxLoss",
    ),
)
# fmt: on
