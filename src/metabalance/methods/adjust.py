"""After training: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    Method(
        "posthoc_logit_adjustment", "adjust",
        "Subtracts a multiple of the log class prior from a trained model's logits.", (papers.MENON,),
        ("metabalance.adjust:PosthocLogitAdjustment",),
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
