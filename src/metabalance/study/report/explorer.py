"""The threshold explorer: operating points for the page's script, and a table of key thresholds without it."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from metabalance.study.points import OperatingPoints
from metabalance.study.report.words import count_of, fixed, percent

__all__ = ["as_json", "costs_of", "explorer_view"]

RECALLS, PRECISIONS = (0.5, 0.8, 0.9, 0.95), (0.5, 0.9)


def explorer_view(
    evidence: Mapping[str, Any], *, threshold: float | None = None, cost: Any = None, source: str = ""
) -> dict[str, Any] | None:
    """What the explorer needs; None where positives or negatives are missing.

    Args:
        evidence: From :func:`metabalance.study.evidence.evidence`.
        threshold: Of two classes the one in use, where the slider starts; by default the cheapest.
        cost: Cost matrix ``(C, C)`` in the order of the classes, or None for one a mistake.
        source: Which rows these are, a sentence.
    """
    classes, positive = evidence["classes"], evidence["positive"]
    sets = []
    for stored in evidence["points"]:
        points = OperatingPoints.from_dict(stored)
        if points.positives > 0 and points.negatives > 0:
            sets.append((stored, points))
    if not sets:
        return None
    costs = costs_of(cost, positive) if len(classes) == 2 else costs_of(None, positive)
    stored, points = sets[0]
    cheapest = _highest_argmin(points.cost(**costs))
    start = cheapest if threshold is None else points.at(threshold)
    data = {
        "sets": [{"name": classes[s["class"]], **{k: s[k] for k in ("score", "threshold", "true", "false")}} for s, _ in sets],
        "start": start,
        "cost": costs,
        "weighted": evidence["weighted"],
    }  # fmt: skip
    return {
        "data": as_json(data),
        "classes": [classes[s["class"]] for s, _ in sets],
        "positive": classes[stored["class"]],
        "several": len(classes) > 2,
        "costs": {k: f"{v:g}" for k, v in costs.items()},
        "exact": all(p.exact for _, p in sets),
        "count": count_of(len(points.threshold) - 1),
        "base": f"{100 * points.positives / (points.positives + points.negatives):.4g}",
        "rows": f"{points.positives + points.negatives:.10g}",
        "source": source,
        "weighted": evidence["weighted"],
        "keys": _key_thresholds(points, costs, threshold),
    }


def costs_of(cost: Any, positive: int) -> dict[str, float]:
    """The four costs of two classes from a matrix ``(2, 2)`` or by name, or one for each mistake.

    >>> costs_of([[0, 1], [50, 0]], positive=1)["fn"]
    50.0
    """
    if cost is None:
        return {"fn": 1.0, "fp": 1.0, "tp": 0.0, "tn": 0.0}
    if isinstance(cost, Mapping):
        return {name: float(cost.get(name, 0.0)) for name in ("fn", "fp", "tp", "tn")}
    other = 1 - positive
    return {
        "fn": float(cost[positive][other]),
        "fp": float(cost[other][positive]),
        "tp": float(cost[positive][positive]),
        "tn": float(cost[other][other]),
    }


def as_json(value: Any) -> Markup:
    """JSON that may stand inside a ``<script>``: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def _key_thresholds(
    points: OperatingPoints, costs: Mapping[str, float], threshold: float | None
) -> list[dict[str, Any]]:
    cost, f1, precision = points.cost(**costs), points.f1(), points.precision()
    recall = points.true / points.positives
    wanted: list[tuple[str, int | None]] = []
    if threshold is not None:
        wanted.append(("in use", points.at(threshold)))
    wanted += [("lowest cost", _highest_argmin(cost)), ("best F1", _highest_argmin(-f1))]
    wanted += [(f"finds {100 * r:.0f} %", _last(recall >= r)) for r in RECALLS]
    wanted += [(f"precision {100 * p:.0f} %", _first(precision >= p)) for p in PRECISIONS]
    rows = points.positives + points.negatives
    table: list[dict[str, Any]] = []
    for name, i in wanted:
        if i is None:
            table.append({"name": name, "threshold": None, "cells": []})
            continue
        called = points.true[i] + points.false[i]
        cells = [
            count_of(called),
            count_of(points.true[i]),
            count_of(points.positives - points.true[i]),
            percent(precision[i]),
            percent(recall[i]),
            fixed(f1[i], 3),
            f"{cost[i] / rows:.4g}",
        ]
        # No score lies between the one in use and that of its point.
        at = threshold if name == "in use" and threshold is not None else points.threshold[i]
        table.append({"name": name, "threshold": _written(at), "cells": cells})
    return table


def _written(threshold: float) -> str:
    return "above all" if math.isinf(threshold) else f"{threshold:.12g}"


def _highest_argmin(values: np.ndarray) -> int:
    """Among equals the highest threshold: the fewest alerts."""
    return len(values) - 1 - int(np.argmin(values[::-1]))


def _last(allowed: Sequence[bool] | np.ndarray) -> int | None:
    index = np.flatnonzero(allowed)
    return int(index[-1]) if len(index) else None


def _first(allowed: Sequence[bool] | np.ndarray) -> int | None:
    index = np.flatnonzero(allowed)
    return int(index[0]) if len(index) else None
