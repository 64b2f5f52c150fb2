"""How well: metrics that equal scikit-learn's where they are defined, and elsewhere are NaN with a reason.

Each is ``(scores, target, sample_weight=None) -> float``. A *score* metric judges probabilities or rankings,
a *decision* metric judges labels; :data:`METRICS` names them all. Scores are ``(N,)`` of the positive class
(index 1) or ``(N, C)``; two columns are read as the second one. Beyond two classes a metric of one class
becomes the unweighted mean over all classes ("macro"). A class without rows makes that mean NaN: the mean
over the remaining classes would be another quantity.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from numpy.typing import ArrayLike

from metabalance.judge.agreement import kappa, mcc
from metabalance.judge.balance import balanced_accuracy, g_mean, index_balanced_accuracy
from metabalance.judge.calibration import ece, ece_classwise, ece_kernel
from metabalance.judge.checks import Undefined
from metabalance.judge.cost import expected_cost, net_benefit
from metabalance.judge.decision import accuracy, f_beta, precision, recall, specificity
from metabalance.judge.operating import (
    lift,
    precision_at_k,
    precision_at_recall,
    recall_at_fpr,
    recall_at_k,
    recall_at_precision,
)
from metabalance.judge.partial import h_measure, partial_auc
from metabalance.judge.probability import brier, brier_skill, log_loss
from metabalance.judge.ranking import average_precision, pr_auc, roc_auc, roc_auc_ovo
from metabalance.judge.regression import balanced_mae, geometric_mean_error, mae, pearson, r2, rmse, spearman
from metabalance.judge.shots import top_k_accuracy

__all__ = ["METRICS", "REGRESSION_METRICS", "Metric", "get_metric", "undefined_reason"]


@dataclass(frozen=True)
class Metric:
    """A metric with its name and what a table or a search needs to know about it.

    Args:
        name: In :data:`METRICS` and on the command line.
        function: ``(scores, target, sample_weight, **options) -> float``.
        kind: ``"score"`` (probabilities or rankings), ``"decision"`` (labels; :func:`confusion` says what
            becomes of probabilities) or ``"regression"``.
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
_NOT_REACHED = "a class has no rows, or no threshold reaches the precision"
_ONE, _NO_POSITIVES = "all rows are of one class", "there are no positives"
_TABLE = (
    Metric("average_precision", average_precision, "score", True, "Average precision", _NO_CLASS),
    Metric(
        "pr_auc_trapezoid", pr_auc, "score", True, "PR AUC, trapezoids", _NO_CLASS, {"interpolation": "trapezoid"}
    ),
    Metric(
        "pr_auc_davis_goadrich", pr_auc, "score", True, "PR AUC, Davis-Goadrich", _NO_CLASS,
        {"interpolation": "davis_goadrich"},
    ),
    Metric("roc_auc", roc_auc, "score", True, "ROC AUC", _NO_CLASS),
    Metric("roc_auc_ovo", roc_auc_ovo, "score", True, "ROC AUC, one versus one", _NO_CLASS),
    Metric("partial_auc", partial_auc, "score", True, "ROC AUC up to a false-alarm rate of 0.1", _NO_CLASS),
    Metric("h_measure", h_measure, "score", True, "H measure", _NO_CLASS),
    Metric("h_measure_beta22", h_measure, "score", True, "H measure, Beta(2, 2)", _NO_CLASS, {"severity": 1.0}),
    Metric("precision_at_k", precision_at_k, "score", True, "Precision at 100", _FEW, {"k": 100}),
    Metric("recall_at_k", recall_at_k, "score", True, "Recall at 100", _FEW, {"k": 100}),
    Metric("lift", lift, "score", True, "Lift at 1 %", _NO_POSITIVES, {"share": 0.01}),
    Metric(
        "recall_at_precision", recall_at_precision, "score", True, "Recall at precision 0.9", _NOT_REACHED,
        {"precision": 0.9},
    ),
    Metric(
        "precision_at_recall", precision_at_recall, "score", True, "Precision at recall 0.8", _NO_CLASS,
        {"recall": 0.8},
    ),
    Metric(
        "recall_at_fpr", recall_at_fpr, "score", True, "Recall at false-alarm rate 0.01", _NO_CLASS, {"fpr": 0.01}
    ),
    Metric("log_loss", log_loss, "score", False, "Log loss", _NO_ROWS),
    Metric("brier", brier, "score", False, "Brier score", _NO_ROWS),
    Metric("brier_skill", brier_skill, "score", True, "Brier skill", _ONE),
    Metric("ece", ece, "score", False, "Calibration error", _NO_ROWS),
    Metric(
        "ece_equal_mass", ece, "score", False, "Calibration error, equal mass", _NO_ROWS, {"equal_mass": True}
    ),
    Metric("ece_kernel", ece_kernel, "score", False, "Calibration error, kernel", _NO_ROWS),
    Metric("ece_classwise", ece_classwise, "score", False, "Calibration error, mean over classes", _NO_CLASS),
    Metric("accuracy", accuracy, "decision", True, "Accuracy", _NO_ROWS),
    Metric("balanced_accuracy", balanced_accuracy, "decision", True, "Balanced accuracy", _NO_CLASS),
    Metric("precision", precision, "decision", True, "Precision", _NOT_CALLED),
    Metric("recall", recall, "decision", True, "Recall", _NO_CLASS),
    Metric("specificity", specificity, "decision", True, "Specificity", "a class has all the rows"),
    Metric("f1", f_beta, "decision", True, "F1", _NO_CLASS, {"beta": 1.0}),
    Metric("f2", f_beta, "decision", True, "F2", _NO_CLASS, {"beta": 2.0}),
    Metric("g_mean", g_mean, "decision", True, "G-mean", _NO_CLASS),
    Metric("iba", index_balanced_accuracy, "decision", True, "Index of balanced accuracy", _NO_CLASS),
    Metric("mcc", mcc, "decision", True, "Matthews correlation", _ONE),
    Metric("kappa", kappa, "decision", True, "Cohen's kappa", _ONE),
)  # fmt: skip
METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}
_TARGETS = (
    Metric("mae", mae, "regression", False, "Mean absolute error", _NO_ROWS),
    Metric("rmse", rmse, "regression", False, "Root mean squared error", _NO_ROWS),
    Metric("gm", geometric_mean_error, "regression", False, "Geometric mean error", _NO_ROWS),
    Metric("bmae", balanced_mae, "regression", False, "Balanced mean absolute error", _NO_ROWS),
    Metric("r2", r2, "regression", True, "R²", "the target is constant"),
    Metric(
        "pearson", pearson, "regression", True, "Pearson correlation", "predictions or targets are constant"
    ),
    Metric(
        "spearman",
        spearman,
        "regression",
        True,
        "Spearman correlation",
        "predictions or targets are constant",
    ),
)
REGRESSION_METRICS: dict[str, Metric] = {metric.name: metric for metric in _TARGETS}
_ALIASES = {"auc": "roc_auc", "auroc": "roc_auc", "ap": "average_precision", "auprc": "average_precision"}
_ALIASES |= {"pr_auc": "average_precision", "gmean": "g_mean", "nll": "log_loss", "roc_auc_ovr": "roc_auc"}
_ALIASES |= {"index_balanced_accuracy": "iba", "cohen_kappa": "kappa", "buda_auc": "roc_auc"}
_AVERAGED = ("precision", "recall", "specificity", "f1", "f2", "roc_auc", "average_precision")

