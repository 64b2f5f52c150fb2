"""Whether a model keeps what it promised: its metrics on new labelled rows against those on the rows it was judged on.

Precision and average precision move with the class shares alone, which is no fault of the model. So the promise is
restated for the shares of the new rows before the two are compared.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from metabalance.judge.intervals import Interval
from metabalance.judge.metrics import get_metric
from metabalance.judge.replicates import replicates
from metabalance.study.fitting import binary_or_all
from metabalance.study.reference import Reference, thinned

__all__ = ["AS_PROMISED", "CANNOT_TELL", "WORSE", "Kept", "compare_with_promise"]

AS_PROMISED, WORSE, CANNOT_TELL = "as promised", "worse than promised", "cannot tell"
METRICS = ("roc_auc", "average_precision", "f1", "balanced_accuracy", "brier")
MOST = 10_000  # rows of a class; more of them no longer narrow an interval that the rare class makes wide


@dataclass(frozen=True)
class Kept:
    """One metric, now and as it was promised.

    Args:
        metric: Its name.
        now: On the new rows.
        promised: On the reference rows, weighted to the class shares of the new ones.
        difference: Now less promised, turned so that below 0 is worse.
        verdict: ``"as promised"``, ``"worse than promised"`` or ``"cannot tell"``.
    """

    metric: str
    now: Interval
    promised: Interval
    difference: Interval
    verdict: str


def compare_with_promise(
    model: Any,
    reference: Reference,
    probabilities: np.ndarray,
    target: np.ndarray,
    *,
    tolerance: float = 0.02,
    level: float = 0.95,
    n_boot: int = 300,
) -> list[Kept]:
    """Every metric's verdict.

    It is *worse* when the whole interval of the difference lies below minus the tolerance, and *as promised* when it
    lies above; otherwise the rows cannot tell. The tolerance of a Brier score or a cost is that share of the promised one.

    Args:
        model: A :class:`~metabalance.study.ship.TrainedModel`.
        reference: With classes.
        probabilities: Of the new rows ``(N, C)``, at the model's prior.
        target: Their class indices ``(N,)``.
        tolerance: The loss that does not matter.
        level: Nominal coverage.
        n_boot: Resamples of both sets of rows, each within its classes.
    """
    assert reference.target is not None
    shares = np.bincount(target, minlength=len(model.classes)) / len(target)
    old = reference.probabilities.astype(np.float64)
    old /= old.sum(1, keepdims=True)
    kept = thinned(target, MOST)
    weight = (np.bincount(target) / np.maximum(np.bincount(target[kept], minlength=target.max() + 1), 1))[
        target[kept]
    ]
    sides = (
        (probabilities[kept], target[kept], weight, 0),
        (old, reference.target, reference.weight(shares), 1),
    )
    cost = model.record.get("cost")
    names = [*METRICS, *(["expected_cost"] if cost is not None else [])]
    return [_kept(name, model, sides, cost, tolerance, level, n_boot) for name in names]


def _kept(name: str, model: Any, sides: Any, cost: Any, tolerance: float, level: float, n_boot: int) -> Kept:
    metric = get_metric(name, cost=cost)
    binary = len(model.classes) == 2
    values, drawn = [], []
    for probabilities, target, weight, seed in sides:
        truth = (target == model.positive).astype(np.int64) if binary and name != "expected_cost" else target
        if metric.kind == "score":
            given = binary_or_all(probabilities, model.positive)
        else:
            given = model.decision.decide(probabilities)
            if binary and name != "expected_cost":
                given = (given == model.positive).astype(np.int64)
        resampled = replicates(metric, [given], truth, weight, seed=seed)
        values.append(float(resampled.value[0]))
        drawn.append(resampled.draw(n_boot, np.random.default_rng(seed))[:, 0])
    now, promised = (_interval(v, d, level) for v, d in zip(values, drawn))
    sign = 1 if metric.greater_is_better else -1
    difference = _interval(sign * (values[0] - values[1]), sign * (drawn[0] - drawn[1]), level)
    room = tolerance if metric.greater_is_better else tolerance * abs(values[1])
    if difference.high < -room:
        verdict = WORSE
    elif difference.low >= -room:
        verdict = AS_PROMISED
    else:  # NaN too
        verdict = CANNOT_TELL
    return Kept(name, now, promised, difference, verdict)


def _interval(value: float, drawn: np.ndarray, level: float) -> Interval:
    finite = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or len(finite) < len(drawn) / 2:
        nan = float("nan")
        return Interval(float(value), nan, nan, level, "percentile", "undefined on these rows")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), level, "percentile")
