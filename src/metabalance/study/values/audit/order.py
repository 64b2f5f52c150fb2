"""Times, the order of rows, and groups: does the target change along them, and how much do the rows of a group share?

Rank test over spans: Kruskal & Wallis, JASA 1952. Intraclass correlation: Fisher 1925, one-way, unbalanced groups.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kruskal

from metabalance.study.audit.classes import percent
from metabalance.study.audit.groups import FEW_GROUPS, group_like, tell_groups
from metabalance.study.audit.parts import Part, amount
from metabalance.study.audit.times import tell_undeclared, times_in
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject

__all__ = ["check_order", "check_value_groups", "intraclass", "value_drift"]

SPANS, LEVEL, MATERIAL = 10, 0.01, 0.06
FEWEST = 50
ALIKE = 0.5


def value_drift(y: np.ndarray, order: np.ndarray) -> dict[str, Any]:
    """Whether values change along an order.

    Rows are cut into ten spans of about equally many, rows of one moment staying together.

    Args:
        y: ``(N,)``.
        order: Sortable numbers ``(N,)``.

    Returns:
        ``medians`` of the spans; ``explained``, the share of the variance of the ranks that the spans explain, corrected
        for chance (epsilon squared); ``p`` of the rank test; and whether it is ``material``: p below 0.01 and 6 % or more.

    >>> value_drift(np.arange(500.0), np.arange(500))["material"]
    True
    """
    ranks = pd.Series(order).rank(method="average").to_numpy()
    span = np.minimum((ranks - 0.5) * SPANS / len(y), SPANS - 1).astype(int)
    parts = [y[span == k] for k in np.unique(span)]
    told = {
        "medians": [float(np.median(part)) for part in parts],
        "explained": 0.0,
        "p": 1.0,
        "material": False,
    }
    if len(parts) < 2 or y.min() == y.max() or len(y) < FEWEST:
        return told
    statistic, p = kruskal(*parts)
    explained = max(0.0, float((statistic - len(parts) + 1) / (len(y) - len(parts))))
    return told | {
        "explained": explained,
        "p": float(p),
        "material": bool(p < LEVEL and explained >= MATERIAL),
    }


def intraclass(y: np.ndarray, code: np.ndarray) -> float:
    """Share of the variance that lies between groups, by a one-way analysis of variance; NaN without two in a group.

    Args:
        y: ``(N,)``.
        code: Group numbers ``(N,)``, from 0 without gaps.

    >>> round(intraclass(np.array([1.0, 1.1, 5.0, 5.1]), np.array([0, 0, 1, 1])), 3)
    0.999
    """
    counts = np.bincount(code)
    size, groups = len(y), len(counts)
    if groups < 2 or size == groups or y.min() == y.max():
        return float("nan")
    unit = (y - y.mean()) / np.abs(y - y.mean()).max()
    mean = np.bincount(code, unit) / counts
    between = float((counts * mean**2).sum()) / (groups - 1)
    within = float(((unit - mean[code]) ** 2).sum()) / (size - groups)
    each = (size - float((counts**2).sum()) / size) / (groups - 1)
    return (between - within) / (between + (each - 1) * within)


def check_order(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB025, MB114 and MB115."""
    part = Part(facts={"time": None})
    if subject.time is not None:
        t, line = _strongest(subject, subject.time)
        rare = _rare_shares(subject, subject.time)
        part.facts["time"] = {
            "declared": subject.time_name, "moments": len(np.unique(subject.time)), "target": subject.names[t], **line,
            "rare_shares": rare,
        }  # fmt: skip
        part.skipped |= {"MB025": "a time is declared", "MB115": "a time is declared"}
        if line["material"]:
            message = (
                f"along {subject.time_name!r} {_moves(subject, t, line)}; rare values are {percent(min(rare))} to "
                f"{percent(max(rare))} of the rows"
            )
            part.found("MB114", "warning", message, columns=(str(subject.time_name),))
        return part
    told = []
    for name, (values, kind) in times_in(subject).items():
        t, line = _strongest(subject, values)
        told.append({
            "column": name, "kind": kind, "rising": bool((np.diff(values) >= 0).all()), "target": subject.names[t],
            "drifts": line["material"], **line,
        })  # fmt: skip
    part.facts["time"] = {"declared": None, "candidates": told}
    part.skipped["MB114"] = "no time is declared"
    if told:
        tell_undeclared(told, part, lambda line: _moves(subject, subject.names.index(line["target"]), line))
    rising = [line["column"] for line in told if line["rising"]]
    if rising:
        part.skipped["MB115"] = f"the rows are in the order of {rising[0]!r}"
        return part
    t, line = _strongest(subject, np.arange(len(subject.y)))
    part.facts["time"]["order_tells"] = line["material"]
    if line["material"]:
        message = (
            f"the rows are sorted by the {subject.of(t)}, so that their order tells nothing else"
            if subject.sorted_by_target
            else f"down the file {_moves(subject, t, line)}: is the order a time, or were sources stacked?"
        )
        part.found("MB115", "info", message)
    return part


