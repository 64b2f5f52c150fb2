"""What ``predict`` adds to rows: probabilities and a decision of a model of classes, values and intervals of another."""

from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.study.given import parse_prior

__all__ = ["ClassScores", "ValueScores", "scores_of"]


class ClassScores:
    """Columns ``probability_<class>``, and ``decision`` as the last.

    Args:
        trained: A :class:`~metabalance.study.ship.TrainedModel`.
        prior: Class shares of these rows as ``--prior`` has them, or None for the model's.
        prefix: Put before the names.
    """

    def __init__(self, trained: Any, prior: str | None, prefix: str) -> None:
        self.trained = trained
        self.prior = parse_prior(prior, trained.classes, trained.positive)
        self.names = [f"{prefix}probability_{c}" for c in trained.classes] + [f"{prefix}decision"]

    @property
    def settings(self) -> dict[str, Any]:
        """What the columns hang on besides model, data and names; JSON values."""
        return {"prior": None if self.prior is None else [float(share) for share in self.prior]}

    def columns(self, rows: Any) -> list[np.ndarray]:
        """An array ``(N,)`` for each name."""
        probabilities = self.trained.predict_proba(rows, self.prior)
        return [
            *(np.ascontiguousarray(column) for column in probabilities.T),
            self.trained.decide(probabilities),
        ]

    def count(self, last: Any) -> int:
        """Rows of the last column that are decided to be of the positive class."""
        return int(np.sum(np.asarray(last).astype(str) == str(self.trained.classes[self.trained.positive])))

    def told(self, counted: int, rows: int) -> str:
        """What is to be said of them all."""
        positive = self.trained.classes[self.trained.positive]
        return f"; {counted / rows:.2%} decided {positive!r}" if rows else ""


class ValueScores:
    """Columns ``prediction``, and ``low`` and ``high`` of a model with intervals; of several targets with their names.

    Args:
        trained: A :class:`~metabalance.study.values.ship.TrainedRegressor`.
        level: Of the intervals, or None for 0.9.
        by: What they promise, prediction or target; or None for the former.
        prefix: Put before the names.
    """

    def __init__(self, trained: Any, level: float | None, by: str | None, prefix: str) -> None:
        self.trained = trained
        promise = trained.promise(level, by)
        self.by: str | None = None
        self.level: float | None = None
        if promise is not None:
            self.by, self.level = promise
        kinds = ["prediction"] if promise is None else ["prediction", "low", "high"]
        several = len(trained.names) > 1
        self.names = [
            f"{prefix}{kind}_{name}" if several else f"{prefix}{kind}"
            for name in trained.names
            for kind in kinds
        ]

    @property
    def settings(self) -> dict[str, Any]:
        """What the columns hang on besides model, data and names; JSON values."""
        return {"interval": self.level, "interval_by": self.by}

    def columns(self, rows: Any) -> list[np.ndarray]:
        """An array ``(N,)`` for each name."""
        prediction, ends = self.trained.outputs(rows, self.level, self.by)
        parts = (
            prediction[..., None] if ends is None else np.concatenate([prediction[..., None], ends], axis=2)
        )
        return [np.ascontiguousarray(column) for column in parts.reshape(len(prediction), -1).T]

    def count(self, last: Any) -> int:
        """Nothing is counted."""
        return 0

    def told(self, counted: int, rows: int) -> str:
        """What is to be said of them all."""
        if self.level is None:
            return ""
        whose = "such rows" if self.by == "prediction" else "the rows of each region of the true value"
        return f"; from low to high is meant to hold {self.level:.4g} of {whose}"


def scores_of(
    trained: Any, *, prior: str | None, interval: float | None, interval_by: str | None, prefix: str
) -> ClassScores | ValueScores:
    """The columns that a model gives, with options that are for the other kind refused.

    Raises:
        DataError: An option is for the other kind of model, or cannot be read.
    """
    if getattr(trained, "kind", "classes") == "values":
        if prior is not None:
            raise DataError("--prior is for models of classes, but this is a model of values; leave it out")
        return ValueScores(trained, interval, interval_by, prefix)
    for option, given in (("--interval", interval), ("--interval-by", interval_by)):
        if given is not None:
            raise DataError(f"{option} is for models of values, but this is a model of classes; leave it out")
    return ClassScores(trained, prior, prefix)
