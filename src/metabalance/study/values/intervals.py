"""Intervals of predicted values, fitted on validation rows: by predicted region, at a few levels, for each target.

The method is :class:`metabalance.adjust.ConformalIntervals`. A region (few, medium, many) is that of the *prediction*,
which is known before the target. The promise holds on average over the rows of such a region, not over those whose
true value lies in it: rows that are predicted to be ordinary and are not are missed more often.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metabalance.adjust.conformal_regression import ConformalIntervals

__all__ = ["LEVEL", "LEVELS", "ValueIntervals", "fit_intervals"]

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
LEVEL = 0.9
FEWEST = 50  # validation rows behind the margin of a group
REGIONS = ("few", "medium", "many")


@dataclass(frozen=True)
class ValueIntervals:
    """Intervals at several levels, of each target.

    Args:
        groups: Of each level and target: which group of rows a predicted region belongs to, ``{region: group}``.
        fitted: Of each level and target: the intervals of these groups.
    """

    groups: Mapping[float, tuple[dict[str, int], ...]]
    fitted: Mapping[float, tuple[ConformalIntervals, ...]]

    @property
    def levels(self) -> tuple[float, ...]:
        """Those that enough rows stand behind; 0.9 is one of them."""
        return tuple(self.fitted)

    def __call__(
        self,
        prediction: np.ndarray,
        limits: np.ndarray | None,
        regions: Sequence[Any],
        level: float | None = None,
    ) -> np.ndarray:
        """Lower and upper ends ``(N, T, 2)``.

        Args:
            prediction: ``(N, T)``.
            limits: The model's own quantiles ``(N, T, 2)``, if it was fitted with them.
            regions: Of each target.
            level: One of ``levels``; without, 0.9.

        Raises:
            ValueError: A level that is not there.
        """
        level = self.known(level)
        out = np.empty((*prediction.shape, 2))
        for i, (group, fitted) in enumerate(zip(self.groups[level], self.fitted[level])):
            given = prediction[:, i] if limits is None else limits[:, i]
            out[:, i, 0], out[:, i, 1] = fitted(given, _grouped(regions[i], prediction[:, i], group))
        return out

    def known(self, level: float | None) -> float:
        """The level that is meant.

        Raises:
            ValueError: It is not there.
        """
        level = LEVEL if level is None else level
        if level not in self.fitted:
            raise ValueError(
                f"the model has intervals at the levels {', '.join(map(str, self.levels))}, but {level} was asked for"
            )
        return level

    def margins(self, target: int, level: float | None = None) -> dict[str, float]:
        """The margin of each predicted region."""
        level = self.known(level)
        margins = self.fitted[level][target].margins_
        return {region: margins[group] for region, group in self.groups[level][target].items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; exact."""
        return {
            "levels": [
                {
                    "level": level,
                    "targets": [
                        {"groups": group, **fitted.to_dict()}
                        for group, fitted in zip(self.groups[level], self.fitted[level])
                    ],
                }
                for level in self.fitted
            ]
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ValueIntervals":
        """The inverse of :meth:`to_dict`."""
        told = {float(entry["level"]): entry["targets"] for entry in state["levels"]}
        return cls(
            {level: tuple(dict(t["groups"]) for t in targets) for level, targets in told.items()},
            {level: tuple(map(ConformalIntervals.from_dict, targets)) for level, targets in told.items()},
        )


def fit_intervals(
    prediction: np.ndarray,
    limits: np.ndarray | None,
    target: np.ndarray,
    regions: Sequence[Any],
) -> ValueIntervals | None:
    """Takes the margins from rows that the model was not fitted on.

    A predicted region with fewer than 50 of them is pooled with its neighbour. A level that too few rows stand behind,
    99 for 0.99, is left out.

    Args:
        prediction: ``(N, T)``.
        limits: The model's own quantiles ``(N, T, 2)``, or None.
        target: ``(N, T)``.
        regions: Of each target, with ``of(values (N,)) -> (N,)`` of few, medium and many.

    Returns:
        The intervals; None where not even the level 0.9 can be had, of which 9 rows are the least.
    """
    if not len(target):
        return None
    groups, fitted = {}, {}
    for level in LEVELS:
        alpha = round(1 - level, 9)
        least = max(FEWEST, math.ceil(1 / alpha - 1 - 1e-9))
        pooled, made = [], []
        for i in range(prediction.shape[1]):
            group = _pooled(np.asarray(regions[i].of(prediction[:, i])), least)
            given = prediction[:, i] if limits is None else limits[:, i]
            of_row = _grouped(regions[i], prediction[:, i], group)
            pooled.append(group)
            made.append(ConformalIntervals(alpha).fit(given, target[:, i], of_row))
        if all(np.isfinite(margin) for one in made for margin in one.margins_.values()):
            groups[level], fitted[level] = tuple(pooled), tuple(made)
    return ValueIntervals(groups, fitted) if LEVEL in fitted else None


def _pooled(region: np.ndarray, least: int) -> dict[str, int]:
    """Neighbouring regions in groups of so many rows, or all in one."""
    cells: list[list[str]] = [[]]
    for name in REGIONS:
        cells[-1].append(name)
        if np.isin(region, cells[-1]).sum() >= least:
            cells.append([])
    rest = cells.pop()  # too few, or none
    cells = [*cells[:-1], cells[-1] + rest] if cells else [rest]
    return {name: number for number, cell in enumerate(cells) for name in cell}


def _grouped(regions: Any, prediction: np.ndarray, group: Mapping[str, int]) -> np.ndarray:
    found = np.asarray(regions.of(prediction))
    out = np.zeros(len(found), dtype=np.int64)
    for region, number in group.items():
        out[found == region] = number
    return out
