"""Resampled ROC AUC and average precision from counts: a thousand resamples of a long table in a blink.

Both metrics depend on the negatives only through how many of them lie in each gap between neighbouring scores
of positives, or tie with one. Drawing n of n negatives with replacement and counting the gaps they fall in *is*
a multinomial draw of n over the gaps: the same distribution as drawing rows, not an approximation. A resample
then costs as many operations as there are distinct positive scores, and no sort.

For several models at once the cells are those of all models jointly, so that they meet the same resampled rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["GapReplicates"]

Array = NDArray[Any]
BLOCK = 2**20  # numbers in one array of a block of resamples: 8 MiB


class GapReplicates:
    """ROC AUC or average precision of M models under resampling of the rows they are measured on.

    Args:
        kind: ``"roc_auc"`` or ``"average_precision"``.
        scores: M times ``(N,)``, float64 without NaN.
        target: 0 or 1, ``(N,)``, both present.
        stratified: Keep the numbers of positives and negatives; otherwise they vary as in drawing rows.
    """

    def __init__(self, kind: str, scores: Sequence[Array], target: Array, stratified: bool) -> None:
        positive = target == 1
        self.kind, self.stratified = kind, stratified
        self.m, self.n = int(positive.sum()), int((~positive).sum())
        levels, places, cells = [], [], []
        for s in scores:
            level, place = np.unique(s[positive], return_inverse=True)
            low = s[~positive]
            # 2i lies below level i and above the one before, 2i + 1 is tied with it.
            cells.append(np.searchsorted(level, low) + np.searchsorted(level, low, side="right"))
            places.append(place)
            levels.append(level)
        place_groups, self.positives = _joint(places)
        cell_groups, self.negatives = _joint(cells)
        self.models = [
            _Model(len(level), place, cell)
            for level, place, cell in zip(levels, place_groups, cell_groups, strict=True)
        ]
        self.value = self._measure(self.positives[None], self.negatives[None])[0]

    def draw(self, n_boot: int, rng: np.random.Generator) -> Array:
        """The metric on resamples, ``(n_boot, M)``; NaN where a resample lacks a class."""
        size = max(1, BLOCK // max(len(self.positives), len(self.negatives), 1))
        blocks = []
        for start in range(0, n_boot, size):
            count = min(size, n_boot - start)
            m = np.full(count, self.m)
            if not self.stratified:
                m = rng.binomial(self.m + self.n, self.m / (self.m + self.n), size=count)
            n = self.m + self.n - m
            blocks.append(self._measure(resampled(self.positives, m, rng), resampled(self.negatives, n, rng)))
        return np.concatenate(blocks)

    def leave_outs(self) -> Iterator[tuple[Array, Array]]:
        """For each stratum the metrics ``(K, M)`` without one row of each kind, and how many are of that kind."""
        out = [model.leave_outs(self.kind, self.positives, self.negatives) for model in self.models]
        one_positive = np.stack([a for a, _ in out], axis=1)
        one_negative = np.stack([b for _, b in out], axis=1)
        if self.stratified:
            yield one_positive, self.positives
            yield one_negative, self.negatives
        else:
            yield (
                np.concatenate([one_positive, one_negative]),
                np.concatenate([self.positives, self.negatives]),
            )

    def _measure(self, positives: Array, negatives: Array) -> Array:
        return np.stack([model.measure(self.kind, positives, negatives) for model in self.models], axis=1)


class _Model:
    """Where the jointly counted rows lie on one model's scale.

    Args:
        levels: Number of distinct positive scores, k.
        place: Level ``(P,)`` of each group of positives.
        cell: Cell ``(J,)`` of each group of negatives, 0 to 2k.
    """

    def __init__(self, levels: int, place: Array, cell: Array) -> None:
        self.place, self.cell = place, cell
        self.by_level, self.by_cell = _Sums(place), _Sums(cell)
        tied = 2 * np.arange(levels) + 1
        # How many occupied cells lie below each level, and up to the one tied with it.
        self.below = np.searchsorted(self.by_cell.keys, tied)
        self.upto = np.searchsorted(self.by_cell.keys, tied, side="right")

    def counts(self, positives: Array, negatives: Array) -> tuple[Array, Array, Array]:
        """Positives at each level, negatives below and up to it, each ``(B, k)``."""
        cumulated = _cumulated(self.by_cell(negatives))
        return self.by_level(positives), cumulated[:, self.below], cumulated[:, self.upto]

    def measure(self, kind: str, positives: Array, negatives: Array) -> Array:
        p, below, upto = self.counts(positives, negatives)
        m, n = positives.sum(1), negatives.sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            if kind == "roc_auc":
                return (p * (below + upto)).sum(1) / (2 * m * n)
            found = m[:, None] - _cumulated(p)[:, :-1]
            value = (p * _precision(found, n[:, None] - below)).sum(1) / m
            return np.where(n > 0, value, np.nan)

    def leave_outs(self, kind: str, positives: Array, negatives: Array) -> tuple[Array, Array]:
        """The metric without one positive of each group ``(P,)``, and without one negative ``(J,)``."""
        p, below, upto = (c[0] for c in self.counts(positives[None], negatives[None]))
        m, n = int(positives.sum()), int(negatives.sum())
        # A negative in cell c lies below the levels from rank on, and is tied with the one at rank if c is odd.
        rank = self.cell // 2
        with np.errstate(divide="ignore", invalid="ignore"):
            if kind == "roc_auc":
                won = (below + upto) / 2
                total = float(p @ won)
                beaten = (
                    m
                    - np.append(0, np.cumsum(p))[rank]
                    - np.where(self.cell % 2, p[np.minimum(rank, len(p) - 1)] / 2, 0)
                )
                return (total - won[self.place]) / ((m - 1) * n), (total - beaten) / (m * (n - 1))
            found, false = m - np.append(0, np.cumsum(p))[:-1], n - below
            term = p * _precision(found, false)
            # Without a positive of level i: higher levels keep their term, lower ones find one fewer.
            lower = np.append(0, np.cumsum(p * _precision(found - 1, false)))[:-1]
            own = (p - 1) * _precision(found - 1, false)
            higher = np.append(np.cumsum(term[::-1])[::-1], 0)[1:]
            without_positive = (lower + own + higher) / (m - 1)
            # Without a negative: the levels at or below it have one false alarm fewer.
            fewer = np.append(0, np.cumsum(p * _precision(found, false - 1)))
            kept = np.append(np.cumsum(term[::-1])[::-1], 0)
            reached = rank + self.cell % 2
            without_negative = (fewer[reached] + kept[reached]) / (m if n > 1 else np.nan)
        return without_positive[self.place], without_negative


class _Sums:
    """Sums of columns ``(B, G)`` that share a key ``(G,)``, in the order of the keys."""

    def __init__(self, key: Array) -> None:
        self.order = np.argsort(key, kind="stable")
        self.keys, self.starts = np.unique(key[self.order], return_index=True)
        self.plain = len(self.keys) == len(key) and bool((np.diff(key) > 0).all())

    def __call__(self, counts: Array) -> Array:
        return counts if self.plain else np.add.reduceat(counts[:, self.order], self.starts, axis=1)


def resampled(count: Array, sizes: Array, rng: np.random.Generator) -> Array:
    """Draws ``sizes[b]`` rows, with replacement, of the kinds that occur ``count`` times: counts ``(B, K)``."""
    total, kinds = int(count.sum()), len(count)
    # A binomial draw costs about as much as sixteen rows drawn one by one; the distribution is the same.
    if total > 16 * kinds:
        return rng.multinomial(sizes, count / total).astype(np.float64)
    kind = None if total == kinds else np.repeat(np.arange(kinds), count.astype(np.int64))
    out = np.empty((len(sizes), kinds))
    for b, size in enumerate(sizes):
        row = rng.integers(total, size=size)
        out[b] = np.bincount(row if kind is None else kind[row], minlength=kinds)
    return out


def _joint(keys: Sequence[Array]) -> tuple[list[Array], Array]:
    """The distinct combinations of M keys ``(N,)``: each key of them ``(G,)``, and their counts."""
    code = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys:
        code = np.unique(code * (int(key.max(initial=0)) + 1) + key, return_inverse=True)[1]
    _, first, count = np.unique(code, return_index=True, return_counts=True)
    return [key[first] for key in keys], count.astype(np.float64)


def _cumulated(counts: Array) -> Array:
    """Sums over the columns before each, and over all: ``(B, K) -> (B, K + 1)``."""
    out = np.zeros((len(counts), counts.shape[1] + 1))
    np.cumsum(counts, axis=1, out=out[:, 1:])
    return out


def _precision(found: Array, false: Array) -> Array:
    # 0 found of 0: such a level has no positives, and its term is 0.
    return np.divide(found, found + false, out=np.zeros_like(found), where=found + false > 0)
