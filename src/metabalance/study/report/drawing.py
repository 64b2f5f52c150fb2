"""How the report's figures are drawn: as SVG text that goes straight into the page.

Colours are drawn as fixed codes and then replaced by the page's CSS variables: the same figure follows the
reader's light or dark theme and the printer's white.
"""

import hashlib
import io
import math
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext

__all__ = ["COLOURS", "Line"]

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
DASHES: tuple[Any, ...] = ((0, (4, 2)), "-", "-", "-", "-", "-")

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
class Line:
    """A curve ``x (K,)``, ``y (K,)`` and the index of its colour in :data:`LINES`."""

    x: Sequence[float]
    y: Sequence[float]
    colour: int


def style(name: str) -> AbstractContextManager[None]:
    """Our settings while a figure is drawn, whatever the user's are."""
    # The hash salt and the text type of SVG exist as settings only; the context puts them back.
    return matplotlib.style.context(["default", _STYLE | {"svg.hashsalt": f"metabalance-{name}"}])


def svg(figure: Figure, label: str) -> str:
    """The figure as an ``<svg>`` element for the middle of an HTML page, an image of this name to a screen reader."""
    out = io.StringIO()
    with warnings.catch_warnings():
        # The browser has the letters that the font used for measuring lacks.
        warnings.filterwarnings("ignore", message=".*missing from", category=UserWarning)
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg ") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, count=1, flags=re.DOTALL)
    # HTML implies the namespaces; group names would repeat between figures, and nothing refers to them.
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'<g id="[\w.]+_\d+"', "<g", text)
    text = text.replace("'DejaVu Sans'", "var(--sans)")
    for variable, code in COLOURS.items():
        text = text.replace(code, f"var(--{variable})")
    # An id that two figures share would make one borrow from the other.
    own = hashlib.sha256((label + text).encode("utf-8", "replace")).hexdigest()[:8]
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>f{own}", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def square(figure: Figure, x_label: str, y_label: str) -> Axes:
    """Axes from 0 to 1."""
    ax = figure.add_axes((0.18, 0.15, 0.79, 0.82))
    ax.set_xlim(-0.008, 1.008)
    ax.set_ylim(0, 1.01)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    return ax


def draw(ax: Axes, line: Line) -> None:
    """A curve in its colour."""
    dashes = DASHES[line.colour]
    ax.plot(line.x, line.y, color=COLOURS[LINES[line.colour]], linestyle=dashes, linewidth=1.5)


class Decades(LogFormatterMathtext):
    """0.001 rather than a formula: formulas are drawn as shapes, not as text."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if x > 0 and math.isclose(math.log10(x), round(math.log10(x))) else ""
