"""One column becomes a few numbers of order one: five encoders, each fitted state and nothing else.

Numbers are scaled by median and quartiles and softly clipped (Holzmüller et al., NeurIPS 2024, arXiv
2407.04491), short lists of codes get a column per level, long ones and free text some directions of their
letters (Grinsztajn et al., 2023, arXiv 2312.09634; so does skrub), dates a moment and their cycles. Missing
is 0, the middle of everything, plus a column that says so where training rows had it.

Every encoder has ``kind``, ``names(column) -> [str]`` and ``encode(series (N,), column) -> (N, len(names))``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from metabalance.data.dates import date_format
from metabalance.data.errors import DataError
from metabalance.data.tables import MISSING, is_text

__all__ = ["Dates", "Empty", "Encoder", "Letters", "Levels", "Number", "fit_encoder"]

RARE_ROWS, RARE_SHARE = 5, 0.01  # a level of fewer rows than both is pooled with its like
GRAMS = 4096
FIT_TEXTS = 20_000
CYCLES = {"month": 12, "day": 31, "day_of_week": 7, "hour": 24}


@dataclass(frozen=True)
class Empty:
    """A column without any information in the training rows: no numbers, whatever comes later."""

    kind: ClassVar[str] = "empty"

    def names(self, column: str) -> list[str]:
        return []

    def encode(self, series: pd.Series, column: str) -> np.ndarray:
        return np.empty((len(series), 0), dtype=np.float32)


@dataclass(frozen=True)
class Number:
    r"""Numbers :math:`z / \sqrt{1 + (z/3)^2}` with :math:`z = (x - \text{center}) \cdot \text{scale}`.

    Attributes:
        center: The median.
        scale: One over the distance of the quartiles; if they agree, two over the range; 0 for a constant.
        missing: Whether a column marks missing values.
        boolean: Whether 0 and 1 stay 0 and 1.
    """

    center: float
    scale: float
    missing: bool
    boolean: bool = False
    LIMIT: ClassVar[float] = 3.0

    @property
    def kind(self) -> str:
        return "boolean" if self.boolean else "number"

    @classmethod
    def fit(cls, values: np.ndarray, boolean: bool = False) -> "Number":
        """From values ``(N,)``, float64; missing ones and infinities take no part."""
        missing = bool(np.isnan(values).any())
        if boolean:
            return cls(0.0, 1.0, missing, True)
        finite = values[np.isfinite(values)]
        if not len(finite):
            return cls(0.0, 0.0, missing)
        low, first, middle, third, high = np.percentile(finite, [0, 25, 50, 75, 100])
        with np.errstate(over="ignore", divide="ignore"):
            scale = 1 / (third - first) if third > first else 2 / (high - low) if high > low else 0.0
        return cls(float(middle), float(scale) if np.isfinite(scale) else 0.0, missing)

    def names(self, column: str) -> list[str]:
        return [column] * (self.scale > 0) + [f"{column} is missing"] * self.missing

    def encode(self, series: pd.Series, column: str) -> np.ndarray:
        values = as_numbers(series, column)
        if self.boolean and not (ok := np.isnan(values) | (values == 0) | (values == 1)).all():
            row = int(np.flatnonzero(~ok)[0])
            raise DataError(
                f"row {row + 1}, column {column!r}: {series.iloc[row]!r} is neither true nor false"
            )
        return self.encode_values(values)

    def encode_values(self, values: np.ndarray) -> np.ndarray:
        gone = np.isnan(values)
        out = []
        if self.scale > 0:
            with np.errstate(over="ignore"):
                z = (values - self.center) * self.scale
            if not self.boolean:
                # Clipped first: infinity over infinity would be no number.
                z = np.clip(z, -1e8, 1e8)
                z = z / np.sqrt(1 + (z / self.LIMIT) ** 2)
            out.append(np.where(gone, 0.0, z))
        if self.missing:
            out.append(gone)
        return _columns(out, len(values))


@dataclass(frozen=True)
class Dates:
    """Seconds since 1970, as a :class:`Number`, and sine and cosine of the cycles that vary in training.

    Attributes:
        form: The format of dates written as text; ``""`` for columns of dates.
        moment: The encoder of the seconds.
        cycles: Names in ``CYCLES``.
    """

    form: str
    moment: Number
    cycles: tuple[str, ...]
    kind: ClassVar[str] = "date"

    @classmethod
    def fit(cls, series: pd.Series, form: str, column: str) -> "Dates":
        dates = as_dates(series, form, column)
        varying = tuple(name for name in CYCLES if getattr(dates.dt, name).nunique() > 1)
        return cls(form, Number.fit(_seconds(dates)), varying)

    def names(self, column: str) -> list[str]:
        return self.moment.names(column) + [
            f"{column} {wave} {c}" for c in self.cycles for wave in ("sin", "cos")
        ]

    def encode(self, series: pd.Series, column: str) -> np.ndarray:
        dates = as_dates(series, self.form, column)
        out = [self.moment.encode_values(_seconds(dates))]
        for name in self.cycles:
            phase = 2 * np.pi * getattr(dates.dt, name).to_numpy(dtype=float, na_value=np.nan) / CYCLES[name]
            out.append(np.nan_to_num(np.column_stack([np.sin(phase), np.cos(phase)])))
        return np.concatenate(out, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Levels:
    """A column per level. Values never seen count as rare if training rows had rare ones, else as none.

    Attributes:
        levels: Common levels, sorted.
        rare: Whether a column pools the others.
        missing: Whether a column marks missing values.
    """

    levels: tuple[str, ...]
    rare: bool
    missing: bool
    kind: ClassVar[str] = "category"

    def names(self, column: str) -> list[str]:
        one_hot = [f"{column}={level}" for level in self.levels]
        return one_hot + [f"{column} is rare"] * self.rare + [f"{column} is missing"] * self.missing

    def encode(self, series: pd.Series, column: str) -> np.ndarray:
        codes, texts = as_texts(series)
        place = {level: i for i, level in enumerate(self.levels)}
        rare = len(self.levels) if self.rare else -1
        # The last entry serves the code -1, missing.
        where = np.array([place.get(text, rare) for text in texts] + [-1])
        if self.missing:
            where[-1] = len(self.levels) + self.rare
        hot = where[codes]
        out = np.zeros((len(series), len(self.levels) + self.rare + self.missing), dtype=np.float32)
        rows = np.flatnonzero(hot >= 0)
        out[rows, hot[rows]] = 1
        return out


@dataclass(frozen=True, eq=False)
class Letters:
    """Principal directions of the TF-IDF of letter triples and quadruples, hashed to 4,096 places.

    A hash needs no vocabulary, which is what makes stored text encoders large.

    Attributes:
        inverse_frequency: ``(4096,)``, float32.
        components: ``(dim, 4096)``, float32.
        mean: ``(dim,)``, float32, subtracted.
        scale: Brings the mean square of the numbers to one.
        missing: Whether a column marks missing values.
    """

    inverse_frequency: np.ndarray
    components: np.ndarray
    mean: np.ndarray
    scale: float
    missing: bool
    kind: ClassVar[str] = "text"

    @classmethod
    def fit(cls, codes: np.ndarray, texts: list[str], dim: int) -> "Letters":
        """From the codes ``(N,)`` of the rows, -1 for missing, and the different texts they stand for."""
        missing, counts = bool((codes < 0).any()), np.bincount(codes[codes >= 0], minlength=len(texts))
        # All different texts, up to a number; each weighs as its rows would one by one.
        top = np.argsort(-counts, kind="stable")[:FIT_TEXTS]
        counts = counts[top].astype(np.float32)
        grams = _grams([texts[i] for i in top])
        held = (grams > 0).astype(np.float32).T @ counts
        inverse_frequency = (np.log((1 + counts.sum()) / (1 + held)) + 1).astype(np.float32)
        weighted = normalize(grams.multiply(inverse_frequency).tocsr())
        dim = min(dim, len(top) - 1)
        components = randomized_svd(weighted.multiply(np.sqrt(counts)[:, None]).tocsr(), dim, random_state=0)[
            2
        ]
        components = np.ascontiguousarray(components, dtype=np.float32)
        points = weighted @ components.T
        mean = np.average(points, axis=0, weights=counts).astype(np.float32)
        square = float(np.average(((points - mean) ** 2).mean(axis=1), weights=counts))
        return cls(
            inverse_frequency, components, mean, float(1 / np.sqrt(square)) if square > 0 else 0.0, missing
        )

    def names(self, column: str) -> list[str]:
        return [f"{column} {i}" for i in range(len(self.components))] + [
            f"{column} is missing"
        ] * self.missing

    def encode(self, series: pd.Series, column: str) -> np.ndarray:
        codes, texts = as_texts(series)
        points = np.zeros((len(texts) + 1, len(self.components) + self.missing), dtype=np.float32)
        if texts:
            weighted = normalize(_grams(texts).multiply(self.inverse_frequency).tocsr())
            points[:-1, : len(self.components)] = (weighted @ self.components.T - self.mean) * self.scale
        if self.missing:
            points[-1, -1] = 1
        return points[codes]


Encoder = Empty | Number | Dates | Levels | Letters


def fit_encoder(series: pd.Series, column: str, max_levels: int, text_dim: int) -> Encoder:
    """The encoder that suits a column ``(N,)`` of training rows.

    Text that holds nothing but numbers, truth values or dates of one format is read as these.
    """
    dtype = series.dtype
    values = series.dropna()
    if not len(values):
        return Empty()
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"Complex data not supported: split the column {column!r} into two")
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return Dates.fit(series, "", column)
    if pd.api.types.is_bool_dtype(dtype) or (is_text(dtype) and all(isinstance(v, bool) for v in values)):
        return Number.fit(as_numbers(series, column), boolean=True)
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return _unless_constant(Number.fit(as_numbers(series, column)))
    if is_text(dtype):
        if not len(as_texts(series)[1]):
            return Empty()
        if _numeric_texts(series)[1].all():
            return _unless_constant(Number.fit(as_numbers(series, column)))
        form = date_format(series)
        if form is not None:
            return Dates.fit(series, form, column)
    codes, texts = as_texts(series)
    missing = bool((codes < 0).any())
    if len(texts) == 1 and not missing:
        return Empty()
    if len(texts) > max_levels:
        return Letters.fit(codes, texts, text_dim)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    common = (counts >= RARE_ROWS) | (counts >= RARE_SHARE * len(series))
    levels = tuple(sorted(text for text, is_common in zip(texts, common) if is_common))
    return Levels(levels, not bool(common.all()), missing)


def as_numbers(series: pd.Series, column: str) -> np.ndarray:
    """Values ``(N,)``, float64, NaN for missing; refuses what is no number, by row."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        series, dtype = series.astype(object), np.dtype(object)
    if pd.api.types.is_timedelta64_dtype(dtype):
        return series.dt.total_seconds().to_numpy(dtype=float)
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        return series.to_numpy(dtype=float, na_value=np.nan)
    if not is_text(dtype):
        raise DataError(f"the column {column!r} held numbers in training, but is of type {dtype} now")
    values, is_number = _numeric_texts(series)
    if not is_number.all():
        row = int(np.flatnonzero(~is_number)[0])
        raise DataError(
            f"row {row + 1}, column {column!r}: {series.iloc[row]!r} is no number, as it was in training"
        )
    return values


