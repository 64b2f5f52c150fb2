"""What a bootstrap draws: resampled rows, by the cheapest way that has the same distribution.

:func:`replicates` picks between three. ROC AUC and average precision of two classes need only the counts of
:mod:`~metabalance.judge.gaps`. Rows that are alike (the four cells of a confusion table, scores with few values)
are counted once, and their numbers drawn from a multinomial. All else redraws rows, as weights.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge import agreement, balance, decision, ranking
from metabalance.judge.checks import Undefined, check_scores
from metabalance.judge.gaps import GapReplicates, resampled
from metabalance.judge.metrics import Metric, get_metric

__all__ = ["RowReplicates", "replicates"]

Array = NDArray[Any]
AnyMetric = str | Metric | Callable[..., float]
BLOCKS = 200  # of the jackknife: its error in BCa's acceleration is then below .005
ALIKE = 200  # kinds of rows up to which they are counted, not drawn
# Metrics of labels alone: probabilities may be replaced by what `confusion` makes of them.
_OF_LABELS = (
    decision.accuracy, decision.f_beta, decision.precision, decision.recall, decision.specificity,
    agreement.kappa, agreement.mcc, balance.balanced_accuracy, balance.g_mean, balance.index_balanced_accuracy,
)  # fmt: skip
_OF_GAPS = (
    (ranking.roc_auc, "roc_auc"), (ranking.roc_auc_ovo, "roc_auc"),
    (ranking.average_precision, "average_precision"),
)  # fmt: skip


class Replicates(Protocol):
    """A metric of M models, on the data and on resamples of them."""

    value: Array  # (M,)

    def draw(self, n_boot: int, rng: np.random.Generator) -> Array:
        """On resamples, the same ones for all models: ``(n_boot, M)``."""

    def leave_outs(self) -> Iterator[tuple[Array, Array]]:
        """For each stratum: without one row, or block, of each kind ``(K, M)``; how many are of the kind."""


def replicates(
    metric: AnyMetric,
    scores: Sequence[ArrayLike],
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    stratified: bool = True,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Replicates:
    """The resampling of ``metric`` for M models on the same rows.

    Args:
        metric: A name, a :class:`~metabalance.judge.Metric`, or ``(scores, target, sample_weight) -> float``.
        scores: M times ``(N,)`` or ``(N, C)``.
        target: ``(N,)``.
        sample_weight: Weights ``(N,)``.
        stratified: Resample each class on its own.
        groups: Labels ``(N,)`` of rows that are resampled together.
        seed: Of the jackknife's blocks.
    """
    measure = get_metric(metric) if isinstance(metric, str) else metric
    y = np.asarray(target)
    columns = [np.asarray(s) for s in scores]
    for s in columns:
        if len(s) != len(y):
            raise ValueError(f"scores and target must have one row each, but have {len(s)} and {len(y)}")
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    even = groups is None and (sample_weight is None or all_one(weight))
    function = measure.function if isinstance(measure, Metric) else measure
    kind = next((name for known, name in _OF_GAPS if known is function), None)
    if even and kind and not getattr(measure, "options", None):
        ready = _two_classes(columns, y)
        if ready is not None:
            return GapReplicates(kind, *ready, stratified)
    if even and any(known is function for known in _OF_LABELS):
        # The metric itself refuses what is no prediction, before labels hide it.
        value = np.array([float(measure(s, y, weight)) for s in columns])
        if np.isfinite(value).all():
            columns = [_one_hot(s) for s in columns]
    if even and len(y):
        kinds = _kinds(columns, y)
        if kinds is not None:
            first, count = kinds
            return RowReplicates(
                measure, [s[first] for s in columns], y[first], np.ones(len(first)), np.arange(len(first)),
                count, stratified, seed,
            )  # fmt: skip
    unit = _units(groups, len(y))
    one = np.ones(int(unit.max(initial=-1)) + 1)
    return RowReplicates(measure, columns, y, weight, unit, one, stratified, seed)


class RowReplicates:
    """Any metric that takes weights: a resampled row is a row with a weight.

    Args:
        measure: ``(scores, target, sample_weight) -> float``.
        scores: M times ``(N,)`` or ``(N, C)``.
        target: ``(N,)``.
        weight: ``(N,)``.
        unit: Index ``(N,)`` of what is drawn as a whole.
        count: How often each unit occurs ``(U,)``; all 1, except where alike rows are written once.
        stratified: Draw from each class on its own; without effect on targets that are not whole numbers.
        seed: Of the jackknife's blocks.
    """

    def __init__(
        self, measure: Callable[..., float], scores: Sequence[Array], target: Array, weight: Array, unit: Array,
        count: Array, stratified: bool, seed: int,
    ) -> None:  # fmt: skip
        self.weight, self.unit, self.count, self.seed = weight, unit, count, seed
        self.strata = _strata(target, unit, count, stratified)
        self.statistics = [_of_weights(measure, s, target) for s in scores]
        self.value = self._measure(count)

    def draw(self, n_boot: int, rng: np.random.Generator) -> Array:
        """The metric on resamples, ``(n_boot, M)``."""
        values, drawn = np.empty((n_boot, len(self.statistics))), np.zeros(len(self.count))
        for b in range(n_boot):
            for members in self.strata:
                count = self.count[members]
                drawn[members] = resampled(count, count.sum(keepdims=True).astype(np.int64), rng)[0]
            values[b] = self._measure(drawn)
        return values

    def leave_outs(self) -> Iterator[tuple[Array, Array]]:
        """For each stratum: without one block of its units, or one row of a kind; how many there are."""
        rng = np.random.default_rng(self.seed)
        for members in self.strata:
            count = self.count[members]
            if (count > 1).any():
                yield np.array([self._measure(self._less(u, 1)) for u in members]), count
                continue
            size = min(len(members), BLOCKS // len(self.strata) + 1)
            if size > 1:
                block = rng.permutation(len(members)) % size
                yield (
                    np.array([self._measure(self._less(members[block == k], 1)) for k in range(size)]),
                    np.ones(size),
                )

    def _less(self, units: Array, by: int) -> Array:
        count = self.count.copy()
        count[units] -= by
        return count

    def _measure(self, count: Array) -> Array:
        weight = count[self.unit] * self.weight
        return np.array([statistic(weight) for statistic in self.statistics])


def _of_weights(measure: Callable[..., float], s: Array, y: Array) -> Callable[[Array], float]:
    """The metric as a function of the row weights ``(N,)`` alone."""
    # Sorted once, here: a ranking metric then sorts in linear time in each of a thousand resamples.
    order = np.argsort(s if s.ndim == 1 else s[:, -1], kind="stable")[::-1]
    s, y = s[order], y[order]
    return lambda weight: float(measure(s, y, weight[order]))


def all_one(weight: Array) -> bool:
    """Whether these weights ``(N,)`` say nothing."""
    return weight.ndim == 1 and bool((weight == 1).all())


def _two_classes(columns: list[Array], y: Array) -> tuple[list[Array], Array] | None:
    """Scores ``(N,)`` and target of two classes that both have rows; or None."""
    ready = []
    for s in columns:
        try:
            checked, target, _ = check_scores(s, y, None)
        except Undefined:
            return None
        if checked.ndim != 1 or not 0 < target.sum() < len(target):
            return None
        ready.append(checked)
    return ready, target


def _one_hot(prediction: Array) -> Array:
    """The labels that :func:`~metabalance.judge.confusion` reads, in the form in which they were given."""
    if prediction.ndim == 2:
        return np.eye(prediction.shape[1])[prediction.argmax(1)]
    return prediction if prediction.dtype.kind in "biu" else (prediction > 0.5).astype(np.float64)


def _kinds(columns: list[Array], y: Array) -> tuple[Array, Array] | None:
    """First row and count of each kind of alike rows; None where they are too many, or hard to compare."""
    code = np.unique(y, return_inverse=True)[1]
    for s in columns:
        if s.ndim == 2:
            # Only labels: telling rows of probabilities apart costs more than it saves.
            if not (((s == 0) | (s == 1)).all() and (s.sum(1) == 1).all()):
                return None
            s = s.argmax(1)
        values, key = np.unique(s, return_inverse=True)
        code = np.unique(code * len(values) + key, return_inverse=True)[1]
        if len(values) > ALIKE or code.max() >= ALIKE:
            return None
    _, first, count = np.unique(code, return_index=True, return_counts=True)
    return (first, count.astype(np.float64)) if 2 * len(first) <= len(y) else None


def _units(groups: ArrayLike | None, rows: int) -> Array:
    """Index ``(N,)`` of what is resampled: each row's own, or its group's."""
    if groups is None:
        return np.arange(rows)
    labels = np.asarray(groups)
    if labels.shape != (rows,):
        raise ValueError(f"groups must be ({rows},), one label per row, but have shape {labels.shape}")
    return np.unique(labels, return_inverse=True)[1]


def _strata(target: Array, unit: Array, count: Array, stratified: bool) -> list[Array]:
    """The units of each stratum."""
    every = np.arange(len(count))
    if not stratified or target.dtype.kind not in "biu" or not len(target):
        return [every]
    label = np.unique(target, return_inverse=True)[1]
    # Classes from frequent to rare; the last assignment wins, so a unit takes its rarest class.
    stratum = np.zeros(len(every), dtype=np.int64)
    for c in np.argsort(-np.bincount(label, count[unit]), kind="stable"):
        stratum[unit[label == c]] = c
    return [every[stratum == c] for c in np.unique(stratum)]
