r"""How a model holds when positives become rarer: a metric against the imbalance ratio, on the same scores.

If only the shares of the classes change, and not what their members look like, a row of class c stands for
:math:`\pi'_c / \pi_c` rows of a population with shares :math:`\pi'`. Weighting is exact and uses every row; drawing test
sets of that mix shows instead what one test set of such a size would say. Elkan, IJCAI 2001; that average precision falls
with the prevalence at the same ROC curve, and ROC AUC does not, is in McDermott et al., NeurIPS 2024, arXiv 2401.06091.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import check_probabilities
from metabalance.judge.interval import check_level
from metabalance.judge.metrics import Metric, get_metric
from metabalance.judge.reweighted import evaluator
from metabalance.plain import plain

__all__ = ["PriorCurve", "metric_against_prior"]

Array = NDArray[Any]
RATIOS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
Shift = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class PriorCurve:
    """A metric at several priors.

    Args:
        metric: Its name.
        title: For people.
        how: ``"reweight"`` or ``"resample"``.
        shifted: Whether the probabilities were restated for each prior.
        observed: Share of each class in the data ``(C,)``.
        priors: Shares of the classes ``(K, C)``.
        ratios: Largest share over smallest ``(K,)``.
        value: ``(K,)``, NaN where the metric has none.
        low: Lower ends ``(K,)``.
        high: Upper ends ``(K,)``.
        level: Nominal coverage.
        rows: Rows of each test set drawn ``(K,)``, or those there are.
        reason: What is doubtful, or empty.
    """

    metric: str
    title: str
    how: str
    shifted: bool
    observed: Array
    priors: Array
    ratios: Array
    value: Array
    low: Array
    high: Array
    level: float
    rows: Array
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON: lists, and None for NaN."""
        return plain(asdict(self))


