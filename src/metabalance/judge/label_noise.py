r"""Metrics when annotators err: how each one moves, in closed form, and labels flipped to try it.

After Kulatilleke & Samarakoon, "Empirical study of machine learning classifier evaluation metrics behavior in
massively imbalanced and noisy data", 2022, arXiv 2208.11904, with the class-conditional model of annotation error:
the label :math:`\tilde y` given to a row of class i is k with probability :math:`T_{ik}`, whatever the prediction. For
two classes :math:`T` holds the false-alarm rate :math:`\gamma = T_{01}` and the miss rate :math:`\alpha = T_{10}`. Of
a table M of true against predicted classes one then sees :math:`T^\top M`.

With :math:`a = P(y = 0 \mid \tilde y = 1)` and :math:`b = P(y = 1 \mid \tilde y = 0)`, the wrong ones among the labels
(Menon, van Rooyen, Ong & Williamson, ICML 2015),

.. math::
    \text{BA}' - \tfrac12 = (1 - a - b)(\text{BA} - \tfrac12), \quad
    \text{AUC}' - \tfrac12 = (1 - a - b)(\text{AUC} - \tfrac12), \quad
    \text{MCC}' = \varphi(y, \tilde y)\, \text{MCC}, \quad
    \text{precision}' = \gamma + (1 - \alpha - \gamma)\, \text{precision}.

These factors belong to the labels, so noise cannot change the order of models by these four metrics, except by
chance. F1, G-mean, recall and accuracy have no such form, and noise can change their order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.metrics import Metric, get_metric

__all__ = [
    "LabelErrors",
    "annotation_matrix",
    "confusion_table",
    "expected_under_noise",
    "flip_labels",
    "label_errors",
    "metric_of_table",
    "noisy_auc",
    "noisy_confusion",
]

Array = NDArray[Any]
STREAM = 2208_11904
Rates = ArrayLike | tuple[float, float] | Mapping[str, float]


def annotation_matrix(rates: Rates) -> Array:
    """The transition matrix ``(C, C)`` of annotation error: rows the true class, columns the label given.

    Args:
        rates: That matrix; or, for two classes, ``(miss, false_alarm)``, the share of positives that are called
            negative and of negatives that are called positive; or a mapping with these two names.

    Raises:
        ValueError: Rows that are not shares summing to 1.

    >>> annotation_matrix((0.2, 0.001))
    array([[0.999, 0.001],
           [0.2  , 0.8  ]])
    """
    if isinstance(rates, Mapping):
        unknown = rates.keys() - {"miss", "false_alarm"}
        if unknown:
            raise ValueError(f"rates holds {sorted(unknown)[0]!r}; its names are 'miss' and 'false_alarm'")
        rates = (rates.get("miss", 0.0), rates.get("false_alarm", 0.0))
    given = np.asarray(rates, dtype=np.float64)
    if given.shape == (2,):
        miss, false_alarm = given
        given = np.array([[1 - false_alarm, false_alarm], [miss, 1 - miss]])
    if given.ndim != 2 or given.shape[0] != given.shape[1] or len(given) < 2:
        raise ValueError(
            f"rates are (miss, false_alarm) or a matrix (C, C), but have shape {np.asarray(rates).shape}"
        )
    if not (given >= 0).all() or not np.allclose(given.sum(axis=1), 1, atol=1e-9):
        raise ValueError(
            "rates of annotation error are shares: from 0 to 1, each row of the matrix summing to 1"
        )
    return given


def flip_labels(
    target: ArrayLike, rates: Rates, *, seed: int = 0, tilt: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Labels as an annotator who errs would give them, each drawn on its own.

    Args:
        target: Class indices ``(N,)``.
        rates: See :func:`annotation_matrix`.
        seed: Of the draws.
        tilt: Relative propensity ``(N,)`` to be mislabelled, not negative, scaled to a mean of 1 in each class: hard
            rows, say, or those that nobody was alerted to. Errors then depend on the row, and no closed form of
            this module holds.

    Returns:
        The labels given ``(N,)``, and whether each is wrong ``(N,)``.

    Raises:
        ValueError: Target that is no class indices, or a tilt that would need a probability above 1.

    >>> given, wrong = flip_labels([0] * 500 + [1] * 500, (0.2, 0.0))
    >>> int(wrong[:500].sum()), bool(70 < wrong[500:].sum() < 130)
    (0, True)
    """
    matrix, y = annotation_matrix(rates), np.asarray(target)
    if y.ndim != 1 or y.dtype.kind not in "biu" or (y.size and not 0 <= y.min() <= y.max() < len(matrix)):
        raise ValueError(f"target must be (N,) class indices from 0 to {len(matrix) - 1}")
    y = y.astype(np.int64)
    propensity = _propensity(y, tilt)
    error = 1 - np.diag(matrix)[y]
    probability = error * propensity
    if probability.max(initial=0) > 1:
        raise ValueError(
            f"the tilt makes a row of class {int(y[probability.argmax()])} mislabelled with probability "
            f"{probability.max():.3g}; use a flatter tilt or a lower rate"
        )
    # A stream of its own: data made with the same seed must not decide who is mislabelled.
    rng = np.random.default_rng([seed, STREAM])
    wrong = rng.uniform(size=len(y)) < probability
    given = y.copy()
    for c in np.unique(y[wrong]):
        rows = np.flatnonzero(wrong & (y == c))
        others = np.where(np.arange(len(matrix)) == c, 0, matrix[c])
        given[rows] = rng.choice(len(matrix), size=len(rows), p=others / others.sum())
    return given, wrong


