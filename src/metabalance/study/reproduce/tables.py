"""Small tables for claims about measures: a public file where it is there, else what ships with scikit-learn."""

import csv
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.data.errors import DataError
from metabalance.data.limits import check_npz, read_limited

__all__ = ["open_table"]

Array = NDArray[Any]


def open_table(name: str, file: str | None, folder: Path | None) -> tuple[Array, Array]:
    """Features ``(N, D)`` and labels 0 or 1 ``(N,)``, the last column of a CSV file or ``y`` of an NPZ file.

    Args:
        name: ``digits``, or what the file is called in messages.
        file: Below the folder: ``.csv``, ``.csv.xz`` without a header, or ``.npz`` with ``X`` and ``y``.
        folder: Of the data.

    Raises:
        DataError: The file is not there or cannot be read.

    >>> X, y = open_table("digits", None, None)
    >>> X.shape, int(y.sum())
    ((1797, 64), 174)
    """
    if file is None:
        from sklearn.datasets import load_digits

        X, digit = load_digits(return_X_y=True)
        return X, (digit == 8).astype(np.int64)
    if folder is None or not (folder / file).is_file():
        raise DataError(
            f"the table {name!r} is not there: {file}, below the folder of --data or METABALANCE_DATA"
        )
    path = folder / file
    try:
        if path.suffix == ".npz":
            with path.open("rb") as raw:
                check_npz(raw, path.name, ("X", "y"))
            with np.load(path, allow_pickle=False) as stored:
                return stored["X"].astype(np.float64), stored["y"].astype(np.int64)
        with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as stream:
            content = read_limited(stream, f"the content of {path.name}").decode()
        rows = [row for row in csv.reader(io.StringIO(content, newline="")) if row]
        X = np.array([row[:-1] for row in rows], dtype=np.float64)
        return X, np.array([row[-1].strip("'\" ") in ("1", "1.0") for row in rows], dtype=np.int64)
    except (OSError, ValueError, KeyError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch the file again") from error
