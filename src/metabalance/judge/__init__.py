"""How well, and how sure: ``(scores, target) -> value``, with an interval on request.

Scores are ``(N,)`` of the positive class or ``(N, C)``, target ``(N,)`` class indices. What is undefined is
NaN, with a reason. Nothing here imports torch.
"""

from metabalance.judge.compare import ModelComparison, ModelDifference, compare_models
from metabalance.judge.delong import delong_covariance
from metabalance.judge.friedman import Ranking, critical_difference
from metabalance.judge.intervals import (
    Interval,
    bootstrap_interval,
    corrected_resampled_interval,
    delong_interval,
    interval_for,
    newcombe_interval,
    wilson_interval,
)
from metabalance.judge.metrics import (
    METRICS,
    Metric,
    accuracy,
    average_precision,
    balanced_accuracy,
    brier,
    confusion,
    ece,
    expected_cost,
    f_beta,
    g_mean,
    get_metric,
    log_loss,
    mcc,
    precision,
    precision_at_k,
    recall,
    recall_per_class,
    roc_auc,
    roc_auc_ovo,
    specificity,
    undefined_reason,
)
from metabalance.judge.paired import (
    Difference,
    delong_difference,
    holm,
    mcnemar,
    paired_bootstrap,
    paired_difference,
)
from metabalance.judge.power import positives_needed, positives_to_tell

__all__ = [
    "METRICS",
    "Difference",
    "Interval",
    "Metric",
    "ModelComparison",
    "ModelDifference",
    "Ranking",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "bootstrap_interval",
    "brier",
    "compare_models",
    "confusion",
    "corrected_resampled_interval",
    "critical_difference",
    "delong_covariance",
    "delong_difference",
    "delong_interval",
    "ece",
    "expected_cost",
    "f_beta",
    "g_mean",
    "get_metric",
    "holm",
    "interval_for",
    "log_loss",
    "mcc",
    "mcnemar",
    "newcombe_interval",
    "paired_bootstrap",
    "paired_difference",
    "positives_needed",
    "positives_to_tell",
    "precision",
    "precision_at_k",
    "recall",
    "recall_per_class",
    "roc_auc",
    "roc_auc_ovo",
    "specificity",
    "undefined_reason",
    "wilson_interval",
]