def confusion_table(prevalence: float, recall: float, false_positive_rate: float) -> Array:
    """Table ``(2, 2)`` of true against predicted classes, in shares of all rows, of a classifier with these rates.

    >>> confusion_table(0.1, 0.8, 0.05).round(3)
    array([[0.855, 0.045],
           [0.02 , 0.08 ]])
    """
    given = (prevalence, recall, false_positive_rate)
    if not all(0 <= share <= 1 for share in given):
        raise ValueError(f"prevalence, recall and false_positive_rate are shares, but {given} were given")
    negative, f = 1 - prevalence, false_positive_rate
    return np.array([[negative * (1 - f), negative * f], [prevalence * (1 - recall), prevalence * recall]])


def noisy_confusion(table: ArrayLike, rates: Rates) -> Array:
    r"""The table of *given* labels against predictions that is expected: :math:`T^\top M`.

    Column sums, the predictions, stay as they are.

    Args:
        table: ``(C, C)``, rows true, columns predicted: counts, weights or shares.
        rates: See :func:`annotation_matrix`.

    >>> noisy_confusion([[90, 5], [2, 8]], (0.5, 0.0))
    array([[91.,  9.],
           [ 1.,  4.]])
    """
    m, matrix = np.asarray(table, dtype=np.float64), annotation_matrix(rates)
    if m.shape != matrix.shape:
        raise ValueError(f"the table has shape {m.shape}, but the rates are for {len(matrix)} classes")
    return matrix.T @ m


def metric_of_table(metric: str | Metric | Callable[..., float], table: ArrayLike) -> float:
    """A metric of labels, computed from a table of true against predicted classes.

    Args:
        metric: A decision metric's name, or ``(prediction, target, sample_weight) -> float``.
        table: ``(C, C)``, not negative.

    Raises:
        ValueError: A metric of scores, which no table holds, or negative entries.

    >>> round(metric_of_table("f1", [[90, 5], [2, 8]]), 4)
    0.6957
    """
    measure = get_metric(metric) if isinstance(metric, str) else metric
    if isinstance(measure, Metric) and measure.kind != "decision":
        raise ValueError(
            f"{measure.name!r} judges scores, and a table of classes has none; use a metric of labels"
        )
    m = np.asarray(table, dtype=np.float64)
    true, called = np.indices(m.shape)
    return float(measure(called.ravel(), true.ravel(), m.ravel()))


def labels_of(scores: ArrayLike) -> Array:
    """The label of each row as :func:`~metabalance.judge.confusion` reads it.

    >>> labels_of([0.2, 0.7])
    array([0, 1])
    """
    s = np.asarray(scores)
    if s.ndim == 2:
        return s.argmax(axis=1)
    return s.astype(np.int64) if s.dtype.kind in "biu" else (s > 0.5).astype(np.int64)


