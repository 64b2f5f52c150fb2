"""Times: a declared one and what it means, and columns that look like one but were not declared.

Shuffled folds over what is ordered are a common reason why a result does not hold in use (Kapoor & Narayanan,
Patterns 2023).
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from metabalance.data.dates import date_format
from metabalance.data.tables import is_text
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, listed
from metabalance.study.audit.rows import Rows
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["check_time", "drift", "tell_undeclared", "times_in"]

SPANS, LEVEL, MATERIAL = 10, 0.01, 1.5
DISTINCT = 20
IN_ORDER = "in order"
TIME_NAME = re.compile(
    r"(?:^|[\W_])(?:time|timestamp|datetime|date|dt|ts|epoch|year|month|yyyymm(?:dd)?)(?:$|[\W_])",
    re.IGNORECASE,
)
BIRTH = re.compile(r"birth|dob", re.IGNORECASE)
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def drift(y: np.ndarray, order: np.ndarray, classes: int) -> list[dict[str, Any]]:
    """Whether the share of each class changes along an order.

    Rows are cut into ten spans of about equally many, rows of one moment staying together.

    Args:
        y: Class indices ``(N,)``.
        order: Sortable numbers ``(N,)``.
        classes: C.

    Returns:
        For each class: ``shares`` in the spans, ``p`` of a chi-square test (Bonferroni-corrected over the classes), and
        whether it is ``material``: p below 0.01 and a half more or less between two spans.

    >>> drift(np.repeat([0, 1], 500), np.arange(1000), 2)[1]["material"]
    True
    """
    ranks = pd.Series(order).rank(method="average").to_numpy()
    span = np.minimum((ranks - 0.5) * SPANS / len(y), SPANS - 1).astype(int)
    table = np.zeros((SPANS, classes))
    np.add.at(table, (span, y), 1)
    table = table[table.sum(axis=1) > 0]
    size, total = table.sum(axis=1), table.sum(axis=0)
    out = []
    for c in range(classes):
        shares, overall = table[:, c] / size, total[c] / len(y)
        if 0 < overall < 1 and len(size) > 1:
            statistic = float((size * (shares - overall) ** 2).sum() / (overall * (1 - overall)))
            p = min(float(chi2.sf(statistic, len(size) - 1)) * (classes if classes > 2 else 1), 1.0)
        else:
            p = 1.0
        # Few rows of a class are spread unevenly by luck: five in the mean span, or the test is not believed.
        enough = total[c] / len(size) >= 5 and (len(y) - total[c]) / len(size) >= 5
        far = shares.max() >= MATERIAL * shares.min()
        out.append({"shares": shares.tolist(), "p": p, "material": bool(p < LEVEL and far and enough)})
    return out


def check_time(subject: Subject, plan: Plan) -> Part:
    """MB025, MB027 and MB034."""
    part = Part(facts={"time": None})
    size, c = len(subject.counts), subject.target.positive
    if subject.time is not None:
        lines = drift(subject.y, subject.time, size)
        part.facts["time"] = {
            "declared": subject.time_name, "moments": len(np.unique(subject.time)), "shares_of_positive": lines[c]["shares"],
            "p": lines[c]["p"], "drifts": lines[c]["material"],
        }  # fmt: skip
        part.skipped |= {"MB025": "a time is declared", "MB034": "a time is declared"}
        if lines[c]["material"]:
            part.found("MB027", "warning", f"along {subject.time_name!r} {_moves(subject, lines[c]['shares'])}",
                       columns=(str(subject.time_name),), classes=(subject.target.classes[c],))  # fmt: skip
        return part
    candidates = {} if subject.images is not None else times_in(subject)
    told = []
    for name, (values, kind) in candidates.items():
        line = drift(subject.y, values, size)[c]
        told.append(
            {
                "column": name,
                "kind": kind,
                "rising": bool((np.diff(values) >= 0).all()),
                "drifts": line["material"],
                "shares_of_positive": line["shares"],
            }
        )
    part.facts["time"] = {"declared": None, "candidates": told}
    part.skipped["MB027"] = "no time is declared"
    if told:
        tell_undeclared(told, part, lambda line: _moves(subject, line["shares_of_positive"]))
    _order(subject, told, part)
    return part


def tell_undeclared(told: list, part: Part, moves: Callable[[dict[str, Any]], str]) -> None:
    """MB025, for columns that look like times; ``moves`` says how the target changes along one."""
    named = [t for t in told if t["kind"] != IN_ORDER]
    if named:
        message = (
            f"{listed([repr(t['column']) for t in named])} "
            f"{'looks like a time and was' if len(named) == 1 else 'look like times and were'} not declared; "
            "shuffled folds would train on the future and test on the past"
        )
    else:
        message = (
            f"the rows are in the order of {listed([repr(t['column']) for t in told])}: if that is a time, declare it, "
            "or shuffled folds train on the future and test on the past"
        )
    drifting = [t for t in named if t["drifts"]]
    if drifting:
        message += f"; along {drifting[0]['column']!r} {moves(drifting[0])}"
    sure = drifting or any(t["kind"] == "dates" for t in told)
    columns = tuple(t["column"] for t in named or told)
    part.found("MB025", "warning" if sure else "info", message, columns=columns)


def _order(subject: Subject, told: list, part: Part) -> None:
    if subject.images is not None:
        part.skipped["MB034"] = "images are read class by class"
        return
    rising = [t["column"] for t in told if t["rising"]]
    if rising:
        part.skipped["MB034"] = f"the rows are in the order of {rising[0]!r}"
        return
    lines = drift(subject.y, np.arange(len(subject.y)), len(subject.counts))
    c = subject.target.positive
    if not lines[c]["material"]:
        c = min(range(len(lines)), key=lambda k: (not lines[k]["material"], lines[k]["p"]))
    part.facts["time"]["order_tells"] = lines[c]["material"]
    if lines[c]["material"]:
        if subject.sorted_by_target:
            message = "the rows are sorted by class, so that their order tells nothing else"
        else:
            shares = lines[c]["shares"]
            message = (
                f"down the file the share of class {subject.label(c)} changes, from {percent(min(shares))} to "
                f"{percent(max(shares))} in tenths of it: is the order a time, or were sources stacked?"
            )
        part.found("MB034", "info", message, classes=(subject.target.classes[c],))


def _moves(subject: Subject, shares: list[float]) -> str:
    """The course of a share in words."""
    name = subject.label(subject.target.positive)
    return (
        f"the share of class {name} goes from {percent(shares[0])} in the first tenth to {percent(shares[-1])} in the "
        f"last (lowest {percent(min(shares))}, highest {percent(max(shares))})"
    )


def times_in(subject: Rows) -> dict[str, tuple[np.ndarray, str]]:
    """Columns that look like times, as sortable numbers without gaps, and why."""
    found = {}
    numbering = {c for f in subject.base_findings if f.code == "MB005" for c in f.columns}
    for name, column in subject.frame.items():
        if column.isna().any() or BIRTH.search(str(name)):
            continue
        spelled = CAMEL.sub("_", str(name))
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            if column.nunique() > 1:
                found[str(name)] = (column.astype("int64").to_numpy(), "dates")
        elif is_text(column.dtype):
            form = date_format(column)
            if form is not None and column.nunique() > 2:
                found[str(name)] = (
                    pd.to_datetime(column, format=form, utc=True).astype("int64").to_numpy(),
                    "dates",
                )
        elif pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
            values = column.to_numpy(dtype=float)
            if not np.isfinite(values).all():
                continue
            distinct = len(np.unique(values))
            rising = bool((np.diff(values) >= 0).all()) and name not in numbering
            by_name = bool(TIME_NAME.search(spelled))
            if (rising and distinct >= DISTINCT and not _rises_by_sorting(values, subject)) or (
                by_name and distinct > 2 and (rising or _calendar(values))
            ):
                found[str(name)] = (values, "by its name" if by_name else IN_ORDER)
    return found


def _rises_by_sorting(values: np.ndarray, subject: Rows) -> bool:
    """Whether a column rises only since the rows were sorted by the target, or numbers the rows."""
    step = np.diff(values)
    return bool(subject.sorted_by_target or (step == step[0]).all())


def _calendar(values: np.ndarray) -> bool:
    """Years, YYYYMM, YYYYMMDD, or seconds since 1970."""
    low, high = values.min(), values.max()
    whole = bool((values == np.floor(values)).all())
    return whole and any(
        a <= low and high <= b
        for a, b in ((1900, 2100), (190_001, 210_012), (19_000_101, 21_001_231), (3e8, 4.2e9), (3e11, 4.2e12))
    )
