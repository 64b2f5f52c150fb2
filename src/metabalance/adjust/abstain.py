"""Abstention: a row that is too uncertain is handed to a person, and the rare class is not the one always handed over.

Chow, "On Optimum Recognition Error and Reject Tradeoff", 1970; the risk-coverage curve: El-Yaniv & Wiener, JMLR 2010.
Abstaining by confidence alone can make things worse for a group: Jones, Sagawa, Koh, Kumar & Liang, ICLR 2021, arXiv
2010.14134.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_prior, check_probabilities, check_target
from metabalance.adjust.cost import check_cost

__all__ = ["ABSTAINED", "SelectiveRule", "choose_selection", "decide_or_abstain", "risk_coverage"]

Array = NDArray[Any]
ABSTAINED = -1


def decide_or_abstain(probs: ArrayLike, rejection_cost: float, cost: ArrayLike | None = None) -> Array:
    """Chow's rule: the class of least expected cost, or -1 where even that costs more than to abstain.

    Args:
        probs: ``(N, C)``, calibrated.
        rejection_cost: Of one row handed over, at least 0.
        cost: Matrix ``(C, C)``, rows true, columns predicted; by default every mistake costs 1, and a row is then
            decided when its highest probability is at least ``1 - rejection_cost``.

    Returns:
        Class indices ``(N,)``, -1 for abstention.

    Raises:
        ValueError: No probabilities, or costs that do not fit.

    >>> decide_or_abstain([[0.95, 0.05], [0.7, 0.3]], rejection_cost=0.1)
    array([ 0, -1])
    """
    p = check_probabilities(probs, ndim=2)
    if not 0 <= rejection_cost < np.inf:
        raise ValueError(f"rejection_cost must be at least 0 and finite, but {rejection_cost} was given")
    price = check_cost(1 - np.eye(p.shape[1]) if cost is None else cost, p.shape[1])
    expected = p @ price
    return np.where(expected.min(1) <= rejection_cost + 1e-12, expected.argmin(1), ABSTAINED)


def risk_coverage(
    confidence: ArrayLike, loss: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Array, Array]:
    """What the rows above each confidence cost on average.

    Args:
        confidence: ``(N,)``, the higher the surer.
        loss: What deciding a row costs ``(N,)``: 1 for a mistake, for instance.
        sample_weight: Weights ``(N,)``.

    Returns:
        Coverage ``(K,)``, rising to 1, and risk ``(K,)``, one of each distinct confidence; empty without rows.

    Raises:
        ValueError: NaN, or shapes that do not fit.

    >>> coverage, risk = risk_coverage([0.9, 0.8, 0.6, 0.6], [0, 0, 1, 0])
    >>> coverage, risk
    (array([0.25, 0.5 , 1.  ]), array([0.  , 0.  , 0.25]))
    """
    s, cost = np.asarray(confidence, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if s.ndim != 1 or s.shape != cost.shape or np.isnan(s).any() or not np.isfinite(cost).all():
        raise ValueError(
            f"confidence and loss must be (N,) without NaN, but have shapes {s.shape} and {cost.shape}"
        )
    _, w = check_target(np.zeros(len(s), dtype=np.int64), len(s), 1, sample_weight)
    s, cost, w = s[w > 0], cost[w > 0], w[w > 0]
    if not len(s):
        return np.empty(0), np.empty(0)
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(np.diff(s[order]) != 0, True))
    kept = np.cumsum(w[order])[last]
    return kept / kept[-1], np.cumsum((w * cost)[order])[last] / kept


@dataclass(frozen=True)
class SelectiveRule:
    r"""Decides the rows with :math:`\max_c p_c + \sum_c \lambda_c\, p_c / \pi_c` at or above a threshold.

    Args:
        threshold: Of the sum.
        lift: :math:`\lambda` ``(C,)``, at least 0: how far rows of each class are preferred.
        prior: :math:`\pi` ``(C,)``.
        coverage: Share of rows decided, where it was chosen.
        class_coverage: The same of each class's rows ``(C,)``, NaN for an absent class.
        note: What the user should know, or empty.
    """

    threshold: float
    lift: tuple[float, ...]
    prior: tuple[float, ...]
    coverage: float
    class_coverage: tuple[float, ...]
    note: str = ""

    def decide(self, probs: ArrayLike) -> Array:
        """The most probable class ``(N,)``, or -1 for abstention, of probabilities ``(N, C)``."""
        p = check_probabilities(probs, ndim=2)
        if p.shape[1] != len(self.lift):
            raise ValueError(f"this rule is for {len(self.lift)} classes, but {p.shape[1]} were given")
        score = _score(p, np.asarray(self.lift), np.asarray(self.prior))
        return np.where(score >= self.threshold, p.argmax(1), ABSTAINED)


def choose_selection(
    probs: ArrayLike,
    target: ArrayLike,
    coverage: float = 0.9,
    floor: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> SelectiveRule:
    r"""Which rows to decide: a share ``coverage`` of all, and at least a share ``floor`` of each class's.

    By confidence alone the rare class is decided least, because it is never sure. Among all rules that keep both
    shares, the most right decisions are those of a threshold on confidence plus :math:`\sum_c \lambda_c p_c / \pi_c`
    (the Lagrangian is linear in each row's decision); each :math:`\lambda_c` is raised just as far as its class needs.
    Where rows are tied, more of them are decided than asked for, and ``note`` says so.

    Args:
        probs: ``(N, C)``, calibrated, of held-out rows.
        target: Class indices ``(N,)``.
        coverage: Share of the rows to be decided, above 0.
        floor: Share of each class's rows to be decided, at most ``coverage``.
        sample_weight: Weights ``(N,)``.

    Raises:
        ValueError: Shares out of range, no rows, or unsound data.

    >>> p = np.array([0.02] * 80 + [0.3] * 10 + [0.45] * 10)
    >>> probs, y = np.stack([1 - p, p], 1), np.array([0] * 80 + [0] * 7 + [1] * 3 + [0] * 5 + [1] * 5)
    >>> choose_selection(probs, y, coverage=0.8).class_coverage
    (0.8695652173913043, 0.0)
    >>> choose_selection(probs, y, coverage=0.8, floor=0.5).class_coverage[1] >= 0.5
    True
    """
    if not 0 < coverage <= 1 or not 0 <= floor <= coverage:
        raise ValueError(
            f"coverage must lie in (0, 1] and floor in [0, coverage], but {coverage} and {floor} were given"
        )
    p = check_probabilities(probs, ndim=2)
    size = p.shape[1]
    y, w = check_target(target, len(p), size, sample_weight)
    if not w.sum() > 0:
        raise ValueError("there are no rows to choose on; give held-out rows with their classes")
    weight = np.bincount(y, w, size)
    present = np.flatnonzero(weight > 0)
    prior = check_prior(np.maximum(weight, weight[present].min() * 1e-6))
    member = np.eye(size)[y] * w[:, None]

    def result(lift: Array, whole: bool = False) -> tuple[float, Array]:
        """The threshold, and the weight of each class decided; ``whole`` decides more, until all floors are kept."""
        score = _score(p, lift, prior)
        order = np.argsort(-score, kind="stable")
        # The fewest rows that make up the coverage, with all that are tied with the last of them.
        needed = np.searchsorted(np.cumsum(w[order]), coverage * w.sum() * (1 - 1e-12))
        if whole:
            kept = np.cumsum(member[order], axis=0) >= floor * weight * (1 - 1e-12)
            needed = max(needed, int(kept[:, present].argmax(0).max()))
        threshold = float(score[order[min(needed, len(order) - 1)]])
        return threshold, (member * (score >= threshold)[:, None]).sum(0)

    lift = best = np.zeros(size)
    for _ in range(5 * size):
        threshold, kept = result(lift)
        if result(lift, whole=True)[1].sum() < result(best, whole=True)[1].sum():
            best = lift.copy()
        lack = floor - kept[present] / weight[present]
        if lack.max() <= 1e-12:
            best = lift
            break
        c = present[int(lack.argmax())]
        low, high = lift[c], max(2 * lift[c], 1e-3)
        while high < 1e6 and result(np.where(np.arange(size) == c, high, lift))[1][c] < floor * weight[c]:
            low, high = high, 4 * high
        for _ in range(30):
            middle = (low + high) / 2
            enough = result(np.where(np.arange(size) == c, middle, lift))[1][c] >= floor * weight[c]
            low, high = (low, middle) if enough else (middle, high)
        lift = np.where(np.arange(size) == c, high, lift)
    threshold, kept = result(best, whole=True)
    share = np.full(size, np.nan)
    share[present] = kept[present] / weight[present]
    reached = float(kept.sum() / w.sum())
    more = reached > coverage + 0.01
    note = (
        f"to keep the floor, {reached:.1%} of the rows are decided instead of {coverage:.1%}" if more else ""
    )
    return SelectiveRule(
        threshold, tuple(map(float, best)), tuple(map(float, prior)), reached,
        tuple(map(float, share)), note,
    )  # fmt: skip


def _score(p: Array, lift: Array, prior: Array) -> Array:
    return p.max(1) + p @ (lift / prior)
