"""What is audited: rows, classes, groups and times, taken as they are where a study would refuse them."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.checks import check_images, check_table
from metabalance.data.errors import DataError
from metabalance.data.findings import Finding
from metabalance.data.images import Images
from metabalance.data.target import Target

__all__ = ["Plan", "Subject", "blocks"]

SIDE = 14  # images are looked at in this many blocks a side, at most


@dataclass(frozen=True)
class Plan:
    """What is going to be done with the data.

    Args:
        folds: Of the cross-validation.
        metric: The metric that will decide.
        half_width: Wanted for its 95 % interval.
        seed: Everything random follows from it.
        model_rows: At most so many rows for the checks that fit a model or look for neighbours.
    """

    folds: int = 5
    metric: str = "average_precision"
    half_width: float = 0.05
    seed: int = 0
    model_rows: int = 20_000

    level = 0.95

    def checked(self) -> "Plan":
        """The plan with the metric's own name.

        Raises:
            DataError: A setting is out of range, or the metric unknown.
        """
        from metabalance.judge.metrics import get_metric

        if self.folds < 2:
            raise DataError(f"folds must be at least 2, but {self.folds} was given")
        if not 0 < self.half_width < 0.5:
            raise DataError(
                f"half_width must lie between 0 and 0.5, but {self.half_width:g} was given; try 0.05"
            )
        if self.model_rows < 100:
            raise DataError(f"model_rows must be at least 100, but {self.model_rows} was given; try 20000")
        if self.metric == "expected_cost":
            return self
        try:
            return replace(self, metric=get_metric(self.metric).name)
        except ValueError as error:
            raise DataError(str(error.args[0])) from error


@dataclass(frozen=True, eq=False)
class Subject:
    """Labelled rows.

    Args:
        name: For titles.
        target: Encoded classes; unlike elsewhere, a class may have a single row.
        target_name: What the classes are called.
        frame: The whole features ``(N, D)`` of a table, or None.
        images: Images, or None.
        groups: Group numbers ``(N,)``, or None.
        time: Sortable numbers ``(N,)``, or None.
        groups_name: Its column.
        time_name: Its column.
        position: Where each row stood in what was given ``(N,)``, from 0.
        findings: What was found on the way here.
    """

    name: str
    target: Target
    target_name: str
    frame: Any = None
    images: Images | None = None
    groups: np.ndarray | None = None
    time: np.ndarray | None = None
    groups_name: str | None = None
    time_name: str | None = None
    position: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    findings: tuple[Finding, ...] = ()

    @property
    def y(self) -> np.ndarray:
        return self.target.index

    @property
    def counts(self) -> np.ndarray:
        return np.asarray(self.target.counts)

    @property
    def described(self) -> str:
        """Size and kind of the rows, in words."""
        if self.images is not None:
            _, height, width = self.images.pixels.shape[1:]
            return f"{len(self.y):,} images, {height}x{width}"
        columns = self.frame.shape[1]
        return f"{len(self.y):,} rows, {columns:,} feature{'s' * (columns != 1)}, target {self.target_name}"

    @property
    def noun(self) -> str:
        return "image" if self.images is not None else "row"

    def label(self, c: Any) -> str:
        """A class as messages name it."""
        return repr(self.target.classes[c])

    def named(self, rows: Any, most: int = 8) -> str:
        """Rows for people: numbers from 1 below the header, or the files of images."""
        shown = [int(row) for row in rows[:most]]
        names = (
            [self.images.names[row] for row in shown]
            if self.images is not None
            else [f"{self.position[row] + 1}" for row in shown]
        )
        return ", ".join(names) + (", ..." if len(rows) > most else "")

    @cached_property
    def base_findings(self) -> tuple[Finding, ...]:
        """Checks MB001 to MB014."""
        if self.images is not None:
            return tuple(check_images(self.images, self.target))
        frame = self.frame.assign(**{self._free_name: self.y})
        return tuple(check_table(frame, self._free_name, self.target))

    @property
    def _free_name(self) -> str:
        name = "target"
        while name in self.frame.columns:
            name += "_"
        return name

    @cached_property
    def useful(self) -> pd.DataFrame:
        """Features without empty, constant and numbering columns; infinities are missing."""
        gone = {c for f in self.base_findings if f.action == "drop" for c in f.columns}
        frame = self.frame.drop(columns=list(gone))
        infinite = {c for f in self.base_findings if f.code == "MB004" for c in f.columns} - gone
        return (
            frame.assign(**{c: frame[c].replace([np.inf, -np.inf], np.nan) for c in infinite})
            if infinite
            else frame
        )

    @cached_property
    def leaks(self) -> tuple[str, ...]:
        """Columns that give the class away: a model that has them needs, and tells, nothing else."""
        found = [c for f in self.base_findings if f.code == "MB006" for c in f.columns]
        return tuple(c for c in found if c in self.useful.columns)

    @cached_property
    def honest(self) -> pd.DataFrame:
        """Useful features without leaks and names of customers and the like, unless nothing else is there."""
        from metabalance.study.audit.groups import group_like

        rest = self.useful.drop(columns=list({*self.leaks, *group_like(self)}))
        return rest if rest.shape[1] else self.useful

    def matrix(self, rows: np.ndarray) -> np.ndarray:
        """Numbers ``(M, D)`` for a model; what scales them never sees a class."""
        return self._whole if len(rows) == len(self.y) else self._numbers(rows)

    @cached_property
    def _whole(self) -> np.ndarray:
        return self._numbers(np.arange(len(self.y)))

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        if self.images is not None:
            return blocks(self.images.pixels[rows], SIDE)
        from metabalance.data.preprocess import TablePreprocessor

        part = self.honest.iloc[rows]
        return np.asarray(TablePreprocessor().fit(part).transform(part))

    @property
    def width(self) -> int:
        """Columns, or pixel values."""
        return self.frame.shape[1] if self.images is None else int(np.prod(self.images.pixels.shape[1:]))

    @property
    def seen_width(self) -> int:
        """Columns as a model gets them, about."""
        if self.images is None:
            return self.width
        channels, height, width = self.images.pixels.shape[1:]
        return channels * min(SIDE, height) * min(SIDE, width)


def blocks(pixels: np.ndarray, side: int) -> np.ndarray:
    """Means of blocks of images ``(N, C, H, W)`` as rows ``(N, C * side * side)``, from 0 to 1."""
    n, channels, height, width = pixels.shape
    rows = np.linspace(0, height, min(side, height) + 1).astype(int)[:-1]
    columns = np.linspace(0, width, min(side, width) + 1).astype(int)[:-1]
    out = np.empty((n, channels * len(rows) * len(columns)), dtype=np.float32)
    area = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    for start in range(0, n, 4096):
        part = np.add.reduceat(pixels[start : start + 4096].astype(np.float32), rows, axis=2)
        part = np.add.reduceat(part, columns, axis=3) / (255 * area)
        out[start : start + 4096] = part.reshape(len(part), -1)
    return out
