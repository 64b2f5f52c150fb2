"""What a mistake costs: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe, value_recipe

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
    recipe(
        "arb", "loss",
        "Balances how strongly each class's vector is pulled by its own rows and pushed away by all others.",
        (papers.XIE, papers.REN), "metabalance.loss:ARBLoss", "metabalance.loss:attraction_repulsion",
        notes=("With the counts of the whole training set it is the balanced softmax.",),
    ),
    recipe(
        "ldam", "loss", "Asks for a wider margin the rarer the class, between cosines of a head without bias.",
        (papers.CAO,), "metabalance.loss:LDAMLoss", "metabalance.loss:CosineLinear",
    ),
    recipe(
        "ldam_drw", "loss", "Margins by class size, and in the last part of training weights by class size too.",
        (papers.CAO, papers.CUI), "metabalance.loss:LDAMLoss", "metabalance.optimize:DeferredReweighting",
    ),
    recipe(
        "cdb", "loss", "Weights classes by how often the model still misses them on held-out rows.",
        (papers.SINHA,), "metabalance.loss:CDBLoss",
    ),
    recipe(
        "dice", "loss", "Minimises one minus a soft F1, in which easy negatives do not add up.",
        (papers.LI_DICE, papers.MILLETARI), "metabalance.loss:SelfAdjustingDiceLoss", "metabalance.loss:DiceLoss",
        "metabalance.loss:flatten_tokens",
        notes=("Its scores are not probabilities: choose thresholds on held-out rows.",),
    ),
    Method(
        "tversky", "loss", "A soft F1 loss in which false alarms and misses have prices of their own.",
        (papers.SALEHI, papers.LI_DICE), ("metabalance.loss:TverskyLoss",),
        notes=("Its scores are not probabilities: choose thresholds on held-out rows.",),
    ),
    recipe(
        "class_smoothing", "loss", "Smooths the labels of a class the more, the rarer it is.",
        (papers.SHWARTZ_ZIV,), "metabalance.loss:ClassSmoothingLoss",
    ),
    recipe(
        "label_aware_smoothing", "loss", "Smooths the labels of a class the more, the larger it is.",
        (papers.ZHONG,), "metabalance.loss:LabelAwareSmoothingLoss",
        notes=("The paper has it in a second stage, after mixup; the recipe is the loss alone.",),
    ),
    value_recipe(
        "balanced_mse", "loss",
        "Divides the training distribution of a continuous target out of the squared error's likelihood.",
        (papers.REN_2022,), "metabalance.loss:GAILoss", "metabalance.loss:BMCLoss", "metabalance.loss:BNILoss",
    ),
    value_recipe(
        "focal_r", "loss", "Lets errors of a regression that are already small count for little.",
        (papers.YANG_DIR, papers.LIN), "metabalance.loss:FocalRLoss",
    ),
    value_recipe(
        "quantile", "loss", "Trains a head of quantiles, of which the median is the prediction.", (papers.KOENKER,),
        "metabalance.loss:PinballLoss",
    ),
    value_recipe(
        "gaussian", "loss", "Trains a head of means and variances, so that a wide variance does not excuse a bad mean.",
        (papers.SEITZER,), "metabalance.loss:BetaNLLLoss",
    ),
)
# fmt: on
