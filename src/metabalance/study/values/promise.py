"""Whether a model of values keeps what it promised: errors by region and coverage, new rows against those it was judged on.

A mean error moves with the share of rare values alone, which is no fault of the model. So the promise is restated for the
regions of the new rows before the two are compared.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import beta

from metabalance.judge.intervals import Interval
from metabalance.judge.regions import GROUPS, Regions
from metabalance.judge.value_intervals import value_estimates
from metabalance.judge.wilson import wilson_interval
from metabalance.study.audit.parts import amount
from metabalance.study.promise import AS_PROMISED, CANNOT_TELL, WORSE, Kept
from metabalance.study.reference import thinned
from metabalance.study.values.reference import ValueReference, rarest_region

__all__ = ["compare_errors", "compared_coverage", "difference_of", "told"]

ERRORS = ("mae", "rmse")
MOST = 5_000  # rows of a region; more of them no longer narrow an interval that the rare ones make wide


def compare_errors(
    model: Any,
    reference: ValueReference,
    prediction: np.ndarray,
    target: np.ndarray,
    *,
    tolerance: float = 0.02,
    level: float = 0.95,
    n_boot: int = 1000,
) -> list[Kept]:
    """Every error's verdict.

    It is *worse* when the whole interval of the difference lies beyond the tolerance, a share of the promised error, and
    *as promised* when it lies within or above; otherwise the rows cannot tell. ``bmae`` is taken over the bins that
    both sets of rows have.

    Args:
        model: A :class:`~metabalance.study.values.ship.TrainedRegressor`.
        reference: With a target.
        prediction: Of the new rows ``(N, T)``.
        target: Theirs ``(N, T)``.
        tolerance: The share of the promised error that does not matter.
        level: Nominal coverage, of all the differences together (Bonferroni).
        n_boot: Resamples of either set of rows.
    """
    assert reference.target is not None
    several = len(model.names) > 1
    region = rarest_region(target, model.regions)
    counts = np.bincount(region, minlength=len(GROUPS))
    kept = thinned(region, MOST)
    stands = (counts / np.maximum(np.bincount(region[kept], minlength=len(GROUPS)), 1))[region[kept]]
    now = (prediction[kept], target[kept], stands)
    old = (reference.prediction, reference.target, reference.stands_for(counts))
    keys = [*ERRORS, *(f"mae@{group}" for group in GROUPS)]
    if several:
        keys += [f"mae{group}[{name}]" for name in model.names for group in ("", "@few")]
    level = 1 - (1 - level) / (len(keys) + len(model.names))
    both = [
        _estimates(side, model.regions, ERRORS, model.names, level, n_boot, s)
        for s, side in enumerate((now, old))
    ]
    found = [_verdict(key, both[0][key], both[1][key], tolerance) for key in keys]
    for t, name in enumerate(model.names):
        sides = _in_common(now, old, t, model.regions[t])
        balanced = [
            _estimates(side, [model.regions[t]], ("bmae",), [name], level, n_boot, s)["bmae"]
            for s, side in enumerate(sides)
        ]
        found.append(_verdict(f"bmae[{name}]" if several else "bmae", balanced[0], balanced[1], tolerance))
    return found


def compared_coverage(
    reference: ValueReference,
    inside: np.ndarray,
    inside_before: np.ndarray | None,
    promised: float,
    names: Sequence[str],
    *,
    tolerance: float = 0.02,
    level: float = 0.95,
) -> list[Kept]:
    """Whether as many targets lie inside their intervals as was promised.

    On held-out rows the promise is what was found there. On the validation rows, which gave the intervals, it is the
    nominal level, as uncertain as so many rows leave it (beta distribution: Vovk, ACML 2012).

    Args:
        reference: Of the model.
        inside: Whether each new target lies inside its interval ``(N, T)``.
        inside_before: The same of the reference rows ``(M, T)``, if these did not give the intervals.
        promised: The nominal level of the intervals.
        names: Of the targets.
        tolerance: The loss that does not matter.
        level: Nominal coverage of the interval of the difference, of all targets together.
    """
    each = 1 - (1 - level) / len(names)
    found = []
    for t, name in enumerate(names):
        now = wilson_interval(float(inside[:, t].sum()), len(inside), each)
        if inside_before is not None:
            weight = reference.stands_for()
            share = float(np.average(inside_before[:, t], weights=weight))
            size = weight.sum() ** 2 / (weight**2).sum()
            before = wilson_interval(share * size, size, each)
        else:
            rows = int(reference.counts.sum())
            missed = max(int(np.floor((rows + 1) * (1 - promised))), 1)
            ends = beta.ppf([(1 - each) / 2, (1 + each) / 2], rows + 1 - missed, missed)
            before = Interval(promised, float(ends[0]), float(ends[1]), each, "beta")
        key = f"coverage[{name}]" if len(names) > 1 else "coverage"
        found.append(_verdict(key, now, before, tolerance, larger_is_better=True))
    return found


def difference_of(now: Interval, promised: Interval) -> Interval:
    """The interval of a difference from those of its two independent parts.

    Zou & Donner, Statistics in Medicine 2008; of two shares with Wilson's intervals it is Newcombe's.

    >>> a, b = wilson_interval(56, 70), wilson_interval(48, 80)
    >>> print(difference_of(a, b))  # Newcombe, Statistics in Medicine 1998: 0.0524 to 0.3339
    0.2000 [0.0524, 0.3339]
    """
    value = now.value - promised.value
    low = value - float(np.hypot(now.value - now.low, promised.high - promised.value))
    high = value + float(np.hypot(now.high - now.value, promised.value - promised.low))
    return Interval(value, low, high, now.level, "mover", now.reason or promised.reason)


def told(interval: Interval) -> str:
    """An interval of a quantity of any size.

    >>> told(Interval(1.5e-9, 1.2e-9, 1.81234e-9, 0.95, "bca"))
    '1.5e-09 [1.2e-09, 1.812e-09]'
    """
    ends = f" [{amount(interval.low)}, {amount(interval.high)}]" if np.isfinite(interval.low) else ""
    return f"{amount(interval.value)}{ends}"


def _verdict(
    key: str, now: Interval, promised: Interval, tolerance: float, larger_is_better: bool = False
) -> Kept:
    apart = difference_of(now, promised)
    if larger_is_better:
        difference, room = apart, tolerance
    else:
        difference = Interval(-apart.value, -apart.high, -apart.low, apart.level, apart.method, apart.reason)
        room = tolerance * abs(promised.value)
    if difference.high < -room:
        verdict = WORSE
    elif difference.low >= -room:
        verdict = AS_PROMISED
    else:  # NaN too
        verdict = CANNOT_TELL
    return Kept(key, now, promised, difference, verdict)


def _estimates(
    side: tuple[np.ndarray, np.ndarray, np.ndarray], regions: Sequence[Regions], names: Sequence[str],
    labels: Sequence[str], level: float, n_boot: int, seed: int,
) -> dict[str, Interval]:  # fmt: skip
    prediction, target, weight = side
    used = weight > 0
    return value_estimates(
        prediction[used], target[used], regions, names, weight=weight[used], target_names=labels, n_boot=n_boot,
        level=level, method="percentile", seed=seed,
    )  # fmt: skip


def _in_common(
    now: Any, old: Any, t: int, regions: Regions
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One target of both sides, in the bins that both have."""
    bins = [regions.index(side[1][:, t]) for side in (now, old)]
    shared = np.intersect1d(bins[0], bins[1])
    return [
        (side[0][kept, t : t + 1], side[1][kept, t : t + 1], np.ones(int(kept.sum())))
        for side, kept in ((side, np.isin(b, shared)) for side, b in zip((now, old), bins))
    ]
