r"""True metrics from labels with errors at known rates: the inverse of :mod:`~metabalance.judge.label_noise`.

Of a table :math:`M'` of given labels against predictions the true one is :math:`T^{-\top} M'`. The same correction of
the counts above each score gives ROC AUC and average precision. It rests on errors that are independent of the
prediction given the true class, and on rates that are known (a second, careful look at a sample of labels). The
correction undoes the bias and pays with variance: hence the interval. It is the method of unbiased estimators of
Natarajan, Dhillon, Ravikumar & Tewari, NeurIPS 2013, for metrics in place of losses; the metrics' study is
Kulatilleke & Samarakoon 2022, arXiv 2208.11904.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.bootstrap import bootstrap_interval
from metabalance.judge.checks import Undefined, check_scores
from metabalance.judge.interval import Interval
from metabalance.judge.label_noise import Rates, annotation_matrix, labels_of, metric_of_table
from metabalance.judge.metrics import Metric, get_metric
from metabalance.judge.operating import precision_at_k
from metabalance.judge.ranking import average_precision, roc_auc
from metabalance.judge.tables import confusion

__all__ = ["corrected_confusion", "corrected_metric"]

Array = NDArray[Any]
SLACK = 1e-9  # of the total: what rounding may leave below 0
CONDITION = 1e8
_RANKINGS = (roc_auc, average_precision, precision_at_k)


def corrected_confusion(table: ArrayLike, rates: Rates) -> Array:
    r"""The true table behind one of given labels against predictions: :math:`T^{-\top} M'`.

    Args:
        table: ``(C, C)``, rows the labels given, columns predictions.
        rates: See :func:`~metabalance.judge.annotation_matrix`.

    Returns:
        ``(C, C)``, rows true. Entries below 0 are left: they say that such rates do not fit such data.

    Raises:
        ValueError: Rates that leave no trace of the truth (for two classes, a sum of 1), or shapes that do not fit.

    >>> corrected_confusion([[91, 9], [1, 4]], (0.5, 0.0))
    array([[90.,  5.],
           [ 2.,  8.]])
    """
    m, matrix = np.asarray(table, dtype=np.float64), _identifiable(rates)
    if m.shape != matrix.shape:
        raise ValueError(f"the table has shape {m.shape}, but the rates are for {len(matrix)} classes")
    return np.linalg.solve(matrix.T, m)


def corrected_metric(
    metric: str | Metric,
    scores: ArrayLike,
    target: ArrayLike,
    rates: Rates,
    sample_weight: ArrayLike | None = None,
    *,
    n_boot: int = 1000,
    level: float = 0.95,
    method: str = "percentile",
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Interval:
    """A metric on the true labels, estimated from labels with errors at known rates, with a bootstrap interval.

    The rates count as known; what is unsure about them is not in the interval.

    Args:
        metric: Any decision metric; or, of two classes, ``"roc_auc"``, ``"average_precision"`` or ``"precision@K"``.
        scores: As the metric takes them.
        target: The labels given ``(N,)``.
        rates: See :func:`~metabalance.judge.annotation_matrix`.
        sample_weight: Weights ``(N,)``.
        n_boot: Resamples of the rows, all classes together; 0 for no interval.
        level: Nominal coverage.
        method: ``"percentile"`` or ``"bca"``.
        groups: Labels ``(N,)`` of rows that belong together.
        seed: Of the resamples.

    Returns:
        The interval; NaN with a reason where the corrected counts are negative, that is, where such rates are not
        possible on these data, or where the metric has no value on them.

    Raises:
        ValueError: Rates that leave no trace of the truth, or a metric that is not corrected.

    >>> prediction, given = [0] * 92 + [1] * 13, [0] * 91 + [1] + [0] * 9 + [1] * 4
    >>> print(corrected_metric("precision", prediction, given, (0.5, 0.0), n_boot=200))
    0.6154 [0.1667, 1.0000]
    """
    measure = get_metric(metric) if isinstance(metric, str) else metric
    matrix = _identifiable(rates)
    statistic = _statistic(measure, matrix)

    def quiet(s: Array, y: Array, w: Array) -> float:
        try:
            return statistic(s, y, w)
        except Undefined:
            return float("nan")

    nan, value, reason = float("nan"), float("nan"), "no interval was asked for"
    try:
        value = statistic(np.asarray(scores), np.asarray(target), sample_weight)
    except Undefined as error:
        reason = str(error)
    if np.isnan(value) or not n_boot:
        return Interval(value, nan, nan, level, method, reason)
    # Labels in place of scores: rows with the same label and prediction are alike, and a bootstrap counts them.
    judged = labels_of(scores) if measure.kind == "decision" else np.asarray(scores)
    if measure.kind != "decision" and groups is None:
        groups = np.arange(len(judged))  # average precision's own terms tell a row of weight 2 from two rows
    found = bootstrap_interval(
        quiet, judged, target, sample_weight,
        n_boot=n_boot, level=level, method=method, stratified=False, groups=groups, seed=seed,
    )  # fmt: skip
    if "left out" in found.reason or "resamples" in found.reason:
        return replace(
            found, reason=f"{found.reason} (there a corrected count is below 0, or the value outside 0 to 1)"
        )
    return found


def _identifiable(rates: Rates) -> Array:
    matrix = annotation_matrix(rates)
    if np.linalg.cond(matrix) > CONDITION:
        (miss, false_alarm), text = (matrix[1, 0], matrix[0, 1]), ""
        if len(matrix) == 2:
            text = f": the miss rate {miss:g} and the false-alarm rate {false_alarm:g} sum to 1"
        raise ValueError(
            f"labels with these rates say nothing about the truth{text}; no correction exists, check the rates"
        )
    return matrix


def _statistic(measure: Metric, matrix: Array) -> Callable[..., float]:
    if measure.kind == "decision":
        return lambda s, y, w: _of_table(measure, s, y, w, matrix)
    if measure.function not in _RANKINGS:
        raise ValueError(
            f"{measure.name!r} is not corrected for label errors; use a metric of labels, 'roc_auc', "
            "'average_precision' or 'precision@100'"
        )
    if len(matrix) != 2:
        raise ValueError(
            f"{measure.name!r} is corrected for two classes, but the rates are for {len(matrix)}"
        )
    if measure.function is precision_at_k:
        return lambda s, y, w: _precision_at_k(measure, s, y, w, matrix)
    area = _auc if measure.function is roc_auc else _ap
    return lambda s, y, w: area(*_corrected_curve(s, y, w, matrix))


def _of_table(measure: Metric, s: Array, y: Array, w: Array | None, matrix: Array) -> float:
    if measure.name == "expected_cost" and np.asarray(s).dtype.kind not in "biu":
        raise ValueError(
            "expected_cost is corrected from decisions; give the class decided for each row, not its scores"
        )
    # The solve and the check work on C * C numbers: a bootstrap's time is that of counting.
    table = confusion(s, y, w, num_classes=len(matrix))
    true = np.linalg.solve(matrix.T, table)
    if true.min() < -SLACK * table.sum():
        raise Undefined(_impossible(table, true, matrix))
    value = metric_of_table(measure, np.maximum(true, 0))
    if np.isnan(value):
        raise Undefined(measure.undefined)
    return value


def _impossible(table: Array, true: Array, matrix: Array) -> str:
    i, j = np.unravel_index(int(true.argmin()), true.shape)
    text = f"the corrected count of class {i} called {j} is {true.min():.3g}, below 0"
    if len(matrix) != 2:
        return f"{text}: these rates do not fit the data, or the rows are too few"
    # With no such row at all, the labels among those called j would be wrong by chance alone.
    called, wrong = table[:, j].sum(), matrix[1 - i, i]
    chance = np.sqrt(called * wrong * (1 - wrong)) / abs(1 - matrix[0, 1] - matrix[1, 0])
    if -true.min() <= 3 * chance:
        return (
            f"{text}, which chance does when there are few such rows (3 times its spread is {3 * chance:.3g})"
        )
    # P(label 1 | called j) is a mean of the false-alarm rate and 1 - miss, so neither can lie outside.
    columns = table.sum(axis=0)
    share = table[:, columns > 0] / columns[columns > 0]
    return (
        f"{text}: these rates do not fit the data (a false-alarm rate is at most {share[1].min():.4g} here, a miss rate "
        f"at most {share[0].min():.4g}, but {matrix[0, 1]:g} and {matrix[1, 0]:g} were given)"
    )


def _corrected_curve(s: Array, y: Array, w: Array | None, matrix: Array) -> tuple[Array, Array, Array]:
    r"""For each distinct score, highest first: weight, and corrected weight of positives, at or above it; own terms.

    A row counts as :math:`\delta = (\tilde y - \gamma)/(1 - \alpha - \gamma)` positives, whose expectation is its true
    label; the own term is :math:`w^2 (\delta^2 - \delta)`, which is 0 for a true label and not on average for these.
    """
    s, y, w = check_scores(s, y, w)
    if s.ndim != 1:
        raise ValueError(
            f"this metric is corrected for two classes, but the scores have {s.shape[1]} columns"
        )
    (_, false_alarm), (miss, _) = matrix
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(s[order][1:] != s[order][:-1], True))
    w, delta = w[order], (y[order] - false_alarm) / (1 - miss - false_alarm)
    above, true = np.cumsum(w)[last], np.cumsum(w * delta)[last]
    own = np.diff(np.cumsum(w**2 * (delta**2 - delta))[last], prepend=0)
    for name, count in (("positives", true[-1]), ("negatives", above[-1] - true[-1])):
        if not count > SLACK * above[-1]:
            raise Undefined(f"the corrected count of {name} is {count:.3g}: these rates do not fit the data")
    return above, true, own


def _auc(above: Array, true: Array, own: Array) -> float:
    false = above - true
    area = np.diff(false, prepend=0) @ (true + np.append(0, true[:-1])) / 2
    return _within(float(area / (true[-1] * false[-1])))


def _ap(above: Array, true: Array, own: Array) -> float:
    # Of one score alone the term may be negative; the sum is what has a meaning.
    found = np.diff(true, prepend=0) * true - own
    return _within(float(np.divide(found, above, out=np.zeros_like(true), where=above > 0).sum() / true[-1]))


def _precision_at_k(measure: Metric, s: Array, y: Array, w: Array | None, matrix: Array) -> float:
    (_, false_alarm), (miss, _) = matrix
    value = measure(s, y, w)
    if np.isnan(value):
        raise Undefined(measure.undefined)
    return _within((value - false_alarm) / (1 - miss - false_alarm))


def _within(value: float) -> float:
    if not -SLACK <= value <= 1 + SLACK:
        raise Undefined(
            f"the corrected value is {value:.3g}, outside 0 to 1: these rates do not fit the data"
        )
    return min(max(value, 0.0), 1.0)
