"""How sure the figures of a continuous target are, and whether two models differ, region by region."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.bootstrap import check_settings, interval_of
from metabalance.judge.checks import Undefined
from metabalance.judge.interval import Interval
from metabalance.judge.paired import Difference, bootstrap_p_value
from metabalance.judge.regions import Regions
from metabalance.judge.values import ERRORS, HIT, VALUE_METRICS, checked, get_value_metric, keys_of, labels_of

__all__ = ["value_differences", "value_estimates"]

Array = NDArray[Any]
FEWEST = 5  # rows of a region, below which there is no interval
FEW = 50  # rows of a region, below which a bootstrap visibly covers less than it claims
BLOCKS = 200  # of the jackknife: its error in BCa's acceleration is then below .005
CELLS = 4_000_000  # of resampled weights held at once


def value_estimates(
    prediction: ArrayLike,
    target: ArrayLike,
    regions: Regions | Sequence[Regions],
    names: Sequence[str] = VALUE_METRICS,
    *,
    weight: ArrayLike | None = None,
    target_names: Sequence[str] | None = None,
    n_boot: int = 500,
    level: float = 0.95,
    method: str = "bca",
    seed: int = 0,
) -> dict[str, Interval]:
    """The figures of :func:`~metabalance.judge.value_metrics` with bootstrap intervals.

    Rows are resampled, the regions stay what training made them. All figures are taken on the same resamples.

    Args:
        prediction: ``(N,)`` or ``(N, T)``.
        target: Likewise.
        regions: One for each target.
        names: Of metrics.
        weight: Weights ``(N,)``.
        target_names: T names.
        n_boot: Resamples.
        level: Nominal coverage.
        method: ``"bca"`` or ``"percentile"``.
        seed: Of the resamples.

    Returns:
        An interval for each key. Without ends, and with the reason, where the metric is undefined or its region has
        fewer than 5 rows; with a word of warning below 50.

    Raises:
        ValueError: Settings out of range, or what :func:`~metabalance.judge.value_metrics` refuses.

    >>> from metabalance.judge import make_regions
    >>> y = np.repeat([1.0, 2.0, 3.0], [150, 50, 6])
    >>> p = y + np.sin(np.arange(206.0))
    >>> print(value_estimates(p, y, make_regions(y, bin_width=1.0), ["mae"])["mae@many"])
    0.6358 [0.5939, 0.6896]
    """
    check_settings(n_boot, level, method)
    source = _Resampled([prediction], target, regions, names, weight, target_names, seed)
    drawn = source.draw(n_boot, np.random.default_rng(seed))
    return {key: source.judged(drawn, j, None, level, method)[0] for j, key in enumerate(source.keys)}


def value_differences(
    prediction_a: ArrayLike,
    prediction_b: ArrayLike,
    target: ArrayLike,
    regions: Regions | Sequence[Regions],
    names: Sequence[str] = VALUE_METRICS,
    *,
    weight: ArrayLike | None = None,
    target_names: Sequence[str] | None = None,
    n_boot: int = 1000,
    level: float = 0.95,
    method: str = "percentile",
    seed: int = 0,
) -> dict[str, Difference]:
    """``metric(a) - metric(b)`` of two models on the same rows, with interval and p-value, by paired bootstrap.

    Arguments are those of :func:`value_estimates`. As for :func:`~metabalance.judge.paired_bootstrap`, it speaks of
    these two fitted models, not of training again.

    Returns:
        A difference for each key; of an error, below 0 means that ``a`` is better. NaN with a reason where the region
        has too few rows.

    >>> from metabalance.judge import make_regions
    >>> y = np.repeat([1.0, 2.0, 3.0], [150, 50, 6])
    >>> a, b = y + np.sin(np.arange(206.0)), y + 2 * np.cos(np.arange(206.0))
    >>> d = value_differences(a, b, y, make_regions(y, bin_width=1.0), ["mae"])["mae@many"]
    >>> round(d.interval.value, 4), d.p_value < 0.01
    (-0.6359, True)
    """
    check_settings(n_boot, level, method)
    source = _Resampled([prediction_a, prediction_b], target, regions, names, weight, target_names, seed)
    drawn = source.draw(n_boot, np.random.default_rng(seed))
    size, found = len(source.keys), {}
    for j, key in enumerate(source.keys):
        interval, values = source.judged(drawn, j, size + j, level, method)
        found[key] = Difference(interval, bootstrap_p_value(interval, values))
    return found


class _Resampled:
    """All keys of M models on resampled rows; a :class:`~metabalance.judge.replicates.Replicates`."""

    def __init__(
        self, predictions: Sequence[ArrayLike], target: ArrayLike, regions: Any, names: Sequence[str],
        weight: ArrayLike | None, target_names: Sequence[str] | None, seed: int,
    ) -> None:  # fmt: skip
        self.seed, self.models, values = seed, [], []
        self.reasons: dict[str, str] = {}
        for prediction in predictions:
            p, y, self.weight, self.regions = checked(prediction, target, regions, weight)
            self.keys = keys_of(names, len(self.regions), target_names)
            self.labels = labels_of(len(self.regions), target_names)
            self.models.append([_OneTarget(p[:, t], y[:, t], r) for t, r in enumerate(self.regions)])
            for key in self.keys:
                metric: Any = get_value_metric(key)
                settings = {"regions": self.regions, "target_names": target_names} | metric.options
                try:
                    values.append(metric.function.__wrapped__(p, y, self.weight, **settings))
                except Undefined as reason:
                    values.append(np.nan)
                    self.reasons[key] = str(reason)
        self.value = np.array(values)
        self.held = [self._rows(key) for key in self.keys]
        self._left: list[tuple[Array, Array]] | None = None

    def draw(self, n_boot: int, rng: np.random.Generator) -> Array:
        """Every key of every model on resamples, ``(n_boot, M · keys)``."""
        size = len(self.weight)
        if not size:
            return np.full((n_boot, len(self.value)), np.nan)
        step, parts = max(CELLS // size, 1), []
        for start in range(0, n_boot, step):
            many = min(step, n_boot - start)
            count = np.stack(
                [np.bincount(rng.integers(size, size=size), minlength=size) for _ in range(many)]
            )
            parts.append(self._measure(count * self.weight))
        return np.concatenate(parts)

    def leave_outs(self) -> Iterator[tuple[Array, Array]]:
        """Without one block of rows each; worked out once for all keys."""
        if self._left is None:
            size = len(self.weight)
            blocks = min(size, BLOCKS)
            self._left = []
            if blocks > 1:
                block = np.random.default_rng(self.seed).permutation(size) % blocks
                step = max(CELLS // size, 1)
                found = [
                    self._measure(np.where(block == np.arange(k, min(k + step, blocks))[:, None], 0, self.weight))
                    for k in range(0, blocks, step)
                ]  # fmt: skip
                self._left.append((np.concatenate(found), np.ones(blocks)))
        return iter(self._left)

    def judged(
        self, drawn: Array, j: int, against: int | None, level: float, method: str
    ) -> tuple[Interval, Array]:
        """The interval of a key, or of its difference to another column, with what there is to say about it."""
        nan = float("nan")
        contrast: Callable[[Array], Array] = (
            (lambda v: v[..., j]) if against is None else (lambda v: v[..., j] - v[..., against])
        )
        value = float(contrast(self.value))
        if not np.isfinite(value):
            reason = self.reasons.get(self.keys[j], "undefined on these data")
            return Interval(nan, nan, nan, level, method, reason), np.empty(0)
        where = "the region" if "@" in self.keys[j] else "the set"
        if self.held[j] < FEWEST:
            reason = f"{where} has {self.held[j]} rows, too few for an interval"
            return Interval(value, nan, nan, level, method, reason), np.empty(0)
        interval, values = interval_of(self, drawn, contrast, level, method)
        if self.held[j] < FEW and np.isfinite(interval.low):
            said = f"{where} has {self.held[j]} rows: the truth is less certain than this"
            interval = replace(interval, reason="; ".join(filter(None, (interval.reason, said))))
        return interval, values

    def _measure(self, weights: Array) -> Array:
        columns = []
        for targets in self.models:
            cache: dict[tuple[str, str, int], Array] = {}
            for key in self.keys:
                base, group, places = self._parts(key)
                for t in places:
                    if (base, group, t) not in cache:
                        cache[base, group, t] = targets[t].measure(base, group, weights)
                found = [cache[base, group, t] for t in places]
                if len(places) > 1 and base in ERRORS:
                    found = [v / self.regions[t].scale for v, t in zip(found, places, strict=True)]
                columns.append(np.mean(found, axis=0))
        return np.stack(columns, axis=1)

    def _parts(self, key: str) -> tuple[str, str, list[int]]:
        """Metric, region and targets of a key."""
        options = get_value_metric(key).options
        only = options["only"]
        places = [self.labels.index(only)] if only else list(range(len(self.labels)))
        return options["base"], options["group"], places

    def _rows(self, key: str) -> int:
        """Rows that a key rests on, of the target that has the fewest."""
        _, group, places = self._parts(key)
        return min(int((self.weight[self.models[0][t].inside(group)] > 0).sum()) for t in places)


class _OneTarget:
    """One model's metrics of one target as functions of row weights ``(B, N)``, everything else prepared."""

    def __init__(self, p: Array, y: Array, region: Regions) -> None:
        self.p, self.y, self.region = p, y, region
        self.group, self.bin = region.of(y), region.index(y)
        self.error = np.abs(p - y)
        self.prepared: dict[str, tuple[Array, Any]] = {}

    def inside(self, group: str) -> Array:
        """The rows of a region; all of them for none."""
        return np.flatnonzero(self.group == group) if group else np.arange(len(self.y))

    def measure(self, base: str, group: str, weights: Array) -> Array:
        """The metric for each row of weights ``(B,)``, NaN where undefined."""
        if group not in self.prepared:
            self.prepared[group] = (self.inside(group), {})
        rows, kept = self.prepared[group]
        w = weights[:, rows] if group else weights
        with np.errstate(divide="ignore", invalid="ignore"):
            if not len(rows):
                return np.full(len(w), np.nan)
            if base in ("mae", "rmse", "gm"):
                e = self.error[rows] / self.region.scale
                moment = {"mae": e, "rmse": e**2, "gm": np.log(np.maximum(e, HIT))}[base]
                mean = (w @ moment) / w.sum(1)
                value = np.sqrt(mean) if base == "rmse" else np.exp(mean) if base == "gm" else mean
                return np.asarray(value * self.region.scale)
            if base == "bmae":
                return self._balanced(rows, w)
            if base == "spearman":
                if not kept:
                    kept["p"] = np.unique(self.p[rows], return_inverse=True)[1]
                    kept["y"] = np.unique(self.y[rows], return_inverse=True)[1]
                return np.array([_rank_correlation(kept["p"], kept["y"], v) for v in w])
            return self._explained(base, self.p[rows], self.y[rows], w)

    def _balanced(self, rows: Array, w: Array) -> Array:
        order = np.argsort(self.bin[rows], kind="stable")
        starts = np.flatnonzero(np.diff(self.bin[rows][order], prepend=-1))
        mass = np.add.reduceat(w[:, order], starts, axis=1)
        error = np.add.reduceat(w[:, order] * self.error[rows][order], starts, axis=1)
        return np.asarray(np.where(mass > 0, error / mass, 0).sum(1) / (mass > 0).sum(1))

    def _explained(self, base: str, p: Array, y: Array, w: Array) -> Array:
        """R² or Pearson's correlation from weighted moments about the unweighted means."""
        # In a unit in which no square under- or overflows.
        unit_y, unit_p = (float(np.abs(v - v.mean()).max()) or 1.0 for v in (y, p))
        a, b = (p - p.mean()) / unit_p, (y - y.mean()) / unit_y
        total = w.sum(1)
        spread = (w @ b**2) / total - ((w @ b) / total) ** 2
        spread = np.where(spread > 1e-13, spread, np.nan)  # one value alone was drawn
        if base == "r2":
            return np.asarray(1 - (w @ ((p - y) / unit_y) ** 2) / total / spread)
        across = (w @ a**2) / total - ((w @ a) / total) ** 2
        across = np.where(across > 1e-13, across, np.nan)
        joint = (w @ (a * b)) / total - (w @ a) / total * ((w @ b) / total)
        return np.clip(joint / np.sqrt(spread * across), -1, 1)


def _rank_correlation(p: Array, y: Array, w: Array) -> float:
    """Spearman's, from values that were sorted once: ``p`` and ``y`` number them."""
    total = w.sum()
    ranks = []
    for code in (p, y):
        mass = np.bincount(code, w)
        ranks.append((np.cumsum(mass) - mass / 2)[code] / total - 0.5)
    a, b = ranks
    square = (w @ a**2) * (w @ b**2)
    # Ranks have the mean 1/2 by construction: nothing is left to subtract.
    return (
        float(np.clip((w @ (a * b)) / np.sqrt(square), -1, 1)) if square > 1e-20 * total**2 else float("nan")
    )
