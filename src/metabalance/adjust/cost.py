"""Costs of decisions: a matrix, rows true and columns predicted, from text, from a file, or checked.

Elkan, IJCAI 2001.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.data.limits import parse_json

__all__ = ["parse_cost", "read_cost_matrix"]

Array = NDArray[Any]


def parse_cost(text: str, positive: int = 1) -> tuple[tuple[float, float], tuple[float, float]]:
    """Reads the costs of two classes, such as ``fn=50,fp=1``, as a matrix, rows true, columns predicted.

    Args:
        text: ``fn=`` and ``fp=`` (a missed positive, a false alarm), on request ``tp=`` and ``tn=``.
        positive: Index of the positive class.

    Raises:
        ValueError: Text of another form, a cost missing or given twice, or mistakes that pay.

    >>> parse_cost("fn=50,fp=1")
    ((0.0, 1.0), (50.0, 0.0))
    """
    costs: dict[str, float] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(tp|fp|fn|tn)\s*=\s*(\S+)\s*", part.lower())
        value = _number(match[2]) if match else None
        if match is None or value is None:
            raise ValueError(
                f"{part.strip()!r} is not a cost; write for instance fn=50,fp=1 (also tp= and tn=)"
            )
        if match[1] in costs:
            raise ValueError(f"{match[1]} is given twice in {text!r}; give each cost once")
        costs[match[1]] = value
    if not {"fn", "fp"} <= costs.keys():
        raise ValueError(
            f"{text!r} lacks a cost; both fn (a missed positive) and fp (a false alarm) are needed"
        )
    matrix = ((costs.get("tn", 0.0), costs["fp"]), (costs["fn"], costs.get("tp", 0.0)))
    check_cost_of_two(matrix)
    return matrix if positive == 1 else (matrix[1][::-1], matrix[0][::-1])


def read_cost_matrix(path: str | Path, classes: Sequence[Any]) -> tuple[tuple[float, ...], ...]:
    """Reads a JSON cost matrix, rows true, columns predicted.

    Either a list of C lists of C numbers, in the order of ``classes``; or an object of objects, true label to
    predicted label to cost, where only right answers may be left out: they cost 0.

    Args:
        path: Of the JSON file.
        classes: The C labels, in the order of the model's columns.

    Raises:
        ValueError: No JSON, a wrong shape, an unknown or missing label, or a cost that is no finite number.
    """
    try:
        given = parse_json(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON (line {error.lineno}: {error.msg})") from None
    labels = [str(c) for c in classes]
    if isinstance(given, dict):
        for label in [*given, *(k for row in given.values() if isinstance(row, dict) for k in row)]:
            if label not in labels:
                raise ValueError(f"{path} names the class {label!r}, which is not among {labels[:20]}")
        rows = {true: row for true, row in given.items() if isinstance(row, dict)}
        given = [
            [rows.get(true, {}).get(called, 0 if called == true else None) for called in labels]
            for true in labels
        ]
    try:
        matrix = check_cost(given, len(labels))
    except (TypeError, ValueError):
        size = len(labels)
        raise ValueError(
            f"{path} must hold a finite cost for each of the {size} x {size} pairs, true and predicted"
        ) from None
    return tuple(tuple(map(float, row)) for row in matrix)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def check_cost(cost: ArrayLike | None, size: int) -> Array:
    """A finite matrix ``(C, C)``, or a ValueError."""
    if cost is None:
        raise ValueError("the objective 'cost' needs costs; give a matrix, rows true and columns predicted")
    price = np.asarray(cost, dtype=np.float64)
    if price.shape != (size, size) or not np.isfinite(price).all():
        raise ValueError(f"cost must be a finite ({size}, {size}) matrix, but has shape {price.shape}")
    return price


def check_cost_of_two(cost: ArrayLike | None) -> Array:
    """The matrix ``(2, 2)`` of a pair (fn, fp) or of a matrix, mistakes dearer than right answers."""
    price = np.asarray(cost, dtype=np.float64) if cost is not None else None
    if price is not None and price.shape == (2,):
        price = np.array([[0, price[1]], [price[0], 0]])
    price = check_cost(price, 2)
    if price[0, 1] <= price[0, 0] or price[1, 0] <= price[1, 1]:
        raise ValueError(
            "a mistake must cost more than the right answer, but the costs are "
            f"fn={price[1, 0]:g}, fp={price[0, 1]:g}, tp={price[1, 1]:g}, tn={price[0, 0]:g}"
        )
    return price
