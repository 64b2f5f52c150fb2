"""What the page shows, worked out before the template sees it: numbers spelled out, rows in order.

The template only places text; all choices (which recipes get a curve, how many digits a metric deserves, when
a difference counts) are made here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metabalance.study.report.curve_view import curve_figures, learning_view
from metabalance.study.report.drawing import LINES
from metabalance.study.report.explorer import explorer_view
from metabalance.study.report.leaderboard import column_of, forest_view, row_of, undefined_reasons
from metabalance.study.report.made import cited
from metabalance.study.report.mistakes import class_bars, confusions, recalls
from metabalance.study.report.ranking import drawn_of, is_baseline, ranked, value_of
from metabalance.study.report.shared import kind_of_rows, label_of, made_of, protocol_of
from metabalance.study.report.words import clean, count_of, digits_of, fixed, number, short

__all__ = ["build_view"]

JUDGES = ("corrected_resampled_t", "holm")


def build_view(result: Mapping[str, Any]) -> dict[str, Any]:
    """The template's variables for a comparison's result."""
    result = clean(result)
    metric = result["protocol"]["metric"]
    recipes = ranked(result, metric)
    drawn = drawn_of(recipes, result, metric)
    columns = [
        column_of(key, info, recipes, key == metric) for key, info in result.get("metrics", {}).items()
    ]
    return {
        "kind": "comparison",
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
        "protocol": protocol_of(result),
        "explorer": _explorer(result, recipes),
        "training": learning_view([(c, label_of(r), r.get("training") or {}) for c, r in drawn]),
        "fingerprint": result["data"].get("fingerprint", ""),
        "made": made_of(result),
        "cited": cited({r["name"].split("(")[0] for r in recipes} | set(JUDGES)),
    }


def _curves(
    drawn: Sequence[tuple[int, Mapping[str, Any]]], result: Mapping[str, Any], metric: str
) -> dict[str, Any] | None:
    """All curves with one legend; None when no recipe has one."""
    plotted = [(c, r) for c, r in drawn if any((r.get("curves") or {}).values())]
    counts = dict(zip(result["data"]["classes"], result["data"]["counts"]))
    base_rate = counts.get(result["data"].get("positive"), 0) / max(sum(counts.values()), 1)
    view = curve_figures([(c, label_of(r), r["curves"]) for c, r in plotted], base_rate)
    if view is None:
        return None
    digits = digits_of([r["metrics"].get(metric, {}) for _, r in plotted if r.get("metrics")])
    legend = [
        {
            "colour": LINES[c],
            "dashed": c == 0,
            "label": label_of(r),
            "value": fixed(value_of(r, metric), digits),
        }
        for c, r in plotted
    ]
    several = len(counts) > 2
    return view | {
        "legend": legend,
        "metric": result["metrics"][metric]["title"],
        "positive": result["data"].get("positive") if several else None,
    }


def _explorer(result: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Of the advised recipe, else of the best; its scores are those of the test parts, each row once."""
    name = result.get("advice", {}).get("winner")
    found = [r for r in recipes if r.get("evidence")]
    metric = result["protocol"]["metric"]
    sign = 1 if result["metrics"].get(metric, {}).get("greater_is_better", True) else -1
    found.sort(key=lambda r: (r["name"] != name, -sign * value_of(r, metric)))
    if not found:
        return None
    source = (
        f"The scores of {label_of(found[0])} on the test rows of all folds of the first repetition: each row was scored by "
        "the model that had not seen it, and the models of the folds are put together."
    )
    return explorer_view(found[0]["evidence"], cost=result["protocol"].get("cost"), source=source)


def _facts(
    result: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], metric: str
) -> list[tuple[str, str]]:
    data = result["data"]
    counts = dict(zip(data["classes"], data["counts"]))
    rarest = min(counts, key=lambda label: counts[label])
    ratio = number(data.get("imbalance_ratio"))
    facts = [
        (count_of(data.get("rows", sum(counts.values()))), kind_of_rows(data)),
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
