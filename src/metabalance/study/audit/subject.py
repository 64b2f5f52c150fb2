"""What is planned, and rows whose target is classes."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from metabalance.data.checks import check_images, check_table
from metabalance.data.errors import DataError
from metabalance.data.findings import Finding
from metabalance.data.target import Target
from metabalance.study.audit.rows import Rows

__all__ = ["Plan", "Subject"]


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

        self.in_range()
        if self.metric == "expected_cost":
            return self
        try:
            return replace(self, metric=get_metric(self.metric).name)
        except ValueError as error:
            raise DataError(str(error.args[0])) from error

    def in_range(self) -> None:
        """Refuses settings that cannot be.

        Raises:
            DataError: A setting is out of range.
        """
        if self.folds < 2:
            raise DataError(f"folds must be at least 2, but {self.folds} was given")
        if not 0 < self.half_width < 0.5:
            raise DataError(
                f"half_width must lie between 0 and 0.5, but {self.half_width:g} was given; try 0.05"
            )
        if self.model_rows < 100:
            raise DataError(f"model_rows must be at least 100, but {self.model_rows} was given; try 20000")


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject(Rows):
    """Labelled rows.

    Args:
        target: Encoded classes; unlike elsewhere, a class may have a single row.
    """

    target: Target

    @property
    def y(self) -> np.ndarray:
        return self.target.index

    @property
    def counts(self) -> np.ndarray:
        return np.asarray(self.target.counts)

    @property
    def answers(self) -> int:
        return len(self.target.counts)

    @property
    def sorted_by_target(self) -> bool:
        return bool((np.diff(self.y) != 0).sum() == len(self.counts) - 1)

    def label(self, c: Any) -> str:
        """A class as messages name it."""
        return repr(self.target.classes[c])

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
