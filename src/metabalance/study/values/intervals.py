"""Intervals of predicted values, fitted on validation rows: with a margin for each region, at a few levels.

There are two promises. By *prediction*: of the rows that are predicted to lie in a region, so many are held
(:class:`metabalance.adjust.ConformalIntervals`). These are the narrower ones, and rare values pay for it: what is rare and
was predicted to be ordinary is missed more often. By *target*: so many are held of the rows whose true value lies in
a region (:func:`metabalance.adjust.intervals_by_target`), the rare ones as often as the others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metabalance.adjust.conformal_regression import ConformalIntervals
from metabalance.adjust.conformal_target import intervals_by_target

__all__ = ["BY", "LEVEL", "LEVELS", "Stretches", "ValueIntervals", "fit_intervals", "thin_regions"]

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
LEVEL = 0.9
BY = ("prediction", "target")
FEWEST = 9  # validation rows behind a margin: what a promise of 0.9 takes
REGIONS = ("few", "medium", "many")

Margins = dict[str, float]


@dataclass(frozen=True, eq=False)
class Stretches:
    """The line of values, cut where a region ends.

    Args:
        starts: Where the next stretch begins ``(M,)``, increasing.
        regions: Of each stretch ``(M + 1,)``.
    """

    starts: np.ndarray
    regions: tuple[str, ...]

    @classmethod
    def cut(cls, regions: Any) -> "Stretches":
        """From :class:`~metabalance.judge.regions.Regions`, as its ``of`` has it: beyond the ends few rows were near.

        >>> from metabalance.judge.regions import make_regions
        >>> cut = Stretches.cut(make_regions([1.0] * 150 + [2.0] * 50 + [3.0] * 5, bin_width=1.0))
        >>> cut.starts.round(6).tolist(), cut.regions
        ([1.0, 2.0, 3.0], ('few', 'many', 'medium', 'few'))
        """
        edges = np.asarray(regions.edges, dtype=np.float64)
        slack = 1e-9 * np.diff(edges).min()
        starts = np.append(edges[:-1] - slack, np.nextafter(edges[-1] + slack, np.inf))
        names = np.array(["few", *regions.groups, "few"])
        changes = np.flatnonzero(names[1:] != names[:-1])
        return cls(starts[changes], tuple(map(str, [names[0], *names[changes + 1]])))

    def of(self, values: np.ndarray) -> np.ndarray:
        """The region of each value ``(N,)``."""
        return np.array(self.regions)[np.searchsorted(self.starts, values, side="right")]

    def each(self, margins: Margins) -> np.ndarray:
        """The margin of each stretch ``(M + 1,)``."""
        return np.array([margins[region] for region in self.regions])


@dataclass(frozen=True)
class ValueIntervals:
    """Intervals at several levels, of each target.

    Args:
        stretches: Of each target.
        margins: By promise and level, of each target: the margin of each region.
    """

    stretches: tuple[Stretches, ...]
    margins: Mapping[tuple[str, float], tuple[Margins, ...]]

    @property
    def levels(self) -> tuple[float, ...]:
        """Those that enough rows stand behind for both promises; 0.9 by prediction is always there."""
        return tuple(level for level in LEVELS if all((by, level) in self.margins for by in BY))

    def __call__(
        self,
        prediction: np.ndarray,
        limits: np.ndarray | None,
        level: float | None = None,
        by: str | None = None,
    ) -> np.ndarray:
        """Lower and upper ends ``(N, T, 2)``.

        Args:
            prediction: ``(N, T)``.
            limits: The model's own quantiles ``(N, T, 2)``, if it was fitted with them.
            level: Share of rows to hold; without, 0.9.
            by: What the promise is about: the region of the ``"prediction"``, as without, or of the ``"target"``.

        Raises:
            ValueError: They are not there.
        """
        by, level = self.known(level, by)
        out = np.empty((*prediction.shape, 2))
        for i, (stretch, margins) in enumerate(zip(self.stretches, self.margins[by, level])):
            low, high = _ends(prediction, limits, i)
            if by == "target":
                out[:, i, 0], out[:, i, 1] = intervals_by_target(
                    low, high, stretch.starts, stretch.each(margins)
                )
                continue
            place = np.searchsorted(stretch.starts, prediction[:, i], side="right")
            # An interval that would shrink below nothing is its middle.
            margin = np.maximum(stretch.each(margins)[place], (low - high) / 2)
            out[:, i, 0], out[:, i, 1] = low - margin, high + margin
        return out

    def known(self, level: float | None, by: str | None) -> tuple[str, float]:
        """The promise and the level that are meant.

        Raises:
            ValueError: They are not there.
        """
        level, by = LEVEL if level is None else float(level), by or BY[0]
        if by not in BY:
            raise ValueError(f"intervals are by {' or '.join(BY)}, but {by!r} was asked for")
        if (by, level) not in self.margins:
            there = ", ".join(str(one) for promise, one in self.margins if promise == by)
            raise ValueError(
                f"the model has intervals by {by} at the levels {there or '(none)'}, but {level} was asked for"
            )
        return by, level

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; exact."""
        return {
            "stretches": [{"starts": s.starts.tolist(), "regions": list(s.regions)} for s in self.stretches],
            "margins": [
                {"by": by, "level": level, "targets": [dict(m) for m in margins]}
                for (by, level), margins in self.margins.items()
            ],
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ValueIntervals":
        """The inverse of :meth:`to_dict`.

        Raises:
            ValueError: Parts that do not fit together.
        """
        stretches = tuple(
            Stretches(np.asarray(s["starts"], dtype=np.float64), tuple(map(str, s["regions"])))
            for s in state["stretches"]
        )
        margins = {
            (str(entry["by"]), float(entry["level"])): tuple(
                {str(region): float(margin) for region, margin in m.items()} for m in entry["targets"]
            )
            for entry in state["margins"]
        }
        fits = all(len(s.regions) == len(s.starts) + 1 for s in stretches) and all(
            len(of) == len(stretches) and set(s.regions) <= set(m)
            for of in margins.values()
            for s, m in zip(stretches, of)
        )
        if not fits or (BY[0], LEVEL) not in margins:
            raise ValueError(
                "stored intervals have a margin for each region of each target, and these have not"
            )
        return cls(stretches, margins)


def fit_intervals(
    prediction: np.ndarray, limits: np.ndarray | None, target: np.ndarray, regions: Sequence[Any]
) -> ValueIntervals | None:
    """Takes the margins from rows that the model was not fitted on.

    A region with fewer than 9 of them shares its margin with its neighbour, and at higher levels with fewer than 19
    (0.95) or 99 (0.99); the promise is then about both together (:func:`thin_regions`). A level that all rows together are
    too few for is left out.

    Args:
        prediction: ``(N, T)``.
        limits: The model's own quantiles ``(N, T, 2)``, or None.
        target: ``(N, T)``.
        regions: Of each target, see :class:`~metabalance.judge.regions.Regions`.

    Returns:
        The intervals; None where not even the level 0.9 can be had, of which 9 rows are the least.
    """
    if not len(target):
        return None
    stretches = tuple(map(Stretches.cut, regions))
    margins = {}
    for by, values in zip(BY, (prediction, target)):
        for level in LEVELS:
            made = tuple(
                _margins(_ends(prediction, limits, i), target[:, i], stretch.of(values[:, i]), level)
                for i, stretch in enumerate(stretches)
            )
            if all(math.isfinite(margin) for one in made for margin in one.values()):
                margins[by, level] = made
    return ValueIntervals(stretches, margins) if (BY[0], LEVEL) in margins else None


def thin_regions(target: np.ndarray, regions: Any) -> list[str]:
    """Regions of too few of the rows ``(N,)`` for a promise of their own at the level 0.9.

    >>> from metabalance.judge.regions import make_regions
    >>> regions = make_regions([1.0] * 150 + [2.0] * 50 + [3.0] * 5, bin_width=1.0)
    >>> thin_regions(np.array([1.0] * 40 + [2.0] * 12 + [3.0]), regions)
    ['few']
    """
    region = Stretches.cut(regions).of(target)
    return [name for name in REGIONS if 0 < (region == name).sum() < FEWEST]


def _ends(prediction: np.ndarray, limits: np.ndarray | None, i: int) -> tuple[np.ndarray, np.ndarray]:
    """What a margin is put around: the prediction, or the model's own limits in order."""
    if limits is None:
        return prediction[:, i], prediction[:, i]
    return limits[:, i].min(axis=1), limits[:, i].max(axis=1)


def _margins(
    ends: tuple[np.ndarray, np.ndarray], target: np.ndarray, region: np.ndarray, level: float
) -> Margins:
    """The margin of each region."""
    alpha = round(1 - level, 9)
    group = _pooled(region, max(FEWEST, math.ceil(1 / alpha - 1 - 1e-9)))
    of_row = np.select([region == name for name in group], list(group.values()))
    fitted = ConformalIntervals(alpha).fit(np.column_stack(ends), target, of_row)
    return {name: fitted.margins_[number] for name, number in group.items()}


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
