"""From scores to a decision: chosen on some rows, judged on others, with how sure all of it is."""

from collections.abc import Callable
from typing import Any

import numpy as np

from metabalance.adjust.choose import choose_decision
from metabalance.adjust.constrained import choose_constrained
from metabalance.adjust.decision import Decision
from metabalance.adjust.multipliers import choose_class_multipliers
from metabalance.adjust.objective import Objective, parse_objective
from metabalance.adjust.variability import threshold_variability
from metabalance.data.errors import DataError
from metabalance.plain import plain
from metabalance.study.decide_rows import decide_by_row
from metabalance.study.decision_figures import Wish, calibration_note, judged
from metabalance.study.scored import Scored
from metabalance.study.splits import make_splits

__all__ = ["Wish", "decide"]

FEW = 30  # alerts: fewer tell a precision to a sixth at best


def decide(scored: Scored, wish: Wish, groups: np.ndarray | None = None) -> dict[str, Any]:
    """Chooses a decision and judges it on rows that it was not chosen on.

    Args:
        scored: Rows with probabilities and true classes.
        wish: What for.
        groups: Labels ``(N,)`` of rows that belong together: they stay on one side, and are resampled together.

    Returns:
        JSON values only, None where a figure has no value: ``decision`` (:meth:`Decision.to_dict`, or the costs' columns),
        ``threshold``, ``attainable``, ``judged`` (counts, figures with intervals), ``notes`` and how it was made.

    Raises:
        DataError: Scores that are no probabilities, too few rows of a class, or costs that do not fit.
    """
    probabilities = scored.matrix()
    if wish.cost_columns is not None:
        return _described(scored, wish) | decide_by_row(scored, probabilities, wish, groups)
    wanted = parse_objective(wish.objective)
    chosen = _chooser(scored, wanted, wish)
    weight = np.ones(len(scored.target)) if scored.weight is None else scored.weight
    halves = wish.judge == "half"
    splits = make_splits(
        scored.target, folds=2 if halves else wish.folds, seed=wish.seed, groups=groups, classes=scored.classes
    )  # fmt: skip
    splits = splits[:1] if halves else splits
    labels, parts = np.full(len(weight), -1), []
    for split in splits:
        parts.append(chosen(probabilities[split.train], scored.target[split.train], weight[split.train]))
        labels[split.test] = parts[-1][0].decide(probabilities[split.test])
    seen = np.flatnonzero(labels >= 0)
    basis = splits[0].train if halves else np.arange(len(weight))
    decision, attainable = chosen(probabilities[basis], scored.target[basis], weight[basis])
    result = {
        "objective": str(wanted),
        "decision": decision.to_dict(),
        "attainable": attainable,
        "threshold": _threshold(scored, basis, weight[basis], decision, chosen, parts, wish),
        "parts": [{"decision": d.to_dict(), "attainable": ok} for d, ok in parts],
        "judged": judged(scored, seen, labels[seen], wanted, wish, groups),
    }  # fmt: skip
    notes = [
        *([decision.note] if decision.note else []),
        *calibration_note(scored, probabilities, weight, wanted),
    ]
    alerts = int((decision.decide(probabilities[basis]) == 1).sum()) if wanted.metric == "precision" else FEW
    if alerts < FEW and attainable:
        notes.append(
            f"only {alerts} alerts stand behind this threshold; --confidence 0.95 asks for enough of them"
        )
    if not all(ok for _, ok in parts):
        notes.append(
            f"the constraint was not attainable on {sum(not ok for _, ok in parts)} of {len(parts)} parts"
        )
    return _described(scored, wish) | result | {"notes": notes}


Chooser = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[Decision, bool]]


def _chooser(scored: Scored, wanted: Objective, wish: Wish) -> Chooser:
    """``(probabilities (N, C), target (N,), weight (N,)) -> decision, whether the constraint can be met``."""
    size = len(scored.classes)
    if size > 2 and wanted.metric is not None:
        raise DataError(f"the objective {wanted} is for two classes, but there are {size}; join some first")
    if wanted.goal == "cost" and wish.cost is None:
        raise DataError("the objective cost needs costs; give for instance --cost fn=50,fp=1")

    def choose(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[Decision, bool]:
        if size > 2 and wish.per_class and wanted.goal != "cost":
            goal = "f1_macro" if wanted.goal == "f1" else wanted.goal
            return choose_class_multipliers(p, y, goal, sample_weight=w, per_class=True), True
        options: dict[str, Any] = {"cost": wish.cost, "sample_weight": w}
        if wanted.metric is None:
            return choose_decision(p, y, str(wanted), **options), True
        options |= {"confidence": wish.confidence, "rows_per_day": wish.rows_per_day}
        found = choose_constrained(p[:, 1], y, wanted, **options)
        value = 0.5 if np.isnan(found.value) else found.value
        return Decision(str(wanted), found.achieved, threshold=value, note=found.note), found.attainable

    return choose


def _threshold(
    scored: Scored, rows: np.ndarray, weight: np.ndarray, decision: Decision, chosen: Chooser,
    parts: list[tuple[Decision, bool]], wish: Wish,
) -> dict[str, Any] | None:  # fmt: skip
    """The threshold with its bootstrap interval, and those of the parts; None where there is none."""
    if decision.threshold is None:
        return None

    def again(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
        found, attainable = chosen(np.stack([1 - p, p], axis=1), y, w)
        return found.threshold if attainable and found.threshold is not None else float("nan")

    moved = threshold_variability(
        again, scored.scores[rows], scored.target[rows], weight, n_boot=min(wish.n_boot, 200), level=wish.level, seed=wish.seed
    )  # fmt: skip
    return {
        "value": decision.threshold,
        "low": plain(moved.low),
        "high": plain(moved.high),
        "level": wish.level,
        "not_attainable_share": moved.failed,
        "parts": [d.threshold if ok else None for d, ok in parts],
    }


def _described(scored: Scored, wish: Wish) -> dict[str, Any]:
    return {
        "format": "metabalance-decision",
        "format_version": 1,
        "data": {"name": scored.name, "rows": len(scored.target), "target": scored.target_name},
        "classes": list(scored.classes),
        "positive": scored.positive,
        "counts": scored.counts.tolist(),
        "cost": None if wish.cost is None else [list(row) for row in wish.cost],
        "confidence": wish.confidence,
        "rows_per_day": wish.rows_per_day,
        "judge": wish.judge,
        "folds": wish.folds,
        "seed": wish.seed,
    }
