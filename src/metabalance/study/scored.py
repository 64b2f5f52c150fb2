"""A file of scores, from any model: who was called what, how surely, and what was true."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.errors import DataError
from metabalance.data.tables import read_table, resolve_column
from metabalance.data.target import MAX_CLASSES, QUANTITY_LEVELS

__all__ = ["Scored", "read_numbers", "read_scored", "scored_table"]

MISSING = "(missing)"
STEM = "probability_"  # what `metabalance predict` puts before a class


@dataclass(frozen=True, eq=False)
class Scored:
    """Scored rows with their true classes.

    Of two classes the positive one is always the second, as all of ``judge`` and ``adjust`` expect.

    Attributes:
        name: For titles.
        classes: Labels ``(C,)``, text.
        positive: Index of the positive class; 1 of two.
        target: Class indices ``(N,)``, int64.
        scores: ``(N,)`` of the positive class of two, otherwise ``(N, C)``; float64.
        probabilities: Whether the scores lie in ``[0, 1]`` and, of several columns, sum to 1.
        decision: Class indices ``(N,)`` that somebody decided, or None.
        weight: ``(N,)`` or None.
        groups: Labels ``(N,)``, text, or None.
        target_name: Of the target column.
        frame: The whole table.
    """

    name: str
    classes: tuple[str, ...]
    positive: int
    target: np.ndarray
    scores: np.ndarray
    probabilities: bool
    decision: np.ndarray | None
    weight: np.ndarray | None
    groups: np.ndarray | None
    target_name: str
    frame: pd.DataFrame

    @property
    def counts(self) -> np.ndarray:
        """Rows of each class ``(C,)``."""
        return np.bincount(self.target, minlength=len(self.classes))

    def matrix(self) -> np.ndarray:
        """Scores ``(N, C)``; of two classes the first column is one minus the second.

        Raises:
            DataError: Two classes and scores that are no probabilities.
        """
        if self.scores.ndim == 2:
            return self.scores
        if not self.probabilities:
            raise DataError(
                f"the scores of {self.name} lie outside 0 to 1 and are no probabilities; calibrate them first"
            )
        return np.stack([1 - self.scores, self.scores], axis=1)


def read_scored(
    path: Path, *, target: str, header: bool = True, delimiter: str | None = None, **columns: Any
) -> Scored:
    """Reads a scored file; its columns are named as in :func:`scored_table`.

    Raises:
        DataError: No such file, or see :func:`scored_table`.
    """
    frame = read_table(path, header=header, delimiter=delimiter)
    return scored_table(frame, target=target, name=Path(path).name, **columns)


def scored_table(
    frame: pd.DataFrame,
    *,
    target: str,
    score: str | None = None,
    positive: Any = None,
    decision: str | None = None,
    weight: str | None = None,
    groups: str | None = None,
    name: str = "the table",
) -> Scored:
    """Scores, true classes and what belongs to them, out of a table.

    Args:
        frame: The table, ``N`` rows.
        target: Column of the true classes.
        score: Column of the positive class's scores; or what the names of the columns of each class begin with. By
            default ``probability_``, as ``metabalance predict`` writes them.
        positive: The positive class, by default the rarest (the last of them when equally rare). A single column of
            scores is read as that of this class.
        decision: Column of decided classes; by default ``decision`` where it is there.
        weight: Column of weights.
        groups: Column of groups to be told apart.
        name: For messages.

    Raises:
        DataError: A column that is missing or unsound; classes that do not fit the scores; a quantity as target.

    >>> frame = pd.DataFrame({"fraud": ["no", "no", "yes"], "probability_no": [0.9, 0.8, 0.3]})
    >>> frame["probability_yes"] = 1 - frame["probability_no"]
    >>> scored_table(frame, target="fraud").scores.round(1)
    array([0.1, 0.2, 0.7])
    """
    if not len(frame):
        raise DataError(f"{name} has no rows; there is nothing to judge")
    target = resolve_column(frame.columns, target)
    truth = _labels(frame[target], f"the target {target!r}")
    columns = _score_columns(frame, score, name, target)
    classes = _classes(truth, list(columns), target)
    index = _index(truth, classes, f"the target {target!r}")
    hint = next(iter(columns)) if len(columns) == 1 else None
    chosen = _positive(classes, np.bincount(index, minlength=len(classes)), positive, hint)
    values = {label: read_numbers(frame, column) for label, column in columns.items()}
    total = np.sum(list(values.values()), axis=0)
    between = all(v.min() >= -1e-6 and v.max() <= 1 + 1e-6 for v in values.values())
    between = between and (len(values) == 1 or abs(total - 1).max() < 1e-3)
    if len(classes) == 2:
        if chosen == 0:
            classes, index = classes[::-1], 1 - index
        chosen, scores = 1, values[classes[1] if len(values) == 2 else next(iter(values))]
    else:
        scores = np.stack([values[label] for label in classes], axis=1)
    if decision is None and score is None and "decision" in frame.columns:
        decision = "decision"
    if decision is not None:
        decision = resolve_column(frame.columns, decision)
    return Scored(
        name=name,
        classes=classes,
        positive=chosen,
        target=index,
        scores=np.clip(scores, 0, 1) if between else scores,
        probabilities=bool(between),
        decision=None
        if decision is None
        else _index(
            _labels(frame[decision], f"the column {decision!r}"), classes, f"the column {decision!r}"
        ),
        weight=None if weight is None else read_weights(frame, weight),
        groups=None if groups is None else read_groups(frame[resolve_column(frame.columns, groups)]),
        target_name=target,
        frame=frame,
    )


def _labels(series: pd.Series, what: str) -> np.ndarray:
    """Labels as text ``(N,)``, whole floats as integers."""
    missing = int(series.isna().sum())
    if missing:
        raise DataError(
            f"{what} is missing in {missing} of {len(series)} rows; leave out the rows that have no label yet"
        )
    if pd.api.types.is_float_dtype(series.dtype):
        values = series.to_numpy(float)
        if np.isfinite(values).all() and (values == np.floor(values)).all():
            series = series.astype(np.int64)
    text = series.astype(str).str.strip().to_numpy(object)
    levels = len(np.unique(text.astype(str)))
    if levels > MAX_CLASSES or (pd.api.types.is_float_dtype(series.dtype) and levels > QUANTITY_LEVELS):
        raise DataError(
            f"{what} has {levels} different values and is no class; name the column of true classes, or say --task "
            "regression if it is a quantity that was predicted"
        )
    return text


def _score_columns(frame: pd.DataFrame, score: str | None, name: str, target: str) -> dict[str, str]:
    """Columns of scores by the class they are of; a single one by ``""`` where its name tells no class."""
    names = [str(c) for c in frame.columns if str(c) != target]
    if score in names:
        return {str(score).partition(STEM)[2]: str(score)}
    stem = STEM if score is None else score
    found = {c[len(stem) :]: c for c in names if c.startswith(stem)}
    if found:
        return found
    if score is not None:
        raise DataError(
            f"{name} has no column {score!r}, nor columns that begin so; its columns are "
            f"{', '.join(map(repr, names[:20]))}"
        )
    raise DataError(
        f"{name} has no columns {STEM}..., as metabalance predict writes them; name the column of the positive "
        "class's scores with --score"
    )


def _classes(truth: np.ndarray, scored: list[str], target: str) -> tuple[str, ...]:
    """Labels as text, sorted as numbers where they all are; those that have scores, or two that occur."""
    seen = set(truth)
    if len(scored) > 1:
        unknown = sorted(seen - set(scored))
        if unknown:
            raise DataError(
                f"the target {target!r} holds {unknown[0]!r}, but the scores are of {', '.join(map(repr, scored[:20]))}"
            )
        return _sorted(scored)
    hint = {scored[0]} & seen if len(seen) > 1 else set(scored) - {""}
    if len(seen | hint) != 2:
        raise DataError(
            f"the target {target!r} holds {len(seen)} {'class' if len(seen) == 1 else 'classes'}, but one column of "
            f"scores is for two; give a column for each class, named {STEM}CLASS"
        )
    return _sorted(seen | hint)


def _sorted(labels: Iterable[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted(labels, key=float))
    except ValueError:
        return tuple(sorted(labels))


def _positive(classes: tuple[str, ...], counts: np.ndarray, positive: Any, hint: str | None) -> int:
    """Index of the class asked for, else of the one that the scores are named after, else of the rarest."""
    if positive is not None:
        text = str(positive).strip()
        if text not in classes:
            raise DataError(
                f"{positive!r} is not a class; the classes are {', '.join(map(repr, classes[:20]))}"
            )
        if hint in classes and hint != text:
            raise DataError(
                f"the scores are of {hint!r}, not of {positive!r}; name the column of {positive!r}"
            )
        return classes.index(text)
    if hint in classes:
        return classes.index(hint)
    return len(counts) - 1 - int(np.argmin(counts[::-1]))


def read_groups(series: pd.Series) -> np.ndarray:
    """Labels as text ``(N,)``; rows without one are a group of their own."""
    return np.where(series.isna(), MISSING, series.astype(object).astype(str)).astype(object)


def _index(labels: np.ndarray, classes: tuple[str, ...], what: str) -> np.ndarray:
    index = pd.Index(classes).get_indexer(pd.Index(labels))
    if (index < 0).any():
        raise DataError(
            f"{what} holds {labels[index < 0][0]!r}, but the classes are {', '.join(map(repr, classes[:20]))}"
        )
    return index.astype(np.int64)


def read_numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column as finite float64 ``(N,)``."""
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(float, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"the column {column!r} is no finite number in {len(bad)} of {len(values)} rows (first in row "
            f"{int(bad[0]) + 1}); every row needs one"
        )
    return values


def read_weights(frame: pd.DataFrame, column: str) -> np.ndarray:
    values = read_numbers(frame, resolve_column(frame.columns, column))
    if (values < 0).any() or not values.any():
        raise DataError(f"the weights {column!r} must not be negative, and some must be above 0")
    return values
