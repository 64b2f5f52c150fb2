"""What a model of values remembers of the rows it was judged on: summaries and pairs of numbers, no table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metabalance.data.limits import parse_json
from metabalance.judge.regions import GROUPS, Regions
from metabalance.study.reference import FILE, summarise_rows, thinned

__all__ = ["ValueReference", "make_value_reference", "rarest_region"]

NUMBERS = 60_000  # predictions that are kept of each region and target together


@dataclass(frozen=True, eq=False)
class ValueReference:
    """The rows that a model promises for.

    Args:
        part: ``"held-out"``, ``"validation"`` (used for choices, hence optimistic) or ``"reference"`` (given later).
        prediction: ``(M, T)``, in the user's unit.
        target: ``(M, T)``, or None where it is not known.
        region: The rarest region of each row ``(M,)``, see :func:`rarest_region`; without a target, of the prediction.
        counts: Rows of each region ``(3,)`` before they were thinned out.
        columns: A summary of each column.
        inside: Whether each target lies inside its interval ``(M, T)``; None without intervals or without a target.
        thinning: Effective rows for each row of the summaries.
    """

    part: str
    prediction: np.ndarray
    target: np.ndarray | None
    region: np.ndarray
    counts: np.ndarray
    columns: tuple[dict[str, Any], ...]
    inside: np.ndarray | None = None
    thinning: float = 1.0

    def stands_for(self, counts: np.ndarray | None = None) -> np.ndarray:
        """How many rows each kept one stands for ``(M,)``, of as many rows a region ``(3,)``; by default its own."""
        goal = self.counts if counts is None else np.asarray(counts)
        kept = np.bincount(self.region, minlength=len(GROUPS))
        return (goal / np.maximum(kept, 1))[self.region]

    def dump(self) -> tuple[dict[str, np.ndarray], dict[str, bytes]]:
        """Tensors and files for a model folder."""
        tensors: dict[str, np.ndarray] = {
            "reference.prediction": self.prediction.astype(np.float64),
            "reference.region": self.region.astype(np.int32),
        }
        if self.target is not None:
            tensors["reference.target"] = self.target.astype(np.float64)
        if self.inside is not None:
            tensors["reference.inside"] = self.inside.astype(np.uint8)
        told = {
            "part": self.part, "counts": self.counts.tolist(), "thinning": self.thinning, "columns": list(self.columns),
        }  # fmt: skip
        return tensors, {FILE: json.dumps(told, separators=(",", ":")).encode()}

    @classmethod
    def read(cls, tensors: Mapping[str, np.ndarray], files: Mapping[str, bytes]) -> "ValueReference | None":
        """The inverse of :meth:`dump`; None for a folder without one."""
        if FILE not in files:
            return None
        told = parse_json(files[FILE])
        inside = tensors.get("reference.inside")
        return cls(
            told["part"],
            tensors["reference.prediction"],
            tensors.get("reference.target"),
            tensors["reference.region"].astype(np.int64),
            np.asarray(told["counts"], dtype=np.int64),
            tuple(told["columns"]),
            None if inside is None else inside.astype(bool),
            told["thinning"],
        )


def make_value_reference(model: Any, rows: Any, target: np.ndarray | None, part: str) -> ValueReference:
    """Summaries of rows under a model.

    Args:
        model: A :class:`~metabalance.study.values.ship.TrainedRegressor`.
        rows: As its preprocessor takes them.
        target: ``(N, T)``, or None.
        part: Which rows they are.
    """
    predicted, limits = model.outputs(rows)
    inside = None
    if target is not None and limits is not None:
        inside = (target >= limits[:, :, 0]) & (target <= limits[:, :, 1])
    region = rarest_region(predicted if target is None else target, model.regions)
    kept = thinned(region, NUMBERS // (len(GROUPS) * predicted.shape[1]))
    return ValueReference(
        part, predicted[kept], None if target is None else np.asarray(target, dtype=np.float64)[kept], region[kept],
        np.bincount(region, minlength=len(GROUPS)),
        tuple(summarise_rows(model.preprocessor, rows, np.ones(len(predicted)))),
        None if inside is None else inside[kept],
    )  # fmt: skip


def rarest_region(values: np.ndarray, regions: Sequence[Regions]) -> np.ndarray:
    """The rarest region of each row among its targets ``(N,)``: 0 many, 1 medium, 2 few.

    >>> from metabalance.judge.regions import make_regions
    >>> regions = make_regions([1.0] * 150 + [2.0] * 50 + [3.0] * 5, bin_width=1.0)
    >>> rarest_region(np.array([[1.0], [3.0]]), [regions]).tolist()
    [0, 2]
    """
    codes = np.zeros(len(values), dtype=np.int64)
    for column, one in zip(values.T, regions):
        of = one.of(column)
        for code, group in enumerate(GROUPS):
            codes[of == group] = np.maximum(codes[of == group], code)
    return codes
