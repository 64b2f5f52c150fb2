"""Decisions: from probabilities to labels, by a threshold, by class multipliers, or by least expected cost.

Least expected cost: Elkan, IJCAI 2001; thresholds searched on held-out data: Sheng & Ling, AAAI 2006; several
classes share one parameter, the tau of Menon et al., ICLR 2021, arXiv 2007.07314.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_prior, check_probabilities, check_target
from metabalance.adjust.cost import check_cost, check_cost_of_two
from metabalance.adjust.logit_adjustment import PosthocLogitAdjustment, label_objective

__all__ = [
    "Decision",
    "Threshold",
    "choose_class_multipliers",
    "choose_decision",
    "choose_threshold",
]

Array = NDArray[Any]
OBJECTIVES = ("f1", "f_beta", "balanced_accuracy", "g_mean", "cost")
CLASS_OBJECTIVES = ("f1_macro", "balanced_accuracy", "cost")


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


@dataclass(frozen=True)
class Decision:
    """Turns probabilities ``(N, C)`` into class indices; exactly one of its three rules is set.

    Args:
        objective: What it was chosen for.
        achieved: See :class:`Threshold`.
        threshold: Two classes: ``positive`` at or above this probability.
        multipliers: The class with the largest product of probability and multiplier ``(C,)``.
        cost: The class of least expected cost, under a matrix ``(C, C)``, rows true, columns predicted.
        positive: Index of the positive class, for a threshold.
        note: What the user should know, or empty.

    Raises:
        ValueError: Not exactly one rule.

    >>> Decision("f1", 0.8, threshold=0.2).decide([[0.9, 0.1], [0.7, 0.3]])
    array([0, 1])
    """

    objective: str
    achieved: float
    threshold: float | None = None
    multipliers: tuple[float, ...] | None = None
    cost: tuple[tuple[float, ...], ...] | None = None
    positive: int = 1
    note: str = ""

    def __post_init__(self) -> None:
        rules = [name for name in ("threshold", "multipliers", "cost") if getattr(self, name) is not None]
        if len(rules) != 1:
            raise ValueError(f"a decision has one of threshold, multipliers and cost, but {rules} were given")
        if self.positive not in (0, 1):
            raise ValueError(f"positive must be 0 or 1, but {self.positive} was given")

    def decide(self, probs: ArrayLike) -> Array:
        """Class indices ``(N,)`` of probabilities ``(N, C)``; a threshold also takes the positive's ``(N,)``.

        Raises:
            ValueError: No probabilities, or a number of classes that does not fit.
        """
        if self.threshold is not None:
            p = np.asarray(probs)
            p = check_probabilities(p, p.ndim if p.ndim == 1 else 2)
            if p.ndim == 2:
                self._fits(p, 2)
                p = p[:, self.positive]
            return np.where(p >= self.threshold, self.positive, 1 - self.positive)
        p = check_probabilities(probs, ndim=2)
        if self.cost is not None:
            self._fits(p, len(self.cost))
            return (p @ np.asarray(self.cost)).argmin(1)
        assert self.multipliers is not None
        self._fits(p, len(self.multipliers))
        return (p * np.asarray(self.multipliers)).argmax(1)

    def _fits(self, p: Array, classes: int) -> None:
        if p.shape[1] != classes:
            raise ValueError(f"this decision is for {classes} classes, but {p.shape[1]} were given")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; exact. A NaN in ``achieved`` becomes None, which JSON has."""
        state = {name: getattr(self, name) for name in self.__dataclass_fields__}
        state["achieved"] = None if np.isnan(self.achieved) else self.achieved
        state["multipliers"] = None if self.multipliers is None else list(self.multipliers)
        state["cost"] = None if self.cost is None else [list(row) for row in self.cost]
        return state

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Decision":
        """The inverse of :meth:`to_dict`."""
        fields = dict(state)
        fields["achieved"] = float("nan") if state["achieved"] is None else state["achieved"]
        fields["multipliers"] = None if state["multipliers"] is None else tuple(state["multipliers"])
        fields["cost"] = None if state["cost"] is None else tuple(tuple(row) for row in state["cost"])
        return cls(**fields)


def choose_decision(
    probs: ArrayLike,
    target: ArrayLike,
    objective: str = "f1",
    *,
    positive: int = 1,
    cost: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    beta: float = 1.0,
) -> Decision:
    """The decision that does best on held-out rows: a threshold; beyond two classes multipliers, or costs.

    Args:
        probs: ``(N, C)``, calibrated.
        target: Class indices ``(N,)``.
        objective: As for :func:`choose_threshold`; ``"f1"`` is macro beyond two classes.
        positive: Index of the positive class of two.
        cost: ``(C, C)``, rows true, columns predicted, in the order of the columns of ``probs``.
        sample_weight: Weights ``(N,)``.
        beta: Of ``"f_beta"``.

    Raises:
        ValueError: An objective or costs that do not fit the number of classes, or unsound data.

    >>> choose_decision([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], [0, 0, 1]).threshold.__round__(4)
    0.3
    """
    p = check_probabilities(probs, ndim=2)
    if p.shape[1] > 2:
        return choose_class_multipliers(
            p, target, "f1_macro" if objective == "f1" else objective, cost=cost, sample_weight=sample_weight
        )
    if positive not in (0, 1):
        raise ValueError(f"positive must be 0 or 1, but {positive} was given")
    y, w = check_target(target, len(p), 2, sample_weight)
    price = None if cost is None else check_cost(cost, 2)
    if price is not None and positive == 0:
        price = price[::-1, ::-1]
    t = choose_threshold(
        p[:, positive], (y == positive).astype(np.int64), objective, cost=price, sample_weight=w, beta=beta
    )
    return Decision(t.objective, t.achieved, threshold=t.value, positive=positive, note=t.note)


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
    scores, tp, fp = _alarms(p[w > 0], y[w > 0], w[w > 0])
    fn, tn = positives - tp, negatives - fp
    if objective in ("f1", "f_beta"):
        square = 1.0 if objective == "f1" else beta**2
        value = (1 + square) * tp / ((1 + square) * tp + square * fn + fp)
    elif objective == "balanced_accuracy":
        value = (tp / positives + tn / negatives) / 2
    elif objective == "g_mean":
        value = np.sqrt(tp / positives * np.maximum(tn, 0) / negatives)
    else:
        value = -(tn * price[0, 0] + fp * price[0, 1] + fn * price[1, 0] + tp * price[1, 1]) / w.sum()
    best = int(value.argmax())
    achieved = -float(value[best]) if objective == "cost" else float(value[best])
    return Threshold(_midway(scores, best), objective, achieved)


