"""After training: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe, value_recipe

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
    Method(
        "vector_scaling", "adjust", "Calibrates by one factor and one bias for each class's log-probability.",
        (papers.GUO,), ("metabalance.adjust:VectorScaling",),
    ),
    Method(
        "isotonic", "adjust", "Calibrates by the rising step curve that fits the frequencies best.",
        (papers.ZADROZNY,), ("metabalance.adjust:IsotonicCalibration",),
    ),
    Method(
        "beta", "adjust", "Calibrates by a curve of three parameters that can bend either way.", (papers.KULL,),
        ("metabalance.adjust:BetaCalibration",),
    ),
    Method(
        "platt", "adjust", "Calibrates by a sigmoid of the log odds.", (papers.PLATT,),
        ("metabalance.adjust:SigmoidCalibration",),
    ),
    Method(
        "label_shift_em", "adjust",
        "Finds the class shares of unlabelled rows by maximum likelihood, from calibrated probabilities.",
        (papers.SAERENS,), ("metabalance.adjust:estimate_prior_em",),
    ),
    Method(
        "bbse", "adjust",
        "Finds the class shares of unlabelled rows from a confusion table on labelled ones, with no calibration needed.",
        (papers.LIPTON,), ("metabalance.adjust:estimate_prior_bbse",),
    ),
    Method(
        "constrained_threshold", "adjust",
        "The best threshold that keeps a wanted precision, false-alarm rate or number of alerts, with a confidence.",
        (papers.ANGELOPOULOS,), ("metabalance.adjust.constrained:choose_constrained",),
    ),
    Method(
        "row_costs", "adjust", "Decides each row by its own costs, such as the amount at stake.",
        (papers.BAHNSEN, papers.ELKAN), ("metabalance.adjust.row_cost:decide_by_row_cost",),
    ),
    Method(
        "conformal_sets", "adjust",
        "Sets of classes that hold the true one at a promised rate, for each class or cluster of classes.",
        (papers.DING, papers.VOVK, papers.SADINLE, papers.ROMANO), ("metabalance.adjust.conformal:ConformalSets",),
    ),
    Method(
        "abstention", "adjust",
        "Hands uncertain rows to a person, and keeps the rare class from being the one that is always handed over.",
        (papers.CHOW, papers.JONES), ("metabalance.adjust.abstain:decide_or_abstain",),
    ),
    value_recipe(
        "regressor_retraining", "adjust",
        "Fits a regression's last layer anew, with rare target values weighing more and all else frozen.",
        (papers.YANG_DIR, papers.KANG), "metabalance.adjust:refit_regressor",
        notes=("The authors re-train by gradient steps on an absolute error; this is the squared error's optimum.",),
    ),
    Method(
        "conformal_intervals", "adjust",
        "Intervals that hold a continuous target at a promised rate, from predictions or predicted quantiles.",
        (papers.ROMANO_2019, papers.PAPADOPOULOS, papers.VOVK), ("metabalance.adjust:ConformalIntervals",),
    ),
)
# fmt: on
