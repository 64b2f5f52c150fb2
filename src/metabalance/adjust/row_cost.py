"""Costs of each row: a missed fraud costs its amount, a false alarm a phone call. No threshold is needed.

Elkan, IJCAI 2001; rows of different costs: Bahnsen, Aouada & Ottersten, "Example-Dependent Cost-Sensitive Decision
Trees", Expert Systems with Applications 2015.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_probabilities

__all__ = ["decide_by_row_cost", "parse_cost_columns", "row_costs"]

Array = NDArray[Any]


def row_costs(rows: int, *, fn: ArrayLike, fp: ArrayLike, tp: ArrayLike = 0.0, tn: ArrayLike = 0.0) -> Array:
    """Cost matrices ``(N, 2, 2)`` of two classes, rows true, columns predicted.

    Args:
        rows: N.
        fn: Of a missed positive, ``(N,)`` or a number.
        fp: Of a false alarm.
        tp: Of a positive found.
        tn: Of a negative left in peace.

    Raises:
        ValueError: Shapes that do not fit, or costs that are not finite.

    >>> row_costs(2, fn=[100, 20], fp=5)[0]
    array([[  0.,   5.],
           [100.,   0.]])
    """
    parts = []
    for name, given in {"tn": tn, "fp": fp, "fn": fn, "tp": tp}.items():
        value = np.asarray(given, dtype=np.float64)
        if value.shape not in ((), (1,), (rows,)) or not np.isfinite(value).all():
            raise ValueError(
                f"{name} must be a finite number, or {rows} of them, but has shape {value.shape}"
            )
        parts.append(np.broadcast_to(value, (rows,)))
    return np.stack(parts, axis=1).reshape(rows, 2, 2)


def decide_by_row_cost(probs: ArrayLike, cost: ArrayLike) -> Array:
    """The class of least expected cost, row by row; of equals the first.

    Args:
        probs: ``(N, C)``, calibrated; of two classes also ``(N,)`` of the second.
        cost: ``(N, C, C)``, rows true, columns predicted; of two classes also ``(N, 2)``: of a missed positive and of a
            false alarm.

    Returns:
        Class indices ``(N,)``. A row whose mistakes pay is decided so as well: the sum decides.

    Raises:
        ValueError: No probabilities, or costs that do not fit them.

    >>> decide_by_row_cost([0.1, 0.1], [[100, 5], [20, 5]])  # 10 against 4.5, 2 against 4.5
    array([1, 0])
    """
    given = np.asarray(probs)
    p = check_probabilities(given, given.ndim if given.ndim == 1 else 2)
    if p.ndim == 1:
        p = np.stack([1 - np.minimum(p, 1), p], axis=1)
    price = check_row_cost(cost, *p.shape)
    # Not p @ price: each row has its own matrix.
    return np.einsum("nt,ntc->nc", p, price).argmin(axis=1)


def check_row_cost(cost: ArrayLike, rows: int, classes: int) -> Array:
    """Finite costs ``(N, C, C)``, or a ValueError."""
    price = np.asarray(cost, dtype=np.float64)
    if classes == 2 and price.shape == (rows, 2):
        return row_costs(rows, fn=price[:, 0], fp=price[:, 1])
    if price.shape != (rows, classes, classes) or not np.isfinite(price).all():
        pair = f", or ({rows}, 2) of a missed positive and a false alarm" if classes == 2 else ""
        raise ValueError(
            f"costs of rows must be finite, ({rows}, {classes}, {classes}){pair}, but have shape {price.shape}"
        )
    return price


def parse_cost_columns(text: str, columns: Sequence[str]) -> dict[str, str | float]:
    """Reads ``fn=amount,fp=5``: each cost a column's name or a number.

    Args:
        text: ``fn=`` and ``fp=``, on request ``tp=`` and ``tn=``.
        columns: The names there are. A name that is also a number is taken as the column.

    Raises:
        ValueError: Text of another form, an unknown column, or a cost missing or given twice.

    >>> parse_cost_columns("fn=amount, fp=5", ["amount", "age"])
    {'fn': 'amount', 'fp': 5.0}
    """
    found: dict[str, str | float] = {}
    for part in re.split(r",(?=\s*(?:tp|fp|fn|tn)\s*=)", text):
        match = re.fullmatch(r"\s*(tp|fp|fn|tn)\s*=\s*(.*?)\s*", part)
        if match is None or not match[2]:
            raise ValueError(f"{part.strip()!r} is no cost; write for instance fn=amount,fp=5")
        name, value = match.groups()
        if name in found:
            raise ValueError(f"{name} is given twice in {text!r}; give each cost once")
        if value in columns:
            found[name] = value
            continue
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            raise ValueError(
                f"{name}={value}: {value!r} is neither a number nor a column; the columns are "
                f"{', '.join(map(repr, list(columns)[:20]))}"
            )
        found[name] = number
    if not {"fn", "fp"} <= found.keys():
        raise ValueError(
            f"{text!r} lacks a cost; both fn (a missed positive) and fp (a false alarm) are needed"
        )
    return found
