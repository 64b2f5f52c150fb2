"""After training: ``fit(scores, target)`` on held-out rows, then ``(scores) -> scores``, at last labels.

The order is: move to the wanted prior, calibrate, decide. Arrays are numpy, ``(N, C)`` or ``(N,)`` of the
positive class. What changes a network, ``(model) -> model``, is loaded at its first use: nothing else here imports
torch.
"""

from typing import Any

from metabalance.adjust.abstain import (
    ABSTAINED,
    SelectiveRule,
    choose_selection,
    decide_or_abstain,
    risk_coverage,
)
from metabalance.adjust.base import Calibration
from metabalance.adjust.beta import BetaCalibration
from metabalance.adjust.calibrate import Calibrator
from metabalance.adjust.calibrations import CALIBRATIONS, get_calibration, read_calibration
from metabalance.adjust.choose import choose_decision
from metabalance.adjust.conformal import ConformalSets, class_coverage, conformal_quantile
from metabalance.adjust.conformal_regression import ConformalIntervals, interval_coverage
from metabalance.adjust.conformal_target import intervals_by_target
from metabalance.adjust.constrained import ConstrainedThreshold, choose_constrained
from metabalance.adjust.cost import parse_cost, read_cost_matrix
from metabalance.adjust.decision import Decision
from metabalance.adjust.isotonic import IsotonicCalibration
from metabalance.adjust.label_shift import PriorEstimate, estimate_prior_bbse, estimate_prior_em
from metabalance.adjust.logit_adjustment import PosthocLogitAdjustment
from metabalance.adjust.multipliers import choose_class_multipliers
from metabalance.adjust.objective import Objective, parse_objective
from metabalance.adjust.prior import sampling_prior, shift_binary, shift_log_prior, shift_prior
from metabalance.adjust.prior_threshold import prior_threshold
from metabalance.adjust.row_cost import decide_by_row_cost, parse_cost_columns, row_costs
from metabalance.adjust.sigmoid import SigmoidCalibration
from metabalance.adjust.threshold import Threshold, choose_threshold
from metabalance.adjust.variability import ThresholdVariability, threshold_variability
from metabalance.adjust.vector import VectorScaling

__all__ = [
    "ABSTAINED",
    "CALIBRATIONS",
    "BetaCalibration",
    "Calibration",
    "Calibrator",
    "ConformalIntervals",
    "ConformalSets",
    "ConstrainedThreshold",
    "Decision",
    "IsotonicCalibration",
    "NearestClassMean",
    "Objective",
    "PosthocLogitAdjustment",
    "PriorEstimate",
    "ScaledLinear",
    "SelectiveRule",
    "ShiftedLogits",
    "SigmoidCalibration",
    "Threshold",
    "ThresholdVariability",
    "VectorScaling",
    "choose_class_multipliers",
    "choose_constrained",
    "choose_decision",
    "choose_selection",
    "choose_tau",
    "choose_threshold",
    "class_coverage",
    "conformal_quantile",
    "decide_by_row_cost",
    "decide_or_abstain",
    "estimate_prior_bbse",
    "estimate_prior_em",
    "freeze_trunk",
    "get_calibration",
    "interval_coverage",
    "intervals_by_target",
    "parse_cost",
    "parse_cost_columns",
    "parse_objective",
    "prior_threshold",
    "read_calibration",
    "read_cost_matrix",
    "refit_regressor",
    "risk_coverage",
    "row_costs",
    "sampling_prior",
    "shift_binary",
    "shift_log_prior",
    "shift_logits",
    "shift_prior",
    "tau_normalize",
    "threshold_variability",
]

_IN_TORCH = {
    "NearestClassMean": "ncm",
    "ScaledLinear": "lws",
    "ShiftedLogits": "in_network",
    "choose_tau": "tau_norm",
    "freeze_trunk": "crt",
    "refit_regressor": "regressor",
    "shift_logits": "in_network",
    "tau_normalize": "tau_norm",
}


def __getattr__(name: str) -> Any:
    if name not in _IN_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_IN_TORCH[name]}"), name)
