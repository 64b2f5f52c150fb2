"""How predictions of a continuous target are read off a network's columns: as they are, as quantiles, or as a Gaussian.

All in standardised units; whoever calls undoes the standardisation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np

__all__ = ["Readout"]

KINDS = ("value", "quantiles", "gaussian")


@dataclass(frozen=True)
class Readout:
    """The meaning of a network's columns.

    Args:
        kind: ``"value"``: a column for each target; ``"quantiles"``: for each target a column for each level;
            ``"gaussian"``: for each target its mean and the logarithm of its variance.
        targets: T.
        levels: Increasing, between 0 and 1. Quantiles need them, 0.5 among them; of a Gaussian the first and the last
            are the limits.

    Raises:
        ValueError: An unknown kind, or levels that do not fit it.

    >>> read = Readout("quantiles", 1, (0.1, 0.5, 0.9))
    >>> raw = np.array([[3.0, 1.0, 2.0]])  # crossed quantiles are put in order
    >>> read.columns, read.point(raw).tolist(), read.limits(raw).tolist()
    (3, [[2.0]], [[[1.0, 3.0]]])
    """

    kind: str = "value"
    targets: int = 1
    levels: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        q = self.levels
        if self.kind not in KINDS or self.targets < 1:
            raise ValueError(
                f"a readout is one of {', '.join(KINDS)} of at least one target, but {self.kind!r} of {self.targets} was given"
            )
        if any(not 0 < level < 1 for level in q) or any(a >= b for a, b in pairwise(q)):
            raise ValueError(f"levels must lie between 0 and 1 and increase, but {q} were given")
        if self.kind == "quantiles" and 0.5 not in q:
            raise ValueError(f"quantiles need the level 0.5, which is the prediction, but have {q}")

    @property
    def columns(self) -> int:
        """Of the network's output."""
        return self.targets * {"value": 1, "quantiles": len(self.levels), "gaussian": 2}[self.kind]

    def point(self, raw: Any) -> Any:
        """Predictions ``(N, T)`` of outputs ``(N, columns)``, an array or a tensor: values, medians or means."""
        parts = self._parts(raw)
        if self.kind == "quantiles":
            return parts[..., self.levels.index(0.5)]
        return parts[..., 0]

    def limits(self, raw: Any) -> Any:
        """Lower and upper limits ``(N, T, 2)`` at the first and the last level; None where the columns say none."""
        if self.kind == "value" or len(self.levels) < 2:
            return None
        parts = self._parts(raw)
        if self.kind == "quantiles":
            return parts[..., [0, -1]]
        low, high = (NormalDist().inv_cdf(level) for level in (self.levels[0], self.levels[-1]))
        spread = np.exp(parts[..., 1] / 2) if isinstance(raw, np.ndarray) else (parts[..., 1] / 2).exp()
        ends = parts[..., 0] + low * spread, parts[..., 0] + high * spread
        if isinstance(raw, np.ndarray):
            return np.stack(ends, -1)
        return spread.new_tensor([low, high]) * spread[..., None] + parts[..., :1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {"kind": self.kind, "targets": self.targets, "levels": list(self.levels)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Readout":
        """The readout of :meth:`to_dict`.

        Raises:
            ValueError: Fields that make none.
        """
        try:
            levels: Sequence[Any] = record["levels"]
            return cls(str(record["kind"]), int(record["targets"]), tuple(float(level) for level in levels))
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no readout: {dict(record)!r}") from error

    def _parts(self, raw: Any) -> Any:
        """Outputs ``(N, T, columns of a target)``; quantiles in order."""
        if raw.ndim != 2 or raw.shape[1] != self.columns:
            raise ValueError(
                f"the outputs must be (N, {self.columns}) for a readout of {self.kind}, but have shape {tuple(raw.shape)}"
            )
        parts = raw.reshape(
            raw.shape[0], self.targets, -1
        )  # not len: a traced graph takes any number of rows
        if self.kind != "quantiles":
            return parts
        return np.sort(parts, axis=-1) if isinstance(raw, np.ndarray) else parts.sort(-1).values
