"""What a threshold is chosen for, as text: ``f1``, ``f2``, ``cost``, ``recall@precision>=0.9``, ``alerts<=100``.

A goal under a constraint is the Neyman-Pearson form of a decision (Neyman & Pearson, 1933): as many of the positives
as an allowed share of false alarms lets one find.
"""

import math
import re
from dataclasses import dataclass

__all__ = ["Objective", "parse_objective"]

FREE = ("f1", "f_beta", "f1_macro", "balanced_accuracy", "g_mean", "cost")
GOALS = ("recall", "precision", "specificity", "f1", "f_beta", "balanced_accuracy", "g_mean", "cost")
LIMITS = {
    "precision": ">=",
    "recall": ">=",
    "specificity": ">=",
    "fpr": "<=",
    "alerts": "<=",
    "alert_rate": "<=",
}
HELP = (
    "write f1, f2, balanced_accuracy, g_mean, cost, recall@precision>=0.9, precision@recall>=0.8, recall>=0.95, "
    "fpr<=0.001, alerts<=100 or alert_rate<=1%"
)


@dataclass(frozen=True)
class Objective:
    """A goal, and what must hold while it is pursued.

    Args:
        goal: What is maximised (a cost: minimised): ``f1``, ``f_beta``, ``f1_macro``, ``balanced_accuracy``,
            ``g_mean``, ``cost``, ``recall``, ``precision`` or ``specificity``.
        beta: Of ``f_beta``.
        metric: What is limited: ``precision``, ``recall``, ``specificity``, ``fpr``, ``alerts`` (a count per day),
            ``alert_rate`` (a share of rows); or None.
        bound: The limit.

    >>> str(Objective("recall", metric="precision", bound=0.9))
    'recall@precision>=0.9'
    """

    goal: str
    beta: float = 1.0
    metric: str | None = None
    bound: float = float("nan")

    @property
    def at_most(self) -> bool:
        """Whether the limit is an upper one."""
        return self.metric is not None and LIMITS[self.metric] == "<="

    @property
    def limit(self) -> str:
        """The constraint alone, as text."""
        return "" if self.metric is None else f"{self.metric}{LIMITS[self.metric]}{self.bound:g}"

    def __str__(self) -> str:
        goal = f"f{self.beta:g}" if self.goal == "f_beta" else self.goal
        if self.metric is None:
            return goal
        usual = goal == _usual_goal(self.metric) and self.metric != "precision"
        return self.limit if usual else f"{goal}@{self.limit}"


def parse_objective(text: str) -> Objective:
    """Reads ``[GOAL@]METRIC>=BOUND``, ``METRIC<=BOUND`` or the name of a metric.

    Without a goal, a limit on precision, on false alarms or on alerts asks for the most recall; ``recall>=`` asks for
    the fewest false alarms.

    Raises:
        ValueError: Text of another form, a limit in the wrong direction, or a bound out of range.

    >>> parse_objective("fpr<=0.1%")
    Objective(goal='recall', beta=1.0, metric='fpr', bound=0.001)
    >>> parse_objective("f2")
    Objective(goal='f_beta', beta=2.0, metric=None, bound=nan)
    """
    match = re.fullmatch(
        r"(?:([^@<>=]+)@)?([a-z_0-9.]+)(?:(<=|>=|[<>=])(.+))?", re.sub(r"\s", "", text.lower())
    )
    if match is None:
        raise ValueError(f"the objective {text!r} cannot be read; {HELP}")
    goal, name, sign, bound = match.groups()
    if sign is None:
        if goal is not None:
            raise ValueError(f"the objective {text!r} has a goal but no limit after the @; {HELP}")
        return _goal(name, text, FREE)
    if name not in LIMITS:
        raise ValueError(f"the objective {text!r} limits {name!r}; {', '.join(LIMITS)} can be limited")
    if sign != LIMITS[name]:
        raise ValueError(f"{name} is limited by {LIMITS[name]}, but {text!r} was given")
    value = _number(bound)
    if name == "alerts" and bound.endswith("%"):
        name = "alert_rate"
    whole = name == "alerts"
    if not (0 <= value < math.inf if whole else 0 <= value <= 1):
        allowed = "a number of alerts a day, at least 0" if whole else "between 0 and 1, or 0 % and 100 %"
        raise ValueError(f"the bound of {text!r} must be {allowed}")
    found = _goal(goal or _usual_goal(name), text, GOALS)
    return Objective(found.goal, found.beta, name, value)


def _usual_goal(metric: str) -> str:
    return "specificity" if metric == "recall" else "recall"


def _goal(name: str, text: str, allowed: tuple[str, ...]) -> Objective:
    if name in allowed and name != "f_beta":
        return Objective(name)
    beta = _number(name[1:]) if re.fullmatch(r"f[0-9.]+", name) else math.nan
    if not 0 < beta < math.inf:
        raise ValueError(f"the objective {text!r} is unknown; {HELP}")
    return Objective("f_beta", beta)


def _number(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        return math.nan
    return value / 100 if text.endswith("%") else value
