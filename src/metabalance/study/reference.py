"""What a model remembers of the rows it was judged on, so that new ones can be compared: summaries, no table.

Of every column counts in bins, and of every row, up to a number for each class, its probabilities and its class.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metabalance.data.encoders import as_dates, as_numbers, as_texts
from metabalance.data.limits import parse_json
from metabalance.data.preprocess import TablePreprocessor

__all__ = ["Reference", "make_reference", "summarise_column", "summarise_rows"]

FILE = "reference.json"
NUMBERS = 100_000  # probabilities that are kept
FEWEST = 50  # rows of a class that are kept in any case
BINS = 20
LEVELS = 100


@dataclass(frozen=True, eq=False)
class Reference:
    """The rows that a model promises for.

    Args:
        part: ``"held-out"``, ``"validation"`` (used for choices, hence optimistic) or ``"reference"`` (given later).
        probabilities: Calibrated, at the model's prior, ``(M, C)``, float32.
        target: Class indices ``(M,)``, or None where they are not known.
        counts: Rows of each class ``(C,)`` before they were thinned out; without classes, all rows.
        columns: A summary of each column.
        thinning: Effective rows for each row of the summaries: 1, or less where the rows were weighted.
    """

    part: str
    probabilities: np.ndarray
    target: np.ndarray | None
    counts: np.ndarray
    columns: tuple[dict[str, Any], ...]
    thinning: float = 1.0

    def weight(self, prior: np.ndarray) -> np.ndarray:
        """Weights ``(M,)``, of mean one, with which the kept rows stand for class shares ``prior (C,)``."""
        if self.target is None:
            return np.ones(len(self.probabilities))
        kept = np.bincount(self.target, minlength=len(prior))
        weight = (prior / np.maximum(kept, 1))[self.target]
        return weight / weight.mean()

    def stands_for(self) -> np.ndarray:
        """How many of the rows each kept one stands for ``(M,)``."""
        if self.target is None:
            return np.full(len(self.probabilities), self.counts.sum() / max(len(self.probabilities), 1))
        kept = np.bincount(self.target, minlength=len(self.counts))
        return (self.counts / np.maximum(kept, 1))[self.target]

    def dump(self) -> tuple[dict[str, np.ndarray], dict[str, bytes]]:
        """Tensors and files for a model folder."""
        tensors = {"reference.probabilities": self.probabilities.astype(np.float32)}
        if self.target is not None:
            tensors["reference.target"] = self.target.astype(np.int32)
        told = {
            "part": self.part, "counts": self.counts.tolist(), "thinning": self.thinning, "columns": list(self.columns),
        }  # fmt: skip
        return tensors, {FILE: json.dumps(told, separators=(",", ":")).encode()}

    @classmethod
    def read(cls, tensors: Mapping[str, np.ndarray], files: Mapping[str, bytes]) -> "Reference | None":
        """The inverse of :meth:`dump`; None for the folder of an earlier release."""
        if FILE not in files:
            return None
        told = parse_json(files[FILE])
        target = tensors.get("reference.target")
        return cls(
            told["part"],
            tensors["reference.probabilities"],
            None if target is None else target.astype(np.int64),
            np.asarray(told["counts"], dtype=np.int64),
            tuple(told["columns"]),
            told["thinning"],
        )


def make_reference(
    model: Any, rows: Any, target: np.ndarray | None, part: str, probabilities: np.ndarray | None = None
) -> Reference:
    """Summaries of rows under a model.

    Args:
        model: A :class:`~metabalance.study.ship.TrainedModel`.
        rows: As its preprocessor takes them.
        target: Class indices ``(N,)``, or None.
        part: Which rows they are.
        probabilities: The model's for these rows ``(N, C)``, if they are known already.
    """
    p = model.predict_proba(rows) if probabilities is None else probabilities
    size = len(model.classes)
    if target is None:
        weight, counts, kept = np.ones(len(p)), np.array([len(p)]), np.arange(len(p))
        kept = kept[thinned(np.zeros(len(p), dtype=int), NUMBERS // size)]
    else:
        counts = np.bincount(target, minlength=size)
        # In the mix of classes that the probabilities were made for.
        goal = np.asarray(model.prior) if model.record.get("prior_given") else counts / counts.sum()
        weight = (goal / np.maximum(counts, 1) * counts.sum())[target]
        kept = thinned(target, max(NUMBERS // size**2, FEWEST))
    thinning = float(weight.sum() / (weight**2).sum()) if len(weight) else 1.0
    columns = tuple(summarise_rows(model.preprocessor, rows, weight))
    return Reference(
        part, p[kept].astype(np.float32), None if target is None else target[kept], counts, columns, thinning
    )


def thinned(target: np.ndarray, most: int) -> np.ndarray:
    """Indices of all rows, but at random no more than ``most`` of each class."""
    rng = np.random.default_rng(0)
    parts = [np.flatnonzero(target == c) for c in np.unique(target)]
    return np.sort(
        np.concatenate([p if len(p) <= most else rng.choice(p, most, replace=False) for p in parts])
    )


def summarise_rows(preprocessor: Any, rows: Any, weight: np.ndarray) -> list[dict[str, Any]]:
    """A summary of each column; of images, of their brightness and contrast."""
    if not isinstance(preprocessor, TablePreprocessor):
        return [summarise_column(name, "number", v, weight) for name, v in image_columns(rows).items()]
    return [
        summarise_column(name, encoder.kind, column_values(encoder, rows[name], name), weight)
        for name, encoder in preprocessor.encoders_.items()
        if encoder.kind != "empty" and name in rows
    ]


def image_columns(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and deviation of the pixels of each image, from 0 to 1."""
    flat = pixels.reshape(len(pixels), -1)
    return {"brightness": flat.mean(1) / 255, "contrast": flat.std(1) / 255}


