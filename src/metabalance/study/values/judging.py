"""A file of predicted values judged: metrics by region with intervals, groups, and other predictions beside them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.data.tables import resolve_column
from metabalance.judge import get_value_metric, holm, value_differences, value_estimates
from metabalance.judge.regions import GROUPS
from metabalance.study.given import as_data_errors
from metabalance.study.judging_tables import grid_with
from metabalance.study.report.words import digits_for, spell
from metabalance.study.scored import read_numbers
from metabalance.study.terminal import Console
from metabalance.study.values.evidence import estimate_rows
from metabalance.study.values.figures import figures
from metabalance.study.values.scored import ScoredValues

__all__ = ["judge_values", "show_values"]

DEFAULT = ("bmae", "mae", "rmse", "gm", "r2", "pearson", "spearman")
OF_GROUPS = ("mae", "mae@few", "bmae")
AGAINST = ("bmae", "mae", "mae@many", "mae@medium", "mae@few", "rmse", "r2")
SHOWN_GROUPS = 20
FEW = 50


def judge_values(
    scored: ScoredValues,
    metrics: Sequence[str] = (),
    *,
    against: Sequence[str] = (),
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Metrics of predicted rows, plain values throughout.

    Args:
        scored: The rows.
        metrics: Names such as ``mae`` (with its regions) or ``mae@few``; by default all.
        against: Columns with other predictions of a single target: are they better or worse?
        level: Nominal coverage of the intervals.
        resamples: Of the bootstrap.
        seed: Of the resamples.

    Returns:
        ``metrics`` (name, title, value, low, high, method, reason), ``regions`` (rows in each, and the rule), ``per_group``,
        ``against``, ``coverage``, ``notes`` and what was judged.

    Raises:
        DataError: An unknown metric, or a column that is missing.
    """
    wanted = list(metrics) or list(DEFAULT)
    settings: dict[str, Any] = {
        "level": level,
        "n_boot": resamples,
        "seed": seed,
        "target_names": scored.names,
    }
    with as_data_errors():
        found = value_estimates(
            scored.prediction, scored.target, scored.regions, wanted, weight=scored.weight, **settings
        )
    drawn = figures(scored.prediction, scored.target, scored.regions, scored.names, scored.limits)["targets"]
    regions = [
        {"target": name, "rule": region.rule, "many": region.many, "few": region.few,
         "rows": {g: one["regions"][g]["rows"] for g in GROUPS}}
        for name, region, one in zip(scored.names, scored.regions, drawn, strict=True)
    ]  # fmt: skip
    result: dict[str, Any] = {
        "kind": "values",
        "name": scored.name,
        "targets": list(scored.names),
        "rows": len(scored.target),
        "weighted": scored.weight is not None,
        "level": level,
        "source": scored.source,
        "regions": regions,
        "metrics": estimate_rows(found),
        "coverage": [
            {"target": one["name"], **one["coverage"]["target"]} for one in drawn if "coverage" in one
        ],
        "per_group": [],
        "against": [],
        "notes": _notes(regions),
    }
    if scored.groups is not None:
        result["per_group"] = _groups(scored, metrics or OF_GROUPS, result["notes"], settings)
    if against:
        shown = () if metrics else AGAINST
        result["against"] = _against(scored, against, wanted, shown, settings)
    return result


