"""A mixed table becomes one float32 matrix a network can learn from; fitted without ever seeing the target.

What each column turns into is told in :mod:`metabalance.data.encoders`. The fitted state is numbers and
words only, so a saved preprocessor is data, not code: nothing in the file is executed on loading.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import safetensors.numpy
from safetensors import SafetensorError
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from metabalance.atomic import replacing
from metabalance.data.encoders import GRAMS, Dates, Empty, Encoder, Letters, Levels, Number, fit_encoder
from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json
from metabalance.data.tables import to_pandas

__all__ = ["TablePreprocessor"]

FORMAT, VERSION = "metabalance-preprocessor", 1


class TablePreprocessor(TransformerMixin, BaseEstimator):
    """Turns frames, or matrices, into float32 matrices ``(N, D)``.

    =========  =================================================================================
    number     robustly scaled, softly clipped at ±3; missing 0
    boolean    0 or 1; missing 0
    category   a column per level; levels of under 5 rows and 1 % pooled
    text       more than ``max_levels`` different values: ``text_dim`` numbers from the letters
    date       a moment, and sine and cosine of month, day, weekday and hour where they vary
    empty      nothing: no value, or one value, in the training rows
    =========  =================================================================================

    Where training rows miss a value, one more column says so. Same data, same result.

    Args:
        max_levels: Up to this many different values are categories.
        text_dim: Numbers per text column.
        missing_columns: Whether a column that is absent in ``transform`` is an ``"error"``, or counts as
            missing in all rows (``"impute"``). Further columns are ignored.

    Attributes:
        columns_: Input columns, in order.
        dtypes_: The kind of each column, ``{column: kind}``.
        encoders_: The encoder of each column, ``{column: encoder}``.
        feature_names_out_: Names of the output ``(D,)``.

    >>> frame = pd.DataFrame({"age": [20.0, None, 40.0], "city": ["Bonn", "Rome", "Bonn"]})
    >>> preprocessor = TablePreprocessor().fit(frame)
    >>> preprocessor.feature_names_out_.tolist()
    ['age', 'age is missing', 'city=Bonn', 'city=Rome']
    >>> preprocessor.transform(frame)[:, 0].round(2)
    array([-0.95,  0.  ,  0.95], dtype=float32)
    """

    def __init__(
        self, max_levels: int = 40, text_dim: int = 16, missing_columns: Literal["error", "impute"] = "error"
    ) -> None:
        self.max_levels = max_levels
        self.text_dim = text_dim
        self.missing_columns = missing_columns

    def fit(self, X: Any, y: Any = None) -> "TablePreprocessor":
        """Learns medians, levels and so on from training rows; ``y`` is ignored.

        Raises:
            DataError: There are no rows, or no column tells anything.
        """
        frame = to_pandas(X)
        if not frame.size:
            raise DataError(
                f"nothing to fit on: 0 sample(s) or 0 feature(s) (shape={frame.shape}) while a minimum "
                "of 1 is required; check the selection of rows and columns"
            )
        encoders = {
            str(c): fit_encoder(frame[c], str(c), self.max_levels, self.text_dim) for c in frame.columns
        }
        self._store(encoders, named=hasattr(X, "columns"))
        if not len(self.feature_names_out_):
            raise DataError(f"no column tells anything: each is empty or constant (n_samples = {len(frame)})")
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Encodes rows ``(N, ...)`` as ``(N, D)``, float32, finite.

        Raises:
            DataError: A column is absent or of another type than in training.
        """
        check_is_fitted(self, "encoders_")
        frame = self._aligned(X)
        out = np.empty((len(frame), len(self.feature_names_out_)), dtype=np.float32)
        start = 0
        for column, encoder in self.encoders_.items():
            stop = start + len(encoder.names(column))
            if column not in frame.columns:
                frame_column = pd.Series(np.full(len(frame), np.nan), dtype=object)
            else:
                frame_column = frame[column]
            if stop > start:
                out[:, start:stop] = encoder.encode(frame_column, column)
            start = stop
        return out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the output ``(D,)``; the argument is ignored."""
        check_is_fitted(self, "encoders_")
        return self.feature_names_out_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def dumps(self) -> bytes:
        """The fitted preprocessor: a SHA-256, then in safetensors format a description in JSON, and arrays."""
        check_is_fitted(self, "encoders_")
        arrays: dict[str, np.ndarray] = {}
        columns = []
        for i, (column, encoder) in enumerate(self.encoders_.items()):
            state = asdict(encoder)
            for name in [name for name, value in state.items() if isinstance(value, np.ndarray)]:
                arrays[f"{i}.{name}"] = state.pop(name)
            columns.append({"name": column, "kind": encoder.kind, **state})
        plan = {
            "format": FORMAT,
            "version": VERSION,
            "params": self.get_params(),
            "named": hasattr(self, "feature_names_in_"),
            "columns": columns,
        }
        arrays["plan"] = np.frombuffer(json.dumps(plan).encode(), dtype=np.uint8)
        payload = safetensors.numpy.save(arrays)
        return hashlib.sha256(payload).digest() + payload

    @classmethod
    def loads(cls, data: bytes) -> "TablePreprocessor":
        """The inverse of :meth:`dumps`, to the bit.

        Raises:
            DataError: The bytes are no preprocessor, are damaged, or come from a newer metabalance.
        """
        try:
            if hashlib.sha256(data[32:]).digest() != data[:32]:
                raise ValueError("its checksum does not match")
            arrays = safetensors.numpy.load(data[32:])
            plan = parse_json(arrays["plan"].tobytes())
            if plan["format"] != FORMAT:
                raise ValueError(f"its format is {plan['format']!r}")
            if plan["version"] > VERSION:
                raise ValueError(f"version {plan['version']} needs a newer metabalance")
            encoders = {state["name"]: _encoder(state, i, arrays) for i, state in enumerate(plan["columns"])}
            preprocessor = cls(**plan["params"])
            preprocessor._store(encoders, plan["named"])
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"this is no usable preprocessor ({error}); fit and save it again") from error
        return preprocessor

    def save(self, path: Any) -> None:
        """Writes :meth:`dumps` to a file."""
        with replacing(Path(path)) as place:
            place.write_bytes(self.dumps())

    @classmethod
    def load(cls, path: Any) -> "TablePreprocessor":
        """Reads what :meth:`save` wrote; nothing in the file is executed.

        Raises:
            DataError: There is no such file, or see :meth:`loads`.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise DataError(
                f"the preprocessor {path} cannot be read ({error.strerror}); check the path"
            ) from error
        return cls.loads(data)

    def _store(self, encoders: dict[str, Encoder], named: bool) -> None:
        self.encoders_ = encoders
        self.columns_ = list(encoders)
        self.dtypes_ = {column: encoder.kind for column, encoder in encoders.items()}
        names = [name for column, encoder in encoders.items() for name in encoder.names(column)]
        self.feature_names_out_ = np.array(names, dtype=object)
        self.n_features_in_ = len(encoders)
        if named:
            self.feature_names_in_ = np.array(self.columns_, dtype=object)

    def _aligned(self, X: Any) -> pd.DataFrame:
        frame = to_pandas(X)
        if not hasattr(X, "columns"):
            if frame.shape[1] != len(self.columns_):
                raise DataError(
                    f"X has {frame.shape[1]} features, but {type(self).__name__} is expecting "
                    f"{len(self.columns_)} features as input; give the columns of the training rows"
                )
            return frame.set_axis(self.columns_, axis=1)
        absent = [column for column in self.columns_ if column not in frame.columns]
        if absent and self.missing_columns != "impute":
            listed = ", ".join(map(repr, absent[:5])) + (", ..." if len(absent) > 5 else "")
            raise DataError(
                f"the table lacks {len(absent)} column(s) of the training rows: {listed}; add them"
            )
        return frame


def _encoder(state: dict[str, Any], i: int, arrays: dict[str, np.ndarray]) -> Encoder:
    """The encoder that a description stands for; only these five kinds can come out."""
    kind = state["kind"]
    if kind == "empty":
        return Empty()
    if kind in ("number", "boolean"):
        return _number(state)
    if kind == "date":
        return Dates(str(state["form"]), _number(state["moment"]), tuple(map(str, state["cycles"])))
    if kind == "category":
        return Levels(tuple(map(str, state["levels"])), bool(state["rare"]), bool(state["missing"]))
    if kind == "text":
        names = ("inverse_frequency", "components", "mean")
        inverse_frequency, components, mean = (arrays[f"{i}.{name}"] for name in names)
        if inverse_frequency.shape != (GRAMS,) or components.shape != (len(mean), GRAMS):
            raise ValueError(f"the arrays of the column {state['name']!r} have wrong shapes")
        return Letters(inverse_frequency, components, mean, float(state["scale"]), bool(state["missing"]))
    raise ValueError(f"unknown kind of column {kind!r}")


def _number(state: dict[str, Any]) -> Number:
    return Number(
        float(state["center"]), float(state["scale"]), bool(state["missing"]), bool(state["boolean"])
    )
