"""A threshold under a constraint: the most recall at a wanted precision, at most so many false alarms or alerts.

Neyman & Pearson, Philosophical Transactions 1933. With a confidence, the constraint must hold for rows to come and not
only for those at hand: exact bounds of Clopper & Pearson, Biometrika 1934, for several thresholds at once in the way of
Angelopoulos, Bates, Candès, Jordan & Lei, "Learn then Test", 2021, arXiv 2110.01052.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from metabalance.adjust.base import check_probabilities, check_target
from metabalance.adjust.cost import check_cost_of_two
from metabalance.adjust.objective import Objective, parse_objective
from metabalance.adjust.threshold import Cuts, cuts, goal_values

__all__ = ["ConstrainedThreshold", "choose_constrained"]

Array = NDArray[Any]
STEP = 1.25  # between the numbers of alerts that are tried for a precision with confidence


@dataclass(frozen=True)
class ConstrainedThreshold:
    """A threshold with what the constraint looks like at it.

    Args:
        value: At or above it, a row is called positive. Where the constraint cannot be met, the threshold that comes
            nearest. NaN without rows of both classes.
        objective: What it was chosen for.
        achieved: The goal on the rows it was chosen on, hence optimistic; of ``"cost"`` the mean cost of a row.
        limited: The limited figure on those rows.
        assured: That figure's bound at the confidence asked for; without confidence ``limited`` itself. It is this
            that must keep the limit.
        attainable: Whether any threshold keeps the limit.
        note: What the user should know, or empty.
    """

    value: float
    objective: str
    achieved: float
    limited: float
    assured: float
    attainable: bool
    note: str = ""


def choose_constrained(
    probs: ArrayLike,
    target: ArrayLike,
    objective: str | Objective,
    *,
    cost: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    confidence: float | None = None,
    rows_per_day: float | None = None,
) -> ConstrainedThreshold:
    """The threshold that serves the goal best among those that keep the limit; of equals, the highest.

    With a confidence, the limit holds for the population with that probability, although the threshold is searched.
    Recall, false alarms and alerts change in one direction with the threshold, so that one bound serves for all of
    them. Precision does not: it is tried at numbers of alerts a quarter apart, and the doubt is shared among them.
    Weighted rows count as Kish's effective number.

    Args:
        probs: Probabilities ``(N,)`` of the positive class.
        target: 0 or 1, ``(N,)``.
        objective: With a limit, see :func:`~metabalance.adjust.parse_objective`.
        cost: For the goal ``cost``: (of a missed positive, of a false alarm), or a matrix ``(2, 2)``.
        sample_weight: Weights ``(N,)``.
        confidence: Between 0 and 1, such as 0.95; None takes the figures as they are.
        rows_per_day: For ``alerts``: how many rows are scored a day.

    Raises:
        ValueError: An objective without a limit, settings out of range, or unsound data.

    >>> probs = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
    >>> found = choose_constrained(probs, [0, 0, 1, 0, 1, 0, 1, 1], "recall@precision>=0.7")
    >>> round(found.value, 2), found.achieved, found.limited
    (0.5, 0.75, 0.75)
    >>> choose_constrained(probs, [0, 0, 1, 0, 1, 0, 1, 1], "precision>=0.7", confidence=0.95).note
    'not attainable: no threshold has precision>=0.7 at 95 % confidence; the highest there is is 0.1524'
    """
    wanted = parse_objective(objective) if isinstance(objective, str) else objective
    if wanted.metric is None:
        raise ValueError(f"the objective {wanted} has no limit; choose_threshold takes it, or add one with @")
    if confidence is not None and not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, but {confidence} was given")
    if wanted.metric == "alerts" and not (rows_per_day is not None and 0 < rows_per_day < np.inf):
        raise ValueError(
            f"{wanted.limit} is a number a day: say how many rows are scored a day, or give a share, alert_rate<=1%"
        )
    p = check_probabilities(probs, ndim=1)
    y, w = check_target(target, len(p), 2, sample_weight)
    nan, name = float("nan"), str(wanted)
    table = cuts(p, y, w)
    if table is None:
        lacking = "positive" if not w[y == 1].sum() > 0 else "negative"
        return ConstrainedThreshold(nan, name, nan, nan, nan, False, f"no {lacking} rows to choose on")
    bound = wanted.bound / rows_per_day if wanted.metric == "alerts" and rows_per_day else wanted.bound
    price = check_cost_of_two(cost) if wanted.goal == "cost" else np.zeros((2, 2))
    hits, trials, effective = _trials(wanted.metric, table, y, w)
    figure = hits / np.where(trials > 0, trials, np.nan)
    tried = np.isfinite(figure)
    assured = figure
    if confidence is not None:
        doubt, size = 1 - confidence, effective * np.ones(len(figure))
        if wanted.metric == "precision":
            tried &= _spaced(table.tp + table.fp)
            # So few alerts cannot show the precision even if all are right, and need no share of the doubt.
            enough = tried & (bound**size <= doubt)
            tried = enough if enough.any() else tried
            doubt /= tried.sum()
        assured = _clopper_pearson(np.nan_to_num(figure) * size, size, doubt, upper=wanted.at_most)
    value = goal_values(wanted.goal, table, wanted.beta, price)
    sign = -1.0 if wanted.at_most else 1.0
    kept = tried & (sign * assured >= sign * bound - 1e-12)
    if kept.any():
        best = int(np.where(kept, value, -np.inf).argmax())
        said = "" if best else "no alarm at all is raised: any would break the limit"
    else:
        reach = np.where(tried, sign * assured, -np.inf)
        best = int(reach.argmax())
        said = _not_attainable(
            wanted, confidence, assured[best] * (rows_per_day or 1 if wanted.metric == "alerts" else 1)
        )
    day = rows_per_day if wanted.metric == "alerts" and rows_per_day else 1.0
    achieved = -float(value[best]) if wanted.goal == "cost" else float(value[best])
    return ConstrainedThreshold(
        table.threshold(best),
        name,
        achieved,
        float(figure[best]) * day,
        float(assured[best]) * day,
        bool(kept.any()),
        said,
    )


def _trials(metric: str, table: Cuts, y: Array, w: Array) -> tuple[Array, Any, Any]:
    """What is counted at each cut, out of how much weight, and how many rows that is worth."""
    if metric == "precision":
        called = table.tp + table.fp
        return table.tp, called, called**2 / np.where(table.square > 0, table.square, 1)
    if metric == "recall":
        return table.tp, table.positives, _kish(w[y == 1])
    if metric in ("alerts", "alert_rate"):
        return table.tp + table.fp, table.positives + table.negatives, _kish(w)
    counted = table.fp if metric == "fpr" else table.negatives - table.fp
    return counted, table.negatives, _kish(w[y == 0])


def _kish(w: Array) -> float:
    return float(w.sum() ** 2 / (w**2).sum())


def _spaced(called: Array) -> Array:
    """Cuts at numbers of alerts that grow by a quarter: chosen without a look at the labels."""
    goals = called[-1] / STEP ** np.arange(np.ceil(np.log(max(called[-1], 2)) / np.log(STEP)) + 1)
    chosen = np.zeros(len(called), dtype=bool)
    chosen[np.searchsorted(called, np.maximum(goals, called[1]) * (1 - 1e-12))] = True
    return chosen


def _clopper_pearson(hits: Array, n: Array, doubt: float, *, upper: bool) -> Array:
    """One-sided bound of a share; real-valued counts serve as well."""
    with np.errstate(invalid="ignore"):
        if upper:
            return np.where(hits < n, betaincinv(hits + 1, np.maximum(n - hits, 1e-9), 1 - doubt), 1.0)
        return np.where(hits > 0, betaincinv(np.maximum(hits, 1e-9), n - hits + 1, doubt), 0.0)


def _not_attainable(wanted: Objective, confidence: float | None, best: float) -> str:
    sure = "" if confidence is None else f" at {100 * confidence:g} % confidence"
    end = "lowest" if wanted.at_most else "highest"
    return f"not attainable: no threshold has {wanted.limit}{sure}; the {end} there is is {best:.4g}"