def show_values(console: Console, result: Mapping[str, Any]) -> None:
    """The tables."""
    console.print(
        f"[bold]{escape(result['name'])}[/]: " + escape(f"{result['rows']:,} rows; {', '.join(result['targets'])}"),
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    for region in result["regions"]:
        rows = ", ".join(f"{g} {region['rows'][g]:,}" for g in GROUPS)
        limits = f"many above {region['many']:g} rows in a bin, few below {region['few']:g}"
        rule = "" if region["rule"] == "density" else ", tertiles"
        console.print(escape(f"{region['target']}: {rows} ({limits}{rule})"), highlight=False, soft_wrap=True)
    console.print(escape(result["source"]), highlight=False, soft_wrap=True)
    by_name = {row["name"]: row for row in result["metrics"]}
    ends = ["", *(f"[{name}]" for name in result["targets"])] if len(result["targets"]) > 1 else [""]
    for end in ends:
        _show(console, by_name, end)
    for one in result["coverage"]:
        told = ", ".join(f"{g} {_share(one[g])}" for g in ("all", *GROUPS) if one[g]["rows"])
        console.print(
            escape(f"\nWithin the limits of {one['target']}: {told}"), highlight=False, soft_wrap=True
        )
    if result["per_group"]:
        grid = grid_with("group", "rows", *(row["name"] for row in result["per_group"][0]["metrics"]))
        for row in result["per_group"]:
            grid.add_row(
                escape(row["group"]), f"{row['rows']:,}", *(escape(_with_ends(m)) for m in row["metrics"])
            )
        console.print("\nEach group:", highlight=False)
        console.print(grid, highlight=False)
    for other in result["against"]:
        console.print(escape(f"\n{other['column']}, less the predictions judged:"), highlight=False)
        for row in other["rows"]:
            console.print(f"  {escape(row['sentence'])}", highlight=False, soft_wrap=True)
    for note in result["notes"]:
        console.print(f"[yellow]note[/] {escape(note)}", highlight=False, soft_wrap=True)


def _show(console: Console, by_name: Mapping[str, Any], end: str) -> None:
    """One table: each metric over all rows and by region."""
    bases = dict.fromkeys(
        name.split("@")[0].split("[")[0]
        for name in by_name
        if name.endswith(end) and (end or "[" not in name)
    )
    if not bases:
        return
    grid = grid_with("metric", "all rows", *GROUPS)
    doubts: dict[str, None] = {}
    for base in bases:
        rows = [by_name.get(f"{base}{g}{end}") for g in ("", *(f"@{g}" for g in GROUPS))]
        # Side by side, five columns of values with their ends are wider than a terminal.
        shown = ["" if row is None else _with_ends(row).replace(" ", "\n", 1) for row in rows]
        grid.add_row(base, *map(escape, shown))
        for row, where in zip(rows, ("all rows", *GROUPS)):
            if row is not None and row["reason"]:
                doubts[f"{where}: {row['reason']}"] = None
    if end:
        console.print(f"\n{escape(end[1:-1])}:", highlight=False)
    console.print(grid, highlight=False)
    for doubt in doubts:
        console.print(f"* {escape(doubt)}", highlight=False, soft_wrap=True)


def _groups(
    scored: ScoredValues, metrics: Sequence[str], notes: list[str], settings: dict[str, Any]
) -> list[dict[str, Any]]:
    labels, counts = np.unique(np.asarray(scored.groups).astype(str), return_counts=True)
    largest = labels[np.argsort(-counts, kind="stable")[:SHOWN_GROUPS]]
    if len(labels) > SHOWN_GROUPS:
        notes.append(f"the {SHOWN_GROUPS} largest of {len(labels)} groups are shown")
    found = []
    for label in largest:
        rows = scored.groups == label
        own = value_estimates(
            scored.prediction[rows], scored.target[rows], scored.regions, metrics,
            weight=None if scored.weight is None else scored.weight[rows], **settings,
        )  # fmt: skip
        own = {key: interval for key, interval in own.items() if key in metrics}
        found.append({"group": str(label), "rows": int(rows.sum()), "metrics": estimate_rows(own)})
    return found


def _against(
    scored: ScoredValues, columns: Sequence[str], metrics: Sequence[str], shown: Sequence[str],
    settings: dict[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
    """Other predictions less those judged, on the same rows; p-values are Holm's over all columns, metric by metric."""
    if len(scored.names) != 1:
        raise DataError(
            f"--against is for one target, but {len(scored.names)} are judged; judge each on its own"
        )
    found = {}
    for column in columns:
        name = resolve_column(scored.frame.columns, column)
        other = read_numbers(scored.frame, name)[:, None]
        found[name] = value_differences(
            other, scored.prediction, scored.target, scored.regions, metrics, weight=scored.weight, **settings
        )
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
    every = next(iter(found.values())) if found else {}
    for key in [key for key in every if key in shown] if shown else every:
        metric = get_value_metric(key)
        adjusted = holm([gap[key].p_value for gap in found.values()])
        for (name, gap), p in zip(found.items(), adjusted, strict=True):
            interval = gap[key].interval
            sign = 1 if metric.greater_is_better else -1
            told = not math.isnan(p) and p < 1 - settings["level"]
            verdict = (
                "not distinguishable" if not told else "better" if sign * interval.value > 0 else "worse"
            )
            value = _with_ends(
                {"value": interval.value, "low": interval.low, "high": interval.high}, signed=True
            )
            why = f"p = {p:.3g}" if not math.isnan(p) else interval.reason
            rows[name].append(
                {
                    "name": key, "title": metric.title, "difference": interval.value, "low": interval.low,
                    "high": interval.high, "p_holm": float(p), "verdict": verdict, "reason": interval.reason,
                    "sentence": f"{metric.title}: {value}, {verdict} ({why})",
                }
            )  # fmt: skip
    return [{"column": name, "rows": own} for name, own in rows.items()]


def _notes(regions: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    for region in regions:
        for group in GROUPS:
            rows = region["rows"][group]
            if not rows:
                notes.append(f"no row lies where {region['target']} is {group}")
            elif rows < FEW:
                notes.append(
                    f"{rows} rows lie where {region['target']} is {group}: figures there are uncertain, and intervals by "
                    "resampling somewhat too narrow"
                )
    return notes


def _with_ends(row: Mapping[str, Any], signed: bool = False, digits: int | None = None) -> str:
    places = digits_for([row]) if digits is None else digits
    return "-" if math.isnan(row["value"]) else spell(row, places, signed)


def _share(row: Mapping[str, Any]) -> str:
    return f"{row['value']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