def column_values(encoder: Any, series: Any, name: str) -> np.ndarray:
    """What is counted of a column: numbers, seconds, lengths of texts, or the levels themselves (None is missing).

    Raises:
        DataError: The values are of another type than in training.
    """
    if encoder.kind == "number":
        return as_numbers(series, name)
    if encoder.kind == "date":
        import pandas as pd

        dates = as_dates(series, encoder.form, name)
        return ((dates - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy(dtype=float, na_value=np.nan)
    if encoder.kind == "boolean":
        encoder.encode(series, name)  # refuses what is neither true nor false
        return np.array(["false", "true", None], dtype=object)[
            np.nan_to_num(as_numbers(series, name), nan=2).astype(int)
        ]
    codes, texts = as_texts(series)
    if encoder.kind == "text":
        return np.array([float(len(text)) for text in texts] + [np.nan])[codes]
    return np.array([*texts, None], dtype=object)[codes]


def summarise_column(
    name: str, kind: str, values: np.ndarray, weight: np.ndarray, like: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Counts of values ``(N,)``, in bins of their own, or in those of another summary.

    Args:
        name: Of the column.
        kind: number, text, date, boolean or category.
        values: See :func:`column_values`.
        weight: Of the rows ``(N,)``.
        like: A summary whose bins or levels are to be used.

    >>> summarise_column("x", "number", np.array([1.0, 2.0, np.nan, 2.0]), np.ones(4))
    {'name': 'x', 'kind': 'number', 'missing': 1.0, 'edges': [1.0, 2.0], 'counts': [0.0, 1.0, 2.0]}
    """
    told: dict[str, Any] = {"name": name, "kind": kind}
    if kind in ("category", "boolean"):
        import pandas as pd

        codes, found = pd.factorize(values)
        told["missing"] = float(weight[codes < 0].sum())
        counts = np.bincount(codes[codes >= 0], weight[codes >= 0], len(found))
        order = np.argsort(-counts, kind="stable")
        levels = [str(found[i]) for i in order[:LEVELS]] if like is None else list(like["levels"])
        place = {str(level): counts[i] for i, level in enumerate(found)}
        told["levels"] = levels
        told["counts"] = [float(place.get(level, 0.0)) for level in levels]
        told["others"] = float(sum(place.values()) - sum(told["counts"]))
        if like is not None:
            new = [level for level in (str(found[i]) for i in order) if level not in levels]
            told["new"] = {level: int(place[level]) for level in new[:10]}
        return told
    there = ~np.isnan(values)
    told["missing"] = float(weight[~there].sum())
    if kind == "date":
        span = (values[there].min(), values[there].max()) if there.any() else (np.nan, np.nan)
        told |= {"low": _number(span[0]), "high": _number(span[1]), "rows": float(weight.sum())}
        return told
    if like is not None:
        edges = np.asarray(like["edges"])
    else:
        finite = values[np.isfinite(values)]
        ends = np.quantile(finite, np.arange(1, BINS) / BINS, method="inverted_cdf") if len(finite) else []
        edges = np.unique(ends)
    bins = np.searchsorted(edges, values[there], side="right")
    told["edges"] = [float(e) for e in edges]
    told["counts"] = np.bincount(bins, weight[there], len(edges) + 1).tolist()
    return told


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
