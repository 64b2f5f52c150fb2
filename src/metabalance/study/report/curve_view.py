"""Curves of one or several models as figures with their words, and training histories likewise."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from metabalance.judge.metrics import get_metric
from metabalance.judge.values import VALUE_METRICS, get_value_metric
from metabalance.study.report import curves as figures
from metabalance.study.report.drawing import LINES, Line
from metabalance.study.report.words import number

KINDS = ("pr", "roc", "gain", "lift", "calibration", "net_benefit")
TITLES = {
    "pr": ("Precision-recall curves", "precision {y:.2f} at recall {x:g}", (0.2, 0.5, 0.8)),
    "roc": ("ROC curves", "recall {y:.2f} at a false positive rate of {x:g}", (0.001, 0.01, 0.1)),
    "gain": ("Cumulative gains", "recall {y:.2f} with {x:g} of the rows", (0.01, 0.05, 0.2)),
    "lift": ("Lift", "lift {y:.1f} with {x:g} of the rows", (0.01, 0.05, 0.2)),
    "calibration": ("Calibration curves", "", ()),
    "net_benefit": ("Decision curves", "net benefit {y:.4f} at {x:g}", (0.05, 0.2, 0.5)),
}
DESCRIBED = 2  # curves told in words; more would drown the listener


def curve_figures(
    entries: Sequence[tuple[int, str, Mapping[str, Any]]], base_rate: float
) -> dict[str, Any] | None:
    """Figures of each kind that some entry has; None when there is no curve at all.

    Args:
        entries: Colour, label and curves of each model.
        base_rate: Share of positives.
    """
    lines = {
        kind: [(Line(*pair_of(kind, c[kind]), colour), label) for colour, label, c in entries if c.get(kind)]
        for kind in KINDS
    }
    lines = {kind: [(line, label) for line, label in found if line.x] for kind, found in lines.items()}
    if not any(lines.values()):
        return None
    view: dict[str, Any] = {"base_rate": f"{100 * base_rate:.2g} %", "log": base_rate < figures.RARE}
    drawers: dict[str, Any] = {
        "pr": figures.precision_recall,
        "gain": figures.gain,
        "lift": figures.lift,
        "calibration": figures.calibration,
        "net_benefit": figures.net_benefit,
    }
    for kind, found in lines.items():
        label = _described(kind, found)
        only = [line for line, _ in found]
        if not only or (kind in ("gain", "net_benefit") and not 0 < base_rate < 1):
            view[kind] = None
        elif kind == "roc":
            view[kind] = Markup(figures.roc(only, label))
        else:
            args = (only, base_rate)
            view[kind] = Markup(drawers[kind](*args, label))
    return view


def pair_of(kind: str, curve: Any) -> tuple[list[float], list[float]]:
    """Finite points of a stored curve."""
    x, y = (curve["predicted"], curve["observed"]) if kind == "calibration" else (curve[0], curve[1])
    points = [(number(a), number(b)) for a, b in zip(x, y)]
    points = [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]
    return [a for a, _ in points], [b for _, b in points]


def learning_view(entries: Sequence[tuple[int, str, Mapping[str, Any]]]) -> dict[str, Any] | None:
    """The monitored metric and the training loss over the epochs; None without any history.

    Args:
        entries: Colour, label and :func:`~metabalance.study.evidence.training_record` of each model.
    """
    entries = [(c, label, record) for c, label, record in entries if record and record.get("epoch")]
    if not entries:
        return None
    monitor = _title(entries[0][2]["monitor_name"])
    shown = []
    for key, y_label in (("monitor", f"validation {monitor}"), ("train_loss", "training loss")):
        lines, best, words = [], [], []
        for colour, label, record in entries:
            pairs = [(e + 1, v) for e, v in zip(record["epoch"], record[key]) if v is not None]
            if not pairs:
                continue
            lines.append(Line([x for x, _ in pairs], [y for _, y in pairs], colour))
            kept = record.get("best_epoch")
            best += [(x, y, colour) for x, y in pairs if kept is not None and x == kept + 1]
            words.append(f"{label} from {pairs[0][1]:.3g} to {pairs[-1][1]:.3g} in {pairs[-1][0]} epochs")
        if lines:
            name = f"{y_label[0].upper()}{y_label[1:]}"
            svg = figures.learning(
                lines, y_label, best if key == "monitor" else (), f"{name}: {'; '.join(words)}"
            )
            shown.append({"svg": Markup(svg), "caption": f"{name}, epoch by epoch."})
    if not shown:
        return None
    legend = [{"colour": LINES[c], "dashed": c == 0, "label": label} for c, label, _ in entries]
    return {"figures": shown, "legend": legend if len(legend) > 1 else []}


def _title(metric: str) -> str:
    title = (
        get_value_metric(metric) if "@" in metric and metric.split("@")[0] in VALUE_METRICS
        else get_metric(metric, cost=((0, 1), (1, 0)))
    ).title  # fmt: skip
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _described(kind: str, lines: Sequence[tuple[Line, str]]) -> str:
    title, form, places = TITLES[kind]
    told = []
    for line, label in lines[:DESCRIBED]:
        if form:
            order = np.argsort(line.x, kind="stable")
            x, y = np.asarray(line.x)[order], np.asarray(line.y)[order]
            values = [form.format(x=p, y=float(np.interp(p, x, y))) for p in places if x[0] <= p <= x[-1]]
            told.append(f"{label}: {', '.join(values)}" if values else label)
        else:
            pairs = [f"{b:.3g} seen where {a:.3g} was predicted" for a, b in zip(line.x, line.y)]
            told.append(f"{label}: {', '.join(pairs)}")
    told += [label for _, label in lines[DESCRIBED:]]
    return f"{title}. {'; '.join(told)}"
