"""What decisions cost: expected cost by a matrix, and net benefit by a threshold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import check_probabilities, nan_when_undefined
from metabalance.judge.curves import check_binary, cumulated_from_top
from metabalance.judge.tables import checked_table

__all__ = ["NetBenefit", "expected_cost", "net_benefit", "net_benefit_curve"]

Array = NDArray[Any]


@nan_when_undefined
def expected_cost(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, cost: ArrayLike
) -> float:
    """Mean cost of a row, each paying ``cost[true, predicted]``.

    Given probabilities ``(N,)`` or ``(N, C)`` instead of labels, each row takes the class of least expected
    cost (Elkan, IJCAI 2001).

    Args:
        prediction: Class indices ``(N,)``, or probabilities.
        target: Class indices ``(N,)``.
        sample_weight: Weights ``(N,)``.
        cost: ``(C, C)``, rows true, columns predicted, in any currency.

    Raises:
        ValueError: A matrix that is not square or not finite; otherwise see :func:`confusion`.

    >>> expected_cost([0, 1, 1, 0], [0, 0, 1, 1], cost=[[0, 1], [50, 0]])
    12.75
    """
    price = np.asarray(cost, dtype=np.float64)
    if price.ndim != 2 or price.shape[0] != price.shape[1] or not np.isfinite(price).all():
        raise ValueError(
            f"cost must be a finite square matrix (true, predicted), but has shape {price.shape}"
        )
    given = np.asarray(prediction)
    if given.ndim == 2 or given.dtype.kind == "f":
        p, *_ = check_probabilities(given, target, None)
        full = np.stack([1 - p, p], 1) if p.ndim == 1 else p
        if full.shape[1] != len(price):
            raise ValueError(f"cost is for {len(price)} classes, but the scores have {full.shape[1]}")
        given = (full @ price).argmin(1)
    table = checked_table(given, target, sample_weight, num_classes=len(price))
    return float((table * price).sum() / table.sum())


@nan_when_undefined
def net_benefit(
    scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, threshold: float = 0.5
) -> float:
    r"""True alarms less false ones at their price, per row: :math:`\frac{TP}{N} - \frac{FP}{N}\,\frac{t}{1-t}`.

    Whoever acts from a probability of ``t`` holds a missed positive to be worth ``(1-t)/t`` false alarms. Acting
    on nobody has net benefit 0, a perfect model the share of positives. Vickers & Elkin, Medical Decision Making
    2006.

    Args:
        scores: Probabilities ``(N,)`` or ``(N, 2)``; those of at least ``threshold`` are acted on.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.
        threshold: Above 0 and below 1.

    Raises:
        ValueError: A threshold out of range, scores that are no probabilities, or more than two classes.

    >>> net_benefit([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], threshold=0.2)
    0.4375
    """
    return float(net_benefit_curve(scores, target, sample_weight, thresholds=[threshold]).model[0])


@dataclass(frozen=True, eq=False)
class NetBenefit:
    """A decision curve.

    Attributes:
        thresholds: ``(T,)``.
        model: Net benefit of acting by the scores ``(T,)``.
        everyone: Net benefit of acting on every row ``(T,)``; acting on none has 0.
    """

    thresholds: Array
    model: Array
    everyone: Array


def net_benefit_curve(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    thresholds: ArrayLike | None = None,
) -> NetBenefit:
    """Net benefit over thresholds: a model is of use where it lies above 0 and above acting on everyone.

    Args:
        scores: Probabilities ``(N,)`` or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.
        thresholds: ``(T,)``, above 0 and below 1; by default 0.01 to 0.99.

    Raises:
        ValueError: See :func:`net_benefit`.

    >>> curve = net_benefit_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], thresholds=[0.2, 0.5])
    >>> curve.model, curve.everyone
    (array([0.4375, 0.25  ]), array([0.375, 0.   ]))
    """
    t = np.linspace(0.01, 0.99, 99) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    if t.ndim != 1 or not ((t > 0) & (t < 1)).all():
        raise ValueError("thresholds must lie above 0 and below 1")
    check_probabilities(scores, target, sample_weight)
    p, y, w = check_binary(scores, target, sample_weight, "net_benefit")
    above, true = cumulated_from_top(p, w, y)
    # Values at or above t: the distinct scores run from high to low.
    last = np.searchsorted(-np.unique(p)[::-1], -t, side="right")
    called, hit = np.append(0, above)[last], np.append(0, true)[last]
    odds, rows = t / (1 - t), above[-1]
    return NetBenefit(t, (hit - (called - hit) * odds) / rows, (true[-1] - (rows - true[-1]) * odds) / rows)
