"""A file of predicted values, from any model: what was predicted, what was true, and what was rare in training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json, read_file
from metabalance.data.tables import read_table, resolve_column
from metabalance.data.values import target_kind
from metabalance.judge.regions import Regions
from metabalance.study.given import as_data_errors, check_task, names_of
from metabalance.study.scored import STEM, read_numbers
from metabalance.study.values.summary import regions_of

__all__ = ["ScoredValues", "are_values", "refuse_for_values", "scored_values"]

STEMS = ("prediction", "low", "high")  # what `metabalance predict` adds


@dataclass(frozen=True, eq=False)
class ScoredValues:
    """Predicted rows with their true values.

    Attributes:
        name: For titles.
        names: Of the targets ``(T,)``.
        target: ``(N, T)``, float64.
        prediction: ``(N, T)``, float64.
        limits: Lower and upper limits ``(N, T, 2)``, or None.
        regions: Of each target.
        source: Where the regions come from, a sentence.
        weight: ``(N,)`` or None.
        groups: Labels ``(N,)``, text, or None.
        frame: The whole table.
    """

    name: str
    names: tuple[str, ...]
    target: np.ndarray
    prediction: np.ndarray
    limits: np.ndarray | None
    regions: tuple[Regions, ...]
    source: str
    weight: np.ndarray | None
    groups: np.ndarray | None
    frame: pd.DataFrame


def are_values(frame: pd.DataFrame, target: str, task: str | None) -> bool:
    """Whether a scored table is of a quantity: what ``--task`` says, else whether its target can be no classes.

    A target of whole numbers may be either; without ``--task`` it is read as a quantity where more than 20 different ones
    stand beside a column of predictions, and as classes otherwise.

    Args:
        frame: The table.
        target: Column of the true values, or several, ``a,b``.
        task: ``"regression"``, ``"classification"`` or None.

    Raises:
        DataError: Another task.
    """
    check_task(task)
    if task is not None:
        return task == "regression"
    columns = [str(c) for c in frame.columns]
    if target not in columns and len(names_of(target)) > 1:
        return True
    if any(c.startswith(STEM) for c in columns):
        return False
    try:
        series = frame[resolve_column(frame.columns, target)]
    except DataError:
        return False  # whoever reads it says so
    kind = target_kind(series)
    return kind == "values" or (kind == "either" and any(c.split("_")[0] == STEMS[0] for c in columns))


def refuse_for_values(named: Mapping[str, Any]) -> None:
    """Refuses options that mean nothing for a quantity.

    Raises:
        DataError: One was given.
    """
    for option, given in named.items():
        if given:
            raise DataError(f"{option} is for classes, but predicted values were given; leave it out")


def scored_values(
    frame: pd.DataFrame,
    *,
    target: str,
    prediction: str | None = None,
    weight: str | None = None,
    groups: str | None = None,
    train: Path | None = None,
    bin_width: float | None = None,
    name: str = "the table",
) -> ScoredValues:
    """True and predicted values and what belongs to them, out of a table.

    Args:
        frame: The table, ``N`` rows.
        target: Column of the true values, or several, ``a,b``.
        prediction: Column of the predicted ones, or several in the same order. By default ``prediction``, or
            ``prediction_NAME`` for each of several targets, with ``low`` and ``high`` as their limits where they are
            there: what ``metabalance predict`` writes.
        weight: Column of weights.
        groups: Column of groups to be told apart.
        train: A table of the training rows with the target's columns, or a model folder: they say what is rare. By
            default these rows themselves do.
        bin_width: Of the bins that make the regions.
        name: For messages.

    Raises:
        DataError: A column that is missing or holds no numbers, or no rows.

    >>> frame = pd.DataFrame({"age": [20.0, 21.0, 80.0], "prediction": [22.0, 21.0, 60.0]})
    >>> found = scored_values(frame, target="age")
    >>> found.prediction.ravel().tolist(), found.limits
    ([22.0, 21.0, 60.0], None)
    """
    if not len(frame):
        raise DataError(f"{name} has no rows; there is nothing to judge")
    names = _columns(frame, target)
    chosen = _predictions(frame, names, prediction, name)
    true = np.stack([read_numbers(frame, c) for c in names], axis=1)
    predicted = np.stack([read_numbers(frame, c) for c in chosen], axis=1)
    limits = _limits(frame, names) if prediction is None else None
    if train is None:
        source = "What is rare is told by these rows themselves, not by the training rows: give those with --train."
        made = true
    elif (Path(train) / "manifest.json").is_file():
        return _complete(
            frame, name, names, true, predicted, limits, _stored(Path(train), len(names)),
            f"What is rare is told by the training rows of the model {Path(train).name}.", weight, groups,
        )  # fmt: skip
    else:
        table = read_table(train)
        made = np.stack([read_numbers(table, resolve_column(table.columns, c)) for c in names], axis=1)
        source = f"What is rare is told by the {len(made):,} rows of {Path(train).name}."
    with as_data_errors():
        regions = regions_of(made, bin_width=bin_width)
    return _complete(frame, name, names, true, predicted, limits, regions, source, weight, groups)


def _complete(
    frame: pd.DataFrame, name: str, names: Sequence[str], true: np.ndarray, predicted: np.ndarray,
    limits: np.ndarray | None, regions: Sequence[Regions], source: str, weight: str | None, groups: str | None,
) -> ScoredValues:  # fmt: skip
    from metabalance.study.scored import read_groups, read_weights

    return ScoredValues(
        name, tuple(names), true, predicted, limits, tuple(regions), source,
        None if weight is None else read_weights(frame, weight),
        None if groups is None else read_groups(frame[resolve_column(frame.columns, groups)]), frame,
    )  # fmt: skip


def _columns(frame: pd.DataFrame, text: str) -> list[str]:
    if text in [str(c) for c in frame.columns]:
        return [text]
    found = [resolve_column(frame.columns, part) for part in names_of(text)]
    if not found or len(set(found)) < len(found):
        raise DataError(f"{text!r} must name one column, or several different ones as a,b")
    return found


def _predictions(frame: pd.DataFrame, names: Sequence[str], given: str | None, name: str) -> list[str]:
    if given is not None:
        found = _columns(frame, given)
        if len(found) != len(names):
            raise DataError(
                f"{len(names)} targets need as many columns of predictions, but --score names {len(found)}"
            )
        return found
    columns = [str(c) for c in frame.columns]
    wanted = [f"prediction_{n}" for n in names]
    if len(names) == 1 and "prediction" in columns:
        return ["prediction"]
    missing = [c for c in wanted if c not in columns]
    if missing:
        expected = "'prediction'" if len(names) == 1 else repr(missing[0])
        raise DataError(
            f"{name} has no column {expected}, as metabalance predict writes it; name the column of the predicted values with "
            "--score"
        )
    return wanted


def _limits(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray | None:
    columns, ends = {str(c) for c in frame.columns}, []
    for n in names:
        found = next(
            (
                pair for pair in ((f"low_{n}", f"high_{n}"), ("low", "high"))
                if columns >= set(pair) and (pair[0] != "low" or len(names) == 1)
            ),
            None,
        )  # fmt: skip
        if found is None:
            return None
        ends.append(np.stack([read_numbers(frame, c) for c in found], axis=1))
    return np.stack(ends, axis=1)


def _stored(folder: Path, targets: int) -> list[Regions]:
    document: Any = parse_json(read_file(folder / "manifest.json"))
    try:
        regions = [Regions.from_dict(stored) for stored in document["content"]["regions"]]
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"--train {folder} is no model of values; name a table of the training rows"
        ) from error
    if len(regions) != targets:
        raise DataError(f"--train {folder} is a model of {len(regions)} targets, but {targets} are judged")
    return regions
