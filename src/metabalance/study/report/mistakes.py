"""Confusions, recall of each class, and how many rows each has."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metabalance.study.report.drawing import LINES
from metabalance.study.report.words import count_of, number, percent, short

MAX_CONFUSION_CLASSES = 8
MAX_CONFUSIONS = 4
MAX_CLASSES = 20


def class_order(recipe: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """The labels in the order of confusions and recalls; two classes come negative first."""
    if recipe.get("confusion_classes"):
        return list(recipe["confusion_classes"])
    classes, positive = list(result["data"]["classes"]), result["data"].get("positive")
    return sorted(classes, key=lambda label: label == positive) if len(classes) == 2 else classes


def confusions(
    drawn: Sequence[tuple[int, Mapping[str, Any]]], result: Mapping[str, Any]
) -> list[dict[str, Any]]:
    view = []
    size = len(result["data"]["classes"])
    # Large matrices need the width: the baseline and the best other are then enough.
    for colour, recipe in drawn[: MAX_CONFUSIONS if size <= 3 else 2]:
        matrix = recipe.get("confusion") or []
        if not 2 <= len(matrix) <= MAX_CONFUSION_CLASSES:
            continue
        rows = []
        for label, counts in zip(class_order(recipe, result), matrix):
            total = sum(counts)
            shares = [count / total if total else 0.0 for count in counts]
            cells = [
                {"count": count_of(c), "share": percent(s), "shade": round(s, 3)}
                for c, s in zip(counts, shares)
            ]
            rows.append({"label": label, "short": short(label, 12 if size <= 3 else 8), "cells": cells})
        view.append(
            {
                "label": recipe.get("label", recipe["name"]),
                "colour": LINES[colour],
                "dashed": colour == 0,
                "rows": rows,
            }
        )
    return view


def recalls(
    drawn: Sequence[tuple[int, Mapping[str, Any]]], result: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Recall of each class, rarest first; with many classes the rarest only."""
    found = [
        (c, r, dict(zip(class_order(r, result), r["recall_per_class"])))
        for c, r in drawn
        if r.get("recall_per_class")
    ]
    if not found:
        return None
    counts = dict(zip(result["data"]["classes"], result["data"]["counts"]))
    rarest = sorted(counts, key=lambda label: counts[label])
    rows = [
        {
            "label": label,
            "count": count_of(counts[label]),
            "cells": [{"text": percent(v), "share": 0.0 if math.isnan(v) else v} for v in values],
        }
        for label in rarest[:MAX_CLASSES]
        for values in [[number(recalls.get(label)) for _, _, recalls in found]]
    ]
    names = [{"label": r.get("label", r["name"]), "colour": LINES[c]} for c, r, _ in found]
    return {"recipes": names, "rows": rows, "hidden": max(len(rarest) - MAX_CLASSES, 0)}


def class_bars(result: Mapping[str, Any]) -> dict[str, Any]:
    pairs = sorted(zip(result["data"]["classes"], result["data"]["counts"]), key=lambda pair: -pair[1])
    total = max(sum(count for _, count in pairs), 1)
    # The rarest are what this is about: of many classes, the largest and the smallest are shown.
    half = MAX_CLASSES // 2
    shown = pairs if len(pairs) <= MAX_CLASSES else pairs[:half] + pairs[-half:]
    rows = [
        {
            "label": label,
            "count": count_of(count),
            "share": percent(count / total),
            "width": round(100 * count / max(pairs[0][1], 1), 2),
            "positive": label == result["data"].get("positive"),
            "samples": (result["data"].get("samples") or {}).get(label, []),
        }
        for label, count in shown
    ]
    return {"rows": rows, "hidden": len(pairs) - len(shown)}
