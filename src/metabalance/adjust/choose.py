"""One door to all decisions: text says what is wanted, and the search that fits it is made.

Cost: Elkan, IJCAI 2001. Metrics: Sheng & Ling, AAAI 2006. Constraints: Neyman & Pearson, 1933.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_probabilities, check_target
from metabalance.adjust.constrained import choose_constrained
from metabalance.adjust.cost import check_cost
from metabalance.adjust.decision import Decision
from metabalance.adjust.multipliers import choose_class_multipliers
from metabalance.adjust.objective import Objective, parse_objective
from metabalance.adjust.threshold import choose_threshold

__all__ = ["choose_decision"]

Array = NDArray[Any]


def choose_decision(
    probs: ArrayLike,
    target: ArrayLike,
    objective: str = "f1",
    *,
    positive: int = 1,
    cost: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    beta: float = 1.0,
    confidence: float | None = None,
    rows_per_day: float | None = None,
) -> Decision:
    """The decision that does best on held-out rows: a threshold; beyond two classes multipliers, or costs.

    Args:
        probs: ``(N, C)``, calibrated.
        target: Class indices ``(N,)``.
        objective: As :func:`~metabalance.adjust.parse_objective` reads it; ``"f1"`` is macro beyond two classes.
        positive: Index of the positive class of two.
        cost: ``(C, C)``, rows true, columns predicted, in the order of the columns of ``probs``.
        sample_weight: Weights ``(N,)``.
        beta: Of ``"f_beta"``.
        confidence: With which a constraint must hold for rows to come; see :func:`choose_constrained`.
        rows_per_day: For ``alerts<=100``.

    Returns:
        The decision. A constraint that cannot be met gives the threshold that comes nearest, and ``note`` says so.

    Raises:
        ValueError: An objective or costs that do not fit the number of classes, or unsound data.

    >>> choose_decision([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], [0, 0, 1]).threshold.__round__(4)
    0.3
    """
    p = check_probabilities(probs, ndim=2)
    wanted = Objective("f_beta", beta) if objective == "f_beta" else parse_objective(objective)
    name = wanted.goal
    if p.shape[1] > 2:
        if wanted.metric is not None:
            raise ValueError(
                f"the objective {wanted} is for two classes, but there are {p.shape[1]}; join some first"
            )
        return choose_class_multipliers(
            p, target, "f1_macro" if name == "f1" else name, cost=cost, sample_weight=sample_weight
        )
    if positive not in (0, 1):
        raise ValueError(f"positive must be 0 or 1, but {positive} was given")
    y, w = check_target(target, len(p), 2, sample_weight)
    price = None if cost is None else check_cost(cost, 2)
    if price is not None and positive == 0:
        price = price[::-1, ::-1]
    scores, hit = p[:, positive], (y == positive).astype(np.int64)
    if wanted.metric is None:
        t = choose_threshold(scores, hit, name, cost=price, sample_weight=w, beta=wanted.beta)
        return Decision(objective, t.achieved, threshold=t.value, positive=positive, note=t.note)
    found = choose_constrained(
        scores, hit, wanted, cost=price, sample_weight=w, confidence=confidence, rows_per_day=rows_per_day
    )
    value, note = found.value, found.note
    if np.isnan(value):
        value, note = 0.5, f"{note}: the threshold is the default"
    return Decision(str(wanted), found.achieved, threshold=value, positive=positive, note=note)
