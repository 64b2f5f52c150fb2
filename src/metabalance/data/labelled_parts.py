"""Parquet with a target, split without being read as a whole: each row knows its part from its place in its class.

A class's rows are numbered as they come, and of every twenty in a row each part gets its due: so a class of thirty
rows is split as evenly as one of a million, and any row group can be read alone.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from metabalance.data.errors import DataError
from metabalance.data.parts import ParquetParts, Unit
from metabalance.data.tables import plain_frame, resolve_column
from metabalance.data.target import MAX_CLASSES, encode_target, plain_label

__all__ = ["LabelledParts", "ParquetRows", "places"]

BLOCK = 20
COPRIME = np.array([1, 3, 7, 9, 11, 13, 17, 19], dtype=np.uint64)  # to the block
FIT, VALIDATION, HELD = 0, 1, 2


class LabelledParts:
    """Counts classes and splits rows into training, validation and held-out part, in one pass over the target.

    Args:
        parts: The files.
        target: Name or position of the target column.
        positive: The positive class; by default the rarest.
        holdout: Share of all rows that is held out.
        validation: Share of the others that is for validation.
        seed: Of the split.

    Attributes:
        target: Name of the column.
        classes: Labels ``(C,)``, as :func:`~metabalance.data.target.encode_target` has them.
        positive: Index of the positive class.
        unit_counts: Rows of each class, unit and part ``(3, U, C)``: for training, validation, held out.

    Raises:
        DataError: The column cannot be a target; see :func:`~metabalance.data.target.encode_target`.
    """

    def __init__(
        self, parts: ParquetParts, target: str, *, positive: Any = None, holdout: float = 0.0,
        validation: float = 0.2, seed: int = 0,
    ) -> None:  # fmt: skip
        self.parts = parts
        self.target = resolve_column(parts.names, target)
        self.seed = seed
        # Held out are the lowest places, then comes validation; a sample of a part is an end of its range.
        self.edges = (holdout, holdout + validation * (1 - holdout))
        labels: dict[Any, int] = {}
        found = [self._count(unit, labels) for unit in parts.units]
        counts = [np.zeros((3, len(labels)), dtype=np.int64) for _ in found]
        for goal, part in zip(counts, found):
            goal[:, : part.shape[1]] += part
        if not labels:
            raise DataError(f"{parts.path} has column names but no rows; a table needs rows")
        total = np.sum(counts, axis=(0, 1))
        some = np.repeat(np.array(list(labels), dtype=object), np.minimum(total, 3))
        encoded = encode_target(pd.Series(some, name=self.target).infer_objects(), positive)
        index = np.array([encoded.classes.index(label) for label in labels])
        self.classes = encoded.classes
        self.unit_counts = np.stack(counts, axis=1)[:, :, np.argsort(index)]
        self._codes = dict(zip(labels, index.tolist()))
        self._keys = np.array([_key(label) for label in self.classes], dtype=np.uint64)
        rarest = len(self.classes) - 1 - int(np.argmin(self.counts[::-1]))
        self.positive = rarest if positive is None else encoded.positive
        of_units = self.unit_counts.sum(axis=0)
        self._seen = np.cumsum(of_units, axis=0) - of_units

    @property
    def counts(self) -> np.ndarray:
        """Rows of each class ``(C,)``."""
        return self.unit_counts.sum(axis=(0, 1))

    def scan(
        self, unit: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[pa.Table, np.ndarray, np.ndarray]]:
        """Blocks of a unit: a table, its class indices ``(n,)`` and places ``(n,)`` in ``[0, 1)``."""
        seen = self._seen[unit].copy()
        wanted = None if columns is None else [*columns, *([] if self.target in columns else [self.target])]
        for block in self.parts.read(self.parts.units[unit], wanted):
            codes, labels = self._labels(block)
            codes = np.array([self._codes[label] for label in labels], dtype=np.int64)[codes]
            yield block, codes, places(codes, seen, self._keys, self.seed)

    def part(self, place: np.ndarray) -> np.ndarray:
        """The part of each row: 0 is for training, 1 for validation, 2 is held out."""
        return np.where(place < self.edges[0], HELD, np.where(place < self.edges[1], VALIDATION, FIT))

    def gather(
        self, ranges: Sequence[tuple[float, float]], kept: Sequence[int] = (), columns: Sequence[str] | None = None
    ) -> list[tuple[pd.DataFrame, np.ndarray]]:  # fmt: skip
        """Rows in memory, in one pass: those with a place in each of the ranges ``[low, high)``, and last the training
        rows of the classes ``kept``; each as a frame and class indices."""
        found: list[list[tuple[pa.Table, np.ndarray]]] = [[] for _ in range(len(ranges) + 1)]
        member = np.zeros(len(self.classes), dtype=bool)
        member[list(kept)] = True
        for u in range(len(self.parts.units)):
            for block, codes, place in self.scan(u, columns):
                masks = [(place >= low) & (place < high) for low, high in ranges]
                masks.append(member[codes] & (place >= self.edges[1]))
                for goal, mask in zip(found, masks):
                    if mask.any():
                        goal.append((block.filter(pa.array(mask)), codes[mask]))
        empty = self.parts.schema.empty_table()
        return [
            (
                plain_frame(pa.concat_tables([t for t, _ in one]).unify_dictionaries() if one else empty),
                np.concatenate([c for _, c in one]) if one else np.array([], dtype=np.int64),
            )
            for one in found
        ]

    def _count(self, unit: Unit, labels: dict[Any, int]) -> np.ndarray:
        """Rows of a unit by part and class ``(3, classes so far)``; learns new labels."""
        seen, counts = self.__dict__.setdefault("_so_far", {}), np.zeros((3, MAX_CLASSES + 1), dtype=np.int64)
        for block in self.parts.read(unit, [self.target]):
            codes, found = self._labels(block)
            for label in found:
                labels.setdefault(label, len(labels))
            if len(labels) > MAX_CLASSES:
                raise DataError(
                    f"the target {self.target!r} has over {MAX_CLASSES} different values; name a column of classes"
                )
            codes = np.array([labels[label] for label in found], dtype=np.int64)[codes]
            keys = np.array([_key(label) for label in labels], dtype=np.uint64)
            before = np.array([seen.get(label, 0) for label in labels], dtype=np.int64)
            place = places(codes, before, keys, self.seed)
            seen.update(zip(labels, before.tolist()))
            counts += np.stack(
                [np.bincount(codes[self.part(place) == p], minlength=MAX_CLASSES + 1) for p in range(3)]
            )
        return counts[:, : len(labels)]

    def _labels(self, block: pa.Table) -> tuple[np.ndarray, list[Any]]:
        """Labels as codes ``(n,)`` and the different ones."""
        column = block.column(self.target)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        codes, found = pd.factorize(plain_frame(pa.table({"y": column}))["y"])
        labels = [plain_label(label) for label in found]
        labels = [label.strip() if isinstance(label, str) else label for label in labels]
        infinite = any(isinstance(label, float) and not np.isfinite(label) for label in labels)
        if (codes < 0).any() or infinite:
            raise DataError(
                f"the target {self.target!r} is missing or infinite in some rows of {self.parts.path}; remove these "
                "rows, or give them a label"
            )
        return codes, labels


class ParquetRows:
    """The training part of Parquet, preprocessed while it is read: :class:`~metabalance.data.streamed.Rows`.

    Args:
        labelled: The split files.
        features: Columns.
        preprocessor: Fitted on a sample of the training rows.
        kept: Preprocessed rows ``(n, D)`` of the classes that stay in memory.
    """

    def __init__(
        self, labelled: LabelledParts, features: Sequence[str], preprocessor: Any, kept: dict[int, Tensor]
    ) -> None:
        self.labelled = labelled
        self.features = list(features)
        self.preprocessor = preprocessor
        self.kept = kept
        self.unit_counts = labelled.unit_counts[FIT]
        self.num_features = len(preprocessor.feature_names_out_)

    def read(self, unit: int) -> tuple[Tensor, Tensor]:
        total, start = int(self.unit_counts[unit].sum()), 0
        inputs = torch.empty(total, self.num_features)
        target = torch.empty(total, dtype=torch.long)
        for block, codes, place in self.labelled.scan(unit, self.features):
            mask = self.labelled.part(place) == FIT
            if not mask.any():
                continue
            frame = plain_frame(block.select(self.features).filter(pa.array(mask)))
            stop = start + len(frame)
            inputs[start:stop] = torch.from_numpy(self.preprocessor.transform(frame))
            target[start:stop] = torch.from_numpy(codes[mask])
            start = stop
        return inputs, target


def places(codes: np.ndarray, seen: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """A number in ``[0, 1)`` for each row, evenly spread within every class, from its number in the class alone.

    Args:
        codes: Class indices ``(N,)``.
        seen: Rows of each class before these ``(C,)``; counted on in place.
        keys: A fixed number for each class ``(C,)``, uint64.
        seed: Another one, another order.

    >>> u = places(np.zeros(40, int), np.zeros(1, int), np.array([7], np.uint64), seed=0)
    >>> [int((u < share).sum()) for share in (0.2, 0.5)]
    [8, 20]
    """
    counts = np.bincount(codes, minlength=len(seen))
    order = np.argsort(codes, kind="stable")
    rank = np.empty(len(codes), dtype=np.int64)
    rank[order] = np.arange(len(codes)) - (np.cumsum(counts) - counts)[codes[order]]
    number = (rank + seen[codes]).astype(np.uint64)
    seen += counts
    block, j = number // BLOCK, number % BLOCK
    with np.errstate(over="ignore"):
        mixed = _mixed(_mixed(keys[codes] ^ np.uint64(seed)) + block)
        slot = (COPRIME[mixed % np.uint64(8)] * j + (mixed >> np.uint64(8)) % np.uint64(BLOCK)) % np.uint64(
            BLOCK
        )
        jitter = (_mixed(mixed + j + np.uint64(1)) >> np.uint64(11)) / 2**53
    return (slot + jitter) / BLOCK


def _mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014)."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _key(label: Any) -> int:
    return zlib.crc32(repr(label).encode())
