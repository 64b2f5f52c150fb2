"""A target of classes, as a comparison asks it; see :mod:`metabalance.study.kinds`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabalance.adjust.decision import Decision
from metabalance.data.errors import DataError
from metabalance.judge.metrics import REGRESSION_METRICS, get_metric
from metabalance.study.candidates import DEFAULT_RECIPES
from metabalance.study.evidence import evidence
from metabalance.study.kinds import Measure
from metabalance.study.points import OperatingPoints

__all__ = ["KIND", "fit_metrics"]

SCORES = ("roc_auc", "average_precision", "brier", "log_loss")
DECISIONS = ("f1", "balanced_accuracy")
UNBOUNDED = ("log_loss", "expected_cost", "brier")


class Classes:
    """See :class:`~metabalance.study.kinds.Kind`."""

    name = "classes"
    baseline = "plain baseline with a tuned threshold"
    recipes = DEFAULT_RECIPES
    metric = "average_precision"

    def known_metric(self, name: str) -> str:
        from metabalance.study.given import known_metric

        known = known_metric(name)
        if known in REGRESSION_METRICS:
            raise DataError(
                f"--metric {name} is for a quantity, and the target holds classes; take for instance average_precision, or give "
                "--task regression"
            )
        return known

    def refuse(self, options: Mapping[str, Any]) -> None:
        return None

    def rehearse(self, candidate: Any, table: Any, network: dict[str, Any]) -> None:
        from metabalance.study.fitting import rehearse

        rehearse(candidate, table.image_shape, network)

    def check(self, table: Any, folds: int, timed: bool) -> None:
        if table.groups is None and not timed:
            _enough_rows(table, folds)

    def labels(self, table: Any, level: int = 0) -> tuple[np.ndarray, Sequence[Any] | None]:
        if level:
            raise IndexError("classes have one level")
        return table.target, table.classes

    def undivided(self, table: Any, refused: DataError) -> DataError:
        return refused

    def size(self, table: Any) -> int:
        return len(table.classes)

    def protocol(self, plan: Any, table: Any) -> dict[str, Any]:
        return {
            "positive": str(table.classes[table.positive]),
            "cost": None if plan.cost is None else [list(row) for row in plan.cost],
            "min_positives": plan.min_positives,
        }

    def settings(self, plan: Any, table: Any) -> Any:
        from metabalance.study.fitting import Settings

        return Settings(
            monitor=plan.metric if _is_score(plan.metric) else "average_precision",
            cost=plan.cost,
            positive=table.positive,
            min_positives=plan.min_positives,
            network=plan.network,
            max_seconds=plan.fit_limit,
            tune=plan.tune,
        )

    def metrics(self, plan: Any) -> list[str]:
        costs = [] if plan.cost is None else ["expected_cost"]
        return list(dict.fromkeys([plan.metric, *SCORES, *DECISIONS, *costs]))

    def measure(self, name: str, plan: Any = None) -> Measure:
        metric = get_metric(name, cost=None if plan is None else plan.cost)
        return Measure(
            metric.title,
            metric.greater_is_better,
            None if name == "mcc" else 0.0,
            None if name in UNBOUNDED else 1.0,
        )

    def fit_metrics(self, record: dict[str, Any], table: Any, split: Any, plan: Any) -> dict[str, float]:
        probabilities, target, decisions = _read(record, table, split)
        return fit_metrics(probabilities, target, table.positive, decisions, plan.cost, plan.metric)

    def pooled(self, record: dict[str, Any], table: Any, split: Any, plan: Any) -> Any:
        probabilities, target, decisions = _read(record, table, split)
        decision = decisions["cost" if plan.cost is not None else "f1"]
        return probabilities, target, decision.decide(probabilities)

    def figures(self, pooled: list[Any], table: Any) -> dict[str, Any]:
        return _figures(pooled, table)

    def data(self, table: Any) -> dict[str, Any]:
        counts = np.bincount(table.target, minlength=len(table.classes))
        return {
            "classes": [str(c) for c in table.classes],
            "counts": counts.tolist(),
            "positive": str(table.classes[table.positive]),
            "imbalance_ratio": float(counts.max() / counts.min()),
        }

    def evidence_told(self, result: dict[str, Any], fits: int) -> str:
        rows = "images" if "image" in result["data"] else "rows"
        smallest, folds = min(result["data"]["counts"]), result["protocol"]["folds"]
        return (
            f"{fits} paired fits per recipe; the rarest class has {smallest} {rows}, "
            f"about {smallest / folds:.0f} in each test part."
        )


KIND = Classes()


def fit_metrics(
    probabilities: np.ndarray,
    target: np.ndarray,
    positive: int,
    decisions: dict[str, Decision],
    cost: Any = None,
    extra: str | None = None,
) -> dict[str, float]:
    """Every metric of one fit on its test part.

    Args:
        probabilities: Calibrated, ``(N, C)``.
        target: Class indices ``(N,)``.
        positive: Index of the positive class.
        decisions: One per objective; each decision metric is taken at its own tuned threshold.
        cost: Cost matrix ``(C, C)`` or None.
        extra: A further metric.
    """
    binary = probabilities.shape[1] == 2
    scores = probabilities[:, positive] if binary else probabilities
    truth = (target == positive).astype(np.int64) if binary else target
    values = {name: get_metric(name)(scores, truth) for name in SCORES}
    for name in DECISIONS:
        chosen = decisions[name].decide(probabilities)
        values[name] = get_metric(name)((chosen == positive).astype(np.int64) if binary else chosen, truth)
    if cost is not None:
        chosen = decisions["cost"].decide(probabilities)
        values["expected_cost"] = float(np.mean(np.asarray(cost)[target, chosen]))
    if extra is not None and extra not in values:
        metric = get_metric(extra)
        if metric.kind == "score":
            values[extra] = metric(scores, truth)
        else:
            chosen = decisions["f1"].decide(probabilities)
            values[extra] = metric((chosen == positive).astype(np.int64) if binary else chosen, truth)
    return values


def _read(
    record: dict[str, Any], table: Any, split: Any
) -> tuple[np.ndarray, np.ndarray, dict[str, Decision]]:
    """Probabilities ``(N, C)``, classes ``(N,)`` and decisions of a stored fit."""
    decisions = {name: Decision.from_dict(d) for name, d in record["decisions"].items()}
    return _all_classes(record["outputs"]), table.target[split.test], decisions


def _all_classes(stored: np.ndarray) -> np.ndarray:
    stored = stored.astype(np.float64)
    return stored / stored.sum(axis=1, keepdims=True)


def _figures(pooled: list, table: Any) -> dict[str, Any]:
    """Confusion, recalls and curves over the test parts of the first repetition: every row once."""
    probabilities = np.concatenate([p for p, _, _ in pooled])
    target = np.concatenate([t for _, t, _ in pooled])
    chosen = np.concatenate([c for _, _, c in pooled])
    size = len(table.classes)
    order = np.arange(size)
    if size == 2:  # negatives first, as confusion matrices are read
        order = np.array([1 - table.positive, table.positive])
    confusion = np.zeros((size, size), dtype=int)
    np.add.at(confusion, (target, chosen), 1)
    confusion = confusion[np.ix_(order, order)]
    totals = confusion.sum(axis=1)
    figures: dict[str, Any] = {
        "confusion": confusion.tolist(),
        "confusion_classes": [str(table.classes[i]) for i in order],
        "recall_per_class": [
            float(confusion[i, i] / totals[i]) if totals[i] else float("nan") for i in range(size)
        ],
    }
    found = evidence(
        probabilities[:, table.positive] if size == 2 else probabilities,
        target, [str(c) for c in table.classes], table.positive,
    )  # fmt: skip
    points = OperatingPoints.from_dict(found["points"][0])
    figures["curves"] = points.curves() | {"calibration": found["calibration"]}
    figures["evidence"] = found
    return figures


def _enough_rows(table: Any, folds: int) -> None:
    """A class needs a row in each test part, and two in each training part: to fit and to validate."""
    counts = np.bincount(table.target)
    n, label = int(counts.min()), table.classes[int(counts.argmin())]

    def enough(k: int) -> bool:
        return n >= k and n - -(-n // k) >= 2  # the largest fold takes the most out of its training part

    if not enough(folds):
        nearest = min(filter(enough, range(2, n + 1)), key=lambda k: abs(k - folds), default=None)
        other = "" if nearest is None else f"use --folds {nearest}, "
        raise DataError(
            f"class {label!r} has {n} rows, too few for {folds} folds: each needs one row of it to test on, "
            f"and two more to fit and to validate; {other}merge it with another class, remove it, or add rows"
        )


def _is_score(metric: str) -> bool:
    return metric != "expected_cost" and get_metric(metric).kind == "score"
