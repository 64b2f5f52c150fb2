"""A decision: from probabilities to labels, by a threshold, by class multipliers, or by least expected cost.

Least expected cost: Elkan, IJCAI 2001.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_probabilities

__all__ = ["Decision"]

Array = NDArray[Any]


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
