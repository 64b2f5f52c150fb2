"""Rows that are audited, whatever is to be predicted of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.findings import Finding
from metabalance.data.images import Images

__all__ = ["Rows", "blocks"]

SIDE = 14  # images are looked at in this many blocks a side, at most
GIVEN_AWAY = ("MB006", "MB109")


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows(ABC):
    """Features, groups and times, taken as they are where a study would refuse them.

    Args:
        name: For titles.
        target_name: What is to be predicted.
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
    @abstractmethod
    def y(self) -> np.ndarray:
        """What is to be predicted: classes ``(N,)`` or values ``(N, T)``."""

    @property
    @abstractmethod
    def answers(self) -> int:
        """Different answers that a model may give: the classes; 1 of values."""

    @property
    @abstractmethod
    def sorted_by_target(self) -> bool:
        """Whether the rows stand in the order of the target."""

    @property
    @abstractmethod
    def base_findings(self) -> tuple[Finding, ...]:
        """The checks that every study makes."""

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
        """Columns that give the target away: a model that has them needs, and tells, nothing else."""
        found = [c for f in self.base_findings if f.code in GIVEN_AWAY for c in f.columns]
        return tuple(c for c in found if c in self.useful.columns)

    @cached_property
    def honest(self) -> pd.DataFrame:
        """Useful features without leaks and names of customers and the like, unless nothing else is there."""
        from metabalance.study.audit.groups import group_like

        rest = self.useful.drop(columns=list({*self.leaks, *group_like(self)}))
        return rest if rest.shape[1] else self.useful

    def matrix(self, rows: np.ndarray) -> np.ndarray:
        """Numbers ``(M, D)`` for a model; what scales them never sees the target."""
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
