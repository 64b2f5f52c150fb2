"""Tables of figures with intervals: metrics, classes, groups, the most frequent mistakes."""

from collections.abc import Mapping, Sequence
from typing import Any

from metabalance.study.report.words import count_of, digits_of, fixed, number, percent, span

MOST_CLASSES = 60
MOST_MISTAKES = 15
METHODS = {
    "delong": "DeLong",
    "newcombe": "Newcombe",
    "wilson": "Wilson",
    "percentile": "percentile bootstrap",
    "bca": "BCa bootstrap",
}


def metric_table(parts: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], lead: str) -> dict[str, Any]:
    """One row a metric, one column of figures for each part of the rows (validation, held out, ...)."""
    names = list(dict.fromkeys(e["name"] for _, estimates in parts for e in estimates))
    rows, notes = [], []
    for name in names:
        found = [next((e for e in estimates if e["name"] == name), None) for _, estimates in parts]
        first = next(e for e in found if e is not None)
        digits = min(max(digits_of([e for e in found if e]), 3), 5)
        arrow = "↑" if first["greater_is_better"] else "↓"
        rows.append({"label": f"{first['title']} {arrow}", "cells": [_estimate(e, digits) for e in found]})
        how = METHODS.get(first["method"], first["method"])
        if how:
            notes.append((how, first["title"]))
    told = "; ".join(
        f"{how}: {', '.join(t for h, t in notes if h == how)}" for how in dict.fromkeys(h for h, _ in notes)
    )
    return {
        "lead": lead,
        "caption": "Each metric with its 95 % interval; ↑ higher is better, ↓ lower is better",
        "columns": ["metric", *(title for title, _ in parts)],
        "rows": rows,
        "after": f"Intervals by {told}." if told else "",
    }


def class_table(classes: Sequence[str], found: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Rows, recall, precision and ROC AUC of each class, the rarest first."""
    if not found:
        return None
    total = max(sum(row["rows"] for row in found), 1)
    order = sorted(found, key=lambda row: row["rows"])
    ranked, decided = any("roc_auc" in row for row in found), any("recall" in row for row in found)
    columns = ["class", "rows", "share", *(("recall", "precision") if decided else ())]
    columns += ["ROC AUC against the rest"] if ranked else []
    rows = []
    for row in order[:MOST_CLASSES]:
        cells = [_text(count_of(row["rows"])), _text(percent(row["rows"] / total))]
        if decided:
            cells += [_share(row.get("recall")), _share(row.get("precision"))]
        if ranked:
            cells.append(_estimate(row.get("roc_auc"), 3))
        rows.append({"label": classes[row["class"]], "cells": cells})
    hidden = len(order) - len(rows)
    return {
        "caption": "Recall: the share of a class that is found. Precision: the share of right ones among those called so",
        "columns": columns,
        "rows": rows,
        "after": f"{hidden} larger classes are not shown." if hidden else "",
    }


def group_table(
    found: Sequence[Mapping[str, Any]], hidden: int, name: str, positive: str
) -> dict[str, Any] | None:
    """The same figures group by group, the largest first."""
    if not found:
        return None
    binary = "positives" in found[0]
    decided = "recall" in found[0]
    columns = ["group", "rows"]
    if binary:
        columns += [positive, "share", "ROC AUC"]
        columns += ["mean probability"] if "predicted" in found[0] else []
        columns += ["called", "recall", "precision"] if decided else []
    elif "accuracy" in found[0]:
        columns += ["decided rightly"]
    rows = []
    for row in found:
        cells = [_text(count_of(row["rows"]))]
        if binary:
            cells += [_text(count_of(row["positives"])), _share(row["share"]), _estimate(row["roc_auc"], 3)]
            cells += [_text(percent(row["predicted"]))] if "predicted" in row else []
            if decided:
                cells += [_text(percent(row["called"])), _share(row["recall"]), _share(row["precision"])]
        elif "accuracy" in row:
            cells.append(_share(row["accuracy"]))
        rows.append({"label": row["group"], "cells": cells})
    after = f"{hidden} smaller groups are not shown. " if hidden else ""
    return {
        "caption": f"By {name}, the largest groups first",
        "columns": columns,
        "rows": rows,
        "after": after
        + "Many groups are many chances for a difference: one that stands out alone may be luck.",
    }


def bias_table(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Which groups average precision would have improved first, and what follows."""
    if not found or len(found["groups"]) < 2:
        return None
    rows = []
    for group in found["groups"]:
        shares = [group["prevalence"], group["share_of_mistakes"], group["share_of_gain"]]
        own, common = group["average_precision"]["value"], group["average_precision_at_common_prevalence"]
        figures = [percent(shares[0]), *("–" if v is None else fixed(v, 3) for v in (own, common))]
        figures += ["–" if s is None else percent(s) for s in shares[1:]]
        rows.append({"label": str(group["group"]), "cells": [_text(figure) for figure in figures]})
    return {
        "caption": "Average precision by group: as it is, with the positives of all rows' share, and whose mistakes it sees",
        "columns": [
            "group",
            "positives",
            "average precision",
            "at the common share",
            "of all mistakes",
            "of its gain",
        ],
        "rows": rows,
        "after": " ".join(found["says"]),
    }


def mistake_table(classes: Sequence[str], confusion: Sequence[Sequence[float]]) -> dict[str, Any] | None:
    """With many classes: the pairs that are most often mixed up."""
    totals = [sum(row) for row in confusion]
    cells = [
        (confusion[i][j], i, j)
        for i in range(len(classes))
        for j in range(len(classes))
        if i != j and confusion[i][j] > 0
    ]
    if not cells:
        return None
    cells.sort(key=lambda cell: -cell[0])
    rows = [
        {
            "label": classes[i],
            "cells": [_text(classes[j]), _text(count_of(n)), _text(percent(n / totals[i]))],
        }
        for n, i, j in cells[:MOST_MISTAKES]
    ]
    return {
        "caption": "True and decided class",
        "columns": ["true class", "decided", "rows", "of the true class"],
        "rows": rows,
        "after": "",
    }


def _text(text: str) -> dict[str, str]:
    return {"text": text, "interval": "", "why": ""}


def _estimate(estimate: Mapping[str, Any] | None, digits: int) -> dict[str, str]:
    if estimate is None:
        return _text("–")
    value = number(estimate["value"])
    return {
        "text": fixed(value, digits),
        "interval": span(estimate, digits),
        "why": estimate.get("reason") or "",
    }


def _share(estimate: Mapping[str, Any] | None) -> dict[str, str]:
    if estimate is None:
        return _text("–")
    value, low, high = (number(estimate[key]) for key in ("value", "low", "high"))
    if value != value:
        return _text("undefined")
    inside = f"[{100 * low:.1f}, {100 * high:.1f}]" if low == low else ""
    return {"text": percent(value), "interval": inside, "why": ""}
