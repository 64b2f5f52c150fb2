"""Plain training on the rows as they come: what every remedy for rare values is measured against."""

from metabalance.recipes.base import Plan
from metabalance.recipes.regression.base import ErrorLoss, ValueTask, value_plan

__all__ = ["erm", "huber", "l1"]


def erm(task: ValueTask) -> Plan:
    """Empirical risk minimisation: the squared error, the untouched baseline."""
    return value_plan(task)


def l1(task: ValueTask) -> Plan:
    """The absolute error, whose optimum is the median."""
    return value_plan(task, ErrorLoss("l1"))


def huber(task: ValueTask, delta: float | None = None) -> Plan:
    """Squared up to an error of delta, absolute beyond (Huber 1964).

    Args:
        task: The training part.
        delta: In the unit of the target; by default one standard deviation.
    """
    return value_plan(task, ErrorLoss("huber", 1.0 if delta is None else task.standard(delta)))
