"""What the pages of a continuous target show in figures and tables, worked out before a template sees it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from metabalance.study.report import value_figures as drawn
from metabalance.study.report.drawing import LINES
from metabalance.study.report.words import count_of, digits_for, fixed, number, percent, short, span

MOST_TARGETS = 6
GROUPS = ("many", "medium", "few")
BY = (("true", "target"), ("predicted", "prediction"))
LEGEND = [
    {"colour": colour, "label": name, "mark": mark}
    for (name, colour), mark in zip(drawn.GROUP_COLOURS.items(), "●■▲")
]


def density_view(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the rows of each target lie, and what makes a region."""
    figures = []
    for entry in entries[:MOST_TARGETS]:
        rows = rows_of(entry)
        total = max(sum(rows.values()), 1)
        told = ", ".join(f"{g} {count_of(rows[g])} rows ({percent(rows[g] / total)})" for g in GROUPS)
        label = f"Rows along {entry['name']}: {told}"
        figures.append(
            {
                "name": entry["name"],
                "svg": Markup(drawn.density(entry, label)),
                "caption": f"{_rule(entry)} {told[:1].upper()}{told[1:]}.",
            }
        )
    return {"figures": figures, "legend": LEGEND, "hidden": max(len(entries) - MOST_TARGETS, 0)}


def rows_of(entry: Mapping[str, Any]) -> dict[str, int]:
    """Rows of a target in each region."""
    return {
        g: sum(int(c) for c, group in zip(entry["counts"], entry["groups"]) if group == g) for g in GROUPS
    }


