"""Models side by side on the same rows: which differ, and what it would take to tell the others apart."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.bootstrap import check_settings, interval_of
from metabalance.judge.delong import delong_covariance, difference_of_areas
from metabalance.judge.interval import Interval
from metabalance.judge.intervals import AREAS, free_of_shares
from metabalance.judge.metrics import Metric, get_metric
from metabalance.judge.paired import Difference, bootstrap_p_value, holm
from metabalance.judge.power import positives_to_tell
from metabalance.judge.replicates import all_one, replicates

__all__ = ["ModelComparison", "ModelDifference", "compare_models"]

Array = NDArray[Any]


@dataclass(frozen=True)
class ModelDifference:
    """One model less the baseline.

    Args:
        model: Its name.
        value: Its metric.
        difference: Model less baseline, with its interval and uncorrected test.
        p_holm: The p-value, corrected for all comparisons of the table; NaN without a test.
        verdict: ``"better"``, ``"worse"``, ``"not distinguishable"`` or ``"no test"``.
        positives_to_tell: At which a difference of this size would probably be found; NaN without a test.
        sentence: All of it in words.
    """

    model: str
    value: float
    difference: Difference
    p_holm: float
    verdict: str
    positives_to_tell: float
    sentence: str


@dataclass(frozen=True)
class ModelComparison:
    """What :func:`compare_models` gives; prints as one sentence a model.

    Args:
        metric: Its name.
        baseline: Name of the model that the others are compared with.
        value: The baseline's metric.
        positives: Rows of the positive class; of the rarest one beyond two classes.
        method: ``"delong"`` or ``"bootstrap"``.
        rows: One per other model.
    """

    metric: str
    baseline: str
    value: float
    positives: int
    method: str
    rows: tuple[ModelDifference, ...]

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.baseline}: {self.metric} {self.value:.4f}", *(row.sentence for row in self.rows)]
        )


def compare_models(
    scores: Mapping[str, ArrayLike],
    target: ArrayLike,
    metric: str | Metric | Callable[..., float] = "average_precision",
    sample_weight: ArrayLike | None = None,
    *,
    baseline: str | None = None,
    level: float = 0.95,
    power: float = 0.8,
    n_boot: int = 2000,
    groups: ArrayLike | None = None,
    stratified: bool | None = None,
    seed: int = 0,
) -> ModelComparison:
    """Differences of models to a baseline on the same rows, corrected for their number.

    ROC AUC of two classes: DeLong's test. Everything else: a paired bootstrap in which all models meet the same
    resampled rows. P-values are corrected by Holm (1979). It speaks of these fitted models on rows like these;
    whether a *method* is better takes several trainings, see :func:`~metabalance.judge.paired_difference`.

    Args:
        scores: Name of each model, and its scores ``(N,)`` or ``(N, C)``, as the metric takes them.
        target: ``(N,)``.
        metric: A name, a :class:`~metabalance.judge.Metric`, or ``(scores, target, sample_weight) -> float``,
            for which more is better.
        sample_weight: Weights ``(N,)``.
        baseline: Name of the model the others are compared with; the first by default.
        level: 1 - α, jointly for all comparisons; and of each interval on its own.
        power: With which :func:`~metabalance.judge.positives_to_tell` finds a difference.
        n_boot: Resamples; a p-value cannot fall below ``2 / (n_boot + 1)`` before correction.
        groups: Labels ``(N,)`` of rows that belong together.
        stratified: As for :func:`~metabalance.judge.interval_for`.
        seed: Of the resamples.

    Raises:
        ValueError: Fewer than two models, an unknown baseline, settings out of range, or data that the metric
            refuses.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = (np.arange(3000) < 60).astype(int)
    >>> shared = rng.normal(size=3000) + 2 * y
    >>> models = {"old": shared, "new": shared + 0.3 * rng.normal(size=3000), "blind": rng.normal(size=3000)}
    >>> for row in compare_models(models, y, "roc_auc").rows:
    ...     print(row.model, row.verdict)
    new not distinguishable
    blind worse
    """
    check_settings(n_boot, level, "percentile")
    names = list(scores)
    first = names[0] if baseline is None and names else baseline
    if len(names) < 2 or first not in names:
        raise ValueError(
            f"it takes two models and a baseline among them, but {names} and {first!r} were given"
        )
    base, others = names.index(first), [k for k in range(len(names)) if names[k] != first]
    measure = get_metric(metric) if isinstance(metric, str) else metric
    columns, y = [np.asarray(scores[name]) for name in names], np.asarray(target)
    function = measure.function if isinstance(measure, Metric) else measure
    even = groups is None and (sample_weight is None or all_one(np.asarray(sample_weight)))
    two = all(s.ndim == 1 or s.shape[1] == 2 for s in columns)
    if even and two and any(known is function for known in AREAS):
        method, values, found = "delong", *_by_delong(columns, y, base, others, level)
    else:
        source = replicates(
            measure, columns, y, sample_weight, groups=groups, seed=seed,
            stratified=free_of_shares(function) if stratified is None else stratified,
        )  # fmt: skip
        drawn = source.draw(n_boot, np.random.default_rng(seed))
        method, values, found = "bootstrap", source.value, []
        for k in others:
            less = partial(_less, k, base)
            interval, finite = interval_of(source, drawn, less, level, "percentile")
            spread = float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")
            found.append((Difference(interval, bootstrap_p_value(interval, finite)), spread))
    corrected = holm([difference.p_value for difference, _ in found])
    title = getattr(measure, "name", getattr(measure, "__name__", "the metric"))
    up = getattr(measure, "greater_is_better", True)
    positives, noun = _rare(y)
    rows = []
    for k, (difference, spread), p in zip(others, found, corrected, strict=True):
        needed = float("nan")
        if spread > 0:
            needed = positives_to_tell(
                difference.interval.value,
                spread,
                positives,
                level=level,
                power=power,
                comparisons=len(others),
            )
        verdict = _verdict(difference, float(p), up, level)
        sentence = _sentence(names[k], names[base], difference, float(p), verdict, needed, positives, noun)
        rows.append(
            ModelDifference(names[k], float(values[k]), difference, float(p), verdict, needed, sentence)
        )
    return ModelComparison(title, names[base], float(values[base]), positives, method, tuple(rows))


def _less(first: int, second: int, values: Array) -> Array:
    return values[..., first] - values[..., second]


def _by_delong(
    columns: list[Array], y: Array, base: int, others: list[int], level: float
) -> tuple[Array, list[tuple[Difference, float]]]:
    areas, covariance = delong_covariance(columns, y)
    found = []
    for k in others:
        interval, p_value, spread = difference_of_areas(areas, covariance, k, base, level)
        found.append((Difference(interval, p_value), spread))
    return areas, found


def _rare(y: Array) -> tuple[int, str]:
    """How many rows the answer is about, and what they are called."""
    if y.dtype.kind not in "biuf" or not len(y):
        return 1, "rows"
    labels, count = np.unique(y, return_counts=True)
    if set(labels.tolist()) <= {0, 1}:
        return max(1, int((y == 1).sum())), "positives"
    if len(labels) > max(20, len(y) / 10):
        return len(y), "rows"  # a regression
    return int(count.min()), "rows of the rarest class"


def _verdict(difference: Difference, p: float, up: bool, level: float) -> str:
    if math.isnan(p):
        return "no test"
    if p >= 1 - level:
        return "not distinguishable"
    return "better" if (difference.interval.value > 0) == up else "worse"


def _sentence(
    model: str, base: str, difference: Difference, p: float, verdict: str, needed: float, here: int, noun: str
) -> str:
    interval: Interval = difference.interval
    if verdict == "no test":
        return f"{model}: no test against {base} ({interval.reason or 'undefined'})."
    numbers = (
        f"difference {interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}], p {_p(p)} after Holm"
    )
    if verdict != "not distinguishable":
        return f"{model}: {verdict} than {base} ({numbers})."
    if not math.isfinite(needed):
        return f"{model}: not distinguishable from {base} ({numbers}); there is no difference to tell."
    return (
        f"{model}: not distinguishable from {base} ({numbers}); it would take about {_round(max(needed, here)):,} "
        f"{noun} to tell a difference of this size, and there are {here:,}."
    )


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "below 0.001"


def _round(count: float) -> int:
    """To two digits: the estimate bears no more."""
    digits = max(0, len(str(int(count))) - 2)
    return int(math.ceil(count / 10**digits) * 10**digits)
