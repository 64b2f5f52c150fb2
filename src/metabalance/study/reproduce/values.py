"""The set-up of a claim about a continuous target: which table, how it is divided, and how every arm is trained."""

from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["ValueData", "ValueSetup", "ValueTraining"]


@dataclass(frozen=True)
class ValueData:
    """A table of :data:`~metabalance.study.reproduce.value_sets.TABLES`.

    Args:
        table: Its name.
        rows: At most so many training rows, drawn by the seed; None for all.
    """

    table: str = "abalone"
    rows: int | None = None


@dataclass(frozen=True)
class ValueTraining:
    """How every arm is trained; the names are those of :class:`~metabalance.regressor.MetaBalanceRegressor`."""

    hidden: tuple[int, ...] = (64, 32)
    epochs: int = 30
    batch_size: int = 128
    optimizer: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 1e-4
    schedule: str | None = "cosine"


@dataclass(frozen=True)
class ValueSetup:
    """Data and training."""

    data: ValueData
    training: ValueTraining = field(default_factory=ValueTraining)

    def but(self, **changes: Any) -> "ValueSetup":
        """The same with other fields of ``data`` or ``training``, each under its own name.

        >>> ValueSetup(ValueData("abalone")).but(epochs=3, rows=100).training.epochs
        3
        """
        names = set(ValueData.__dataclass_fields__)
        of_data = {k: v for k, v in changes.items() if k in names}
        rest = {k: v for k, v in changes.items() if k not in names}
        return ValueSetup(replace(self.data, **of_data), replace(self.training, **rest))
