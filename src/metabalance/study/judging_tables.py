"""A judgement in the terminal: metrics, classes, groups."""

import math
from typing import Any

from rich.markup import escape
from rich.table import Table as Grid

from metabalance.study.terminal import Console


def show_judgement(console: Console, result: dict[str, Any]) -> None:
    """The tables."""
    counts = ", ".join(f"{c} {n:,}" for c, n in list(zip(result["classes"], result["counts"]))[:12])
    console.print(
        f"[bold]{escape(result['name'])}[/]: "
        + escape(f"{result['rows']:,} rows; {result['target']}: {counts}; positive: {result['positive']}"),
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    console.print(escape(f"decisions: {result['decision']}"), highlight=False, soft_wrap=True)
    grid = grid_with("metric", "value", result.get("ends") or f"{100 * result['level']:.4g} % interval", "by")
    for row in result["metrics"]:
        grid.add_row(escape(row["title"]), *_figures(row))
    console.print(grid, highlight=False)
    doubts = {f"{m['method']}: {m['reason']}": None for m in result["metrics"] if _doubtful(m)}
    for doubt in doubts:
        console.print(f"* {escape(doubt)}", highlight=False, soft_wrap=True)
    if result["per_class"] and result["decision"][:4] != "none":
        grid = grid_with("class", "rows", "precision", "recall", "F1", "ROC AUC", "AP")
        for row in result["per_class"]:
            shown = [_number(row[name]) for name in ("f1", "roc_auc", "average_precision")]
            cells = [f"{row['rows']:,}", _with_ends(row["precision"]), _with_ends(row["recall"]), *shown]
            grid.add_row(escape(row["class"]), *cells)
        console.print("\nEach class against all others:", highlight=False)
        console.print(grid, highlight=False)
    if result["per_group"]:
        titles = [row["title"] for row in result["per_group"][0]["metrics"]]
        grid = grid_with("group", "rows", "positives", *titles)
        for row in result["per_group"]:
            cells = [_with_ends(m) for m in row["metrics"]]
            grid.add_row(escape(row["group"]), f"{row['rows']:,}", f"{row['positives']:,}", *cells)
        console.print("\nEach group:", highlight=False)
        console.print(grid, highlight=False)
    if result.get("priors"):
        shares = [f"{100 * point['prior']:.4g} %" for point in result["priors"][0]["points"]]
        grid = grid_with("metric", *shares)
        for metric in result["priors"]:
            grid.add_row(escape(metric["title"]), *(_with_ends(point) for point in metric["points"]))
        console.print("\nIf positives had another share, the same decisions:", highlight=False)
        console.print(grid, highlight=False)
    for metric in result.get("against", ()):
        console.print(
            f"\n{escape(metric['title'])}, {_number(metric['value'])} here, against", highlight=False
        )
        for row in metric["rows"]:
            console.print(f"  {escape(row['sentence'])}", highlight=False, soft_wrap=True)
    for note in result["notes"]:
        console.print(f"[yellow]note[/] {escape(note)}", highlight=False, soft_wrap=True)


def grid_with(first: str, *others: str) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, 1))
    grid.add_column(first, overflow="fold")
    for title in others:
        grid.add_column(title, justify="right", overflow="fold")
    return grid


def _figures(row: dict[str, Any]) -> tuple[str, str, str]:
    if math.isnan(row["value"]):
        return "-", "", escape(row["reason"])
    ends = "" if math.isnan(row["low"]) else f"[{_number(row['low'])}, {_number(row['high'])}]"
    return _number(row["value"]), escape(ends), escape(row["method"] + ("*" if _doubtful(row) else ""))


def _doubtful(row: dict[str, Any]) -> bool:
    """Whether something is to be said about an interval that is there."""
    return bool(row["reason"]) and not math.isnan(row["value"])


def _with_ends(row: dict[str, Any]) -> str:
    if math.isnan(row["value"]) or math.isnan(row["low"]):
        return _number(row["value"])
    return escape(f"{_number(row['value'])} [{_number(row['low'])}, {_number(row['high'])}]")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"
