"""What ``compare`` and ``fit`` show on the terminal: the data, the closing table, the advice."""

import re
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table as Grid

from metabalance.study.sources import Studied
from metabalance.study.terminal import Console

SHOWN_CLASSES = 12


def show_table(console: Console, table: Studied) -> None:
    """What was read, and what the checks found."""
    what = _told_values(table) if table.kind == "values" else _told_classes(table)
    console.print(
        f"[bold]{escape(table.name)}[/]: " + escape(f"{table.described}, {what}"), highlight=False, soft_wrap=True
    )  # fmt: skip
    for finding in table.findings:
        console.print(f"[yellow]{finding.code}[/] {escape(finding.message)}", highlight=False, soft_wrap=True)


def _told_values(table: Any) -> str:
    """Where each target lies, and how much of it is rare."""
    from metabalance.study.values.summary import regions_of

    told = []
    for name, target, region in zip(table.names, table.target.T, regions_of(table.target)):
        group = region.of(target)
        rows = ", ".join(f"{word} {np.count_nonzero(group == word):,}" for word in ("many", "medium", "few"))
        told.append(f"target {name}: {target.min():.4g} to {target.max():.4g}, rows by density: {rows}")
    return "; ".join(told)


def _told_classes(table: Any) -> str:
    counts = np.bincount(table.target, minlength=len(table.classes))
    order = np.argsort(-counts, kind="stable")[-SHOWN_CLASSES:]
    classes = ", ".join(f"{table.classes[i]} {counts[i]:,}" for i in order)
    if len(counts) > SHOWN_CLASSES:
        classes = f"{len(counts)} classes, the rarest {classes}"
    what = f"{table.target_name}: {classes}; positive: {table.classes[table.positive]}"
    return what if table.image_shape else f"target {what}"


def show_streamed(console: Console, streamed: Any) -> None:
    """What is streamed, and what the checks found in a sample of it."""
    counts = streamed.labelled.counts
    order = np.argsort(-counts, kind="stable")[-SHOWN_CLASSES:]
    classes = ", ".join(f"{streamed.classes[i]} {counts[i]:,}" for i in order)
    table = streamed.table
    what = f"target {table.target_name}: {classes}; positive: {table.classes[table.positive]}"
    console.print(
        f"[bold]{escape(table.name)}[/]: " + escape(f"{streamed.described}, {what}"), highlight=False, soft_wrap=True
    )  # fmt: skip
    for finding in table.findings:
        text = f"{finding.message} (in a sample)"
        console.print(f"[yellow]{finding.code}[/] {escape(text)}", highlight=False, soft_wrap=True)


def show_result(console: Console, result: dict[str, Any]) -> None:
    """The closing table and the advice."""
    from metabalance.study.summary import shown, signed

    metric = result["protocol"]["metric"]
    better = "higher" if result["metrics"][metric]["greater_is_better"] else "lower"
    level = f"{100 * result['protocol']['level']:.0f} %"
    grid = Grid(box=None, pad_edge=False, padding=(0, 1))
    grid.add_column("recipe", overflow="fold")
    room = max(console.width - 61, 19)  # what the four columns of figures leave
    for title in ("value", "difference to erm", "p", "s/fit"):
        grid.add_column(title, justify="right", no_wrap=True)
    sign = 1 if better == "higher" else -1
    order = sorted(
        result["recipes"], key=lambda r: -np.nan_to_num(sign * r["metrics"][metric]["value"], nan=-np.inf)
    )
    for recipe in order:
        if recipe["status"] not in ("ok", "partial"):
            grid.add_row(escape(_folded(recipe["label"], room)), recipe["status"], "", "", "")
            continue
        gap = recipe["difference"].get(metric)
        gap = gap if gap and np.isfinite(gap["value"]) else None
        grid.add_row(
            escape(_folded(recipe["label"], room)),
            escape(shown(recipe["metrics"][metric])),
            "" if gap is None else escape(signed(gap)),
            "" if gap is None or np.isnan(gap["p_holm"]) else _p_value(gap["p_holm"]),
            f"{recipe['seconds']['mean']:.1f}",
        )
    console.print(
        f"\n{result['metrics'][metric]['title']} ({better} is better), mean over test parts with {level} interval; "
        "differences are paired, p is Holm's."
        + (f" Each was tuned in {tune} trials a fold, erm too." if (tune := result["protocol"].get("tune")) else ""),
        highlight=False, soft_wrap=console.width < 80,
    )  # fmt: skip
    console.print(grid, highlight=False)
    console.print()
    console.print(f"[bold]{escape(result['advice']['headline'])}[/]", highlight=False, soft_wrap=True)
    for detail in result["advice"]["details"]:
        console.print(f"  {escape(detail)}", highlight=False, soft_wrap=True)


def told_search(record: dict[str, Any]) -> list[str]:
    """What a search did, of a model's record."""
    if not record.get("tuning"):
        return []
    tuning, options = record["tuning"], record["options"]
    ended = ", ".join(f"{tuning[key]} {key}" for key in ("pruned", "failed") if tuning[key])
    chosen = ", ".join(f"{key}={_short(value)}" for key, value in options.items()) or "the defaults"
    return [f"tuned in {tuning['trials']} trials{f' ({ended})' if ended else ''}: {chosen}"]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def _folded(label: str, room: int) -> str:
    """A long label broken before an option, where it can be read and copied."""
    lines = [""]
    for part in re.split(r"(?<=[(,])", label):
        if lines[-1] and len(lines[-1] + part) > room:
            lines.append(" ")
        lines[-1] += part
    return "\n".join(lines)


def _p_value(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}"