def metric_against_prior(
    scores: ArrayLike,
    target: ArrayLike,
    metric: str | Metric,
    priors: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    *,
    how: Literal["reweight", "resample"] = "reweight",
    shift: bool | Shift = False,
    n_boot: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> PriorCurve:
    """A metric as the test data would give it if the classes had other shares, with intervals.

    Args:
        scores: As the metric takes them: ``(N,)`` or ``(N, C)``, or class indices.
        target: Class indices ``(N,)``.
        metric: A name or a :class:`~metabalance.judge.Metric`.
        priors: Shares of the positive class ``(K,)``, or of all classes ``(K, C)``. By default of two classes those at
            ratios of 1 to 1000 negatives per positive.
        sample_weight: Weights ``(N,)``; only for weighting.
        how: ``"reweight"``, every row counts, by the ratio of shares; interval by a stratified bootstrap.
            ``"resample"``, the largest test sets of that mix are drawn without replacement; the value is their
            mean, and the ends are quantiles over them.
        shift: Whether the model is told the new shares: probabilities are restated for them, from those of the data.
            Or a function ``(probabilities (N, C), observed (C,), prior (C,)) -> probabilities`` that does it.
        n_boot: Resamples; 0 for no interval. They are the same for all priors.
        level: Nominal coverage.
        seed: Of the resamples.

    Raises:
        ValueError: Shares that are none, a class that is wanted and has no rows, unknown settings.

    >>> curve = metric_against_prior([0.1, 0.6, 0.4, 0.8], [0, 0, 1, 1], "average_precision", [0.5, 0.1], n_boot=0)
    >>> curve.value.round(4), curve.ratios
    (array([0.8333, 0.5909]), array([1., 9.]))
    """
    measure = get_metric(metric) if isinstance(metric, str) else metric
    if how not in ("reweight", "resample"):
        raise ValueError(f"how={how!r} is unknown; use 'reweight' or 'resample'")
    if how == "resample" and sample_weight is not None:
        raise ValueError("test sets are drawn from rows that count alike; with weights use how='reweight'")
    s, y = np.asarray(scores), np.asarray(target)
    w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    size = _classes(s, y)
    wanted = _priors(priors, size)
    totals = np.bincount(y, w, size)
    if not totals.sum() > 0:
        raise ValueError("there are no rows, so that they have no mix to change; give scored rows")
    observed = totals / totals.sum()
    lacking = ((wanted > 0) & (observed == 0)).any(axis=0)
    if lacking.any():
        raise ValueError(f"class {int(lacking.argmax())} has no rows: no weight makes it a share of the data")
    told = [_shifted(s, y, observed, prior, shift) if shift else s for prior in wanted]
    check_level(level)
    rows = np.full(len(wanted), len(y))
    if how == "reweight":
        evaluate = evaluator(measure, told, y, wanted, bool(shift))
        value = evaluate(w)
        drawn = np.array([evaluate(weight) for weight in _resamples(y, w, n_boot, seed)])
    else:
        sizes = [_largest(np.bincount(y, minlength=size), prior) for prior in wanted]
        rows = np.array([int(counts.sum()) for counts in sizes])
        drawn = np.array(list(_draws(measure, told, y, sizes, max(n_boot, 2), seed)))
        value = _quiet_mean(drawn)
    low, high, reason = _ends(drawn if n_boot else np.empty((0, len(wanted))), value, level)
    with np.errstate(divide="ignore"):
        ratios = wanted.max(axis=1) / wanted.min(axis=1)
    return PriorCurve(
        measure.name,
        measure.title,
        how,
        bool(shift),
        observed,
        wanted,
        ratios,
        value,
        low,
        high,
        level,
        rows,
        reason,
    )


def _classes(s: Array, y: Array) -> int:
    if y.ndim != 1 or len(s) != len(y) or y.dtype.kind not in "biu" or (y.size and y.min() < 0):
        raise ValueError(f"target must be class indices (N,), one per score, but has shape {y.shape}")
    if s.ndim == 2:
        return s.shape[1]
    return 2 if s.dtype.kind == "f" else max(2, int(y.max(initial=0)) + 1, int(s.max(initial=0)) + 1)


def _priors(priors: ArrayLike | None, size: int) -> Array:
    if priors is None:
        if size != 2:
            raise ValueError(f"the priors of {size} classes have no default; give shares (K, {size})")
        priors = [1 / (1 + ratio) for ratio in RATIOS]
    p = np.atleast_1d(np.asarray(priors, dtype=np.float64))
    if p.ndim == 1 and size == 2:
        p = np.stack([1 - p, p], axis=1)
    if p.ndim != 2 or p.shape[1] != size or not ((p >= 0).all() and np.allclose(p.sum(axis=1), 1)):
        raise ValueError(
            f"priors are shares (K,) of the positive class or (K, {size}) summing to 1, but have shape "
            f"{np.asarray(priors).shape} and values from {p.min():.4g} to {p.max():.4g}"
        )
    return p


def _shifted(s: Array, y: Array, observed: Array, prior: Array, shift: bool | Shift) -> Array:
    p, *_ = check_probabilities(s, y, None)
    full = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
    if callable(shift):
        return np.asarray(shift(full, observed, prior))
    moved = full * np.divide(prior, observed, out=np.zeros_like(prior), where=observed > 0)
    total = moved.sum(axis=1, keepdims=True)
    # All the mass on classes that the prior rules out: nothing is left but the prior.
    return np.where(total > 0, moved / np.where(total > 0, total, 1), prior)


def _largest(counts: Array, prior: Array) -> Array:
    """Rows of each class in the largest test set of that mix, at least one of each class that is wanted."""
    wanted = prior > 0
    scale = (counts[wanted] / prior[wanted]).min()
    return np.where(wanted, np.maximum(np.floor(scale * prior + 1e-9), 1), 0).astype(np.int64)


def _resamples(y: Array, w: Array, n_boot: int, seed: int) -> Iterator[Array]:
    """Row weights ``(N,)`` of each resample, drawn class by class: the shares are not what is in doubt here."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(y == c) for c in np.unique(y)]
    for _ in range(n_boot):
        count = np.zeros(len(y))
        for rows in members:
            count[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        yield count * w


def _draws(
    measure: Metric, told: list[Array], y: Array, sizes: list[Array], draws: int, seed: int
) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(y == c) for c in range(len(sizes[0]))]
    for _ in range(draws):
        shuffled = [rng.permutation(m) for m in members]  # larger test sets hold the smaller ones
        values = []
        for s, counts in zip(told, sizes):
            rows = np.concatenate([m[:n] for m, n in zip(shuffled, counts)])
            values.append(measure(s[rows], y[rows]))
        yield np.array(values)


def _quiet_mean(drawn: Array) -> Array:
    finite = np.isfinite(drawn)
    total = np.where(finite, drawn, 0).sum(axis=0)
    return np.divide(total, finite.sum(axis=0), out=np.full(drawn.shape[1], np.nan), where=finite.any(axis=0))


def _ends(drawn: Array, value: Array, level: float) -> tuple[Array, Array, str]:
    nan = np.full(len(value), np.nan)
    if not len(drawn):
        return nan, nan.copy(), ""
    tails, low, high, lost = (1 - level) / 2, nan, nan.copy(), 0
    for k, column in enumerate(drawn.T):
        finite = column[np.isfinite(column)]
        lost = max(lost, len(column) - len(finite))
        if len(finite) > len(column) / 2 and np.isfinite(value[k]):
            low[k], high[k] = np.quantile(finite, [tails, 1 - tails])
    return (
        low,
        high,
        f"undefined on up to {lost} of {len(drawn)} resamples, which were left out" if lost else "",
    )