# What stands before and after the @, the keyword that takes the number, and the title that it completes.
_AT: dict[tuple[str, str], tuple[Callable[..., float], str, str, str]] = {
    ("precision", ""): (precision_at_k, "k", "Precision at {}", _FEW),
    ("recall", ""): (recall_at_k, "k", "Recall at {}", _FEW),
    ("lift", ""): (lift, "share", "Lift at {}", _NO_POSITIVES),
    ("top_k", ""): (top_k_accuracy, "k", "Top-{} accuracy", "k is the number of classes, or there are no rows"),
    ("net_benefit", ""): (net_benefit, "threshold", "Net benefit at {}", _NO_ROWS),
    ("recall", "precision>="): (recall_at_precision, "precision", "Recall at precision {}", _NOT_REACHED),
    ("precision", "recall>="): (precision_at_recall, "recall", "Precision at recall {}", _NO_CLASS),
    ("recall", "fpr<="): (recall_at_fpr, "fpr", "Recall at false-alarm rate {}", _NO_CLASS),
    ("partial_auc", "fpr<="): (partial_auc, "max_fpr", "ROC AUC up to a false-alarm rate of {}", _NO_CLASS),
}  # fmt: skip
FORMS = (
    "precision@100", "precision@1%", "recall@1%", "lift@1%", "recall@precision>=0.9", "precision@recall>=0.8",
    "recall@fpr<=0.01", "partial_auc@fpr<=0.1", "net_benefit@0.2", "top_k@5", "f1_weighted",
)  # fmt: skip


