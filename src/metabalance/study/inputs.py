"""What an exported model takes: which column of a table goes into which matrix, and what has to be done before.

A graph of tensors holds no words. Numbers and dates go in as they are, a category as its place in a list of levels
that travels with the model, and free text as the numbers that its encoder makes of it, outside.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.encoders import Dates, Letters, Levels, Number, as_dates, as_numbers, as_texts
from metabalance.data.preprocess import TablePreprocessor

__all__ = ["INPUTS", "columns_of", "inputs_of", "table_inputs"]

# Name of a matrix -> kinds of columns in it, type, how one fills it.
INPUTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "numbers": (("number", "boolean"), "float64", "the value; true is 1, false 0; NaN if missing"),
    "codes": (
        ("category",), "int64",
        "the place of the value in 'levels', counted from 0; the number of levels for any other value; -1 if missing",
    ),
    "dates": (("date",), "float64", "seconds since 1970-01-01 00:00, UTC if there is a zone; NaN if missing"),
    "texts": (("text",), "float32", "the numbers that the column's encoder in metabalance makes of it"),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column within a matrix.

    Args:
        name: In the table.
        kind: As :class:`~metabalance.data.preprocess.TablePreprocessor` calls it.
        start: First column of the matrix that it fills.
        width: How many it fills: one, or as many as a text becomes.
    """

    name: str
    kind: str
    start: int
    width: int = 1


def columns_of(preprocessor: TablePreprocessor) -> dict[str, list[Column]]:
    """The columns of each matrix, in order; matrices without columns are left out.

    >>> frame = pd.DataFrame({"age": [20.0, 30.0, 40.0], "city": ["Bonn", "Rome", "Bonn"], "fee": [1, 2, 9]})
    >>> {name: [c.name for c in found] for name, found in columns_of(TablePreprocessor().fit(frame)).items()}
    {'numbers': ['age', 'fee'], 'codes': ['city']}
    """
    found: dict[str, list[Column]] = {}
    for matrix, (kinds, _, _) in INPUTS.items():
        start = 0
        for name, encoder in preprocessor.encoders_.items():
            if encoder.kind in kinds and encoder.names(name):
                width = len(encoder.names(name)) if isinstance(encoder, Letters) else 1
                found.setdefault(matrix, []).append(Column(name, encoder.kind, start, width))
                start += width
    return found


def inputs_of(preprocessor: TablePreprocessor, frame: Any) -> dict[str, np.ndarray]:
    """The matrices of rows, as an exported model takes them.

    Args:
        preprocessor: Of the model.
        frame: Rows with the training columns, or with those that the preprocessor allows to be absent.

    Raises:
        DataError: A column is absent or of another type than in training.

    >>> frame = pd.DataFrame({"age": [20.0, None, 40.0], "city": ["Bonn", "Rome", "Oslo"]})
    >>> inputs = inputs_of(TablePreprocessor().fit(frame), frame)
    >>> inputs["numbers"].T, inputs["codes"].T
    (array([[20., nan, 40.]]), array([[0, 2, 1]]))
    """
    rows = preprocessor._aligned(frame)
    empty = pd.Series(np.full(len(rows), np.nan), dtype=object)
    made = {}
    for matrix, columns in columns_of(preprocessor).items():
        parts = [_values(preprocessor.encoders_[c.name], rows.get(c.name, empty), c.name) for c in columns]
        made[matrix] = np.column_stack(parts).astype(INPUTS[matrix][1])
    return made


def table_inputs(preprocessor: TablePreprocessor) -> list[dict[str, Any]]:
    """What the matrices hold, in words and lists that JSON has: enough to fill them without this library.

    Only a column of text needs it, and says so under ``outside``.
    """
    told = []
    for matrix, columns in columns_of(preprocessor).items():
        described = []
        for column in columns:
            entry: dict[str, Any] = {"name": column.name, "kind": column.kind, "position": column.start}
            encoder = preprocessor.encoders_[column.name]
            if isinstance(encoder, Levels):
                entry["levels"] = list(encoder.levels)
            if isinstance(encoder, Dates) and encoder.form:
                entry["format"] = encoder.form
            if column.kind == "text":
                entry |= {
                    "width": column.width,
                    "outside": "metabalance.data.encoders.Letters, in the model folder",
                }
            described.append(entry)
        _, kind, how = INPUTS[matrix]
        width = columns[-1].start + columns[-1].width
        told.append(
            {"name": matrix, "type": kind, "shape": ["rows", width], "how": how, "columns": described}
        )
    return told


def _values(encoder: Any, series: pd.Series, column: str) -> np.ndarray:
    if isinstance(encoder, Number):
        if encoder.boolean:
            encoder.encode(series, column)  # refuses what is neither true nor false
        return as_numbers(series, column)
    if isinstance(encoder, Dates):
        dates = as_dates(series, encoder.form, column)
        return ((dates - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy(dtype=float, na_value=np.nan)
    if isinstance(encoder, Levels):
        codes, texts = as_texts(series)
        places = {level: i for i, level in enumerate(encoder.levels)}
        return np.array([places.get(text, len(places)) for text in texts] + [-1])[codes]
    return np.asarray(encoder.encode(series, column))
