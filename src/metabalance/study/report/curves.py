"""ROC, precision-recall, gains, lift, calibration, net benefit, and how training went."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metabalance.study.report.drawing import COLOURS, DASHES, LINES, Decades, Line, draw, square, style, svg

__all__ = ["calibration", "gain", "learning", "lift", "net_benefit", "precision_recall", "roc"]

RARE = 0.1  # below this share of positives, what matters lies close to zero: logarithmic axes
SIZE = (3.6, 3.3)


def roc(lines: Sequence[Line], label: str = "ROC curves") -> str:
    """ROC curves; the diagonal is a coin."""
    with style("roc"):
        figure = Figure(figsize=SIZE)
        ax = square(figure, "false positive rate", "true positive rate (recall)")
        ax.plot([0, 1], [0, 1], color=COLOURS["rule"], linewidth=1)
        for line in reversed(lines):
            draw(ax, line)
        return svg(figure, label)


def precision_recall(lines: Sequence[Line], base_rate: float, label: str = "precision-recall curves") -> str:
    """Precision-recall curves; the level line is the share of positives, what a coin reaches."""
    with style("precision-recall"):
        figure = Figure(figsize=SIZE)
        ax = square(figure, "recall", "precision")
        ax.axhline(base_rate, color=COLOURS["rule"], linewidth=1)
        for line in reversed(lines):
            draw(ax, line)
        return svg(figure, label)


def gain(lines: Sequence[Line], base_rate: float, label: str = "cumulative gains") -> str:
    """Share of the positives among the rows with the highest scores; grey are a coin and the best possible."""
    with style("gain"):
        figure = Figure(figsize=SIZE)
        ax = square(figure, "share of rows called", "share of positives found (recall)")
        floor = _shares(ax, base_rate)
        grid = np.linspace(0, 1, 200) if not floor else np.geomspace(floor, 1, 200)
        ax.plot(grid, grid, color=COLOURS["rule"], linewidth=1)
        ax.plot(grid, np.minimum(grid / base_rate, 1), color=COLOURS["rule"], linewidth=1)
        for line in reversed(lines):
            draw(ax, _from(line, floor))
        return svg(figure, label)


def lift(lines: Sequence[Line], base_rate: float, label: str = "lift") -> str:
    """How many times denser positives are among the rows called than among all."""
    with style("lift"):
        figure = Figure(figsize=SIZE)
        ax = square(figure, "share of rows called", "lift")
        floor = _shares(ax, base_rate)
        ax.axhline(1, color=COLOURS["rule"], linewidth=1)
        for line in reversed(lines):
            draw(ax, _from(line, floor))
        highest = max((max(line.y) for line in lines), default=1.0)
        if floor and highest > 10:
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(Decades())
            ax.set_ylim(0.8, 1.2 * highest)
        else:
            ax.set_ylim(0, 1.05 * max(highest, 1.0))
        return svg(figure, label)


def net_benefit(lines: Sequence[Line], base_rate: float, label: str = "decision curves") -> str:
    """Net benefit against the threshold probability; grey is calling everybody, the line at zero nobody.

    Vickers & Elkin, Medical Decision Making 2006.
    """
    with style("net-benefit"):
        figure = Figure(figsize=SIZE)
        ax = square(figure, "threshold probability", "net benefit, by row")
        floor = 10.0 ** math.floor(math.log10(base_rate / 10)) if base_rate < RARE else 0.0
        t = np.linspace(0, 0.99, 300) if not floor else np.geomspace(floor, 0.99, 300)
        ax.plot(t, base_rate - (1 - base_rate) * t / (1 - t), color=COLOURS["muted"], linewidth=1)
        ax.axhline(0, color=COLOURS["rule"], linewidth=1)
        for line in reversed(lines):
            draw(ax, _from(line, floor))
        if floor:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(Decades())
        ax.set_xlim(floor, 1)
        ax.set_ylim(-0.25 * base_rate, 1.1 * base_rate)
        ax.yaxis.set_major_locator(MaxNLocator(5))
        return svg(figure, label)


def calibration(lines: Sequence[Line], base_rate: float, label: str = "calibration curves") -> str:
    """Observed shares of positives against predicted probabilities; on the diagonal they agree.

    With rare positives nearly all bins lie close to zero, so that both axes are then logarithmic; bins
    without a single positive are the triangles at the foot.
    """
    log = base_rate < RARE
    with style("calibration"):
        figure = Figure(figsize=SIZE)
        ax = square(figure, "predicted probability", "observed share of positives")
        observed = [y for line in lines for y in line.y if y > 0]
        # The decade of the rarest share that a bin can show: what is predicted below it lies on the edge.
        floor = 10.0 ** math.floor(math.log10(min(observed))) if log and observed else 0.0
        for line in reversed(lines):
            x, y = np.maximum(line.x, floor), np.asarray(line.y, float)
            colour, seen = COLOURS[LINES[line.colour]], y > 0 if floor else y >= 0
            ax.plot(
                x[seen], y[seen], color=colour, linestyle=DASHES[line.colour], linewidth=1.4,
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
                axis.set_major_formatter(Decades())
        ax.set_xlim(floor, 1)
        ax.set_ylim(floor, 1)
        ax.plot([max(floor, 1e-12), 1], [max(floor, 1e-12), 1], color=COLOURS["rule"], linewidth=1, zorder=0)
        return svg(figure, label)


def learning(
    lines: Sequence[Line],
    y_label: str,
    best: Sequence[tuple[float, float, int]] = (),
    label: str = "training",
) -> str:
    """A quantity over the epochs; a dot marks the epoch that was kept.

    Args:
        lines: Epochs from 1, and the quantity.
        y_label: Names it.
        best: Epoch, value and colour of each dot.
        label: The figure in words.
    """
    with style("learning"):
        figure = Figure(figsize=SIZE)
        ax = figure.add_axes((0.18, 0.15, 0.79, 0.82))
        for line in reversed(lines):
            marker = "o" if len(line.x) == 1 else ""
            colour, dashes = COLOURS[LINES[line.colour]], DASHES[line.colour]
            ax.plot(line.x, line.y, color=colour, linestyle=dashes, linewidth=1.5, marker=marker)
        for x, y, colour_index in best:
            ax.plot([x], [y], marker="o", markersize=6, color=COLOURS[LINES[colour_index]])
        ax.set_xlabel("epoch")
        ax.set_ylabel(y_label)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        return svg(figure, label)


def _shares(ax: Axes, base_rate: float) -> float:
    """A logarithmic axis of shares where positives are rare; returns where it begins, else 0."""
    if not 0 < base_rate < RARE:
        return 0.0
    floor = 10.0 ** math.floor(math.log10(base_rate / 10))
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(Decades())
    ax.set_xlim(floor, 1)
    return floor


def _from(line: Line, floor: float) -> Line:
    """The part of a curve that a logarithmic axis can show, with its last point before it moved to the edge."""
    if not floor:
        return line
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    first = max(int(np.searchsorted(x, floor, side="right")) - 1, 0)
    return Line(np.maximum(x[first:], floor).tolist(), y[first:].tolist(), line.colour)
