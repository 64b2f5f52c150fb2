"""The page of a comparison whose target is a quantity: the same questions, asked of regions instead of classes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metabalance.study.report.curve_view import learning_view
from metabalance.study.report.leaderboard import column_of, forest_view, row_of, undefined_reasons
from metabalance.study.report.made import cited
from metabalance.study.report.ranking import drawn_of, is_baseline, ranked, value_of
from metabalance.study.report.shared import kind_of_rows, label_of, made_of, protocol_of
from metabalance.study.report.value_view import GROUPS, density_view, rows_of, sections_of
from metabalance.study.report.words import clean, count_of, digits_for, fixed, percent

__all__ = ["values_view"]

JUDGES = ("corrected_resampled_t", "holm")


def values_view(result: Mapping[str, Any]) -> dict[str, Any]:
    """The template's variables for a comparison of kind ``"values"``."""
    result = clean(result)
    metric = result["protocol"]["metric"]
    infos = result.get("metrics", {})
    recipes = ranked(result, metric)
    drawn = drawn_of(recipes, result, metric)
    names = [str(name) for name in result["data"]["targets"]]
    columns = [
        column_of(k, infos[k], recipes, k == metric, digits_for)
        for k in sorted(infos, key=lambda k: k != metric)  # the metric of the advice first
        if "@" not in k and "[" not in k
    ]
    rare = next((k for k in (f"{metric}@few", "mae@few") if k in infos and k != metric), None)
    by_region = _by_region(infos, recipes, result, metric)
    return {
        "kind": "comparison",
        "title": result.get("title", "comparison"),
        "created": str(result.get("created", ""))[:16].replace("T", " "),
        "version": result.get("version", ""),
        "command": result.get("command", ""),
        "advice": {"headline": "", "details": ()} | result.get("advice", {}),
        "facts": _facts(result, recipes, metric),
        "forest": forest_view(result, recipes, metric),
        "rare_forest": forest_view(result, recipes, rare) if rare else None,
        "columns": columns,
        "rows": [row_of(recipe, columns, result) for recipe in recipes],
        "undefined": undefined_reasons(
            recipes, columns + [c for table in by_region for c in table["columns"]]
        ),
        "by_region": by_region,
        "by_target": _by_target(names, infos, recipes, result, metric),
        "several": len(names) > 1,
        "sections": _sections(drawn),
        "density": density_view(result["data"].get("density", [])),
        "findings": result["data"].get("findings", []),
        "data": result["data"],
        "targets": names,
        "protocol": protocol_of(result),
        "explorer": None,
        "training": learning_view([(c, label_of(r), r.get("training") or {}) for c, r in drawn]),
        "fingerprint": result["data"].get("fingerprint", ""),
        "made": made_of(result),
        "cited": cited({r["name"].split("(")[0] for r in recipes} | set(JUDGES)),
    }


def _sections(drawn: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any] | None:
    found = [(c, label_of(r), r["values"]) for c, r in drawn if r.get("values")]
    return sections_of(found) if found else None


def _by_region(
    infos: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], result: Mapping[str, Any], metric: str
) -> list[dict[str, Any]]:
    """A table for each metric that was taken by region: the mean absolute error first."""
    bases = dict.fromkeys(k.split("@")[0] for k in infos if "@" in k and "[" not in k)
    tables = []
    for base in sorted(bases, key=lambda b: (b != "mae", b != metric)):
        keys = [f"{base}@{g}" for g in GROUPS if f"{base}@{g}" in infos]
        columns = [
            column_of(k, infos[k] | {"title": k.partition("@")[2]}, recipes, k == metric, digits_for)
            for k in keys
        ]
        title = infos[keys[0]].get("title", base).split(",")[0]
        for column, key in zip(columns, keys):
            column["full"] = f"{title}, {key.partition('@')[2]}"
        tables.append(
            {"title": title, "columns": columns, "rows": [row_of(r, columns, result) for r in recipes]}
        )
    return tables


def _by_target(
    names: Sequence[str], infos: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], result: Mapping[str, Any],
    metric: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """A table for each of several targets, in its own unit."""
    tables = []
    for name in names:
        keys = [k for k in infos if k.endswith(f"[{name}]")]
        if keys:
            titled = {k: infos[k].get("title", k).removesuffix(f" of {name}") for k in keys}
            columns = [
                column_of(k, infos[k] | {"title": titled[k]}, recipes, k == metric, digits_for) for k in keys
            ]
            tables.append(
                {"title": name, "columns": columns, "rows": [row_of(r, columns, result) for r in recipes]}
            )
    return tables


def _facts(
    result: Mapping[str, Any], recipes: Sequence[Mapping[str, Any]], metric: str
) -> list[tuple[str, str]]:
    data = result["data"]
    facts = []
    entries = data.get("density", [])
    rows = data.get("rows") or (sum(entries[0]["counts"]) if entries else 0)
    facts.append((count_of(rows), kind_of_rows(data)))
    for entry in entries[:2]:
        few = rows_of(entry)["few"]
        of = f" {entry['name']}" if len(entries) > 1 else " the target"
        facts.append(
            (percent(few / max(rows, 1)), f"of the rows lie where{of} is rare ({count_of(few)} few)")
        )
    facts.append((count_of(max((r.get("fits", 0) for r in recipes), default=0)), "fits of each recipe"))
    baseline = next((r for r in recipes if is_baseline(r)), None)
    if baseline is not None and math.isfinite(value_of(baseline, metric)):
        digits = digits_for([baseline["metrics"][metric]])
        title = result["metrics"][metric]["title"]
        facts.append(
            (fixed(value_of(baseline, metric), digits), f"{title[0].lower()}{title[1:]} of the baseline")
        )
    return facts
