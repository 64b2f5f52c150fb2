"""Classes or values? As the user says or, if that is plain, as the target tells; else it has to be asked."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.checks import numbers_the_rows
from metabalance.data.errors import DataError
from metabalance.data.findings import Finding
from metabalance.data.tables import to_pandas
from metabalance.study.audit.result import SEVERITIES, Audit
from metabalance.study.audit.subject import Subject
from metabalance.study.given import check_task
from metabalance.study.load import kind_asked, target_columns

__all__ = ["ask_again", "asked_kind"]

LEVELS = 5  # different whole numbers, from which on they may be grades or counts


def asked_kind(frame: Any, target: Any, task: str | None, positive: Any) -> tuple[Any, str]:
    """The target, several columns as a list of names, and ``"classes"`` or ``"values"``.

    Args:
        frame: All columns.
        target: As :func:`~metabalance.study.audit.run.audit_table` takes it.
        task: What the user said, or None.
        positive: A class, if the user named one.

    Raises:
        DataError: The target may be either, or what was said does not go together.
    """
    check_task(task)
    frame = to_pandas(frame)
    if isinstance(target, (str, int, np.integer)):
        names = target_columns(frame, str(target))
        kind = kind_asked(frame, str(target), task, positive)
        if kind == "values" and task is None and len(names) == 1:
            _refuse_identifiers(frame[names[0]])
        return (names if len(names) > 1 else target), kind
    several = np.ndim(target) == 2 or (
        isinstance(target, (list, tuple)) and all(isinstance(t, str) for t in target)
    )
    if several and np.ndim(target) == 1 and len(frame) == len(target):
        several = set(target) <= set(map(str, frame.columns))
    if not several:
        series = pd.Series(np.asarray(target), name=getattr(target, "name", None) or "target")
        return target, kind_asked(series.to_frame(), str(series.name), task, positive)
    if task == "classification" or positive is not None:
        raise DataError(
            "several targets are values, and have no classes; name one column, or leave out the class"
        )
    return (list(target) if np.ndim(target) == 1 else target), "values"


def ask_again(report: Audit, subject: Subject) -> Audit:
    """The same audit with MB108, where whole numbers were taken as classes and nobody said so."""
    labels = subject.target.classes
    whole = all(isinstance(label, int) and not isinstance(label, bool) for label in labels)
    if subject.images is not None or not whole or len(labels) < LEVELS or "MB108" in report.muted:
        return report
    message = (
        f"the target has {len(labels)} different whole numbers from {min(labels)} to {max(labels)}, which may be classes or a "
        "quantity, such as a grade or a count; it is taken as classes: --task regression takes it as a quantity, and "
        "--task classification says that it is none"
    )
    findings = [*report.findings, Finding("MB108", "info", message)]
    findings.sort(key=lambda finding: (SEVERITIES.index(finding.severity), finding.code))
    return replace(report, findings=tuple(findings))


def _refuse_identifiers(column: pd.Series) -> None:
    if pd.api.types.is_integer_dtype(column.dtype) and numbers_the_rows(column):
        raise DataError(
            f"the target {str(column.name)!r} has a different whole number in each of {len(column)} rows, in order, and looks "
            "like an identifier; name a column of classes, or say --task regression"
        )
