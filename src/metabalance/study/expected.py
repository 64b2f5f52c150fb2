"""How well a model does on new rows whose classes nobody knows yet: calibrated probabilities imply the confusion.

Each row counts as positive with its own probability, so precision, recall, cost and the areas follow (the
confidence-based estimate of Humphrey et al., 2024, arXiv 2407.08649, and of NannyML). It holds as long as the probabilities
are calibrated on the new rows. A shift of the class shares is corrected before; a change in what the members of a class
look like is not seen, and no method without labels can see it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.judge.intervals import Interval

__all__ = ["expected_performance"]

Array = NDArray[Any]
ASSUMES = "the probabilities are calibrated on the new rows, once corrected for their class shares"


def expected_performance(
    probabilities: Array,
    decision: Array,
    positive: int,
    *,
    cost: Any = None,
    reference: tuple[Array, Array, Array] | None = None,
    level: float = 0.95,
    draws: int = 300,
    seed: int = 0,
) -> dict[str, Interval]:
    """Metrics that the new rows will show once their classes are known, with prediction intervals.

    The interval holds two kinds of chance: which classes the rows turn out to have, and, with a reference, how well
    temperature and bias of the calibration are known from its rows. It takes the class shares as known and a
    calibration of any other shape as impossible, and may be too narrow for that: over 60 simulated models with 900 reference
    rows, 135 of them positive, 95 % intervals held the later ROC AUC, average precision and F1 57, 57 and 55 times
    (``benchmarks/monitoring.py``).

    Args:
        probabilities: ``(N, C)``, calibrated, at the new rows' class shares.
        decision: Class indices ``(N,)`` that the model gives them.
        positive: Index of the positive class of two.
        cost: Cost matrix ``(C, C)``, rows true, columns predicted, or None.
        reference: Probabilities ``(M, C)``, classes ``(M,)`` and weights ``(M,)`` of the rows that calibration was
            fitted or checked on.
        level: Nominal coverage.
        draws: Of classes and calibration.
        seed: Of the draws.

    Returns:
        Of two classes precision, recall, f1, roc_auc and average_precision, of more accuracy and balanced_accuracy; with
        costs expected_cost too. NaN with a reason where a metric has no value.

    >>> p = np.repeat([[0.9, 0.1], [0.2, 0.8]], [900, 100], axis=0)
    >>> found = expected_performance(p, p.argmax(1), positive=1)
    >>> round(found["precision"].value, 3), round(found["recall"].value, 3)
    (0.8, 0.471)
    """
    size = probabilities.shape[1]
    rng = np.random.default_rng(seed)
    log_p = np.log(np.maximum(probabilities, 1e-30))
    known = None if reference is None else _calibration_known(*reference)
    measure = _measure(probabilities[:, positive], decision, positive, size, cost)
    value = measure(probabilities)
    drawn: dict[str, list[float]] = {name: [] for name in value}
    for _ in range(draws):
        p = probabilities if known is None else _recalibrated(log_p, known, rng)
        for name, one in measure(_drawn_classes(p, rng)).items():
            drawn[name].append(one)
    tails = (1 - level) / 2, (1 + level) / 2
    result = {}
    for name, draws_of in drawn.items():
        values = np.array(draws_of)
        defined = values[np.isfinite(values)]
        if not np.isfinite(value[name]) or len(defined) < draws / 2:
            nan = float("nan")
            result[name] = Interval(value[name], nan, nan, level, "expected", "it would mostly have no value")
            continue
        low, high = np.quantile(defined, tails)
        result[name] = Interval(value[name], float(low), float(high), level, "expected")
    return result


def _measure(
    score: Array, decision: Array, positive: int, size: int, cost: Any
) -> Callable[[Array], dict[str, float]]:
    """Class memberships ``(N, C)``, shares or one-hot, to metrics; what needs sorting is sorted once."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    called = np.zeros((len(decision), size))
    called[np.arange(len(decision)), decision] = 1

    def measure(member: Array) -> dict[str, float]:
        confusion = member.T @ called  # rows true, columns predicted
        found: dict[str, float] = {}
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = np.diag(confusion) / confusion.sum(1)
            if size == 2:
                hit = confusion[positive, positive]
                found["precision"] = float(hit / confusion[:, positive].sum())
                found["recall"] = float(recall[positive])
                found["f1"] = float(2 * hit / (confusion[:, positive].sum() + confusion[positive].sum()))
                tp = np.cumsum(member[order, positive])[last]
                fp = np.cumsum(member[order, 1 - positive])[last]
                steps = np.diff(tp, prepend=0.0)
                found["roc_auc"] = float(
                    1 - (steps * (fp - np.diff(fp, prepend=0.0) / 2)).sum() / (tp[-1] * fp[-1])
                ) if len(last) else float("nan")  # fmt: skip
                found["average_precision"] = (
                    float((steps * tp / (tp + fp)).sum() / tp[-1]) if len(last) else float("nan")
                )
            else:
                found["accuracy"] = float(np.trace(confusion) / confusion.sum())
                found["balanced_accuracy"] = float(recall.mean())
            if cost is not None:
                found["expected_cost"] = float((confusion * np.asarray(cost)).sum() / confusion.sum())
        return found

    return measure


def _drawn_classes(p: Array, rng: np.random.Generator) -> Array:
    """One-hot ``(N, C)``, a class drawn for each row."""
    cut = np.cumsum(p, axis=1)
    index = (rng.random((len(p), 1)) * cut[:, -1:] >= cut).sum(1).clip(max=p.shape[1] - 1)
    return np.eye(p.shape[1])[index]


def _calibration_known(probabilities: Array, target: Array, weight: Array) -> Array:
    """Root of the covariance ``(C+1, C+1)`` of log temperature and biases, given the reference rows.

    By the Fisher information of the calibration around itself, and the calibrator's own penalty of one.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    z = np.log(np.maximum(p, 1e-30))
    centred = z - (p * z).sum(1, keepdims=True)
    wp = weight[:, None] * p
    size = p.shape[1]
    information = np.eye(size + 1)
    information[0, 0] += float((wp * centred**2).sum())
    information[0, 1:] = information[1:, 0] = (wp * centred).sum(0)
    information[1:, 1:] += np.diag(wp.sum(0)) - wp.T @ p
    return np.linalg.cholesky(np.linalg.inv(information))


def _recalibrated(log_p: Array, root: Array, rng: np.random.Generator) -> Array:
    step = root @ rng.normal(size=len(root))
    z = log_p * np.exp(np.clip(step[0], -2, 2)) + step[1:]
    z -= z.max(1, keepdims=True)
    p = np.exp(z)
    return p / p.sum(1, keepdims=True)
