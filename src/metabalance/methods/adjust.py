"""After training: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "posthoc_logit_adjustment", "adjust",
        "Subtracts a multiple of the log class prior from a trained model's logits.", (papers.MENON,),
        "metabalance.adjust:PosthocLogitAdjustment", "metabalance.adjust:shift_logits",
    ),
    recipe(
        "thresholding", "adjust", "Divides a trained model's class probabilities by the class shares.",
        (papers.BUDA,), "metabalance.adjust:prior_threshold",
    ),
    recipe(
        "tau_norm", "adjust", "Brings the weight vectors of a trained classifier towards one length.",
        (papers.KANG,), "metabalance.adjust:tau_normalize", "metabalance.adjust:choose_tau",
    ),
    recipe(
        "crt", "adjust", "Keeps the trained representation and learns a fresh classifier on balanced batches.",
        (papers.KANG,), "metabalance.adjust:freeze_trunk",
    ),
    recipe(
        "lws", "adjust", "Keeps the trained network and learns one scale per class on balanced batches.",
        (papers.KANG,), "metabalance.adjust:ScaledLinear",
    ),
    Method(
        "nearest_class_mean", "adjust", "Compares a trained network's features with the mean of each class.",
        (papers.KANG,), ("metabalance.adjust:NearestClassMean",),
    ),
    Method(
        "prior_shift", "adjust", "Moves probabilities from the class shares of training to those of use.",
        (papers.SAERENS, papers.ELKAN), ("metabalance.adjust.prior:shift_prior",),
    ),
    Method(
        "calibrator", "adjust",
        "Fits one temperature and one bias per class, so that probabilities agree with frequencies.",
        (papers.ALEXANDARI, papers.GUO), ("metabalance.adjust.calibrate:Calibrator",),
    ),
    Method(
        "threshold", "adjust",
        "Chooses where to cut the probability, for a metric or for the cost of each kind of mistake.",
        (papers.ELKAN, papers.SHENG), ("metabalance.adjust.threshold:choose_threshold",),
    ),
)
# fmt: on