def as_dates(series: pd.Series, form: str, column: str) -> pd.Series:
    """Dates ``(N,)`` without a zone; refuses what does not follow ``form``, by row."""
    if not pd.api.types.is_datetime64_any_dtype(series.dtype):
        dates = pd.to_datetime(series, format=form or "ISO8601", errors="coerce")
        wrong = (dates.isna() & ~series.isna()).to_numpy()
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            how = f"of the form {form}" if form else "a date"
            raise DataError(
                f"row {row + 1}, column {column!r}: {series.iloc[row]!r} is not {how}, as in training"
            )
        series = dates
    return series.dt.tz_convert("UTC").dt.tz_localize(None) if series.dt.tz is not None else series


def as_texts(series: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Codes ``(N,)``, -1 for missing or blank, and the different texts; 1, 1.0 and ``"1 "`` are ``"1"``."""
    codes, values = _factorize(series)
    texts = [_text(value) for value in values]
    places: dict[str, int] = {text: i for i, text in enumerate(dict.fromkeys(filter(None, texts)))}
    return np.array([places.get(text, -1) for text in texts] + [-1])[codes], list(places)


def _factorize(series: pd.Series) -> tuple[np.ndarray, Any]:
    try:
        return pd.factorize(series)
    except TypeError:
        raise DataError(
            f"the column {series.name!r} holds lists or the like; a cell must be one number or text"
        ) from None


def _text(value: Any) -> str:
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value) if whole else value).strip()


def _numeric_texts(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Values ``(N,)`` and whether each is a number, or missing."""
    codes, values = _factorize(series)
    plain = [int(value) if isinstance(value, bool | np.bool_) else value for value in values]
    texts = pd.Series([_text(value) for value in plain], dtype=object)
    missing = texts.isin(MISSING)
    numbers = pd.to_numeric(texts.mask(missing), errors="coerce").to_numpy(dtype=float)
    ok = ~np.isnan(numbers) | missing.to_numpy()
    return np.append(numbers, np.nan)[codes], np.append(ok, True)[codes]


def _unless_constant(number: Number) -> Encoder:
    return number if number.names("") else Empty()


def _seconds(dates: pd.Series) -> np.ndarray:
    return ((dates - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy(dtype=float, na_value=np.nan)


def _grams(texts: list[str]) -> Any:
    hashing = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=(3, 4),
        n_features=GRAMS,
        norm=None,
        alternate_sign=False,
        dtype=np.float32,
    )
    return hashing.transform(texts)


def _columns(parts: list[np.ndarray], rows: int) -> np.ndarray:
    return np.column_stack(parts).astype(np.float32) if parts else np.empty((rows, 0), dtype=np.float32)
