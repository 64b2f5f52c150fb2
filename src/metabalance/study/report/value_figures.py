"""Figures of a continuous target: where its rows lie, residuals, error by density, predicted against true, coverage.

Regions have a colour and a mark each, so that they can be told apart without colours; a recipe has its colour of the
whole page.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metabalance.study.report.drawing import COLOURS, DASHES, LINES, style, svg
from metabalance.study.report.words import short

__all__ = [
    "GROUP_COLOURS",
    "coverage",
    "density",
    "error_by_density",
    "residual_boxes",
    "residual_lines",
    "scatter",
]

GROUP_COLOURS = {"many": "c1", "medium": "c5", "few": "c2"}
MARKS = {"many": "o", "medium": "s", "few": "^"}
SIZE = (4.6, 3.4)
PLACE = (0.16, 0.16, 0.82, 0.78)
MOST_BARS = 100
STEPS = (
    0,
    1,
    5,
    20,
    100,
    500,
    2_000,
    10_000,
    50_000,
    250_000,
)  # training rows near a value, pooled for a line


def density(entry: Mapping[str, Any], label: str) -> str:
    """Rows of each bin of the target, coloured by region.

    Args:
        entry: ``name``, ``edges``, ``counts`` and ``groups``.
        label: The figure in words.
    """
    edges, counts, groups = _pooled(entry)
    with style("density"):
        figure = Figure(figsize=(7.4, 2.7))
        ax = figure.add_axes((0.09, 0.19, 0.89, 0.74))
        for name, colour in GROUP_COLOURS.items():
            of = (groups == name) & (counts > 0)
            ax.bar(
                edges[:-1][of], counts[of], np.diff(edges)[of], align="edge", color=COLOURS[colour],
                edgecolor="none", alpha=0.85,
            )  # fmt: skip
        if counts.max(initial=0) > 50:
            ax.set_yscale("log")
            ax.set_ylim(0.7, 1.4 * counts.max())
            ax.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}" if v >= 1 else "")
        ax.set_xlabel(short(str(entry["name"]), 60))
        ax.set_ylabel("rows")
        return svg(figure, label)


def residual_boxes(found: Mapping[str, Any], name: str, label: str) -> str:
    """Quantiles of the residual along the target, a box for each strip: quartiles, median, and tenths as whiskers."""
    with style("residual-boxes"):
        figure, ax = _axes(name, "prediction − true value")
        ax.axhline(0, color=COLOURS["muted"], linewidth=1)
        strips = list(zip(*(found[k] for k in ("low", "high", "q10", "q25", "q50", "q75", "q90", "group"))))
        typical = float(np.median([s[1] - s[0] for s in strips])) if strips else 0.0
        for low, high, tail, q1, median, q3, top, group in strips:
            middle, half = (low + high) / 2, 0.36 * ((high - low) or typical or 1.0)
            colour = COLOURS[GROUP_COLOURS[group]]
            ax.plot([middle, middle], [tail, top], color=colour, linewidth=1)
            ax.fill_between([middle - half, middle + half], q1, q3, color=colour, alpha=0.35, linewidth=0)
            ax.plot([middle - half, middle + half], [median, median], color=colour, linewidth=2)
        return svg(figure, label)


def residual_lines(entries: Sequence[tuple[int, Mapping[str, Any]]], name: str, label: str) -> str:
    """The median residual along the target, a line for each recipe; the ground is coloured by region.

    Args:
        entries: Colour of the recipe and its residuals.
        name: Of the target.
        label: The figure in words.
    """
    with style("residual-lines"):
        figure, ax = _axes(name, "median of prediction − true value")
        first = entries[0][1]
        for low, high, group in zip(first["low"], first["high"], first["group"]):
            ax.axvspan(low, high, color=COLOURS[GROUP_COLOURS[group]], alpha=0.09, linewidth=0)
        ax.axhline(0, color=COLOURS["muted"], linewidth=1)
        for colour, found in reversed(entries):
            middle = (np.asarray(found["low"]) + np.asarray(found["high"])) / 2
            ax.plot(
                middle, found["q50"], color=COLOURS[LINES[colour]], linestyle=DASHES[colour], linewidth=1.5,
                marker="o", markersize=3,
            )  # fmt: skip
        return svg(figure, label)


def error_by_density(entries: Sequence[tuple[int | None, Mapping[str, Any]]], label: str) -> str:
    """Mean absolute error against the training rows near a value.

    Args:
        entries: Colour of a recipe, which is drawn as a line over pooled bins; None for one model alone, whose bins are
            points coloured by region, the larger the more rows they hold.
        label: The figure in words.
    """
    with style("error-by-density"):
        figure, ax = _axes("training rows near the value", "mean absolute error")
        nothing = 0.4  # where the axis shows a value that no training row was near
        for colour, found in reversed(entries):
            train, error, rows = (np.asarray(found[k], dtype=float) for k in ("train", "mae", "rows"))
            if colour is None:
                group, area = np.asarray(found["group"]), 14 + 130 * rows / max(rows.max(initial=1), 1)
                for name, shade in GROUP_COLOURS.items():
                    of = group == name
                    ax.scatter(
                        np.maximum(train[of], nothing), error[of], s=area[of], marker=MARKS[name],
                        color=COLOURS[shade], alpha=0.6, linewidths=0,
                    )  # fmt: skip
            else:
                x, y = pooled_by_density(train, error, rows)
                ax.plot(
                    np.maximum(x, nothing), y, color=COLOURS[LINES[colour]], linestyle=DASHES[colour],
                    linewidth=1.5, marker="o", markersize=3.5,
                )  # fmt: skip
        highest = max((max(found["train"], default=1) for _, found in entries), default=1)
        unseen = any(0 in found["train"] for _, found in entries)
        ax.set_xscale("log")
        ax.set_xlim(0.3 if unseen else 0.7, 2 * max(highest, 10))
        ticks = [10.0**k for k in range(int(math.log10(max(highest, 10))) + 1)]
        ax.set_xticks(
            ([nothing] if unseen else []) + ticks, (["0"] if unseen else []) + [f"{t:,.0f}" for t in ticks]
        )
        ax.minorticks_off()
        ax.set_ylim(bottom=0)
        return svg(figure, label)


def pooled_by_density(
    train: np.ndarray, error: np.ndarray, rows: np.ndarray
) -> tuple[list[float], list[float]]:
    """Mean training rows and mean error of bins with about as many training rows."""
    place = np.searchsorted(STEPS, train, side="right")
    x, y = [], []
    for k in np.unique(place):
        w = rows[place == k]
        x.append(
            float(np.exp(np.average(np.log(np.maximum(train[place == k], 1)), weights=w))) if k > 1 else 0.0
        )
        y.append(float(np.average(error[place == k], weights=w)))
    return x, y


def scatter(found: Mapping[str, Any], name: str, label: str) -> str:
    """Predicted against true, coloured by region; on the diagonal they agree."""
    true, predicted = np.asarray(found["target"], float), np.asarray(found["prediction"], float)
    group = np.asarray(found["group"])
    with style("scatter"):
        figure, ax = _axes(f"true {name}", "predicted")
        ends = [true.min(initial=np.inf), true.max(initial=-np.inf)]
        if len(true):
            ax.plot(ends, ends, color=COLOURS["muted"], linewidth=1)
        for k, colour in GROUP_COLOURS.items():
            of = group == k
            ax.plot(
                true[of], predicted[of], linestyle="", marker=MARKS[k], markersize=3.4, color=COLOURS[colour],
                alpha=0.6, markeredgewidth=0,
            )  # fmt: skip
        return svg(figure, label)


def coverage(rows: Sequence[tuple[str, str, Mapping[str, Any]]], level: float | None, label: str) -> str:
    """Share of rows within their limits, with its interval; the dashed line is the level that was promised.

    Args:
        rows: Region (or ``"all"``), name and share of each line.
        level: What was promised, if that is known.
        label: The figure in words.
    """
    with style("coverage"):
        figure = Figure(figsize=(4.6, 0.9 + 0.32 * len(rows)))
        height = 0.9 + 0.32 * len(rows)
        ax = figure.add_axes((0.40, 0.55 / height, 0.56, 1 - 0.75 / height))
        if level is not None:
            ax.axvline(level, color=COLOURS["c0"], linewidth=1, linestyle=DASHES[0])
        lowest = 1.0
        for y, (group, name, found) in enumerate(rows):
            colour = COLOURS[GROUP_COLOURS.get(group, "c0")]
            if found["value"] is not None:
                ax.plot([found["low"], found["high"]], [y, y], color=colour, linewidth=1.8)
                ax.plot([found["value"]], [y], marker="o", color=colour, markersize=5)
                lowest = min(lowest, found["low"])
            ax.text(-0.04, y, name, ha="right", va="center", transform=ax.get_yaxis_transform())
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_xlim(min(lowest, level if level is not None else 1.0, 0.9) - 0.03, 1.01)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f} %")
        ax.set_xlabel("rows within the limits")
        return svg(figure, label)


def _axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE)
    ax = figure.add_axes(PLACE)
    ax.set_xlabel(short(x_label, 44))
    ax.set_ylabel(y_label)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    return figure, ax


def _pooled(entry: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges, counts and groups of as many bars as can be seen; of pooled bins the region of most rows is shown."""
    edges, counts = np.asarray(entry["edges"], float), np.asarray(entry["counts"], float)
    groups = np.asarray(entry["groups"])
    step = -(-len(counts) // MOST_BARS)
    if step == 1:
        return edges, counts, groups
    starts = np.arange(0, len(counts), step)
    share = [np.add.reduceat(np.where(groups == g, counts, 0), starts) for g in GROUP_COLOURS]
    return (
        np.append(edges[starts], edges[-1]),
        np.add.reduceat(counts, starts),
        np.asarray(list(GROUP_COLOURS))[np.argmax(share, axis=0)],
    )
