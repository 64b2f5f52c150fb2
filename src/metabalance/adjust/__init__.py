"""After training: ``fit(scores, target)`` on held-out rows, then ``(scores) -> scores``, at last labels.

The order is: move to the wanted prior, calibrate, decide. Arrays are numpy, ``(N, C)`` or ``(N,)`` of the
positive class. Nothing here imports torch.
"""

from metabalance.adjust.calibrate import Calibrator
from metabalance.adjust.cost import parse_cost, read_cost_matrix
from metabalance.adjust.logit_adjustment import PosthocLogitAdjustment
from metabalance.adjust.prior import sampling_prior, shift_binary, shift_log_prior, shift_prior
from metabalance.adjust.threshold import (
    Decision,
    Threshold,
    choose_class_multipliers,
    choose_decision,
    choose_threshold,
)

__all__ = [
    "Calibrator",
    "Decision",
    "PosthocLogitAdjustment",
    "Threshold",
    "choose_class_multipliers",
    "choose_decision",
    "choose_threshold",
    "parse_cost",
    "read_cost_matrix",
    "sampling_prior",
    "shift_binary",
    "shift_log_prior",
    "shift_prior",
]
