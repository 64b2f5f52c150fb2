"""The critical-difference diagram: mean ranks on a line, bars over those that cannot be told apart."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metabalance.judge.friedman import Ranking
from metabalance.study.report.drawing import COLOURS, style, svg
from metabalance.study.report.words import short

__all__ = ["critical_difference_diagram"]


def critical_difference_diagram(ranking: Ranking, *, narrow: bool = False) -> str:
    """Draws a :class:`~metabalance.judge.Ranking` as Demšar (JMLR 2006) does: SVG text for the middle of a page.

    The best model stands on the left. Models joined by a bar differ by less than the critical difference, whose
    length is drawn at the top; a model outside every bar differs from all others. When Friedman's test finds
    nothing the figure says so.

    Args:
        ranking: Of at least two models.
        narrow: For a phone.
    """
    count = len(ranking.names)
    left = (count + 1) // 2  # labels on the left, best on top; the others on the right, worst on top
    bars = 0.16 * len(ranking.groups)
    top = 0.78 if narrow else 0.62
    height = top + 0.33 + bars + 0.24 * left
    with style("ranks-narrow" if narrow else "ranks"):
        figure = Figure(figsize=(4.3 if narrow else 7.2, height))
        ax = figure.add_axes((0.34, 0, 0.32, 1) if narrow else (0.27, 0, 0.46, 1))
        ax.set_xlim(1, count)
        ax.set_ylim(top - height, top)  # in inches below the axis
        ax.axis("off")
        ax.plot([1, count], [0, 0], color=COLOURS["ink"], linewidth=1, clip_on=False)
        for place in range(1, count + 1):
            ax.plot([place, place], [0, 0.06], color=COLOURS["ink"], linewidth=1, clip_on=False)
            if count <= 12 or place in (1, count) or place % 5 == 0:
                ax.text(place, 0.1, str(place), ha="center", va="bottom", color=COLOURS["muted"], fontsize=8)
        _scale(ax, ranking, count, narrow)
        for k, group in enumerate(ranking.groups):
            ends = [ranking.ranks[ranking.names.index(name)] for name in (group[0], group[-1])]
            pad = 0.012 * (count - 1)
            bar = -0.14 - 0.16 * k
            ax.plot(
                [ends[0] - pad, ends[1] + pad], [bar, bar], color=COLOURS["c1"], linewidth=3.2,
                solid_capstyle="butt", clip_on=False,
            )  # fmt: skip
        outside = 0.06 * (count - 1)
        joined = {name for group in ranking.groups for name in group}
        for k, (name, rank) in enumerate(zip(ranking.names, ranking.ranks, strict=True)):
            on_left = k < left
            y = -0.26 - bars - 0.24 * (k if on_left else count - 1 - k)
            x: float = 1 - outside if on_left else count + outside
            ax.plot([rank, rank, x], [0, y, y], color=COLOURS["muted"], linewidth=0.8, clip_on=False)
            label = short(name, 15 if narrow else 22)
            text = f"{label}  {rank:.2f}" if on_left else f"{rank:.2f}  {label}"
            ax.text(
                x - outside / 3 if on_left else x + outside / 3, y, text, va="center",
                ha="right" if on_left else "left", weight="normal" if name in joined else "bold",
            )  # fmt: skip
        said = ", ".join(
            f"{name} {rank:.2f}" for name, rank in zip(ranking.names, ranking.ranks, strict=True)
        )
        return svg(figure, f"Mean ranks, best first: {said}")


def _scale(ax: Axes, ranking: Ranking, count: int, narrow: bool) -> None:
    """The critical difference as a length, and what Friedman's test says."""
    length = min(ranking.critical_difference, count - 1)
    ax.plot([1, 1 + length], [0.38, 0.38], color=COLOURS["ink"], linewidth=1, clip_on=False)
    for end in (1, 1 + length):
        ax.plot([end, end], [0.34, 0.42], color=COLOURS["ink"], linewidth=1, clip_on=False)
    p = ranking.p_value
    said = f"p {p:.3f}" if p >= 0.001 else "p below 0.001"
    friedman = "no model differs from the others" if p >= 1 - ranking.level else "models differ"
    text = f"critical difference {ranking.critical_difference:.2f} · Friedman: {friedman} ({said})"
    ax.text(
        -0.9 if narrow else 0.0, 0.46, text.replace(" · ", "\n") if narrow else text,
        ha="left", va="bottom", fontsize=8, color=COLOURS["muted"], transform=ax.get_yaxis_transform(),
    )  # fmt: skip
