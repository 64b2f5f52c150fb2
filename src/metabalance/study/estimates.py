"""Every figure of a scored set with its interval, each by the method that suits it and stays quick on long tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metabalance.judge.intervals import (
    Interval,
    bootstrap_interval,
    interval_for,
    wilson_interval,
)
from metabalance.judge.metrics import get_metric
from metabalance.study.points import operating_points

__all__ = ["class_estimates", "estimates", "group_estimates"]

LEVEL = 0.95
RESAMPLES = 1_000
FEW_RESAMPLES = 100
LIGHT = 10_000  # numbers (rows by classes) up to which a thousand resamples of all rows are quick
HEAVY = 100_000  # beyond, resampling all rows takes too long for a page
LONG = 50_000  # rows from which average precision is resampled by operating points
MANY = 10  # classes
MOST_GROUPS = 30

NAN = float("nan")


def estimates(
    scores: np.ndarray,
    target: np.ndarray,
    decided: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    *,
    num_classes: int,
    positive: int = 1,
    probabilities: bool = True,
    cost: Any = None,
    level: float = LEVEL,
) -> list[dict[str, Any]]:
    """The metrics of a scored set with intervals, ranking first, then probabilities, then decisions.

    Args:
        scores: ``(N,)`` of the positive class of two, otherwise ``(N, C)``.
        target: Class indices ``(N,)``.
        decided: Class indices ``(N,)``, or None.
        weight: ``(N,)`` or None.
        num_classes: C.
        positive: Index of the positive class of two.
        probabilities: Whether the scores are; Brier score and log loss need them.
        cost: Cost matrix ``(C, C)`` or None.
        level: Nominal coverage.

    Returns:
        Dictionaries of ``name``, ``title``, ``greater_is_better``, ``value``, ``low``, ``high``, ``method``, ``reason``.
    """
    truth = (target == positive).astype(np.int64) if num_classes == 2 else target
    found: list[tuple[str, Interval]] = []
    for name in ("roc_auc", "average_precision"):
        found.append((name, _ranking(name, scores, truth, weight, level)))
    if probabilities:
        for name, losses in (("brier", _squares), ("log_loss", _logs)):
            found.append((name, _mean(name, losses(scores, truth), scores, truth, weight, level)))
        found.append(
            (
                "ece",
                _alone(
                    get_metric("ece")(scores, truth, weight),
                    "its bins' noise only adds to it: no fair interval",
                ),
            )
        )
    if decided is not None:
        labels = (decided == positive).astype(np.int64) if num_classes == 2 else decided
        names = ["precision", "recall", "specificity"] if num_classes == 2 else []
        names += ["f1", "balanced_accuracy", "g_mean", "mcc"]
        found += [(name, _decision(name, labels, truth, weight, num_classes, level)) for name in names]
        if cost is not None:
            price = np.asarray(cost, dtype=np.float64)[target, decided]
            found.append(("expected_cost", _stratified_mean(price, target, weight, level)))
    described = []
    for name, interval in found:
        metric = get_metric(name, cost=cost)
        described.append(
            {"name": name, "title": metric.title, "greater_is_better": metric.greater_is_better}
            | _plain(interval)
        )
    return described


def class_estimates(
    scores: np.ndarray, target: np.ndarray, decided: np.ndarray | None, num_classes: int, positive: int = 1
) -> list[dict[str, Any]]:
    """For each class its rows, ROC AUC against the rest, recall and precision, with intervals."""
    quick = len(target) * num_classes <= 5_000_000
    rows = []
    for c in range(num_classes):
        own = target == c
        row: dict[str, Any] = {"class": c, "rows": int(own.sum())}
        if num_classes > 2 and quick and 0 < row["rows"] < len(target):
            row["roc_auc"] = _plain(interval_for("roc_auc", scores[:, c], own.astype(np.int64)))
        if decided is not None:
            row |= _shares(own, decided == c)
        rows.append(row)
    return rows


def group_estimates(
    groups: np.ndarray, scores: np.ndarray, target: np.ndarray, decided: np.ndarray | None, num_classes: int,
    positive: int = 1, probabilities: bool = True,
) -> tuple[list[dict[str, Any]], int]:  # fmt: skip
    """The same figures group by group, the largest groups first, and how many groups are left out.

    With two classes: positives, ROC AUC, recall, precision, mean probability against the observed share. Beyond:
    the share of right decisions.
    """
    labels, index, counts = np.unique(groups.astype(str), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_GROUPS]
    rows = []
    for g in order.tolist():
        mine = np.flatnonzero(index == g)
        row: dict[str, Any] = {"group": str(labels[g]), "rows": len(mine)}
        if num_classes == 2:
            truth = target[mine] == positive
            row["positives"] = int(truth.sum())
            row["share"] = _plain(wilson_interval(row["positives"], len(mine)))
            row["roc_auc"] = _plain(interval_for("roc_auc", scores[mine], truth.astype(np.int64)))
            if probabilities:
                row["predicted"] = float(scores[mine].mean())
            if decided is not None:
                row |= _shares(truth, decided[mine] == positive)
                row["called"] = float(np.mean(decided[mine] == positive))
        elif decided is not None:
            right = int((decided[mine] == target[mine]).sum())
            row["accuracy"] = _plain(wilson_interval(right, len(mine)))
        rows.append(row)
    return rows, len(labels) - len(order)


def _shares(own: np.ndarray, called: np.ndarray) -> dict[str, Any]:
    both = int((own & called).sum())
    return {
        "found": both,
        "alerts": int(called.sum()),
        "recall": _plain(wilson_interval(both, int(own.sum()))),
        "precision": _plain(wilson_interval(both, int(called.sum()))),
    }


def _ranking(
    name: str, scores: np.ndarray, truth: np.ndarray, weight: np.ndarray | None, level: float
) -> Interval:
    if name == "roc_auc" and scores.ndim == 1 and weight is None:
        return interval_for("roc_auc", scores, truth, level=level)
    if scores.ndim == 1 and weight is None and len(scores) > LONG:
        return _by_points(scores, truth, level)
    # Of two classes without weights counts are resampled, of any number of rows; otherwise the rows are.
    return _resampled(name, scores, truth, weight, level, rows=scores.ndim == 2 or weight is not None)


def _by_points(scores: np.ndarray, truth: np.ndarray, level: float) -> Interval:
    """Average precision of a long table: rows between operating points are resampled together, point by point."""
    value = get_metric("average_precision")(scores, truth)
    points = operating_points(scores, truth)
    true, false = np.diff(points.true[::-1]), np.diff(points.false[::-1])
    p, n = round(float(true.sum())), round(float(false.sum()))
    if p < 2 or n < 2:
        return _alone(value, "it takes two rows of both classes")
    rng = np.random.default_rng(0)
    # The last draw stands for what was seen: where points were left out, all areas are off by the same little.
    steps = np.vstack([rng.multinomial(p, true / p, RESAMPLES), true])
    others = np.vstack([rng.multinomial(n, false / n, RESAMPLES), false])
    found = np.cumsum(steps, axis=1)
    areas = (steps * found / np.maximum(found + np.cumsum(others, axis=1), 1)).sum(axis=1) / p
    low, high = np.quantile(areas[:-1] + value - areas[-1], [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level, "percentile")


def _decision(
    name: str, labels: np.ndarray, truth: np.ndarray, weight: np.ndarray | None, size: int, level: float
) -> Interval:
    if size == 2 and weight is None and name in ("precision", "recall", "specificity"):
        table = np.bincount(truth * 2 + labels, minlength=4).tolist()
        tn, fp, fn, tp = table
        part, whole = {"precision": (tp, tp + fp), "recall": (tp, tp + fn), "specificity": (tn, tn + fp)}[
            name
        ]
        # Without positives precision could only be 0: it says nothing of the model.
        if name != "precision" or tp + fn:
            return wilson_interval(part, whole, level)
    return _resampled(name, labels, truth, weight, level, rows=weight is not None)


def _resampled(
    name: str, given: np.ndarray, truth: np.ndarray, weight: np.ndarray | None, level: float, *, rows: bool
) -> Interval:
    """Stratified percentile bootstrap, as often as the number of values to be drawn allows."""
    if rows and given.size > HEAVY:
        value = get_metric(name)(given, truth, weight)
        return _alone(value, f"{given.size:,} values are too many to resample for a page")
    few = (rows and given.size > LIGHT) or truth.max(initial=0) >= MANY
    often = FEW_RESAMPLES if few else RESAMPLES
    return bootstrap_interval(name, given, truth, weight, n_boot=often, level=level, method="percentile")


def _mean(
    name: str,
    losses: np.ndarray,
    scores: np.ndarray,
    truth: np.ndarray,
    weight: np.ndarray | None,
    level: float,
) -> Interval:
    found = _stratified_mean(losses, truth, weight, level)
    # The metric's own value: it agrees to rounding.
    return Interval(
        get_metric(name)(scores, truth, weight), found.low, found.high, level, found.method, found.reason
    )


def _stratified_mean(
    values: np.ndarray, truth: np.ndarray, weight: np.ndarray | None, level: float
) -> Interval:
    """Normal interval of a mean over rows with known class counts."""
    from scipy.special import ndtri

    w = np.ones(len(values)) if weight is None else weight
    mean, variance = float(np.average(values, weights=w)), 0.0
    for c in np.unique(truth):
        mine, own = values[truth == c], w[truth == c]
        if len(mine) < 2:
            return _alone(mean, "a class has a single row")
        centre = np.average(mine, weights=own) if own.sum() else 0.0
        variance += float((own**2 * (mine - centre) ** 2).sum()) / w.sum() ** 2
    half = float(ndtri((1 + level) / 2)) * variance**0.5
    return Interval(mean, max(mean - half, 0.0), mean + half, level, "normal, within classes")


def _squares(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if scores.ndim == 1:
        return (scores - truth) ** 2
    return (scores**2).sum(1) - 2 * scores[np.arange(len(truth)), truth] + 1


def _logs(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    own = (
        np.where(truth == 1, scores, 1 - scores) if scores.ndim == 1 else scores[np.arange(len(truth)), truth]
    )
    return -np.log(np.clip(own, np.finfo(float).eps, 1))


def _alone(value: float, reason: str) -> Interval:
    return Interval(float(value), NAN, NAN, LEVEL, "", reason)


def _plain(interval: Interval) -> dict[str, Any]:
    names: Sequence[str] = ("value", "low", "high", "method", "reason")
    return {name: getattr(interval, name) for name in names}
