"""New rows beside a reference, column by column: what is absent, unreadable, never seen before, or moved."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from metabalance.data.errors import DataError
from metabalance.data.preprocess import TablePreprocessor
from metabalance.judge.paired import holm
from metabalance.study.drift import FLOOR, Drift, binned_drift, level_drift
from metabalance.study.reference import column_values, image_columns, summarise_column

__all__ = ["Finding", "compare_columns", "readable_rows"]

LATE = 0.01  # share of dates beyond those of the reference that is worth a word


@dataclass(frozen=True)
class Finding:
    """Something that was found.

    Args:
        kind: ``"drift"`` (rows, columns, scores), ``"prior"`` or ``"performance"``.
        message: One sentence.
        alarm: Whether a pipeline should stop for it; else it is only said.
    """

    kind: str
    message: str
    alarm: bool = False


def readable_rows(preprocessor: TablePreprocessor, frame: Any) -> tuple[Any, list[Finding]]:
    """The frame with columns that cannot be read emptied, and what is wrong with it.

    Raises:
        DataError: Not one of the model's columns is there.
    """
    findings = []
    absent = [c for c in preprocessor.columns_ if c not in frame.columns]
    if len(absent) == len(preprocessor.columns_):
        raise DataError(
            f"the table has none of the model's {len(absent)} columns ({', '.join(map(repr, absent[:5]))}); is it another one?"
        )
    for column in absent:
        findings.append(
            Finding("drift", f"the column {column!r} is absent and counts as missing", alarm=True)
        )
    emptied = {}
    for column in (c for c in preprocessor.columns_ if c in frame.columns):
        try:
            preprocessor.encoders_[column].encode(frame[column], column)
        except DataError as error:
            findings.append(Finding("drift", f"the column {column!r} counts as missing: {error}", alarm=True))
            emptied[column] = np.full(len(frame), np.nan, dtype=object)
    return (frame.assign(**emptied) if emptied else frame), findings


class Summaries(Protocol):
    """What is remembered of the columns of old rows."""

    @property
    def columns(self) -> tuple[dict[str, Any], ...]:
        """A summary of each, see :func:`~metabalance.study.reference.summarise_column`."""

    @property
    def thinning(self) -> float:
        """Effective rows for each row of the summaries."""


def compare_columns(
    preprocessor: Any, rows: Any, reference: Summaries, alpha: float
) -> tuple[list[tuple[dict[str, Any], float]], list[Finding]]:
    """The drift of each column, as a dictionary with Holm's p-value, and its effect; and what is to be said.

    Args:
        preprocessor: Of the model.
        rows: A frame or images.
        reference: With the summaries of the columns.
        alpha: Of the tests, over all columns together.
    """
    ones = np.ones(len(rows))
    drifts: list[Drift] = []
    findings: list[Finding] = []
    tables = isinstance(preprocessor, TablePreprocessor)
    images = {} if tables else image_columns(rows)
    for old in reference.columns:
        name, kind = old["name"], old["kind"]
        if tables and (name not in rows or name not in preprocessor.encoders_):
            continue
        try:
            values = (
                images[name] if not tables else column_values(preprocessor.encoders_[name], rows[name], name)
            )
        except DataError:  # said before
            continue
        new = summarise_column(name, kind, values, ones, like=old)
        if kind == "date":
            findings += _dates(old, values)
            continue
        gone = old["missing"], new["missing"]
        if kind in ("category", "boolean"):
            before, now = ([*s["counts"], s["others"]] for s in (old, new))
            drifts.append(level_drift(name, before, now, gone, reference.thinning))
            if new["new"] and not old["others"]:
                findings.append(_new_levels(name, new["new"], len(rows)))
        else:
            drifts.append(binned_drift(name, old["counts"], new["counts"], gone, reference.thinning))
    tested = [d for d in drifts if np.isfinite(d.p)]
    adjusted = dict(zip((d.name for d in tested), np.asarray(holm([d.p for d in tested])) if tested else []))
    told = []
    for drift in drifts:
        p = float(adjusted.get(drift.name, np.nan))
        told.append((asdict(drift) | {"p_holm": p}, drift.effect))
        if p < alpha and drift.effect >= FLOOR:
            findings.append(Finding("drift", _moved(drift), alarm=True))
    return told, findings


def _moved(drift: Drift) -> str:
    before, now = drift.missing
    if abs(now - before) >= FLOOR and not drift.psi >= FLOOR:
        return f"the column {drift.name!r}: {before:.0%} were missing, and now {now:.0%}"
    name = "KS" if drift.test == "ks" else "shares"
    return f"the column {drift.name!r} has moved ({name} {drift.distance:.2f}, PSI {drift.psi:.2f})"


def _new_levels(name: str, new: dict[str, int], rows: int) -> Finding:
    share = sum(new.values()) / rows
    which = ", ".join(f"{level!r} ({count:,})" for level, count in list(new.items())[:3])
    return Finding("drift", f"the column {name!r} has values never seen before: {which}", alarm=share >= LATE)


def _dates(old: dict[str, Any], values: np.ndarray) -> list[Finding]:
    there = values[~np.isnan(values)]
    if old["low"] is None or not len(there):
        return []
    beyond = float(np.mean((there < old["low"]) | (there > old["high"])))
    if beyond < LATE:
        return []
    # Time goes on: no alarm, but a network knows nothing of moments that it has not seen.
    return [
        Finding(
            "drift", f"{beyond:.0%} of the dates in {old['name']!r} lie beyond those the model was judged on"
        )
    ]
