"""What the workers of a comparison do: prepare a fold once, fit one candidate on it.

Preprocessing is done once per fold, not per recipe. On one machine the arrays of a fold lie in files that all workers
map into memory; on a cluster they lie in Ray's object store (``study.engines``).
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.study.candidates import Candidate
from metabalance.study.kinds import FitSettings
from metabalance.study.sources import load_rows, open_rows
from metabalance.study.store import cannot_write, save_fit

__all__ = ["FoldData", "fit_arrays", "fit_fold", "prepare_arrays", "prepare_fold"]

PARTS = ("fit", "validation", "test")
UNSTORED = "unstored"

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class FoldData:
    """Where the arrays of one split lie.

    Args:
        folder: A scratch folder of this run.
        seed: The split's seed.
        fold: The split's number.
    """

    folder: Path
    seed: int
    fold: int

    def path(self, name: str) -> Path:
        return self.folder / f"seed{self.seed}-fold{self.fold}-{name}.npy"

    def load(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """``(X (N, ...), y (N,))`` of a part, X mapped from the file."""
        return np.load(self.path(f"{part}-x"), mmap_mode="r"), np.load(self.path(f"{part}-y"))

    def remove(self) -> None:
        for part in PARTS:
            for name in (f"{part}-x", f"{part}-y"):
                self.path(name).unlink(missing_ok=True)


def prepare_fold(data: FoldData, source: Path, parts: dict[str, np.ndarray]) -> int:
    """Prepares a split and writes the arrays of all three parts.

    Args:
        data: Where to write.
        source: What :meth:`~metabalance.study.sources.Source.write` wrote.
        parts: Row numbers of ``fit``, ``validation`` and ``test``.

    Returns:
        The number of features after preprocessing, or of channels.
    """
    width = 0
    for part, X, y in _prepared(load_rows(source), parts):
        width = X.shape[1]
        _save(data.path(f"{part}-y"), y)
        _save(data.path(f"{part}-x"), X)
    return width


def prepare_arrays(loaded: tuple[Any, np.ndarray], parts: dict[str, np.ndarray]) -> Arrays:
    """The arrays ``(X, y)`` of the three parts, from what ``load_rows`` gave."""
    return {part: (X, y) for part, X, y in _prepared(loaded, parts)}


def fit_fold(
    data: FoldData,
    candidate: Candidate,
    size: int,
    settings: FitSettings,
    result: Path,
    tuning: Path | None = None,
) -> dict[str, Any]:
    """Fits a candidate on a prepared split and stores the record with what it gives for the test rows.

    ``tuning`` is a file for the trials of a search, or None.

    Returns:
        The record, or ``{UNSTORED: why}``.
    """
    arrays = {part: data.load(part) for part in PARTS}
    return stored(result, *fit_arrays(arrays, candidate, size, settings, data.seed, data.fold, tuning))


def fit_arrays(
    arrays: Arrays,
    candidate: Candidate,
    size: int,
    settings: FitSettings,
    seed: int,
    fold: int,
    tuning: Path | None = None,
) -> tuple[dict[str, Any], np.ndarray]:
    """Fits a candidate on a prepared split; returns the record and what the fit gives for the test rows.

    The test part is read when everything is chosen.
    """
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)  # the workers share the cores, and the bits are those of one thread
    threadpool_limits(1)
    # The targets are small, and some libraries refuse what cannot be written to.
    train, validation = ((X, y.copy()) for X, y in (arrays["fit"], arrays["validation"]))
    return settings.work(
        candidate, train, validation, arrays["test"][0], size, seed=seed, fold=fold, tuning=tuning
    )


def stored(result: Path, record: dict[str, Any], outputs: np.ndarray) -> dict[str, Any]:
    """Stores a fit; returns the record, or ``{UNSTORED: why}``."""
    try:
        save_fit(result, record, outputs)
    except DataError as error:  # not this candidate's failure: nothing more can be stored
        return {UNSTORED: str(error)}
    return record


def _prepared(
    loaded: tuple[Any, np.ndarray], parts: dict[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each part with its ``X (N, ...)`` and ``y (N,)``; the preprocessing is fitted on the ``fit`` rows alone."""
    take, target, preprocessor = open_rows(*loaded)
    for part in PARTS:
        rows = take(parts[part])
        X = preprocessor.fit_transform(rows) if part == "fit" else preprocessor.transform(rows)
        yield part, np.ascontiguousarray(X, dtype=np.float32), target[parts[part]]


def _save(path: Path, array: np.ndarray) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp.npy")
    try:
        np.save(temporary, array)
        temporary.replace(path)
    except OSError as error:  # numpy tells a full disk by counts of bytes
        raise cannot_write(path, OSError(error.errno, error.strerror or "is the disk full?")) from error


def clear(folder: Path) -> None:
    """Removes the scratch folder."""
    shutil.rmtree(folder, ignore_errors=True)
