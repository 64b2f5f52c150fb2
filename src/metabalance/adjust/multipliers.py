"""Several classes: each class's probability is multiplied before the largest one is taken.

One parameter for all, the tau of Menon et al., ICLR 2021, arXiv 2007.07314, or on request one for each class, found by
coordinate ascent: Fan & Lin, "A Study on Threshold Selection for Multi-label Classification", 2007.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_prior, check_probabilities, check_target
from metabalance.adjust.cost import check_cost
from metabalance.adjust.decision import Decision
from metabalance.adjust.logit_adjustment import PosthocLogitAdjustment, label_objective

__all__ = ["choose_class_multipliers"]

Array = NDArray[Any]
CLASS_OBJECTIVES = ("f1_macro", "balanced_accuracy", "cost")


def choose_class_multipliers(
    probs: ArrayLike,
    target: ArrayLike,
    objective: str = "f1_macro",
    *,
    cost: ArrayLike | None = None,
    prior: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_class: bool = False,
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
        per_class: From tau's multipliers go on by coordinate ascent, one class after another over all cuts. It never
            does worse on the rows given; on others it does, when classes have few rows.

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
    if per_class:
        multipliers = _ascend(p, y, w, multipliers, objective)
    rule = Decision(objective, nan, multipliers=tuple(map(float, multipliers / multipliers.min())))
    absent = np.flatnonzero(counts == 0)
    note = f"classes without rows were left out of the choice: {absent.tolist()}" if len(absent) else ""
    achieved = label_objective(objective)(rule.decide(p), y, w)
    return Decision(objective, achieved, multipliers=rule.multipliers, note=note)


def _ascend(p: Array, y: Array, w: Array, start: Array, objective: str, sweeps: int = 20) -> Array:
    """Sets one multiplier after another to its best value, until a sweep changes nothing."""
    size = p.shape[1]
    p, y, w = p[w > 0], y[w > 0], w[w > 0]
    true = np.bincount(y, w, size)
    here = np.flatnonzero(true > 0)
    member, multipliers = np.eye(size)[y] * w[:, None], start.copy()
    measure = label_objective(objective)
    reached = measure((p * multipliers).argmax(1), y, w)
    for _ in range(sweeps):
        before = reached
        for c in here:
            rest = p * multipliers
            rest[:, c] = -1
            other = rest.argmax(1)
            with np.errstate(divide="ignore"):
                needed = np.where(p[:, c] > 0, rest.max(1) / p[:, c], np.inf)
            order = np.argsort(needed, kind="stable")
            needed, other = needed[order], np.eye(size)[other[order]] * w[order, None]
            # Row k: the k rows that need least go to class c, the others to their next best.
            gone = np.vstack([np.zeros(size), np.cumsum(other, axis=0)])
            called = gone[-1] - gone
            called[:, c] += np.append(0, np.cumsum(w[order]))
            right = other * (member[order] > 0)
            lost = np.vstack([np.zeros(size), np.cumsum(right, axis=0)])
            hit = lost[-1] - lost
            hit[:, c] += np.append(0, np.cumsum(member[order, c]))
            below = true if objective == "balanced_accuracy" else (true + called) / 2
            value = (hit / np.where(below > 0, below, 1))[:, here].mean(1)
            edge = np.append(needed[1:] > needed[:-1] * (1 + 1e-12), False)
            possible = np.concatenate([[needed[0] > 0], edge & np.isfinite(needed)])
            if not possible.any():
                continue
            k = int(np.where(possible, value, -np.inf).argmax())
            if value[k] <= reached + 1e-12:
                continue
            low = needed[k - 1] if k else 0.0
            high = needed[k]
            proposed = multipliers.copy()
            proposed[c] = 2 * low if np.isinf(high) else np.sqrt(low * high) if low > 0 else high / 2
            found = measure((p * proposed).argmax(1), y, w) if proposed[c] > 0 else -np.inf
            if found > reached:
                multipliers, reached = proposed, found
        if reached <= before:
            break
    return multipliers
