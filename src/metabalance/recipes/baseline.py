"""What every remedy is measured against."""

from metabalance.recipes.base import Plan, single_phase
from metabalance.streams import Task

__all__ = ["erm"]


def erm(task: Task) -> Plan:
    """Empirical risk minimisation: cross-entropy on the rows as they come, the untouched baseline."""
    return single_phase(task, "natural")
