"""The report's figures, as SVG text that goes straight into the page.

Colours are drawn as fixed codes and then replaced by the page's CSS variables: the same figure follows the
reader's light or dark theme and the printer's white.
"""

import io
import math
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, MaxNLocator

__all__ = ["Difference", "Line", "calibration", "forest", "precision_recall", "roc"]

# CSS variable -> the code it is drawn with; the page's light theme uses the same codes.
COLOURS = {
    "ink": "#1a1d21",
    "muted": "#667085",
    "rule": "#d9dee6",
    "better": "#0b7a75",
    "worse": "#b4451f",
    "c0": "#3b4048",
    "c1": "#2457a6",
    "c2": "#c8553d",
    "c3": "#2f8f5b",
    "c4": "#8a5aa8",
    "c5": "#a97a00",
}
LINES = ("c0", "c1", "c2", "c3", "c4", "c5")  # of a recipe in all figures; the baseline is c0, dashed
_DASHES: tuple[Any, ...] = ((0, (4, 2)), "-", "-", "-", "-", "-")

_STYLE = {
    "svg.fonttype": "none",  # real text: it can be selected, searched and read aloud
    "text.parse_math": False,  # a class named "a$b$" is not a formula
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": COLOURS["rule"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "text.color": COLOURS["ink"],
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}


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


@dataclass(frozen=True)
class Line:
    """A curve ``x (K,)``, ``y (K,)`` and the index of its colour in :data:`LINES`."""

    x: Sequence[float]
    y: Sequence[float]
    colour: int


def forest(
    rows: Sequence[Difference], *, axis_label: str, greater_is_better: bool, narrow: bool = False
) -> str:
    """Differences to the baseline with their intervals, one row each; the line at zero is the baseline.

    Args:
        rows: Top row first.
        axis_label: Names the metric.
        greater_is_better: Which side of zero is the good one.
        narrow: For a phone: the label stands above its interval, not beside it.
    """
    count = len(rows)
    step = 0.50 if narrow else 0.34
    height = 1.0 + step * count
    with _style("forest-narrow" if narrow else "forest"):
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
            color=COLOURS["c0"], linewidth=1, linestyle="-" if narrow else _DASHES[0],
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
        return _svg(figure)


def roc(lines: Sequence[Line]) -> str:
    """ROC curves; the diagonal is a coin."""
    with _style("roc"):
        figure = Figure(figsize=(3.6, 3.3))
        ax = _square(figure, "false positive rate", "true positive rate (recall)")
        ax.plot([0, 1], [0, 1], color=COLOURS["rule"], linewidth=1)
        for line in reversed(lines):
            _curve(ax, line)
        return _svg(figure)


def precision_recall(lines: Sequence[Line], base_rate: float) -> str:
    """Precision-recall curves; the level line is the share of positives, what a coin reaches."""
    with _style("precision-recall"):
        figure = Figure(figsize=(3.6, 3.3))
        ax = _square(figure, "recall", "precision")
        ax.axhline(base_rate, color=COLOURS["rule"], linewidth=1)
        for line in reversed(lines):
            _curve(ax, line)
        return _svg(figure)


def calibration(lines: Sequence[Line], base_rate: float) -> str:
    """Observed shares of positives against predicted probabilities; on the diagonal they agree.

    With rare positives nearly all bins lie close to zero, so that both axes are then logarithmic; bins
    without a single positive are the triangles at the foot.
    """
    log = base_rate < 0.1
    with _style("calibration"):
        figure = Figure(figsize=(3.6, 3.3))
        ax = _square(figure, "predicted probability", "observed share of positives")
        observed = [y for line in lines for y in line.y if y > 0]
        # The decade of the rarest share that a bin can show: what is predicted below it lies on the edge.
        floor = 10.0 ** math.floor(math.log10(min(observed))) if log and observed else 0.0
        for line in reversed(lines):
            x, y = np.maximum(line.x, floor), np.asarray(line.y, float)
            colour, seen = COLOURS[LINES[line.colour]], y > 0 if floor else y >= 0
            ax.plot(
                x[seen], y[seen], color=colour, linestyle=_DASHES[line.colour], linewidth=1.4,
                marker="o", markersize=3.5,
            )  # fmt: skip
            ax.plot(
                x[~seen], np.full((~seen).sum(), floor), color=colour, linestyle="",
                marker="v", markersize=4.5, fillstyle="none", clip_on=False,
            )  # fmt: skip
        if floor:
            ax.set_xscale("log")
            ax.set_yscale("log")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(_Decades())
        ax.set_xlim(floor, 1)
        ax.set_ylim(floor, 1)
        ax.plot([max(floor, 1e-12), 1], [max(floor, 1e-12), 1], color=COLOURS["rule"], linewidth=1, zorder=0)
        return _svg(figure)


class _Decades(LogFormatterMathtext):
    """0.001 rather than a formula: formulas are drawn as shapes, not as text."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if x > 0 and math.isclose(math.log10(x), round(math.log10(x))) else ""


def _style(name: str) -> AbstractContextManager[None]:
    # The hash salt and the text type of SVG exist as settings only; the context puts them back.
    return matplotlib.style.context(["default", _STYLE | {"svg.hashsalt": f"metabalance-{name}"}])


def _svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element for the middle of an HTML page."""
    out = io.StringIO()
    with warnings.catch_warnings():
        # The browser has the letters that the font used for measuring lacks.
        warnings.filterwarnings("ignore", message=".*missing from", category=UserWarning)
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
    # HTML implies the namespaces; group names would repeat between figures, and nothing refers to them.
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'<g id="[\w.]+_\d+"', "<g", svg)
    svg = svg.replace("'DejaVu Sans'", "var(--sans)")
    for variable, code in COLOURS.items():
        svg = svg.replace(code, f"var(--{variable})")
    return svg


def _square(figure: Figure, x_label: str, y_label: str) -> Axes:
    ax = figure.add_axes((0.18, 0.15, 0.79, 0.82))
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.01)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    return ax


def _curve(ax: Axes, line: Line) -> None:
    dashes = _DASHES[line.colour]
    ax.plot(line.x, line.y, color=COLOURS[LINES[line.colour]], linestyle=dashes, linewidth=1.5)


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
