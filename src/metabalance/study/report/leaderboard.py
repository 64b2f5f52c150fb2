"""The table of all results, and the figure of differences to the baseline."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from metabalance.study.report import forest as figure
from metabalance.study.report.forest import Difference
from metabalance.study.report.ranking import is_baseline, sign_of, verdict_of
from metabalance.study.report.words import (
    digits_for,
    digits_of,
    duration,
    fixed,
    number,
    p_value,
    span,
    spell,
)


def forest_view(
    result: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], metric: str
) -> dict[str, Any] | None:
    sign = sign_of(result, metric)
    found = [(r, r["difference"][metric]) for r in recipes if (r.get("difference") or {}).get(metric)]
    found = [(r, d) for r, d in found if math.isfinite(number(d.get("value")))]
    if not found:
        return None
    found.sort(key=lambda pair: -sign * pair[1]["value"])
    digits = (digits_for if result.get("kind") == "values" else digits_of)([d for _, d in found])
    rows = [
        Difference(
            r.get("label", r["name"]),
            d["value"],
            number(d.get("low")),
            number(d.get("high")),
            verdict_of(d, result, metric),
            spell(d, digits, signed=True),
            p_value(d.get("p_holm")),
        )
        for r, d in found
    ]
    title = result["metrics"][metric]["title"]
    words = f"{title}, recipe minus baseline. " + "; ".join(
        f"{row.label} {row.text} {row.p}".strip() for row in rows
    )
    settings: dict[str, Any] = {
        "label": words,
        "axis_label": f"difference in {title[0].lower()}{title[1:]}",
        "greater_is_better": sign > 0,
    }
    return {
        "wide": Markup(figure.forest(rows, **settings)),
        "narrow": Markup(figure.forest(rows, narrow=True, **settings)),
        "better": sum(row.verdict == "better" for row in rows),
        "worse": sum(row.verdict == "worse" for row in rows),
        "same": sum(row.verdict == "same" for row in rows),
        "compared": len(rows),
        "title": title,
    }


def column_of(
    key: str,
    info: Mapping[str, Any],
    recipes: Sequence[Mapping[str, Any]],
    primary: bool,
    decimals: Callable[[Sequence[Mapping[str, Any]]], int] = digits_of,
) -> dict[str, Any]:
    intervals = [r["metrics"][key] for r in recipes if (r.get("metrics") or {}).get(key)]
    return {
        "key": key,
        "title": info.get("title", key),
        "arrow": "↑" if info.get("greater_is_better", True) else "↓",
        "hint": "higher is better" if info.get("greater_is_better", True) else "lower is better",
        "primary": primary,
        "digits": decimals(intervals),
    }


def row_of(
    recipe: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], result: Mapping[str, Any]
) -> dict[str, Any]:
    cells = []
    for column in columns:
        interval = (recipe.get("metrics") or {}).get(column["key"]) or {}
        difference = (recipe.get("difference") or {}).get(column["key"]) or {}
        has_value = math.isfinite(number(interval.get("value")))
        has_difference = math.isfinite(number(difference.get("value")))
        cells.append(
            {
                "value": fixed(number(interval.get("value")), column["digits"]) if has_value else "undefined",
                "interval": span(interval, column["digits"]) if has_value else "",
                "difference": fixed(difference["value"], column["digits"], True) if has_difference else "",
                "verdict": verdict_of(difference, result, column["key"]) if has_difference else "same",
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
        "baseline": is_baseline(recipe),
        "cells": cells,
        "seconds": duration(number((recipe.get("seconds") or {}).get("mean"))),
    }


def undefined_reasons(
    recipes: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Why a single value is missing, once for each reason; a failed recipe says so in its row."""
    found: dict[str, list[str]] = {}
    for recipe in recipes:
        metrics = {
            column.get("full", column["title"]): (recipe.get("metrics") or {}).get(column["key"]) or {}
            for column in columns
        }
        missing = [title for title, interval in metrics.items() if math.isnan(number(interval.get("value")))]
        if len(missing) == len(columns) and recipe.get("status", "ok") != "ok":
            continue
        for title in missing:
            why = metrics[title].get("reason") or "no value was computed"
            found.setdefault(f"{title}: {why}", []).append(recipe.get("label", recipe["name"]))
    return [f"{reason} ({', '.join(labels)})" for reason, labels in found.items()]
