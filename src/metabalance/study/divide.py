"""Rows divided for a study: by what its kind of target deals rows by, as finely as groups and times allow."""

from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

import numpy as np

from metabalance.data.errors import DataError
from metabalance.study.kinds import kind_of
from metabalance.study.sources import Studied
from metabalance.study.splits import Split, carve_validation, make_splits

__all__ = ["carve", "deal", "divide"]

T = TypeVar("T")


def divide(
    table: Studied, *, folds: int, seeds: int, validation_fraction: float, groups: np.ndarray | None
) -> tuple[list[Split], dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]]:
    """The splits, and of each training part the rows to fit on and those to validate on, by seed and fold.

    Args:
        table: What is studied.
        folds: Of each repetition.
        seeds: Repetitions.
        validation_fraction: Share of each training part.
        groups: ``(N,)`` or None: rows of one group stay on one side.

    Raises:
        DataError: The rows cannot be divided so.
    """

    def made(labels: np.ndarray, names: Any) -> Any:
        apart: dict[str, Any] = {"groups": groups, "time": table.time, "classes": names}
        splits = [
            split for seed in range(seeds) for split in make_splits(labels, folds=folds, seed=seed, **apart)
        ]
        inner = {
            (s.seed, s.fold): carve_validation(s.train, labels, validation_fraction, s.seed, **apart)
            for s in splits
        }
        return splits, inner

    return _finest(table, made)


def deal(table: Studied, *, folds: int, seed: int) -> list[Split]:
    """The splits of one repetition; see :func:`divide`.

    Raises:
        DataError: The rows cannot be divided so.
    """

    def made(labels: np.ndarray, names: Any) -> list[Split]:
        return make_splits(
            labels, folds=folds, seed=seed, groups=table.groups, time=table.time, classes=names
        )

    return _finest(table, made)


def carve(table: Studied, rows: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Takes a part out of these rows, see :func:`~metabalance.study.splits.carve_validation`.

    >>> from metabalance.study.load import make_values
    >>> import pandas as pd
    >>> table = make_values(pd.DataFrame({"x": np.arange(40) % 7, "y": np.arange(40.0)}), "y")
    >>> rest, taken = carve(table, np.arange(40), 0.25, seed=0)
    >>> len(rest), len(taken)
    (30, 10)
    """

    def made(labels: np.ndarray, names: Any) -> tuple[np.ndarray, np.ndarray]:
        return carve_validation(
            rows, labels, fraction, seed, groups=table.groups, time=table.time, classes=names
        )

    return _finest(table, made)


def _finest(table: Studied, made: Callable[[np.ndarray, Any], T]) -> T:
    """Where the labels to deal rows by are too fine, coarser ones are tried."""
    kind, refused = kind_of(table.kind), None
    for level in count():
        try:
            labels, names = kind.labels(table, level)
        except IndexError:
            break
        try:
            return made(labels, names)
        except DataError as error:
            refused = refused or error
    assert refused is not None
    raise kind.undivided(table, refused)
