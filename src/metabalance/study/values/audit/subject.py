"""Rows with values to be predicted; what a study would refuse in a target becomes a finding."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.errors import DataError
from metabalance.data.findings import Finding
from metabalance.data.value_checks import check_value_table
from metabalance.data.values import Values
from metabalance.judge.regions import GROUPS, Regions, make_regions
from metabalance.study.audit.intake import read_roles
from metabalance.study.audit.rows import Rows
from metabalance.study.audit.subject import Plan

__all__ = ["ValuePlan", "ValueSubject", "value_subject"]

RARE = GROUPS.index("few")


@dataclass(frozen=True)
class ValuePlan(Plan):
    """What is going to be done with the data.

    Args:
        folds: Of the cross-validation.
        metric: The metric that will decide.
        half_width: Wanted for the 95 % interval of the error among the rare rows, as a share of that error.
        seed: Everything random follows from it.
        model_rows: At most so many rows for the checks that fit a model or look for neighbours.
    """

    metric: str = "bmae"
    half_width: float = 0.1

    def checked(self) -> "ValuePlan":
        """The plan with the metric's own name.

        Raises:
            DataError: A setting is out of range, or the metric unknown.
        """
        from metabalance.judge.values import get_value_metric

        self.in_range()
        try:
            return replace(self, metric=get_value_metric(self.metric).name)
        except ValueError as error:
            raise DataError(str(error.args[0])) from error


@dataclass(frozen=True, eq=False, kw_only=True)
class ValueSubject(Rows):
    """Rows with values.

    Args:
        values: The target; unlike elsewhere, a column may be constant.
        asked: Whether the user said that it is a quantity.
    """

    values: Values
    asked: bool = False

    @property
    def y(self) -> np.ndarray:
        return self.values.table

    @property
    def names(self) -> tuple[str, ...]:
        return self.values.names

    @property
    def answers(self) -> int:
        return 1

    @property
    def varying(self) -> tuple[int, ...]:
        """Targets that are not constant."""
        return tuple(np.flatnonzero(self.y.min(axis=0) < self.y.max(axis=0)).tolist())

    @property
    def sorted_by_target(self) -> bool:
        steps = np.diff(self.y, axis=0)
        return bool(((steps >= 0).all(axis=0) | (steps <= 0).all(axis=0)).any())

    @cached_property
    def regions(self) -> tuple[Regions, ...]:
        """Many, medium and few of each target, by all rows."""
        return tuple(make_regions(column) for column in self.y.T)

    @cached_property
    def region(self) -> np.ndarray:
        """The rarest region of a row among its targets ``(N,)``: 0 many, 1 medium, 2 few."""
        found = [[GROUPS.index(g) for g in r.of(y)] for r, y in zip(self.regions, self.y.T)]
        return np.max(found, axis=0)

    @property
    def rare(self) -> np.ndarray:
        """Whether few rows are near one of a row's values ``(N,)``."""
        return self.region == RARE

    def of(self, target: int) -> str:
        """A target as messages name it."""
        return f"target {self.names[target]!r}" if len(self.names) > 1 else "target"

    @cached_property
    def base_findings(self) -> tuple[Finding, ...]:
        """Checks MB001 to MB011, as they are for values, and MB109."""
        from metabalance.study.values.audit.columns import nearly_the_target

        names = []
        for name in self.names:
            while name in self.frame.columns:  # a feature of that name would not be looked at
                name += "_"
            names.append(name)
        found = check_value_table(self.frame, Values(self.y, tuple(names)))
        settled = {c for f in found if f.action == "drop" or f.code == "MB006" for c in f.columns}
        rest = self.frame.drop(columns=[c for c in self.frame.columns if str(c) in settled])
        return (*found, *nearly_the_target(rest, self.y))


def value_subject(
    frame: Any,
    target: Any,
    *,
    groups: Any = None,
    time: Any = None,
    drop: tuple[str, ...] = (),
    name: str = "table",
    asked: bool = False,
) -> ValueSubject:
    """A frame, pandas or polars, or a matrix, of which a quantity is to be predicted.

    Args:
        frame: All columns.
        target: A column's name or position, several of them, or the values ``(N,)`` or ``(N, T)``.
        groups: A column, or labels ``(N,)``.
        time: A column, or times ``(N,)``.
        drop: Columns to leave out.
        name: For titles.
        asked: Whether the user said that it is a quantity.

    Raises:
        DataError: There is no such column, or the target holds no numbers.
    """
    given = read_roles(frame, target, groups=groups, time=time, drop=drop)
    numbers = np.column_stack([_numbers(given.targets.iloc[:, i]) for i in range(given.targets.shape[1])])
    there = np.isfinite(numbers).all(axis=1)
    if not there.any():
        raise DataError("no row has a value of the target; give the rows values, or name another column")
    names = tuple(str(c) for c in given.targets.columns)
    return ValueSubject(
        name=name, target_name=", ".join(names), values=Values(numbers[there], names), asked=asked,
        findings=tuple(_without(there)), **given.kept(there),
    )  # fmt: skip


def _numbers(series: pd.Series) -> np.ndarray:
    """Numbers ``(N,)``; what cannot be read is missing, unless hardly anything can."""
    if pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_datetime64_any_dtype(series.dtype):
        read = pd.Series(np.full(len(series), np.nan))
    else:
        read = pd.to_numeric(series, errors="coerce")
    values = read.to_numpy(dtype=np.float64, na_value=np.nan)
    if series.notna().any() and np.isnan(values[series.notna()]).mean() > 0.5:
        raise DataError(
            f"the target {str(series.name)!r} holds no numbers, so it cannot be predicted as a quantity; name a column of "
            "numbers, or leave out --task regression"
        )
    return values


def _without(there: np.ndarray) -> list[Finding]:
    rows = np.flatnonzero(~there)
    if not len(rows):
        return []
    message = (
        f"{len(rows):,} of {len(there):,} rows have no value to be predicted, an infinite one, or words "
        f"({len(rows) / len(there):.1%}; the first is row {rows[0] + 1}) and are left out here"
    )
    return [Finding("MB107", "error", message, rows=tuple(map(int, rows[:20])))]