@dataclass(frozen=True)
class LabelErrors:
    """What an annotator's rates mean for labels of a given prevalence.

    Args:
        prevalence: Share of true positives.
        observed_prevalence: Share of rows that are called positive by the annotator.
        wrong_positives: a, the share of negatives among the labels "positive".
        wrong_negatives: b, the share of positives among the labels "negative".
        shrinkage: 1 - a - b, the factor on ROC AUC and balanced accuracy, above one half.
        correlation: Of labels and truth; the factor on Matthews correlation.
    """

    prevalence: float
    observed_prevalence: float
    wrong_positives: float
    wrong_negatives: float
    shrinkage: float
    correlation: float


def label_errors(prevalence: float, rates: Rates) -> LabelErrors:
    """The factors by which annotation error of two classes moves the metrics that have one.

    Args:
        prevalence: True share of positives, between 0 and 1.
        rates: ``(miss, false_alarm)``; see :func:`annotation_matrix`.

    Returns:
        The factors; NaN where one of the labels is never given.

    >>> errors = label_errors(492 / 284807, (0.0, 0.001))
    >>> round(errors.wrong_positives, 4), round(errors.correlation, 4)
    (0.3662, 0.7957)
    """
    matrix = annotation_matrix(rates)
    if len(matrix) != 2 or not 0 < prevalence < 1:
        raise ValueError(
            f"a prevalence between 0 and 1 and the rates of two classes are needed, but {prevalence} and "
            f"{len(matrix)} classes were given"
        )
    (_, false_alarm), (miss, _) = matrix
    given = prevalence * (1 - miss) + (1 - prevalence) * false_alarm
    nan = float("nan")
    if not 0 < given < 1:
        return LabelErrors(prevalence, float(given), nan, nan, nan, nan)
    a, b = (1 - prevalence) * false_alarm / given, prevalence * miss / (1 - given)
    spread = np.sqrt(prevalence * (1 - prevalence) / (given * (1 - given)))
    return LabelErrors(
        prevalence,
        float(given),
        float(a),
        float(b),
        float(1 - a - b),
        float((1 - miss - false_alarm) * spread),
    )


def noisy_auc(auc: float, prevalence: float, rates: Rates) -> float:
    """The ROC AUC expected on the labels given: one half plus the shrunken rest. Balanced accuracy moves alike.

    >>> round(noisy_auc(0.9, 0.01, (0.2, 0.005)), 4)
    0.7463
    """
    return 0.5 + label_errors(prevalence, rates).shrinkage * (auc - 0.5)


def expected_under_noise(
    metric: str | Metric | Callable[..., float],
    scores: ArrayLike,
    target: ArrayLike,
    rates: Rates,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Any metric on the labels that are expected: each row stands under every label with that label's probability.

    Equal to the closed forms where there is one, and to the mean over flipped labels up to a term that vanishes with
    the number of rows, for average precision or calibration too.

    Args:
        metric: A name, a :class:`~metabalance.judge.Metric`, or ``(scores, target, sample_weight) -> float``.
        scores: ``(N,)`` or ``(N, C)``, as the metric takes them.
        target: True class indices ``(N,)``.
        rates: See :func:`annotation_matrix`.
        sample_weight: Weights ``(N,)``.

    >>> scores, target = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    >>> round(expected_under_noise("roc_auc", scores, target, (0.5, 0.0)), 4)  # a = 0, b = 1/3
    0.6667
    """
    measure = get_metric(metric) if isinstance(metric, str) else metric
    matrix, s, y = annotation_matrix(rates), np.asarray(scores), np.asarray(target)
    if y.size and not 0 <= y.min() <= y.max() < len(matrix):
        raise ValueError(f"target must be class indices from 0 to {len(matrix) - 1}")
    w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    labels = np.repeat(np.arange(len(matrix)), len(y))
    # A row's label k stands in block k; in the first axis C copies of the rows.
    return float(measure(np.concatenate([s] * len(matrix)), labels, (matrix[y].T * w).ravel()))


def _propensity(y: Array, tilt: ArrayLike | None) -> Array:
    if tilt is None:
        return np.ones(len(y))
    given = np.asarray(tilt, dtype=np.float64)
    if given.shape != y.shape or not np.isfinite(given).all() or (given < 0).any():
        raise ValueError(f"tilt must be ({len(y)},), finite and not negative")
    out = np.ones(len(y))
    for c in np.unique(y):
        rows = y == c
        mean = given[rows].mean()
        if mean > 0:
            out[rows] = given[rows] / mean
    return out
