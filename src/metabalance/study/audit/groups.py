"""Groups: declared ones and what they mean, and columns that look like one but were not declared.

Rows of one customer or patient on both sides of a split are a common reason why a result does not hold in use (Kapoor &
Narayanan, Patterns 2023).
"""

import re
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.dates import date_format
from metabalance.data.tables import is_text
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, listed
from metabalance.study.audit.rows import Rows
from metabalance.study.audit.subject import Plan, Subject

__all__ = ["check_groups", "group_like", "tell_groups"]

DISTINCT = 20
FEW_GROUPS = 10
GROUP_NAME = re.compile(
    r"(?:^|[\W_])(?:id|uuid|guid|customer|client|patient|user|account|subject|person|member|household|session|device|card|"
    r"merchant|lesion|visit|number|no|nr)(?:$|[\W_])|[a-z]Id$|ID$",
    re.IGNORECASE,
)  # fmt: skip
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
CODE = re.compile(
    r"[A-Za-z]{0,6}[-_#/:.]?\d{2,}(?:[-_/:.]\w+)*|\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?"
)


def check_groups(subject: Subject, plan: Plan) -> Part:
    """MB026 and MB028."""
    part = Part(facts={"groups": None})
    if subject.groups is not None:
        part.skipped["MB026"] = "groups are declared"
        _declared(subject, part)
        return part
    part.skipped["MB028"] = "no groups are declared"
    if subject.images is not None:
        part.skipped["MB026"] = "a table is needed"
        return part
    told = [
        {"column": str(name)} | _grouping(pd.factorize(column, use_na_sentinel=False)[0], subject)
        for name, column in subject.useful[list(group_like(subject))].items()
    ]
    part.facts["groups"] = {"declared": None, "candidates": told}
    if told:
        alike = max(told, key=lambda t: t["alike"] - t["alike_by_chance"])
        more = ""
        if alike["alike"] > alike["alike_by_chance"] + 0.05:
            more = (
                f"; rows that share {alike['column']!r} are of one class in {percent(alike['alike'])} of pairs, by chance in "
                f"{percent(alike['alike_by_chance'])}"
            )
        tell_groups(told, part, more)
    return part


def tell_groups(told: list[dict[str, Any]], part: Part, more: str) -> None:
    """MB026, for columns that look like groups; ``more`` says what their rows have in common."""
    named = listed(
        [
            f"{t['column']!r} ({t['groups']:,} values, {percent(t['rows_sharing'])} of the rows share theirs)"
            for t in told
        ]
    )
    message = (
        f"{named} {'looks' if len(told) == 1 else 'look'} like "
        f"{'a customer, a patient or the like' if len(told) == 1 else 'customers, patients or the like'} and "
        f"{'was' if len(told) == 1 else 'were'} not declared; shuffled folds would put one on both sides{more}"
    )
    part.found("MB026", "warning", message, columns=tuple(t["column"] for t in told))


def group_like(subject: Rows) -> tuple[str, ...]:
    """Columns that look like the names of groups."""
    if subject.images is not None:
        return ()
    useful = subject.useful
    return tuple(
        str(name) for name in useful.columns if _looks_like_a_group(str(name), useful[name], subject)
    )


def _declared(subject: Subject, part: Part) -> None:
    assert subject.groups is not None
    facts = _grouping(subject.groups, subject)
    size = len(subject.counts)
    table = np.zeros((int(subject.groups.max()) + 1, size), dtype=np.int64)
    np.add.at(table, (subject.groups, subject.y), 1)
    in_groups, largest = (table > 0).sum(axis=0), table.max(axis=0) / np.maximum(subject.counts, 1)
    part.facts["groups"] = {"declared": subject.groups_name, **facts,
                            "groups_of_class": {str(c): int(n) for c, n in zip(subject.target.classes, in_groups)}}  # fmt: skip
    few = [c for c in range(size) if in_groups[c] < FEW_GROUPS]
    heavy = [c for c in range(size) if largest[c] > 0.5 and c not in few]
    if few:
        named = listed([f"{subject.label(c)} ({subject.counts[c]:,} rows in {in_groups[c]})" for c in few])
        part.found("MB028", "warning", f"few groups of {subject.groups_name!r} hold {named}: count these, not rows",
                   classes=tuple(subject.target.classes[c] for c in few))  # fmt: skip
    elif heavy:
        named = listed([f"{subject.label(c)} ({percent(largest[c])})" for c in heavy])
        part.found("MB028", "warning", f"one group of {subject.groups_name!r} holds most of {named}",
                   classes=tuple(subject.target.classes[c] for c in heavy))  # fmt: skip
    elif facts["rows_sharing"] > 0.1 and facts["alike"] > 0.5 * (1 + facts["alike_by_chance"]):
        message = (
            f"rows of one group of {subject.groups_name!r} are of one class in {percent(facts['alike'])} of pairs (by chance "
            f"in {percent(facts['alike_by_chance'])}): {facts['groups']:,} groups say less than {len(subject.y):,} rows promise"
        )
        part.found("MB028", "info", message)


def _grouping(codes: np.ndarray, subject: Subject) -> dict[str, Any]:
    sizes = np.bincount(codes)
    cells = np.unique(codes.astype(np.int64) * len(subject.counts) + subject.y, return_counts=True)[1].astype(
        float
    )
    pairs, same = float((sizes * (sizes - 1.0)).sum()), float((cells * (cells - 1)).sum())
    share = subject.counts / subject.counts.sum()
    return {
        "groups": int((sizes > 0).sum()), "largest": int(sizes.max()),
        "rows_sharing": float(sizes[sizes > 1].sum() / len(codes)),
        "alike": same / pairs if pairs else float("nan"), "alike_by_chance": float((share**2).sum()),
    }  # fmt: skip


def _looks_like_a_group(name: str, column: pd.Series, subject: Rows) -> bool:
    if pd.api.types.is_float_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return False
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    values = column.dropna()
    distinct = values.nunique()
    # Few values are categories, as many as rows would be a row number.
    if not max(DISTINCT, subject.answers) <= distinct < 0.95 * len(column):
        return False
    text = is_text(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype)
    if text:
        head = values.astype(str).drop_duplicates().head(200)
        if head.map(lambda v: len(v.split())).median() > 2 or date_format(values.astype(object)) is not None:
            return False
        return bool(head.map(lambda v: CODE.fullmatch(v.strip()) is not None).mean() > 0.9) or bool(
            GROUP_NAME.search(CAMEL.sub("_", name))
        )
    # Numbers of a few rows each; "number of rooms" has many rows a value.
    return bool(GROUP_NAME.search(CAMEL.sub("_", name))) and distinct > len(column) / 200
