"""A threshold on the probability of the positive class, searched on held-out rows.

Least expected cost: Elkan, IJCAI 2001; thresholds searched on held-out data: Sheng & Ling, AAAI 2006.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_probabilities, check_target
from metabalance.adjust.cost import check_cost_of_two

__all__ = ["Threshold", "choose_threshold"]

Array = NDArray[Any]
OBJECTIVES = ("f1", "f_beta", "balanced_accuracy", "g_mean", "cost")


@dataclass(frozen=True)
class Threshold:
    """A threshold on the probability of the positive class.

    Args:
        value: At or above it, a row is called positive.
        objective: What it was chosen for.
        achieved: The objective's value on the rows it was chosen on, hence optimistic; for ``"cost"`` the
            mean cost of a row. NaN when nothing could be chosen.
        note: What the user should know, or empty.
    """

    value: float
    objective: str
    achieved: float
    note: str = ""


def choose_threshold(
    probs: ArrayLike,
    target: ArrayLike,
    objective: str = "f1",
    *,
    cost: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    beta: float = 1.0,
) -> Threshold:
    """The best threshold on held-out rows, exact: every split of the distinct scores is tried, by one sort.

    It lies midway between the two neighbouring scores; of equally good ones, the highest is taken, which
    raises the fewest alarms.

    Args:
        probs: Probabilities ``(N,)`` of the positive class.
        target: 0 or 1, ``(N,)``.
        objective: ``"f1"``, ``"f_beta"``, ``"balanced_accuracy"``, ``"g_mean"`` or ``"cost"``.
        cost: For ``"cost"``: the pair (of a missed positive, of a false alarm), or a matrix ``(2, 2)``, rows
            true, columns predicted.
        sample_weight: Weights ``(N,)``.
        beta: Of ``"f_beta"``.

    Returns:
        The threshold. Without rows of both classes nothing can be searched: it is then the one of least
        expected cost, ``fp / (fp + fn)``, or 0.5, and ``note`` says so.

    Raises:
        ValueError: An unknown objective, costs that are missing or make mistakes pay, or unsound data.

    >>> choose_threshold([0.1, 0.2, 0.4, 0.7], [0, 0, 1, 1])
    Threshold(value=0.30000000000000004, objective='f1', achieved=1.0, note='')
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"objective={objective!r} is unknown; use one of {', '.join(map(repr, OBJECTIVES))}")
    if not 0 < beta < np.inf:
        raise ValueError(f"beta must be above 0 and finite, but {beta} was given")
    p = check_probabilities(probs, ndim=1)
    y, w = check_target(target, len(p), 2, sample_weight)
    price = check_cost_of_two(cost) if objective == "cost" else np.zeros((2, 2))
    positives, negatives = float(w[y == 1].sum()), float(w[y == 0].sum())
    if positives == 0 or negatives == 0:
        fallback, kind = 0.5, "the default"
        if objective == "cost":
            alarm, miss = price[0, 1] - price[0, 0], price[1, 0] - price[1, 1]
            fallback, kind = float(alarm / (alarm + miss)), "that of least expected cost"
        lacking = "positive" if positives == 0 else "negative"
        return Threshold(
            fallback, objective, float("nan"), f"no {lacking} rows to choose on: the threshold is {kind}"
        )
    table = cuts(p, y, w)
    assert table is not None
    value = goal_values(
        "f_beta" if objective == "f1" else objective, table, 1.0 if objective == "f1" else beta, price
    )
    best = int(value.argmax())
    achieved = -float(value[best]) if objective == "cost" else float(value[best])
    return Threshold(table.threshold(best), objective, achieved)


@dataclass(frozen=True, eq=False)
class Cuts:
    """Every way to cut: the first 0, 1, ... of the distinct scores, from the highest, are called positive.

    Args:
        scores: The K distinct scores, falling.
        tp: Weight of the positives called positive ``(K + 1,)``.
        fp: Weight of the negatives called positive ``(K + 1,)``.
        square: Squared weights of all called positive ``(K + 1,)``.
    """

    scores: Array
    tp: Array
    fp: Array
    square: Array

    @property
    def positives(self) -> float:
        """Weight of all positives."""
        return float(self.tp[-1])

    @property
    def negatives(self) -> float:
        """Weight of all negatives."""
        return float(self.fp[-1])

    def threshold(self, called: int) -> float:
        """The threshold of one cut."""
        return _midway(self.scores, called)


def cuts(p: Array, y: Array, w: Array) -> Cuts | None:
    """All cuts of sound rows by one sort; None when one of the classes has no weight."""
    p, y, w = p[w > 0], y[w > 0], w[w > 0]
    if len(np.unique(y)) < 2:
        return None
    order = np.argsort(-p, kind="stable")
    s, hit, w = p[order], y[order], w[order]
    last = np.flatnonzero(np.append(s[1:] != s[:-1], True))
    sums = [np.append(0, np.cumsum(part)[last]) for part in (w * hit, w * (1 - hit), w**2)]
    return Cuts(s[last], *sums)


def goal_values(goal: str, table: Cuts, beta: float, price: Array) -> Array:
    """The goal at each cut, the more the better; minus infinity where it has no value."""
    tp, fp, positives, negatives = table.tp, table.fp, table.positives, table.negatives
    fn, tn = positives - tp, np.maximum(negatives - fp, 0)
    if goal in ("f1", "f_beta"):
        square = 1.0 if goal == "f1" else beta**2
        return (1 + square) * tp / ((1 + square) * tp + square * fn + fp)
    if goal == "balanced_accuracy":
        return (tp / positives + tn / negatives) / 2
    if goal == "g_mean":
        return np.sqrt(tp / positives * tn / negatives)
    if goal == "recall":
        return tp / positives
    if goal == "specificity":
        return tn / negatives
    if goal == "precision":
        return np.where(tp + fp > 0, tp / np.where(tp + fp > 0, tp + fp, 1), -np.inf)
    total = tn * price[0, 0] + fp * price[0, 1] + fn * price[1, 0] + tp * price[1, 1]
    return -total / (positives + negatives)


def _midway(scores: Array, called: int) -> float:
    """Between the ``called`` highest distinct scores and the next; beyond the ends, halfway to 0 or 1."""
    low = scores[called] if called < len(scores) else 0.0
    high = scores[called - 1] if called else 1.0
    middle = (low + high) / 2
    if called and middle <= low:  # neighbouring floats, or 0 itself: the comparison is >=
        return float(high)
    # No alarm at all although a score is 1: only a threshold above 1 says so.
    return float(middle) if middle > low else float(np.nextafter(low, 2))
