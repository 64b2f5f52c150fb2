"""What is predicted: classes or values. All that a comparison must know of the target is asked here.

Everything else of the study, how rows are split, where fits run, how they are stored, what an interval is, does not know
what kind of target it works on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from metabalance.data.errors import DataError

__all__ = ["KINDS", "FitSettings", "Kind", "Measure", "kind_of"]

KINDS = {"classes": "metabalance.study.classes", "values": "metabalance.study.values.kind"}


@dataclass(frozen=True)
class Measure:
    """What a table of results must know of a metric.

    Args:
        title: For people.
        greater_is_better: Which way is up.
        low: Its smallest value, or None.
        high: Its largest value, or None.
    """

    title: str
    greater_is_better: bool
    low: float | None = None
    high: float | None = None


class FitSettings(Protocol):
    """What all fits of a comparison share."""

    def work(
        self, candidate: Any, train: Any, validation: Any, test: np.ndarray, size: int, *, seed: int, fold: int,
        tuning: Path | None = None,
    ) -> tuple[dict[str, Any], np.ndarray]:  # fmt: skip
        """Fits a candidate; returns the record to store, and what the fit gives for the test rows ``(N, ...)``."""


class Kind(Protocol):
    """A kind of target, as a comparison asks it."""

    @property
    def name(self) -> str:
        """``"classes"`` or ``"values"``."""

    @property
    def baseline(self) -> str:
        """What the untouched baseline is called in a sentence."""

    @property
    def recipes(self) -> str:
        """What ``compare`` compares by default."""

    @property
    def metric(self) -> str:
        """The metric that decides by default."""

    def known_metric(self, name: str) -> str:
        """The metric's own name; refuses one that is not of this kind."""

    def refuse(self, options: Mapping[str, Any]) -> None:
        """Refuses options, by their names on the command line, that are for the other kind."""

    def rehearse(self, candidate: Any, table: Any, network: dict[str, Any]) -> None:
        """Trains a candidate for a moment: what cannot be trained at all is refused before an hour of fits."""

    def check(self, table: Any, folds: int, timed: bool) -> None:
        """Refuses a table that cannot be divided into so many folds."""

    def labels(self, table: Any, level: int = 0) -> tuple[np.ndarray, Sequence[Any] | None]:
        """What splits deal rows by ``(N,)``, and the names of it; from level 1 on, coarser.

        Raises:
            IndexError: There is no coarser level.
        """

    def undivided(self, table: Any, refused: DataError) -> DataError:
        """What is told of rows that cannot be divided, where this was the first refusal."""

    def size(self, table: Any) -> int:
        """C classes or T targets."""

    def protocol(self, plan: Any, table: Any) -> dict[str, Any]:
        """What else must not change between a run and its continuation."""

    def settings(self, plan: Any, table: Any) -> FitSettings:
        """What all fits share; its ``work`` does one."""

    def metrics(self, plan: Any) -> list[str]:
        """Names of the metrics to tell, the primary one first."""

    def measure(self, name: str, plan: Any = None) -> Measure:
        """What a metric is."""

    def fit_metrics(self, record: dict[str, Any], table: Any, split: Any, plan: Any) -> dict[str, float]:
        """Every metric of a stored fit on its test part."""

    def pooled(self, record: dict[str, Any], table: Any, split: Any, plan: Any) -> Any:
        """What :meth:`figures` needs of a fit."""

    def figures(self, pooled: list[Any], table: Any) -> dict[str, Any]:
        """What a report draws of a candidate, from the fits of the first repetition: every row once."""

    def data(self, table: Any) -> dict[str, Any]:
        """What a report tells of the target."""

    def evidence_told(self, result: dict[str, Any], fits: int) -> str:
        """How much stands behind the answer, in a sentence."""


def kind_of(name: str) -> Kind:
    """The kind of that name.

    >>> kind_of("classes").name
    'classes'
    """
    return import_module(KINDS[name]).KIND
