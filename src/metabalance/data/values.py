"""A continuous target, one column or several, becomes numbers ``(N, T)``, or the reason why it is none."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from metabalance.data.errors import DataError
from metabalance.data.target import MAX_CLASSES, QUANTITY_LEVELS

__all__ = ["Values", "encode_values", "strata", "target_kind"]

ROWS_A_STRATUM = 20
MOST_STRATA = 50
LARGEST = 1e150  # its square is a number
LEAST_SHARE = 1e-12  # of the largest value, that the values spread over


@dataclass(frozen=True, eq=False)
class Values:
    """A checked continuous target.

    Attributes:
        table: ``(N, T)``, float64, finite, no column constant.
        names: Of the columns ``(T,)``.
    """

    table: np.ndarray
    names: tuple[str, ...]


def encode_values(target: Any) -> Values:
    """Checks a continuous target.

    Args:
        target: A series, a frame of the target columns, or an array ``(N,)`` or ``(N, T)``; names appear in messages.

    Raises:
        DataError: No rows, words, missing or infinite values, a constant column, or numbers whose differences a
            double cannot hold.

    >>> encode_values(pd.Series([1, 2, 4], name="age")).table.ravel().tolist()
    [1.0, 2.0, 4.0]
    """
    frame = target.to_frame() if isinstance(target, pd.Series) else pd.DataFrame(target)
    names = tuple(str(name) for name in frame.columns)
    if not len(frame) or not names:
        raise DataError("the target is empty; a table needs rows")
    columns = [_numbers(frame.iloc[:, i], f"the target {name!r}") for i, name in enumerate(names)]
    return Values(np.column_stack(columns), names)


def target_kind(series: pd.Series) -> str:
    """``"classes"``, ``"values"``, or ``"either"`` where whole numbers may be the one as well as the other.

    Words and truth values are classes; so are up to 20 different numbers. More than 20 different fractional numbers are a
    quantity, and so are whole numbers of which there are more than 1,000 or more than one in two rows. Anything between
    has to be asked.

    >>> target_kind(pd.Series([0.5 * i for i in range(30)])), target_kind(pd.Series(["a", "b"]))
    ('values', 'classes')
    >>> target_kind(pd.Series(list(range(30)) * 9))
    'either'
    """
    if pd.api.types.is_bool_dtype(series.dtype) or not pd.api.types.is_numeric_dtype(series.dtype):
        return "classes"
    values = series.dropna().to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    levels = np.unique(values)
    if len(levels) <= QUANTITY_LEVELS:
        return "classes"
    if (levels != np.round(levels)).any() or len(levels) > min(len(values) / 2, MAX_CLASSES):
        return "values"
    return "either"


def strata(table: np.ndarray, most: int = MOST_STRATA) -> np.ndarray:
    """Spans of the target with about equally many rows ``(N,)``, numbered from 0, to deal rows from.

    A test part that has its share of each span has its share of the rare values at the ends. Equal values are in one
    span. Several columns count by the mean of their ranks.

    Args:
        table: ``(N, T)``.
        most: Spans at most; there are ``N / 20`` if that is less, and at least one.

    >>> strata(np.arange(60.0)[:, None]).tolist() == [0] * 20 + [1] * 20 + [2] * 20
    True
    """
    rank = np.mean([rankdata(column, method="average") for column in np.asarray(table).T], axis=0)
    size = int(np.clip(len(rank) // ROWS_A_STRATUM, 1, most))
    spans = np.minimum((rankdata(rank, method="average") - 0.5) * size // len(rank), size - 1)
    return np.unique(spans, return_inverse=True)[1].astype(np.int64)


def _numbers(series: pd.Series, what: str) -> np.ndarray:
    if pd.api.types.is_bool_dtype(series.dtype) or not pd.api.types.is_numeric_dtype(series.dtype):
        raise DataError(
            f"{what} holds no numbers, so it cannot be predicted as a quantity; name a column of numbers, or leave out "
            "--task regression"
        )
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        raise DataError(
            f"{what} is missing or infinite in {int(bad.sum())} of {len(values)} rows (first in row "
            f"{int(np.flatnonzero(bad)[0]) + 1}); remove these rows, or give them a value"
        )
    low, high = values.min(), values.max()
    if low == high:
        raise DataError(f"{what} is {low:g} in every row; there is nothing to predict, name another column")
    share = np.ptp(values / max(abs(low), abs(high)))
    if max(abs(low), abs(high)) > LARGEST or not share > LEAST_SHARE:
        raise DataError(
            f"{what} goes from {low:g} to {high:g}, too far or too close together for calculation; subtract a constant, or "
            "take the logarithm"
        )
    return values
