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
    result = _clean(result)
    metric = result["protocol"]["metric"]
    recipes = _ranked(result, metric)
    drawn = _drawn(recipes, result, metric)
    columns = [_column(key, info, recipes, key == metric) for key, info in result.get("metrics", {}).items()]
    return {
        "title": result.get("title", "comparison"),
        "created": str(result.get("created", ""))[:16].replace("T", " "),
        "version": result.get("version", ""),
        "command": result.get("command", ""),
        "advice": {"headline": "", "details": ()} | result.get("advice", {}),
        "facts": _facts(result, recipes, metric),
        "forest": _forest(result, recipes, metric),
        "columns": columns,
        "rows": [_row(recipe, columns, result) for recipe in recipes],
        "undefined": _undefined(recipes, columns),
        "curves": _curves(drawn, result, metric),
        "confusions": _confusions(drawn, result),
        "recalls": _recalls(drawn, result),
        "classes": _classes(result),
        "findings": result["data"].get("findings", []),
        "data": result["data"],
        "protocol": _protocol(result),
    }


# ------------------------------------------------------------------------------------------- choosing


def _ranked(result: Mapping[str, Any], metric: str) -> list[dict[str, Any]]:
    """The baseline, then the others from best to worst, then those without a value."""
    sign = _sign(result, metric)

    def key(recipe: Mapping[str, Any]) -> tuple[bool, bool, float]:
        value = _value(recipe, metric)
        undefined = math.isnan(value)
        return (not _is_baseline(recipe), undefined, 0.0 if undefined else -sign * value)

    return sorted(result.get("recipes", []), key=key)


def _drawn(
    recipes: Sequence[Mapping[str, Any]], result: Mapping[str, Any], metric: str
) -> list[tuple[int, Mapping[str, Any]]]:
    """The recipes that get a curve and a colour: the baseline, the winner, then the best others."""
    winner = result.get("advice", {}).get("winner")
    usable = [r for r in recipes if r.get("confusion") or r.get("curves")]
    first = [r for r in usable if _is_baseline(r)][:1]
    rest = [r for r in usable if not _is_baseline(r)]
    rest.sort(key=lambda r: r.get("name") != winner)  # stable: the others stay from best to worst
    return [(0, r) for r in first] + list(enumerate(rest[: MAX_CURVES - 1], start=1))


def _is_baseline(recipe: Mapping[str, Any]) -> bool:
    return recipe.get("name") == "erm"


def _sign(result: Mapping[str, Any], metric: str) -> int:
    return 1 if result.get("metrics", {}).get(metric, {}).get("greater_is_better", True) else -1


def _verdict(difference: Mapping[str, Any], result: Mapping[str, Any], metric: str) -> str:
    """Whether a difference counts, after correction for the number of recipes looked at."""
    p, value = _number(difference.get("p_holm")), _number(difference.get("value"))
    if not p < 1 - result["protocol"].get("level", 0.95):
        return "same"
    return "better" if _sign(result, metric) * value > 0 else "worse"


# --------------------------------------------------------------------------------------------- figures


