"""How well: metrics that equal scikit-learn's where they are defined, and elsewhere are NaN with a reason.

Each is ``(scores, target, sample_weight=None) -> float``. A *score* metric judges probabilities or rankings,
a *decision* metric judges labels; :data:`METRICS` names them all. Scores are ``(N,)`` of the positive class
(index 1) or ``(N, C)``; two columns are read as the second one. Beyond two classes a metric of one class
becomes the unweighted mean over all classes ("macro"). A class without rows makes that mean NaN: the mean
over the remaining classes would be another quantity.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from numpy.typing import ArrayLike

from metabalance.judge.checks import Undefined
from metabalance.judge.decision import (
    accuracy,
    balanced_accuracy,
    confusion,
    expected_cost,
    f_beta,
    g_mean,
    mcc,
    precision,
    recall,
    recall_per_class,
    specificity,
)
from metabalance.judge.probability import brier, ece, log_loss
from metabalance.judge.ranking import average_precision, precision_at_k, roc_auc, roc_auc_ovo

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "confusion",
    "ece",
    "expected_cost",
    "f_beta",
    "g_mean",
    "get_metric",
    "log_loss",
    "mcc",
    "precision",
    "precision_at_k",
    "recall",
    "recall_per_class",
    "roc_auc",
    "roc_auc_ovo",
    "specificity",
    "undefined_reason",
]


@dataclass(frozen=True)
class Metric:
    """A metric with its name and what a table or a search needs to know about it.

    Args:
        name: In :data:`METRICS` and on the command line.
        function: ``(scores, target, sample_weight, **options) -> float``.
        kind: ``"score"`` (probabilities or rankings) or ``"decision"`` (labels; :func:`confusion` says what
            becomes of probabilities).
        greater_is_better: Which way is up.
        title: For people.
        undefined: When the value is NaN.
        options: Keywords always given to ``function``.
    """

    name: str
    function: Callable[..., float]
    kind: str
    greater_is_better: bool
    title: str
    undefined: str
    options: dict[str, Any] = field(default_factory=dict, compare=False)

    def __call__(
        self, scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
    ) -> float:
        """The value, or NaN; see :func:`undefined_reason`."""
        return self.function(scores, target, sample_weight, **self.options, **options)


def undefined_reason(
    metric: str | Metric,
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    **options: Any,
) -> str | None:
    """Why a metric is NaN on these data, in words; None when it has a value.

    >>> undefined_reason("roc_auc", [0.2, 0.7], [0, 0])
    'the positive class has no rows'
    """
    m = get_metric(metric) if isinstance(metric, str) else metric
    try:
        getattr(m.function, "__wrapped__", m.function)(scores, target, sample_weight, **m.options, **options)
    except Undefined as reason:
        return str(reason)
    return None


_NO_ROWS, _NO_CLASS, _FEW = "there are no rows", "a class has no rows", "fewer than k rows, or no positives"
_NOT_CALLED = "a class has no rows or is never predicted"
_TABLE = (
    Metric("average_precision", average_precision, "score", True, "Average precision", _NO_CLASS),
    Metric("roc_auc", roc_auc, "score", True, "ROC AUC", _NO_CLASS),
    Metric("roc_auc_ovo", roc_auc_ovo, "score", True, "ROC AUC, one versus one", _NO_CLASS),
    Metric("precision_at_k", precision_at_k, "score", True, "Precision at 100", _FEW, {"k": 100}),
    Metric("log_loss", log_loss, "score", False, "Log loss", _NO_ROWS),
    Metric("brier", brier, "score", False, "Brier score", _NO_ROWS),
    Metric("ece", ece, "score", False, "Calibration error", _NO_ROWS),
    Metric(
        "ece_equal_mass", ece, "score", False, "Calibration error, equal mass", _NO_ROWS, {"equal_mass": True}
    ),
    Metric("accuracy", accuracy, "decision", True, "Accuracy", _NO_ROWS),
    Metric("balanced_accuracy", balanced_accuracy, "decision", True, "Balanced accuracy", _NO_CLASS),
    Metric("precision", precision, "decision", True, "Precision", _NOT_CALLED),
    Metric("recall", recall, "decision", True, "Recall", _NO_CLASS),
    Metric("specificity", specificity, "decision", True, "Specificity", "a class has all the rows"),
    Metric("f1", f_beta, "decision", True, "F1", _NO_CLASS, {"beta": 1.0}),
    Metric("f2", f_beta, "decision", True, "F2", _NO_CLASS, {"beta": 2.0}),
    Metric("g_mean", g_mean, "decision", True, "G-mean", _NO_CLASS),
    Metric("mcc", mcc, "decision", True, "Matthews correlation", "all rows are of one class"),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}
_ALIASES = {"auc": "roc_auc", "auroc": "roc_auc", "ap": "average_precision", "auprc": "average_precision"}
_ALIASES |= {"pr_auc": "average_precision", "gmean": "g_mean", "nll": "log_loss", "f1_macro": "f1"}


def get_metric(name: str, *, cost: ArrayLike | None = None) -> Metric:
    """Looks a metric up by name; also ``precision@K`` for a number K, and ``expected_cost`` with a matrix.

    Args:
        name: One of :data:`METRICS`, or an everyday name such as ``auc`` or ``ap``.
        cost: The matrix ``(C, C)`` of ``expected_cost``.

    Raises:
        ValueError: An unknown name; the nearest ones are given.

    >>> get_metric("precision@50").title
    'Precision at 50'
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    key = _ALIASES.get(key, key)
    if key == "expected_cost":
        if cost is None:
            raise ValueError("the metric 'expected_cost' needs a cost matrix; give the costs of the mistakes")
        return Metric(key, expected_cost, "decision", False, "Expected cost", _NO_ROWS, {"cost": cost})
    stem, at, count = key.partition("@")
    if stem == "precision" and at and count.isdigit() and int(count) > 0:
        k = int(count)
        return Metric(key, precision_at_k, "score", True, f"Precision at {k}", _FEW, {"k": k})
    if key not in METRICS:
        names = [*METRICS, "expected_cost", "precision@100"]
        near = get_close_matches(key, [*names, *_ALIASES], n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"use one of {', '.join(names)}"
        raise ValueError(f"the metric {name!r} is unknown; {hint}")
    return METRICS[key]