def sections_of(entries: Sequence[tuple[int, str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Figures of several recipes, target by target; the first is the baseline.

    Args:
        entries: Colour, label and figures (``values``) of each recipe.
    """
    targets = entries[0][2]["targets"]
    sections = []
    for t, first in enumerate(targets[:MOST_TARGETS]):
        found = [(c, label, values["targets"][t]) for c, label, values in entries]
        name = short(str(first["name"]), 40)
        lines = [(c, one["residuals"]) for c, _, one in found if one["residuals"]["low"]]
        dense = [(c, one["density"]) for c, _, one in found if one["density"]["train"]]
        sections.append(
            {
                "name": first["name"],
                "residuals": Markup(drawn.residual_lines(lines, name, _biases(found))) if lines else None,
                "errors": Markup(drawn.error_by_density(dense, _errors(found))) if dense else None,
                "scatters": [
                    {"label": label, "svg": Markup(drawn.scatter(one["scatter"], name, f"Predicted against true, {label}"))}
                    for _, label, one in found[:2]
                ],
                "coverage": coverage_table([(label, one.get("coverage")) for _, label, one in found]),
            }
        )  # fmt: skip
    recipes = [{"colour": LINES[c], "dashed": c == 0, "label": label} for c, label, _ in entries]
    hidden = max(len(targets) - MOST_TARGETS, 0)
    return {"targets": sections, "recipes": recipes, "legend": LEGEND, "hidden": hidden}


def model_sections(values: Mapping[str, Any], level: float | None) -> dict[str, Any]:
    """Figures of one model, target by target."""
    sections = []
    for one in values["targets"][:MOST_TARGETS]:
        name, found = short(str(one["name"]), 40), [(0, "the model", one)]
        within = one.get("coverage")
        rows = []
        if within:
            shares = [(g, f"{g}, {by} value", within[key][g]) for by, key in BY for g in GROUPS]
            rows = [row for row in (("all", "all rows", within["target"]["all"]), *shares) if row[2]["rows"]]
        told = "; ".join(f"{label} {percent(number(row['value']))}" for _, label, row in rows)
        sections.append(
            {
                "name": one["name"],
                "residuals": Markup(drawn.residual_boxes(one["residuals"], name, _biases(found)))
                if one["residuals"]["low"] else None,
                "errors": Markup(drawn.error_by_density([(None, one["density"])], _errors(found)))
                if one["density"]["train"] else None,
                "scatter": Markup(drawn.scatter(one["scatter"], name, "Predicted against true")),
                "coverage": Markup(drawn.coverage(rows, level, f"Rows within their limits: {told}")) if rows else None,
                "widths": coverage_table([("", within)]),
            }
        )  # fmt: skip
    hidden = max(len(values["targets"]) - MOST_TARGETS, 0)
    return {"targets": sections, "legend": LEGEND, "hidden": hidden, "level": level}


def coverage_table(found: Sequence[tuple[str, Mapping[str, Any] | None]]) -> dict[str, Any] | None:
    """Share of rows within their limits, and how wide these are, by the region of the true value."""
    kept = [(label, one["target"]) for label, one in found if one]
    if not kept:
        return None
    names = ("all", *GROUPS)
    widths = [{"value": one[g]["width"], "low": None, "high": None} for _, one in kept for g in names]
    digits = digits_for(widths)
    rows = []
    for label, one in kept:
        cells = []
        for g in names:
            width = f"width {fixed(number(one[g]['width']), digits)}" if one[g]["rows"] else ""
            share = percent(number(one[g]["value"])) if one[g]["rows"] else "–"
            cells.append({"text": share, "interval": _ends(one[g]), "why": width})
        rows.append({"label": label or "the model", "cells": cells})
    return {
        "caption": "Rows within their limits, by the region of the true value",
        "columns": ["", "all rows", *GROUPS],
        "rows": rows,
        "after": "Limits are promised over all rows, or by the region of the prediction: by that of the true value, which "
        "nobody knows beforehand, rare values are often held less.",
    }


def region_table(estimates: Sequence[Mapping[str, Any]], only: str | None = None) -> dict[str, Any] | None:
    """Each metric over all rows and by region, with intervals.

    Args:
        estimates: Rows with ``name``, ``title``, ``value``, ``low``, ``high``, ``reason``.
        only: Of this target alone; None for the figures over all targets.
    """
    by_name = {e["name"]: e for e in estimates}
    end = "" if only is None else f"[{only}]"
    bases = dict.fromkeys(
        name.split("@")[0].split("[")[0]
        for name in by_name
        if name.endswith(end) and (end or "[" not in name)
    )
    rows: list[dict[str, Any]] = []
    reasons: dict[str, list[str]] = {}
    methods: dict[str, None] = {}
    for base in bases:
        found = [by_name.get(f"{base}{group}{end}") for group in ("", *(f"@{g}" for g in GROUPS))]
        first = next(e for e in found if e)
        digits = digits_for([e for e in found if e])
        cells = []
        for estimate, group in zip(found, ("all", *GROUPS)):
            if estimate is None:
                cells.append({"text": "", "interval": "", "why": ""})
                continue
            cells.append(
                {
                    "text": fixed(number(estimate["value"]), digits),
                    "interval": span(estimate, digits),
                    "why": "",
                }
            )
            if estimate.get("reason"):
                reasons.setdefault(str(estimate["reason"]), []).append(f"{group}")
            if estimate.get("method"):
                methods[str(estimate["method"])] = None
        title = (
            first["title"].split(",")[0].split(" of ")[0]
            if only is not None
            else first["title"].split(",")[0]
        )
        rows.append({"label": f"{title} {'↑' if first['greater_is_better'] else '↓'}", "cells": cells})
    if not rows:
        return None
    told = "; ".join(f"{', '.join(dict.fromkeys(where))}: {why}" for why, where in reasons.items())
    how = {"bca": "BCa bootstrap of the rows", "percentile": "percentile bootstrap of the rows"}
    made = ", ".join(how.get(m, m) for m in methods)
    return {
        "caption": "Each metric with its 95 % interval; ↑ higher is better, ↓ lower is better",
        "columns": ["metric", "all rows", *GROUPS],
        "rows": rows,
        "after": (f"Intervals by {made}. " if made else "")
        + (f"{told[:1].upper()}{told[1:]}." if told else ""),
    }


def _rule(entry: Mapping[str, Any]) -> str:
    many, few = count_of(number(entry.get("many", 100))), count_of(number(entry.get("few", 20)))
    if entry.get("rule", "density") == "density":
        return f"A bin with more than {many} rows is many, one with fewer than {few} few."
    return (
        f"There are too few rows for the usual limits of 100 and 20 in a bin: here a bin with more than {many} rows is many, "
        f"one with fewer than {few} few (tertiles)."
    )


def _ends(row: Mapping[str, Any]) -> str:
    low, high = number(row["low"]), number(row["high"])
    return f"[{100 * low:.1f}, {100 * high:.1f}]" if math.isfinite(low) and math.isfinite(high) else ""


def _biases(found: Sequence[tuple[int, str, Mapping[str, Any]]]) -> str:
    return "Prediction minus true value, mean by region. " + _told(found, "bias")


def _errors(found: Sequence[tuple[int, str, Mapping[str, Any]]]) -> str:
    return "Mean absolute error by region of training density. " + _told(found, "mae")


def _told(found: Sequence[tuple[int, str, Mapping[str, Any]]], what: str) -> str:
    parts = []
    for _, label, one in found:
        values = [f"{g} {number(one['regions'][g][what]):.3g}" for g in GROUPS if one["regions"][g]["rows"]]
        parts.append(f"{label}: {', '.join(values)}")
    return "; ".join(parts)
