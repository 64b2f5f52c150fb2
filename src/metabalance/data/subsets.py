"""Stored subsets: which rows an experiment used, with hashes that refuse any other data.

A seed is no record of a subset: it means other rows once the data, a library or the order of files changes.
The rows themselves are stored, in JSON, with how they were chosen.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.atomic import replacing
from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json

__all__ = ["load_subset", "save_subset"]

FORMAT, VERSION = "metabalance-subset", 1


def save_subset(
    path: Any, index: Any, target: Any, *, rows: Any = None, made: Mapping[str, Any] | str = ""
) -> None:
    """Writes the rows of a subset as JSON, whole or not at all.

    Args:
        path: The file.
        index: Row numbers ``(M,)``, none twice.
        target: Labels of *all* rows ``(N,)``, numbers or text.
        rows: Hashes of all rows ``(N,)``, by :func:`~metabalance.data.checks.row_hashes` or
            :func:`~metabalance.data.pixels.image_hashes`. Without, only a change of labels is noticed.
        made: How the subset came about, for people.

    Raises:
        ValueError: Row numbers that do not exist, or twice.
        DataError: The file cannot be written.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "tail.json"
    >>> save_subset(file, [0, 1, 3], ["a", "a", "a", "b"], made="long_tail(ratio=2)")
    >>> load_subset(file, ["a", "a", "a", "b"])
    array([0, 1, 3])
    >>> load_subset(file, ["a", "a", "b", "b"])
    Traceback (most recent call last):
        ...
    metabalance.data.errors.DataError: tail.json was made from other labels; read the data it was made from
    """
    path, index, target = Path(path), np.asarray(index), np.asarray(target).reshape(-1)
    if index.ndim != 1 or not len(index) or index.dtype.kind not in "iu":
        raise ValueError("index must be row numbers (M,), at least one")
    if index.min() < 0 or index.max() >= len(target) or len(np.unique(index)) < len(index):
        raise ValueError(
            f"index must name rows from 0 to {len(target) - 1}, each once; it has {len(index)} entries from "
            f"{index.min()} to {index.max()}"
        )
    labels, counts = np.unique(target[index].astype(str), return_counts=True)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "made": dict(made) if isinstance(made, Mapping) else made,
        "rows_of_data": len(target),
        "rows": len(index),
        "counts": {str(label): int(n) for label, n in zip(labels, counts)},
        "index_sha256": _digest(index),
        "labels_sha256": _digest(target),
        "content_sha256": None if rows is None else _digest(np.asarray(rows)),
        "index": index.tolist(),
    }
    try:
        with replacing(path) as place:
            place.write_text(json.dumps(document))
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another place") from error


def load_subset(path: Any, target: Any, *, rows: Any = None) -> np.ndarray:
    """The row numbers ``(M,)`` that :func:`save_subset` wrote.

    Args:
        path: The file.
        target: Labels of all rows ``(N,)``.
        rows: Hashes of all rows ``(N,)``; checked if they were stored.

    Raises:
        DataError: The file is missing, damaged or no subset, or the data are not those it was made from.
    """
    path, target = Path(path), np.asarray(target).reshape(-1)
    try:
        document = parse_json(path.read_bytes())
        if document["format"] != FORMAT:
            raise ValueError("another format")
        index = np.array(document["index"], dtype=np.int64)
        newer, damaged = document["version"] > VERSION, _digest(index) != document["index_sha256"]
        size, labels, content = (document[k] for k in ("rows_of_data", "labels_sha256", "content_sha256"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path} is no stored subset; make it again with save_subset") from error
    if newer:
        raise DataError(f"{path} was written by a newer metabalance; upgrade")
    if damaged:
        raise DataError(f"{path} was changed after it was written; make it again with save_subset")
    if size != len(target):
        raise DataError(
            f"{path.name} was made from {size:,} rows, but there are {len(target):,}; read the same data"
        )
    if labels != _digest(target):
        raise DataError(f"{path.name} was made from other labels; read the data it was made from")
    if content is not None and rows is not None and content != _digest(np.asarray(rows)):
        raise DataError(f"{path.name} was made from rows with other values; read the data it was made from")
    return index


def _digest(values: np.ndarray) -> str:
    """SHA-256 over the values as text: the same in 32 and in 64 bits."""
    return hashlib.sha256("\0".join(map(str, values.tolist())).encode("utf-8", "surrogatepass")).hexdigest()