def _strongest(subject: ValueSubject, order: np.ndarray) -> tuple[int, dict[str, Any]]:
    """The target that changes most along an order."""
    lines = [value_drift(column, order) for column in subject.y.T]
    t = int(np.argmax([(line["material"], line["explained"]) for line in lines], axis=0)[1])
    return t, lines[t]


def _rare_shares(subject: ValueSubject, order: np.ndarray) -> list[float]:
    ranks = pd.Series(order).rank(method="average").to_numpy()
    span = np.minimum((ranks - 0.5) * SPANS / len(order), SPANS - 1).astype(int)
    return [float(subject.rare[span == k].mean()) for k in np.unique(span)]


def _moves(subject: ValueSubject, t: int, line: dict[str, Any]) -> str:
    medians = line["medians"]
    return (
        f"the median of the {subject.of(t)} goes from {amount(medians[0])} in the first tenth to {amount(medians[-1])} in the "
        f"last (lowest {amount(min(medians))}, highest {amount(max(medians))}), and the tenths explain "
        f"{percent(line['explained'])} of the ranks"
    )


def check_value_groups(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB026 and MB028."""
    part = Part(facts={"groups": None})
    if subject.groups is not None:
        part.skipped["MB026"] = "groups are declared"
        _declared(subject, pd.factorize(subject.groups)[0], part)
        return part
    part.skipped["MB028"] = "no groups are declared"
    told = [
        {"column": str(name)} | _grouping(pd.factorize(column, use_na_sentinel=False)[0], subject)
        for name, column in subject.useful[list(group_like(subject))].items()
    ]
    part.facts["groups"] = {"declared": None, "candidates": told}
    if told:
        alike = max(told, key=lambda line: np.nan_to_num(line["intraclass"]))
        more = ""
        if alike["intraclass"] > 0.05:
            more = f"; rows that share {alike['column']!r} have {percent(alike['intraclass'])} of the target's variance in common"
        tell_groups(told, part, more)
    return part


def _declared(subject: ValueSubject, code: np.ndarray, part: Part) -> None:
    facts = _grouping(code, subject)
    rare = np.bincount(code[subject.rare], minlength=code.max() + 1)
    few, largest = int((rare > 0).sum()), float(rare.max() / max(rare.sum(), 1))
    part.facts["groups"] = {"declared": subject.groups_name, **facts, "groups_with_rare_rows": few}
    if rare.sum() and few < FEW_GROUPS:
        message = (
            f"the {rare.sum():,} rows of rare values lie in {few} of the {facts['groups']:,} groups of {subject.groups_name!r}: "
            "count these, not rows"
        )
        part.found("MB028", "warning", message)
    elif largest > 0.5:
        part.found(
            "MB028",
            "warning",
            f"one group of {subject.groups_name!r} holds {percent(largest)} of the rows of rare values",
        )
    elif facts["rows_sharing"] > 0.1 and facts["intraclass"] > ALIKE:
        message = (
            f"rows of one group of {subject.groups_name!r} have {percent(facts['intraclass'])} of the target's variance in "
            f"common: {len(subject.y):,} rows say about as much as {facts['effective_rows']:,.0f} independent ones"
        )
        part.found("MB028", "info", message)


def _grouping(code: np.ndarray, subject: ValueSubject) -> dict[str, Any]:
    sizes = np.bincount(code)
    found = [intraclass(subject.y[:, t], code) for t in subject.varying]
    shared = max((value for value in found if np.isfinite(value)), default=float("nan"))
    mean = float((sizes**2).sum()) / len(code)
    return {
        "groups": int((sizes > 0).sum()), "largest": int(sizes.max()),
        "rows_sharing": float(sizes[sizes > 1].sum() / len(code)), "intraclass": shared,
        "effective_rows": len(code) / (1 + (mean - 1) * max(np.nan_to_num(shared), 0.0)),
    }  # fmt: skip
