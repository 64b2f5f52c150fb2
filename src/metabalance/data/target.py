"""A target column becomes class indices ``(N,)``, or the reason why it is no target for classification."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.errors import DataError

__all__ = ["Target", "encode_target"]

MAX_CLASSES = 1000
QUANTITY_LEVELS = 20  # fractional numbers with more different values than this are measured, not named


@dataclass(frozen=True, eq=False)
class Target:
    """Encoded labels.

    Attributes:
        index: Class indices ``(N,)``, int64.
        classes: The labels ``(C,)``, sorted: plain text, integers, floats or truth values.
        counts: Rows of each class ``(C,)``.
        positive: Index of the class of interest: the one given, else the rarest.
    """

    index: np.ndarray
    classes: tuple[Any, ...]
    counts: tuple[int, ...]
    positive: int


def encode_target(target: Any, positive: Any = None) -> Target:
    """Encodes labels; floats that are whole numbers count as integers.

    Args:
        target: The labels ``(N,)``; the name of a series appears in messages.
        positive: The class of interest, itself or as text (``"1"`` finds ``1``). By default the rarest one;
            the last of them when several are equally rare.

    Raises:
        DataError: Labels are missing or infinite, there is one class, a class has one row, there are too
            many classes, the values look like a quantity or like identifiers, or ``positive`` is no class.

    >>> encode_target(["no", "no", "no", "yes", "yes"])
    Target(index=array([0, 0, 0, 1, 1]), classes=('no', 'yes'), counts=(3, 2), positive=1)
    """
    series = target if isinstance(target, pd.Series) else pd.Series(np.asarray(target))
    what = "the target" if series.name is None else f"the target {str(series.name)!r}"
    if not len(series):
        raise DataError(f"{what} is empty; a table needs rows")
    _refuse_missing(series, what)
    index, levels = pd.factorize(series)
    labels = [plain_label(level) for level in levels]
    if any(isinstance(label, str) for label in labels):
        labels = [str(label).strip() for label in labels]
    distinct = sorted(set(labels))
    place = {label: i for i, label in enumerate(distinct)}
    index = np.array([place[label] for label in labels], dtype=np.int64)[index]
    counts = np.bincount(index)
    _refuse_unlearnable(distinct, counts, len(series), what)
    chosen = (
        len(counts) - 1 - int(np.argmin(counts[::-1]))
        if positive is None
        else _find(distinct, positive, what)
    )
    return Target(index, tuple(distinct), tuple(int(n) for n in counts), chosen)


def _refuse_missing(series: pd.Series, what: str) -> None:
    missing = series.isna().to_numpy()
    if pd.api.types.is_float_dtype(series.dtype):
        missing = missing | np.isinf(series.to_numpy(dtype=float, na_value=np.nan))
    if missing.any():
        raise DataError(
            f"{what} is missing or infinite in {int(missing.sum())} of {len(series)} rows (first in row "
            f"{int(np.flatnonzero(missing)[0]) + 1}); remove these rows, or give them a label"
        )


def _refuse_unlearnable(classes: Sequence[Any], counts: np.ndarray, rows: int, what: str) -> None:
    size = len(classes)
    if size == 1:
        raise DataError(f"{what} holds one class only ({classes[0]!r}); at least two are needed")
    numbers = not isinstance(classes[0], str)
    fractional = numbers and any(isinstance(label, float) for label in classes)
    if (size > rows / 2 and size > 2) or (fractional and size > QUANTITY_LEVELS):
        looks = "a quantity to be predicted by regression" if numbers else "an identifier"
        raise DataError(
            f"{what} has {size} different values in {rows} rows and looks like {looks}; "
            "name a column of classes, or group its values first"
        )
    if size > MAX_CLASSES:
        raise DataError(
            f"{what} has {size} classes, but at most {MAX_CLASSES} are supported; merge the rarest"
        )
    single = [label for label, n in zip(classes, counts) if n == 1]
    if single:
        named = ", ".join(map(repr, single[:5])) + (", ..." if len(single) > 5 else "")
        kind = "a class" if len(single) == 1 else f"{len(single)} classes"
        raise DataError(
            f"{what} has {kind} of one row ({named}), which cannot be both learned and tested; "
            "merge with another class, or add rows"
        )


def _find(classes: Sequence[Any], positive: Any, what: str) -> int:
    for same in (lambda label: label == positive, lambda label: str(label) == str(positive).strip()):
        for i, label in enumerate(classes):
            if same(label):
                return i
    listed = ", ".join(map(repr, classes[:20])) + (", ..." if len(classes) > 20 else "")
    raise DataError(f"{positive!r} is not a class of {what}; its classes are {listed}")


def plain_label(level: Any) -> Any:
    """A label JSON can hold."""
    if isinstance(level, bool | np.bool_):
        return bool(level)
    if isinstance(level, int | np.integer):
        return int(level)
    if isinstance(level, float | np.floating):
        return int(level) if float(level).is_integer() else float(level)
    return str(level)