def get_metric(name: str, *, cost: ArrayLike | None = None) -> Metric:
    """Looks a metric up by name, or makes one from a name with a number in it.

    ======================================  ==========================================================
    ``precision@100``, ``recall@100``       of the 100 highest scores (an alert budget)
    ``precision@1%``, ``lift@0.01``         of the highest hundredth of the rows
    ``recall@precision>=0.9``               the highest recall there is at such a precision
    ``precision@recall>=0.8``               and the other way round
    ``recall@fpr<=0.001``                   the highest recall at so few false alarms
    ``partial_auc@fpr<=0.1``                McClish's scale
    ``net_benefit@0.2``                     when acting from that probability on
    ``top_k@5``                             the true class is among the five highest
    ``f1_macro``, ``recall_weighted``, ...  averaged over the classes so, with two classes too
    ``expected_cost``                       with ``cost``
    ======================================  ==========================================================

    Args:
        name: One of :data:`METRICS` or :data:`REGRESSION_METRICS`, an everyday name such as ``auc`` or ``ap``, or a
            form above; ``=`` does for ``>=`` and ``<=``.
        cost: The matrix ``(C, C)`` of ``expected_cost``.

    Raises:
        ValueError: An unknown name; the nearest ones are given.

    >>> get_metric("precision@50").title, get_metric("recall@precision=0.9").name
    ('Precision at 50', 'recall@precision>=0.9')
    """
    stem, at, condition = name.strip().lower().partition("@")
    stem = stem.strip().replace("-", "_").replace(" ", "_")
    stem = stem if at else _ALIASES.get(stem, stem)
    if stem == "expected_cost" and not at:
        if cost is None:
            raise ValueError("the metric 'expected_cost' needs a cost matrix; give the costs of the mistakes")
        return Metric(stem, expected_cost, "decision", False, "Expected cost", _NO_ROWS, {"cost": cost})
    found = METRICS.get(stem) or REGRESSION_METRICS.get(stem) if not at else _at(stem, condition)
    found = found or (None if at else _averaged(stem))
    if found is None:
        names = [*METRICS, *REGRESSION_METRICS, "expected_cost", *FORMS]
        near = get_close_matches(stem + at + condition, [*names, *_ALIASES], n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"use one of {', '.join(names)}"
        raise ValueError(f"the metric {name!r} is unknown; {hint}")
    return found


def _at(stem: str, condition: str) -> Metric | None:
    """The metric of ``stem@condition``; None when there is no such form, or the number does not fit it."""
    parts = re.fullmatch(r"(?:(\w+)(<=|>=|=))?([\d.]+(?:e-?\d+)?)(%?)", "".join(condition.split()))
    if parts is None:
        return None
    bound, sign, digits, percent = parts.groups()
    known = [c for s, c in _AT if s == stem and c[:-2] == (bound or "") and sign in (None, "=", c[-2:])]
    try:
        number = float(digits) / (100 if percent else 1)
    except ValueError:
        return None
    if not known or (bound is None) != (known[0] == ""):
        return None
    function, keyword, title, undefined = _AT[stem, known[0]]
    whole = not percent and digits.isdigit()
    if keyword == "k" and not whole:
        keyword = "share" if stem != "top_k" else ""
    if not (number > 0 and keyword and (keyword == "k" or number <= 1)) or (
        keyword == "threshold" and number == 1
    ):
        return None
    shown = f"{digits} %" if percent else f"{int(digits)}" if whole else f"{number:g}"
    value = int(number) if keyword == "k" else number
    key = f"{stem}@{known[0]}{digits}{percent}"
    return Metric(key, function, "score", True, title.format(shown), undefined, {keyword: value})


def _averaged(name: str) -> Metric | None:
    """A metric with the kind of average as its last word; None when it is none."""
    stem, _, average = name.rpartition("_")
    if stem not in _AVERAGED or average not in ("macro", "weighted", "micro"):
        return None
    m = METRICS[stem]
    return Metric(
        name, m.function, m.kind, True, f"{m.title}, {average}", m.undefined, m.options | {"average": average}
    )
