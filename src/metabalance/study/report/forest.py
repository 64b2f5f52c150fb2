"""Differences to the baseline with their intervals, one row each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metabalance.study.report.drawing import COLOURS, DASHES, style, svg

__all__ = ["Difference", "forest"]


@dataclass(frozen=True)
class Difference:
    """One row of the forest: a paired difference to the baseline.

    Args:
        label: The recipe.
        value: The difference.
        low: Lower end of its interval.
        high: Upper end.
        verdict: ``"better"``, ``"worse"`` or ``"same"``, after correction for many comparisons.
        text: The numbers, spelled out.
        p: The corrected p-value, spelled out.
    """

    label: str
    value: float
    low: float
    high: float
    verdict: str
    text: str
    p: str = ""


def forest(
    rows: Sequence[Difference],
    *,
    axis_label: str,
    greater_is_better: bool,
    narrow: bool = False,
    label: str = "differences to the baseline",
) -> str:
    """Differences to the baseline with their intervals, one row each; the line at zero is the baseline.

    Args:
        rows: Top row first.
        axis_label: Names the metric.
        greater_is_better: Which side of zero is the good one.
        narrow: For a phone: the label stands above its interval, not beside it.
        label: The figure in words.
    """
    count = len(rows)
    step = 0.50 if narrow else 0.34
    height = 1.0 + step * count
    with style("forest-narrow" if narrow else "forest"):
        figure = Figure(figsize=(4.3 if narrow else 9.6, height))
        left, right = (0.04, 0.96) if narrow else (0.25, 0.71)
        ax = figure.add_axes((left, 0.55 / height, right - left, 1 - 0.90 / height))
        low, high = _limits(rows)
        ax.set_xlim(low, high)
        ax.set_ylim(count - 0.5, -0.5)
        good = (0, high) if greater_is_better else (low, 0)
        ax.axvspan(*good, color=COLOURS["better"], alpha=0.06, linewidth=0)
        # On a phone the line would cross the numbers: it is drawn beside the intervals alone.
        span = (0.02, 0.42) if narrow else (-0.5, 0.5)
        ax.vlines(
            [0] * count, [y + span[0] for y in range(count)], [y + span[1] for y in range(count)],
            color=COLOURS["c0"], linewidth=1, linestyle="-" if narrow else DASHES[0],
        )  # fmt: skip
        for y, row in enumerate(rows):
            _interval(ax, y + (0.22 if narrow else 0), row, low, high)
            colour = COLOURS["muted"] if row.verdict == "same" else COLOURS[row.verdict]
            place: dict[str, Any] = {
                "y": y - 0.2 if narrow else y,
                "va": "center",
                "transform": ax.get_yaxis_transform(),
            }
            if narrow:
                ax.text(0, s=_short(row.label, 24), ha="left", **place)
                ax.text(1, s=row.text, ha="right", color=colour, **place)
            else:
                ax.text(-0.03, s=_short(row.label, 32), ha="right", **place)
                ax.text(1.03, s=row.text, ha="left", color=colour, **place)
                ax.text(1 + 0.285 / (right - left), s=row.p, ha="right", color=colour, **place)
        side: dict[str, Any] = {
            "y": 1.0 + 0.10 / (height - 0.9),
            "transform": ax.get_xaxis_transform(),
            "va": "bottom",
        }
        towards, away = ("better →", "← worse") if greater_is_better else ("worse →", "← better")
        gap = 0.015 * (high - low)
        for x, s, ha in ((gap, towards, "left"), (-gap, away, "right")):
            ax.text(x, s=s, ha=ha, color=COLOURS["better" if "better" in s else "muted"], fontsize=8, **side)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_locator(MaxNLocator(5 if narrow else 7))
        ax.set_xlabel(axis_label)
        return svg(figure, label)


def _interval(ax: Axes, y: float, row: Difference, low: float, high: float) -> None:
    colour = COLOURS["muted"] if row.verdict == "same" else COLOURS[row.verdict]
    ends = (
        np.clip([row.low, row.high], low, high) if np.isfinite([row.low, row.high]).all() else [row.value] * 2
    )
    ax.plot(ends, [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
    for end, cut, marker in ((ends[0], row.low < low, "<"), (ends[1], row.high > high, ">")):
        if cut:  # an interval that leaves the figure ends in an arrow
            ax.plot([end], [y], marker=marker, color=colour, markersize=6, clip_on=False)
    # Filled when it can be told from the baseline: readable without colours too.
    fill = "none" if row.verdict == "same" else "full"
    ax.plot([row.value], [y], marker="o", color=colour, markersize=6, fillstyle=fill, markeredgewidth=1.6)


def _limits(rows: Sequence[Difference]) -> tuple[float, float]:
    """Wide enough for every difference, and for its interval unless that would crush the other rows."""
    values = [0.0, *(row.value for row in rows)]
    widths = [row.high - row.low for row in rows if math.isfinite(row.high - row.low)]
    reach = max(max(values) - min(values), 1.5 * float(np.median(widths)) if widths else 0.0) or 1.0
    ends = [end for row in rows for end in (row.low, row.high) if math.isfinite(end)]
    low = max(min([*values, *ends]), min(values) - reach)
    high = min(max([*values, *ends]), max(values) + reach)
    if high - low < 1e-12:  # no difference at all, and no interval
        low, high = -1.0, 1.0
    # Both sides of zero must show, or "better" and "worse" have no place.
    pad = 0.06 * (high - low)
    return min(low - pad, -0.12 * (high - low)), max(high + pad, 0.12 * (high - low))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip(" .,=(") + "…"
