"""Where a continuous target was frequent in training, and where it was rare: bins, and many, medium, few."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GROUPS", "Regions", "make_regions"]

Array = NDArray[Any]
GROUPS = ("many", "medium", "few")
MOST_BINS = 1_000_000


@dataclass(frozen=True, eq=False)
class Regions:
    """Bins of a training target, and which of them are many-, medium- and few-shot.

    Args:
        edges: Of the bins ``(K + 1,)``, increasing.
        counts: Training rows in each ``(K,)``.
        many: Above so many rows a bin is many-shot.
        few: Below so many it is few-shot; an empty one is in any case.
        rule: How the thresholds were found: ``"density"`` (those given, by default the 100 and 20 of Yang et al.)
            or ``"quantile"`` (tertiles of the counts of the bins that hold rows).
        scale: Standard deviation of the training target, 1 where it is constant: the unit in which errors of
            several targets are averaged.
    """

    edges: Array
    counts: Array
    many: float
    few: float
    rule: str
    scale: float

    @property
    def groups(self) -> Array:
        """The group of each bin ``(K,)``."""
        n = self.counts
        return np.where(n > self.many, "many", np.where((n < self.few) | (n == 0), "few", "medium"))

    def index(self, target: ArrayLike) -> Array:
        """The bin of each value ``(N,)``; those beyond the ends are in the bins at the ends."""
        y = _values(target)
        slack = 1e-9 * np.diff(self.edges).min()
        return np.clip(np.searchsorted(self.edges, y + slack, side="right") - 1, 0, len(self.counts) - 1)

    def rows(self, target: ArrayLike) -> Array:
        """Training rows near each value ``(N,)``: those of its bin, 0 beyond the ends."""
        y = _values(target)
        slack = 1e-9 * np.diff(self.edges).min()
        beyond = (y < self.edges[0] - slack) | (y > self.edges[-1] + slack)
        return np.where(beyond, 0, self.counts[self.index(y)])

    def of(self, target: ArrayLike) -> Array:
        """``"many"``, ``"medium"`` or ``"few"`` for each value ``(N,)``; few where no training row was near.

        >>> make_regions([1.0] * 150 + [2.0] * 50 + [3.0] * 5, bin_width=1.0).of([1.2, 2.0, 3.0, 9.0])
        array(['many', 'medium', 'few', 'few'], dtype='<U6')
        """
        n = self.rows(target)
        return np.where(n > self.many, "many", np.where((n < self.few) | (n == 0), "few", "medium"))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "edges": [float(e) for e in self.edges],
            "counts": [int(c) for c in self.counts],
            "many": float(self.many),
            "few": float(self.few),
            "rule": self.rule,
            "scale": float(self.scale),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Regions":
        """What :meth:`to_dict` gave.

        Raises:
            ValueError: Entries that are missing or do not make bins.
        """
        try:
            edges = np.asarray(stored["edges"], dtype=np.float64)
            counts = np.asarray(stored["counts"], dtype=np.int64)
            many, few, scale = (float(stored[name]) for name in ("many", "few", "scale"))
            rule = str(stored["rule"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"stored regions lack or misspell a part ({error}); make them again") from error
        if (
            edges.ndim != 1 or len(edges) < 2 or counts.shape != (len(edges) - 1,) or not np.isfinite(edges).all()
            or not (np.diff(edges) > 0).all() or (counts < 0).any() or not 0 < scale < np.inf or not few <= many
            or rule not in ("density", "quantile")
        ):  # fmt: skip
            raise ValueError(
                "stored regions must have increasing edges (K + 1,), counts (K,) from 0, few up to many, a rule "
                "and a scale above 0; make them again"
            )
        return cls(edges, counts, many, few, rule, scale)


def make_regions(
    train_target: ArrayLike,
    *,
    bin_width: float | None = None,
    num_bins: int = 50,
    many: float = 100,
    few: float = 20,
) -> Regions:
    """Bins of the training target, grouped into many, medium and few by the rows that each holds.

    Yang, Zha, Chen, Wang & Katabi, ICML 2021, arXiv 2102.09554: above 100 training rows a bin is many-shot, below
    20 few-shot. Where these leave a group without bins, the thresholds are the tertiles of the counts of the bins
    that hold rows, so that small data have groups as well; ``rule`` says which it was.

    Args:
        train_target: ``(N,)``; of training rows alone.
        bin_width: Width of a bin in the unit of the target (1 for years); the edges are then its multiples.
        num_bins: Without a width: so many equally wide bins from the smallest value to the largest; of whole numbers each
            bin holds equally many, and there may be fewer bins.
        many: The upper threshold to try first.
        few: The lower one.

    Raises:
        ValueError: No rows, values that are not finite, or bins that cannot be.

    >>> r = make_regions([20.0] * 150 + [21.0] * 50 + [80.0] * 3, bin_width=1.0)
    >>> r.rule, len(r.counts), r.of([20.5, 21.0, 60.0, 80.0]).tolist()
    ('density', 61, ['many', 'medium', 'few', 'few'])
    """
    y = _values(train_target)
    if not len(y):
        raise ValueError("regions need at least one training row, but there is none")
    if not few <= many:
        raise ValueError(f"few must not be above many, but {few} and {many} were given")
    edges = _edges(y, bin_width, num_bins)
    # The spread in a unit in which no square under- or overflows.
    centred = y - y.mean() if np.isfinite(y.sum()) else y / 2 - (y / 2).mean()
    unit = float(np.abs(centred).max()) if y.min() < y.max() else 0.0
    scale = unit * float(np.sqrt(np.mean((centred / unit) ** 2))) if unit > 0 else 1.0
    blank = Regions(edges, np.zeros(len(edges) - 1, dtype=np.int64), many, few, "density", scale)
    counts = np.bincount(blank.index(y), minlength=len(edges) - 1)
    upper, lower, rule = _thresholds(counts, many, few)
    return Regions(edges, counts, upper, lower, rule, scale)


def _values(target: ArrayLike) -> Array:
    given = np.asarray(target)
    if given.dtype.kind not in "biuf" and given.size:
        raise ValueError(f"a continuous target holds numbers, not {given.dtype}; convert it first")
    y = given.astype(np.float64)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1:
        raise ValueError(
            f"the target must be (N,), one column, but has shape {y.shape}; make regions of each"
        )
    missing = int((~np.isfinite(y)).sum())
    if missing:
        raise ValueError(f"{missing} values of the target are missing or infinite; drop those rows first")
    return y


def _edges(y: Array, width: float | None, num_bins: int) -> Array:
    """The bins of :func:`metabalance.densities.bin_edges`."""
    low, high = float(y.min()), float(y.max())
    if not np.isfinite(high - low):
        raise ValueError(f"values from {low:g} to {high:g} are too far apart for bins; change their unit")
    if width is None:
        if num_bins < 1:
            raise ValueError(f"num_bins must be at least 1, but {num_bins} was given")
        if low == high:
            reach = max(abs(low), 1.0) / 2
            return np.array([low - reach, high + reach])
        if (y == np.round(y)).all() and high - low < 2.0**52:
            step = np.ceil((high - low + 1) / num_bins)
            return low + step * np.arange(np.ceil((high - low + 1) / step) + 1)
        # Values that differ in their last digits alone have fewer bins than were asked for.
        return np.unique(np.linspace(low, high, num_bins + 1))
    if not 0 < width < np.inf:
        raise ValueError(f"the width of a bin must be finite and above 0, but {width} was given")
    # The allowance is for 0.3 / 0.1, which is below 3.
    first, last = np.floor(low / width + 1e-9), np.floor(high / width + 1e-9) + 1
    if not last - first <= MOST_BINS:
        raise ValueError(
            f"bins of width {width} from {low:g} to {high:g} are more than {MOST_BINS:,}; take wider ones"
        )
    edges = np.arange(first, last + 1) * width
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"bins of width {width} are too narrow for values such as {high:g}; take wider ones")
    return edges


def _thresholds(counts: Array, many: float, few: float) -> tuple[float, float, str]:
    """Those of :func:`metabalance.densities.density_thresholds`, and their rule."""
    n = np.sort(counts[counts > 0])
    if (n > many).any() and ((n >= few) & (n <= many)).any() and (n < few).any():
        return float(many), float(few), "density"
    low, high = n[np.round(np.array([1 / 3, 2 / 3]) * (len(n) - 1)).astype(int)]
    return float(high), float(low), "quantile"