def choose_class_multipliers(
    probs: ArrayLike,
    target: ArrayLike,
    objective: str = "f1_macro",
    *,
    cost: ArrayLike | None = None,
    prior: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> Decision:
    r"""One parameter for many classes: multipliers :math:`\pi_c^{-\tau}`, tau in [0, 1.5].

    Tau is the one that does best on held-out rows, of equals the smallest. A threshold for each class would
    have as many parameters as there are classes, and rare classes have few rows to fit them. With ``"cost"``
    nothing is fitted: the class of least expected cost is taken.

    Args:
        probs: ``(N, C)``, calibrated.
        target: Class indices ``(N,)``.
        objective: ``"f1_macro"``, ``"balanced_accuracy"`` or ``"cost"``.
        cost: For ``"cost"``: ``(C, C)``, rows true, columns predicted.
        prior: Class shares ``(C,)``; by default those of ``target``, where an absent class counts as one row.
        sample_weight: Weights ``(N,)``.

    Raises:
        ValueError: An unknown objective, missing costs, a prior that does not fit, or unsound data.

    >>> probs = [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.5, 0.1, 0.4]]
    >>> choose_class_multipliers(probs, [0, 0, 1, 2]).achieved  # argmax never finds classes 1 and 2
    1.0
    """
    if objective not in CLASS_OBJECTIVES:
        names = ", ".join(map(repr, CLASS_OBJECTIVES))
        raise ValueError(f"objective={objective!r} is unknown for several classes; use one of {names}")
    p = check_probabilities(probs, ndim=2)
    rows, size = p.shape
    y, w = check_target(target, rows, size, sample_weight)
    nan = float("nan")
    if objective == "cost":
        price = check_cost(cost, size)
        rule = Decision("cost", nan, cost=tuple(tuple(map(float, row)) for row in price))
        if not w.sum() > 0:
            return rule
        paid = float(np.average(price[y, rule.decide(p)], weights=w))
        return Decision("cost", paid, cost=rule.cost)
    counts = np.bincount(y, w, size)
    if np.count_nonzero(counts) < 2:
        note = "fewer than two classes to choose on: the most probable class is taken"
        return Decision(objective, nan, multipliers=(1.0,) * size, note=note)
    one_row = min(1, counts[counts > 0].min())
    share = check_prior(np.where(counts > 0, counts, one_row) if prior is None else prior)
    if len(share) != size:
        raise ValueError(f"prior must hold one share for each of the {size} classes, but has {len(share)}")
    with np.errstate(divide="ignore"):  # a probability of 0 loses under every tau
        adjustment = PosthocLogitAdjustment(share).fit_tau(np.log(p), y, objective, w)
    multipliers = adjustment.priors**-adjustment.tau_
    rule = Decision(objective, nan, multipliers=tuple(map(float, multipliers / multipliers.min())))
    absent = np.flatnonzero(counts == 0)
    note = f"classes without rows were left out of the choice: {absent.tolist()}" if len(absent) else ""
    achieved = label_objective(objective)(rule.decide(p), y, w)
    return Decision(objective, achieved, multipliers=rule.multipliers, note=note)


def _alarms(p: Array, y: Array, w: Array) -> tuple[Array, Array, Array]:
    """The distinct scores falling, and the true and false alarms of calling the first 0, 1, ... positive."""
    order = np.argsort(-p, kind="stable")
    s = p[order]
    last = np.flatnonzero(np.append(s[1:] != s[:-1], True))
    tp = np.cumsum((w * y)[order])[last]
    fp = np.cumsum((w * (1 - y))[order])[last]
    return s[last], np.append(0, tp), np.append(0, fp)


def _midway(scores: Array, called: int) -> float:
    """Between the ``called`` highest distinct scores and the next; beyond the ends, halfway to 0 or 1."""
    low = scores[called] if called < len(scores) else 0.0
    high = scores[called - 1] if called else 1.0
    middle = (low + high) / 2
    if called and middle <= low:  # neighbouring floats, or 0 itself: the comparison is >=
        return float(high)
    # No alarm at all although a score is 1: only a threshold above 1 says so.
    return float(middle) if middle > low else float(np.nextafter(low, 2))
