"""What the page shows, worked out before the template sees it: numbers spelled out, rows in order.

The template only places text; all choices (which recipes get a curve, how many digits a metric deserves, when
a difference counts) are made here.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from metabalance.study.report import figures
from metabalance.study.report.figures import LINES, Difference, Line

__all__ = ["build_view"]

MAX_CURVES = len(LINES)
MAX_CONFUSION_CLASSES = 8
MAX_CONFUSIONS = 4
MAX_CLASSES = 20


def build_view(result: Mapping[str, Any]) -> dict[str, Any]:
    """The template's variables for a comparison's result."""
    result = clean(result)
    metric = result["protocol"]["metric"]
    recipes = ranked(result, metric)
    drawn = drawn_of(recipes, result, metric)
    columns = [column_of(key, info, recipes, key == metric) for key, info in result.get("metrics", {}).items()]
    return {
        "title": result.get("title", "comparison"),
        "created": str(result.get("created", ""))[:16].replace("T", " "),
        "version": result.get("version", ""),
        "command": result.get("command", ""),
        "advice": {"headline": "", "details": ()} | result.get("advice", {}),
        "facts": _facts(result, recipes, metric),
        "forest": forest_view(result, recipes, metric),
        "columns": columns,
        "rows": [row_of(recipe, columns, result) for recipe in recipes],
        "undefined": undefined_reasons(recipes, columns),
        "curves": _curves(drawn, result, metric),
        "confusions": confusions(drawn, result),
        "recalls": recalls(drawn, result),
        "classes": class_bars(result),
        "findings": result["data"].get("findings", []),
        "data": result["data"],
        "protocol": _protocol(result),
    }


def _curves(
    drawn: Sequence[tuple[int, Mapping[str, Any]]], result: Mapping[str, Any], metric: str
) -> dict[str, Any] | None:
    """PR, ROC and calibration with one legend; None when no recipe has a curve."""
    kinds = {
        kind: [(c, r["curves"][kind]) for c, r in drawn if (r.get("curves") or {}).get(kind)]
        for kind in _KINDS
    }
    if not any(kinds.values()):
        return None
    counts = dict(zip(result["data"]["classes"], result["data"]["counts"]))
    base_rate = counts.get(result["data"].get("positive"), 0) / max(sum(counts.values()), 1)
    plotted = [(c, r) for c, r in drawn if any(c == d for found in kinds.values() for d, _ in found)]
    digits = digits_of([r["metrics"].get(metric, {}) for _, r in plotted if r.get("metrics")])
    view: dict[str, Any] = {
        "legend": [
            {
                "colour": LINES[c],
                "dashed": c == 0,
                "label": r.get("label", r["name"]),
                "value": fixed(value_of(r, metric), digits),
            }
            for c, r in plotted
        ],
        "metric": result["metrics"][metric]["title"],
        "base_rate": f"{100 * base_rate:.2g} %",
        "log": base_rate < 0.1,
    }
    lines = {kind: [Line(*_pair(kind, curve), c) for c, curve in found] for kind, found in kinds.items()}
    view["pr"] = Markup(figures.precision_recall(lines["pr"], base_rate)) if lines["pr"] else None
    view["roc"] = Markup(figures.roc(lines["roc"])) if lines["roc"] else None
    view["calibration"] = (
        Markup(figures.calibration(lines["calibration"], base_rate)) if lines["calibration"] else None
    )
    return view


_KINDS = ("pr", "roc", "calibration")


def _pair(kind: str, curve: Any) -> tuple[list[float], list[float]]:
    x, y = (curve["predicted"], curve["observed"]) if kind == "calibration" else (curve[0], curve[1])
    points = [(number(a), number(b)) for a, b in zip(x, y)]
    points = [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]
    return [a for a, _ in points], [b for _, b in points]


def _kind(data: Mapping[str, Any]) -> str:
    if not data.get("image"):
        return f"rows, {count_of(data.get('columns', 0))} columns"
    channels, height, width = data["image"]
    return f"images of {height} × {width}, {'grey' if channels == 1 else 'colour'}"


def _facts(
    result: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], metric: str
) -> list[tuple[str, str]]:
    data = result["data"]
    counts = dict(zip(data["classes"], data["counts"]))
    rarest = min(counts, key=lambda label: counts[label])
    ratio = number(data.get("imbalance_ratio"))
    facts = [
        (count_of(data.get("rows", sum(counts.values()))), _kind(data)),
        (
            count_of(counts[rarest]),
            f"{'images' if data.get('image') else 'rows'} of class {short(rarest)}, the rarest of {len(counts)}",
        ),
        (f"{ratio:.3g} : 1" if math.isfinite(ratio) else "∞", "largest to smallest class"),
        (count_of(max((r.get("fits", 0) for r in recipes), default=0)), "fits of each recipe"),
    ]
    baseline = next((r for r in recipes if is_baseline(r)), None)
    if baseline is not None and math.isfinite(value_of(baseline, metric)):
        digits = digits_of([baseline["metrics"][metric]])
        title = result["metrics"][metric]["title"]
        facts.append(
            (fixed(value_of(baseline, metric), digits), f"{title[0].lower()}{title[1:]} of the baseline")
        )
    return facts


def _protocol(result: Mapping[str, Any]) -> dict[str, Any]:
    protocol = result["protocol"]
    cost = protocol.get("cost")
    if isinstance(cost, Mapping):
        cost = ", ".join(f"{key} = {value:g}" for key, value in cost.items())
    elif cost:
        cost = "a matrix, true class by predicted class: " + "; ".join(
            " ".join(f"{c:g}" for c in row) for row in cost
        )
    share = number(protocol.get("validation_fraction"))
    return {
        "folds": protocol.get("folds"),
        "seeds": protocol.get("seeds"),
        "splits": protocol.get("splits", ""),
        "validation": percent(share) if math.isfinite(share) else "",
        "cost": cost or "",
        "level": f"{100 * protocol.get('level', 0.95):g} %",
        "interval_method": protocol.get("interval_method", ""),
    }
