"""How well, and how sure: ``(scores, target) -> value``, with an interval on request.

Scores are ``(N,)`` of the positive class or ``(N, C)``, target ``(N,)`` class indices. What is undefined is
NaN, with a reason. Nothing here imports torch.
"""

from metabalance.judge.against_prior import (
    PriorCurve,
    metric_against_prior,
)
from metabalance.judge.agreement import (
    kappa,
    mcc,
)
from metabalance.judge.balance import (
    balanced_accuracy,
    g_mean,
    index_balanced_accuracy,
)
from metabalance.judge.binned import (
    Bounded,
)
from metabalance.judge.calibration import (
    ece,
    ece_classwise,
    ece_kernel,
    ece_per_class,
)
from metabalance.judge.compare import (
    ModelComparison,
    ModelDifference,
    compare_models,
)
from metabalance.judge.cost import (
    NetBenefit,
    expected_cost,
    net_benefit,
    net_benefit_curve,
)
from metabalance.judge.decision import (
    accuracy,
    confusion,
    f_beta,
    f_beta_per_class,
    precision,
    precision_per_class,
    recall,
    recall_per_class,
    specificity,
)
from metabalance.judge.delong import (
    delong_covariance,
)
from metabalance.judge.friedman import (
    Ranking,
    critical_difference,
)
from metabalance.judge.intervals import (
    Interval,
    bootstrap_interval,
    corrected_resampled_interval,
    delong_interval,
    interval_for,
    newcombe_interval,
    wilson_interval,
)
from metabalance.judge.label_noise import (
    LabelErrors,
    annotation_matrix,
    confusion_table,
    expected_under_noise,
    flip_labels,
    label_errors,
    metric_of_table,
    noisy_auc,
    noisy_confusion,
)
from metabalance.judge.labels import (
    Labels,
    encode_labels,
)
from metabalance.judge.metrics import (
    METRICS,
    REGRESSION_METRICS,
    Metric,
    get_metric,
    undefined_reason,
)
from metabalance.judge.mistakes import (
    Mistakes,
    atomic_mistakes,
    auprc_expectation,
    auroc_expectation,
    log_roc_area,
)
from metabalance.judge.noise_correction import (
    corrected_confusion,
    corrected_metric,
)
from metabalance.judge.noisy_choice import (
    lexicographic_best,
    ranking_stability,
)
from metabalance.judge.operating import (
    lift,
    precision_at_k,
    precision_at_recall,
    recall_at_fpr,
    recall_at_k,
    recall_at_precision,
)
from metabalance.judge.paired import (
    Difference,
    delong_difference,
    holm,
    mcnemar,
    paired_bootstrap,
    paired_difference,
)
from metabalance.judge.partial import (
    h_measure,
    partial_auc,
)
from metabalance.judge.power import (
    positives_needed,
    positives_to_tell,
)
from metabalance.judge.probability import (
    BrierParts,
    brier,
    brier_decomposition,
    brier_skill,
    log_loss,
)
from metabalance.judge.ranking import (
    average_precision,
    pr_auc,
    roc_auc,
    roc_auc_ovo,
)
from metabalance.judge.regions import (
    Regions,
    make_regions,
)
from metabalance.judge.regression import (
    balanced_mae,
    geometric_mean_error,
    mae,
    pearson,
    r2,
    rmse,
    shot_errors,
    spearman,
)
from metabalance.judge.shots import (
    shot_recall,
    shots,
    top_k_accuracy,
)
from metabalance.judge.streaming import (
    ConfusionStream,
    ScoreStream,
)
from metabalance.judge.subpopulations import (
    Subpopulation,
    SubpopulationBias,
    subpopulation_bias,
)
from metabalance.judge.swaps import (
    Drift,
    drift_by_chance,
    fix_mistakes,
    scores_at_auroc,
    two_populations,
)
from metabalance.judge.value_intervals import (
    value_differences,
    value_estimates,
)
from metabalance.judge.values import (
    VALUE_METRICS,
    get_value_metric,
    value_metrics,
)
from metabalance.judge.which_metric import (
    Advice,
    which_metric,
)

__all__ = [
    "METRICS",
    "REGRESSION_METRICS",
    "VALUE_METRICS",
    "Advice",
    "Bounded",
    "BrierParts",
    "ConfusionStream",
    "Difference",
    "Drift",
    "Interval",
    "LabelErrors",
    "Labels",
    "Metric",
    "Mistakes",
    "ModelComparison",
    "ModelDifference",
    "NetBenefit",
    "PriorCurve",
    "Ranking",
    "Regions",
    "ScoreStream",
    "Subpopulation",
    "SubpopulationBias",
    "accuracy",
    "annotation_matrix",
    "atomic_mistakes",
    "auprc_expectation",
    "auroc_expectation",
    "average_precision",
    "balanced_accuracy",
    "balanced_mae",
    "bootstrap_interval",
    "brier",
    "brier_decomposition",
    "brier_skill",
    "compare_models",
    "confusion",
    "confusion_table",
    "corrected_confusion",
    "corrected_metric",
    "corrected_resampled_interval",
    "critical_difference",
    "delong_covariance",
    "delong_difference",
    "delong_interval",
    "drift_by_chance",
    "ece",
    "ece_classwise",
    "ece_kernel",
    "ece_per_class",
    "encode_labels",
    "expected_cost",
    "expected_under_noise",
    "f_beta",
    "f_beta_per_class",
    "fix_mistakes",
    "flip_labels",
    "g_mean",
    "geometric_mean_error",
    "get_metric",
    "get_value_metric",
    "h_measure",
    "holm",
    "index_balanced_accuracy",
    "interval_for",
    "kappa",
    "label_errors",
    "lexicographic_best",
    "lift",
    "log_loss",
    "log_roc_area",
    "mae",
    "make_regions",
    "mcc",
    "mcnemar",
    "metric_against_prior",
    "metric_of_table",
    "net_benefit",
    "net_benefit_curve",
    "newcombe_interval",
    "noisy_auc",
    "noisy_confusion",
    "paired_bootstrap",
    "paired_difference",
    "partial_auc",
    "pearson",
    "positives_needed",
    "positives_to_tell",
    "pr_auc",
    "precision",
    "precision_at_k",
    "precision_at_recall",
    "precision_per_class",
    "r2",
    "ranking_stability",
    "recall",
    "recall_at_fpr",
    "recall_at_k",
    "recall_at_precision",
    "recall_per_class",
    "rmse",
    "roc_auc",
    "roc_auc_ovo",
    "scores_at_auroc",
    "shot_errors",
    "shot_recall",
    "shots",
    "spearman",
    "specificity",
    "subpopulation_bias",
    "top_k_accuracy",
    "two_populations",
    "undefined_reason",
    "value_differences",
    "value_estimates",
    "value_metrics",
    "which_metric",
    "wilson_interval",
]
