"""What a decision is worth on rows that it was not chosen on: counts, shares and costs with their intervals."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from metabalance.adjust.objective import Objective
from metabalance.judge.decision import f_beta
from metabalance.judge.intervals import Interval, bootstrap_interval, wilson_interval
from metabalance.judge.metrics import get_metric
from metabalance.plain import plain
from metabalance.study.scored import Scored

__all__ = ["Wish", "calibration_note", "counted", "judged", "mean", "plain", "rate", "told"]

NAN = float("nan")


@dataclass(frozen=True)
class Wish:
    """What the decision is for, and how it is judged.

    Args:
        objective: As :func:`~metabalance.adjust.parse_objective` reads it.
        cost: Matrix ``(C, C)``, rows true, columns predicted, in the order of the scored classes.
        cost_columns: ``fn``, ``fp``, ``tp``, ``tn`` to a column or a number: each row is decided by its own costs.
        confidence: With which a constraint must hold for rows to come; None takes the figures as they are.
        rows_per_day: For ``alerts<=100``, and to tell alerts a day.
        judge: ``"folds"``: each fold is decided by what was chosen on the others, so that every row counts;
            ``"half"``: chosen on one half, judged on the other.
        folds: Number of folds.
        per_class: Several classes: a multiplier for each, instead of one parameter for all.
        level: Of all intervals.
        n_boot: Resamples of the intervals; the threshold's own take at most 200.
        seed: Of folds and resamples.
    """

    objective: str = "f1"
    cost: tuple[tuple[float, ...], ...] | None = None
    cost_columns: dict[str, str | float] | None = None
    confidence: float | None = None
    rows_per_day: float | None = None
    judge: Literal["folds", "half"] = "folds"
    folds: int = 5
    per_class: bool = False
    level: float = 0.95
    n_boot: int = 500
    seed: int = 0


def judged(
    scored: Scored,
    rows: np.ndarray,
    labels: np.ndarray,
    wanted: Objective,
    wish: Wish,
    groups: np.ndarray | None,
) -> dict[str, Any]:
    """Counts and figures of ``labels`` on ``rows``, JSON values only."""
    y = scored.target[rows]
    w = np.ones(len(rows)) if scored.weight is None else scored.weight[rows]
    together = None if groups is None else groups[rows]
    size = len(scored.classes)
    figures: dict[str, Interval] = {}
    if size == 2:
        hit, called = y == 1, labels == 1
        for name, (inside, within) in {
            "precision": (hit, called), "recall": (called, hit), "fpr": (called, ~hit),
            "alert_rate": (called, np.ones(len(y), dtype=bool)),
        }.items():  # fmt: skip
            figures[name] = rate(inside, within, y, w, together, wish)
        if wish.rows_per_day:
            share, day = figures["alert_rate"], wish.rows_per_day
            figures["alerts"] = Interval(
                share.value * day, share.low * day, share.high * day, share.level, share.method, share.reason
            )
        if wanted.goal in ("f1", "f_beta", "balanced_accuracy", "g_mean"):
            metric: Any = (
                partial(f_beta, beta=wanted.beta) if wanted.goal == "f_beta" else get_metric(wanted.goal)
            )
            figures[str(wanted).partition("@")[0]] = _bootstrap(metric, labels, y, w, together, wish)
    else:
        for name in ("f1", "balanced_accuracy"):
            figures[name] = _bootstrap(get_metric(name), labels, y, w, together, wish)
        for c, label in enumerate(scored.classes):
            figures[f"recall of {label}"] = rate(labels == c, y == c, y, w, together, wish)
            figures[f"precision of {label}"] = rate(y == c, labels == c, y, w, together, wish)
    if wish.cost is not None:
        figures["cost per row"] = mean(np.asarray(wish.cost)[y, labels], y, w, together, wish)
    table = np.bincount(y * size + labels, w, size * size).reshape(size, size)
    result: dict[str, Any] = {
        "how": wish.judge,
        "rows": len(rows),
        "confusion": table.tolist(),
        "figures": {name: told(interval) for name, interval in figures.items()},
    }
    if size == 2:
        result |= counted(table)
    if wanted.metric is not None:
        result["constraint"] = _verdict(wanted, figures)
    return result


def counted(table: np.ndarray) -> dict[str, float]:
    """The four counts of a confusion ``(2, 2)``."""
    return dict(zip(("tn", "fp", "fn", "tp"), map(float, table.ravel())))


def _verdict(wanted: Objective, figures: dict[str, Interval]) -> dict[str, Any]:
    """Whether the limit held, was broken, or whether the rows cannot tell."""
    assert wanted.metric is not None
    if wanted.metric == "specificity":
        fpr = figures["fpr"]
        found = Interval(1 - fpr.value, 1 - fpr.high, 1 - fpr.low, fpr.level, fpr.method, fpr.reason)
    else:
        found = figures[wanted.metric]
    sign = -1 if wanted.at_most else 1
    ends = sorted((sign * (found.low - wanted.bound), sign * (found.high - wanted.bound)))
    held = None if np.isnan(ends).any() else True if ends[0] >= 0 else False if ends[1] < 0 else None
    return {"text": wanted.limit, "metric": wanted.metric, "bound": wanted.bound, "held": held} | told(found)


def calibration_note(
    scored: Scored, probabilities: np.ndarray, weight: np.ndarray, wanted: Objective
) -> list[str]:
    """Whether the probabilities promise about as many positives as there are, where a cost relies on them."""
    if wanted.goal != "cost":
        return []
    c = scored.positive
    p, there = probabilities[:, c], float(weight @ (scored.target == c))
    promised, spread = float(weight @ p), float(np.sqrt(weight**2 @ (p * (1 - p))))
    if abs(promised - there) <= 3 * spread:
        return []
    return [
        f"the probabilities promise {promised:,.0f} rows of {scored.classes[c]!r}, but there are {there:,.0f}: what "
        "costs least in expectation is only right for calibrated ones"
    ]


def rate(inside: Any, within: Any, y: Any, w: Any, groups: Any, wish: Wish) -> Interval:
    """A share of rows: Wilson's interval, of weighted rows by their effective number, of groups a bootstrap."""
    total = float(w[within].sum())
    if total == 0:
        return Interval(NAN, NAN, NAN, wish.level, "wilson", "there are no such rows")
    share = float(w[within & inside].sum()) / total
    if groups is None:
        n = total**2 / float((w[within] ** 2).sum())
        return wilson_interval(min(share * n, n), n, wish.level)

    def statistic(flags: np.ndarray, _: np.ndarray, weight: np.ndarray) -> float:
        below = float(weight @ (flags > 0))
        return float(weight @ (flags > 1)) / below if below else NAN

    flags = np.where(within, np.where(inside, 2, 1), 0)
    return _bootstrap(statistic, flags, y, w, groups, wish)


def mean(values: Any, y: Any, w: Any, groups: Any, wish: Wish) -> Interval:
    return _bootstrap(lambda v, _, weight: float(np.average(v, weights=weight)), values, y, w, groups, wish)


def _bootstrap(metric: Any, given: Any, y: Any, w: Any, groups: Any, wish: Wish) -> Interval:
    if not len(y):
        return Interval(NAN, NAN, NAN, wish.level, "percentile", "there are no such rows")
    return bootstrap_interval(
        metric, given, y, w, n_boot=wish.n_boot, level=wish.level, method="percentile", groups=groups, seed=wish.seed
    )  # fmt: skip


def told(interval: Interval) -> dict[str, Any]:
    return {
        "value": plain(interval.value), "low": plain(interval.low), "high": plain(interval.high),
        "level": interval.level, "method": interval.method, "reason": interval.reason,
    }  # fmt: skip