def _forest(
    result: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], metric: str
) -> dict[str, Any] | None:
    sign = _sign(result, metric)
    found = [(r, r["difference"][metric]) for r in recipes if (r.get("difference") or {}).get(metric)]
    found = [(r, d) for r, d in found if math.isfinite(_number(d.get("value")))]
    if not found:
        return None
    found.sort(key=lambda pair: -sign * pair[1]["value"])
    digits = _digits([d for _, d in found])
    rows = [
        Difference(
            r.get("label", r["name"]),
            d["value"],
            _number(d.get("low")),
            _number(d.get("high")),
            _verdict(d, result, metric),
            _spell(d, digits, signed=True),
            _p(d.get("p_holm")),
        )
        for r, d in found
    ]
    title = result["metrics"][metric]["title"]
    settings: dict[str, Any] = {
        "axis_label": f"difference in {title[0].lower()}{title[1:]}",
        "greater_is_better": sign > 0,
    }
    return {
        "wide": Markup(figures.forest(rows, **settings)),
        "narrow": Markup(figures.forest(rows, narrow=True, **settings)),
        "better": sum(row.verdict == "better" for row in rows),
        "worse": sum(row.verdict == "worse" for row in rows),
        "same": sum(row.verdict == "same" for row in rows),
        "compared": len(rows),
        "title": title,
        "text": "; ".join(f"{row.label} {row.text} {row.p}".strip() for row in rows),
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
    digits = _digits([r["metrics"].get(metric, {}) for _, r in plotted if r.get("metrics")])
    view: dict[str, Any] = {
        "legend": [
            {
                "colour": LINES[c],
                "dashed": c == 0,
                "label": r.get("label", r["name"]),
                "value": _fixed(_value(r, metric), digits),
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
    points = [(_number(a), _number(b)) for a, b in zip(x, y)]
    points = [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]
    return [a for a, _ in points], [b for _, b in points]


# --------------------------------------------------------------------------------------------- tables


def _column(
    key: str, info: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], primary: bool
) -> dict[str, Any]:
    intervals = [r["metrics"][key] for r in recipes if (r.get("metrics") or {}).get(key)]
    return {
        "key": key,
        "title": info.get("title", key),
        "arrow": "↑" if info.get("greater_is_better", True) else "↓",
        "hint": "higher is better" if info.get("greater_is_better", True) else "lower is better",
        "primary": primary,
        "digits": _digits(intervals),
    }


def _row(
    recipe: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], result: Mapping[str, Any]
) -> dict[str, Any]:
    cells = []
    for column in columns:
        interval = (recipe.get("metrics") or {}).get(column["key"]) or {}
        difference = (recipe.get("difference") or {}).get(column["key"]) or {}
        has_value = math.isfinite(_number(interval.get("value")))
        has_difference = math.isfinite(_number(difference.get("value")))
        cells.append(
            {
                "value": _fixed(_number(interval.get("value")), column["digits"])
                if has_value
                else "undefined",
                "interval": _range(interval, column["digits"]) if has_value else "",
                "difference": _fixed(difference["value"], column["digits"], True) if has_difference else "",
                "verdict": _verdict(difference, result, column["key"]) if has_difference else "same",
                "primary": column["primary"],
                "defined": has_value,
            }
        )
    return {
        "label": recipe.get("label", recipe["name"]),
        "stage": recipe.get("stage", ""),
        "status": recipe.get("status", "ok"),
        "note": recipe.get("note", ""),
        "fits": recipe.get("fits", 0),
        "winner": recipe["name"] == result.get("advice", {}).get("winner"),
        "baseline": _is_baseline(recipe),
        "cells": cells,
        "seconds": _duration(_number((recipe.get("seconds") or {}).get("mean"))),
    }


def _undefined(recipes: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why a single value is missing, once for each reason; a failed recipe says so in its row."""
    found: dict[str, list[str]] = {}
    for recipe in recipes:
        metrics = {
            column["title"]: (recipe.get("metrics") or {}).get(column["key"]) or {} for column in columns
        }
        missing = [title for title, interval in metrics.items() if math.isnan(_number(interval.get("value")))]
        if len(missing) == len(columns) and recipe.get("status", "ok") != "ok":
            continue
        for title in missing:
            why = metrics[title].get("reason") or "no value was computed"
            found.setdefault(f"{title}: {why}", []).append(recipe.get("label", recipe["name"]))
    return [f"{reason} ({', '.join(labels)})" for reason, labels in found.items()]


def _class_order(recipe: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """The labels in the order of confusions and recalls; two classes come negative first."""
    if recipe.get("confusion_classes"):
        return list(recipe["confusion_classes"])
    classes, positive = list(result["data"]["classes"]), result["data"].get("positive")
    return sorted(classes, key=lambda label: label == positive) if len(classes) == 2 else classes


def _confusions(
    drawn: Sequence[tuple[int, Mapping[str, Any]]], result: Mapping[str, Any]
) -> list[dict[str, Any]]:
    view = []
    size = len(result["data"]["classes"])
    # Large matrices need the width: the baseline and the best other are then enough.
    for colour, recipe in drawn[: MAX_CONFUSIONS if size <= 3 else 2]:
        matrix = recipe.get("confusion") or []
        if not 2 <= len(matrix) <= MAX_CONFUSION_CLASSES:
            continue
        rows = []
        for label, counts in zip(_class_order(recipe, result), matrix):
            total = sum(counts)
            shares = [count / total if total else 0.0 for count in counts]
            cells = [
                {"count": _count(c), "share": _percent(s), "shade": round(s, 3)}
                for c, s in zip(counts, shares)
            ]
            rows.append({"label": label, "short": _short(label, 12 if size <= 3 else 8), "cells": cells})
        view.append(
            {
                "label": recipe.get("label", recipe["name"]),
                "colour": LINES[colour],
                "dashed": colour == 0,
                "rows": rows,
            }
        )
    return view


def _recalls(
    drawn: Sequence[tuple[int, Mapping[str, Any]]], result: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Recall of each class, rarest first; with many classes the rarest only."""
    found = [
        (c, r, dict(zip(_class_order(r, result), r["recall_per_class"])))
        for c, r in drawn
        if r.get("recall_per_class")
    ]
    if not found:
        return None
    counts = dict(zip(result["data"]["classes"], result["data"]["counts"]))
    rarest = sorted(counts, key=lambda label: counts[label])
    rows = [
        {
            "label": label,
            "count": _count(counts[label]),
            "cells": [{"text": _percent(v), "share": 0.0 if math.isnan(v) else v} for v in values],
        }
        for label in rarest[:MAX_CLASSES]
        for values in [[_number(recalls.get(label)) for _, _, recalls in found]]
    ]
    names = [{"label": r.get("label", r["name"]), "colour": LINES[c]} for c, r, _ in found]
    return {"recipes": names, "rows": rows, "hidden": max(len(rarest) - MAX_CLASSES, 0)}


def _classes(result: Mapping[str, Any]) -> dict[str, Any]:
    pairs = sorted(zip(result["data"]["classes"], result["data"]["counts"]), key=lambda pair: -pair[1])
    total = max(sum(count for _, count in pairs), 1)
    # The rarest are what this is about: of many classes, the largest and the smallest are shown.
    half = MAX_CLASSES // 2
    shown = pairs if len(pairs) <= MAX_CLASSES else pairs[:half] + pairs[-half:]
    rows = [
        {
            "label": label,
            "count": _count(count),
            "share": _percent(count / total),
            "width": round(100 * count / max(pairs[0][1], 1), 2),
            "positive": label == result["data"].get("positive"),
            "samples": (result["data"].get("samples") or {}).get(label, []),
        }
        for label, count in shown
    ]
    return {"rows": rows, "hidden": len(pairs) - len(shown)}


# ----------------------------------------------------------------------------------------------- words


def _kind(data: Mapping[str, Any]) -> str:
    if not data.get("image"):
        return f"rows, {_count(data.get('columns', 0))} columns"
    channels, height, width = data["image"]
    return f"images of {height} × {width}, {'grey' if channels == 1 else 'colour'}"


def _facts(
    result: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], metric: str
) -> list[tuple[str, str]]:
    data = result["data"]
    counts = dict(zip(data["classes"], data["counts"]))
    rarest = min(counts, key=lambda label: counts[label])
    ratio = _number(data.get("imbalance_ratio"))
    facts = [
        (_count(data.get("rows", sum(counts.values()))), _kind(data)),
        (
            _count(counts[rarest]),
            f"{'images' if data.get('image') else 'rows'} of class {_short(rarest)}, the rarest of {len(counts)}",
        ),
        (f"{ratio:.3g} : 1" if math.isfinite(ratio) else "∞", "largest to smallest class"),
        (_count(max((r.get("fits", 0) for r in recipes), default=0)), "fits of each recipe"),
    ]
    baseline = next((r for r in recipes if _is_baseline(r)), None)
    if baseline is not None and math.isfinite(_value(baseline, metric)):
        digits = _digits([baseline["metrics"][metric]])
        title = result["metrics"][metric]["title"]
        facts.append(
            (_fixed(_value(baseline, metric), digits), f"{title[0].lower()}{title[1:]} of the baseline")
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
    share = _number(protocol.get("validation_fraction"))
    return {
        "folds": protocol.get("folds"),
        "seeds": protocol.get("seeds"),
        "splits": protocol.get("splits", ""),
        "validation": _percent(share) if math.isfinite(share) else "",
        "cost": cost or "",
        "level": f"{100 * protocol.get('level', 0.95):g} %",
        "interval_method": protocol.get("interval_method", ""),
    }


def _clean(value: Any) -> Any:
    """Drops what neither HTML nor SVG may hold: control characters in the user's labels."""
    if isinstance(value, str):
        return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+", " ", value)
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value


def _number(value: Any) -> float:
    """A finite number that can be drawn and read, else NaN."""
    return float(value) if value is not None and abs(float(value)) < 1e15 else math.nan


def _value(recipe: Mapping[str, Any], metric: str) -> float:
    return _number(((recipe.get("metrics") or {}).get(metric) or {}).get("value"))


def _digits(intervals: Sequence[Mapping[str, Any]]) -> int:
    """Decimals that show two figures of a typical interval's half width: more would be noise."""
    halves = sorted((_number(i.get("high")) - _number(i.get("low"))) / 2 for i in intervals)
    halves = [half for half in halves if math.isfinite(half) and half > 0]
    return min(max(1 - math.floor(math.log10(halves[len(halves) // 2])), 0), 6) if halves else 3


def _fixed(value: float, digits: int, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "undefined"
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", "−")


def _range(interval: Mapping[str, Any], digits: int, signed: bool = False) -> str:
    low, high = _number(interval.get("low")), _number(interval.get("high"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{_fixed(low, digits, signed)}, {_fixed(high, digits, signed)}]"


def _spell(interval: Mapping[str, Any], digits: int, signed: bool = False) -> str:
    return (
        f"{_fixed(_number(interval.get('value')), digits, signed)} {_range(interval, digits, signed)}".strip()
    )


def _p(value: Any) -> str:
    p = _number(value)
    if math.isnan(p):
        return ""
    return "p < .001" if p < 0.001 else "p = 1" if p >= 0.995 else f"p = {p:.2g}".replace("0.", ".", 1)


def _percent(share: float) -> str:
    if math.isnan(share):
        return "undefined"
    return f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else f"{100 * share:.2g} %"


def _count(value: Any) -> str:
    """Thousands apart by a narrow space; means of folds keep one decimal."""
    number = float(value)
    return (
        f"{number:,.0f}".replace(",", "\u202f")
        if number.is_integer()
        else f"{number:,.1f}".replace(",", "\u202f")
    )


def _short(text: str, length: int = 24) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "–"
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
