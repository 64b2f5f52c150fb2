"""Scored Parquet of any length judged in one pass over its scores, in bounded memory."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metabalance.data.errors import DataError
from metabalance.data.parts import ParquetParts, holds_parts
from metabalance.judge import ConfusionStream, ScoreStream, get_metric
from metabalance.study.judging import rates
from metabalance.study.scored import STEM, Scored, scored_table

__all__ = ["judge_stream"]

BATCH = 1 << 18
MAX_LABELS = 1000
TWO = (
    "average_precision", "roc_auc", "recall@precision>=0.9", "precision@1%", "brier", "log_loss", "ece", "precision",
    "recall", "specificity", "f1", "balanced_accuracy", "g_mean", "mcc",
)  # fmt: skip
MANY = (
    "average_precision",
    "roc_auc",
    "brier",
    "log_loss",
    "ece",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "mcc",
)


def judge_stream(
    path: Path,
    *,
    target: str,
    score: str | None,
    positive: str | None,
    decision: str | None,
    weight: str | None,
    metrics: Sequence[str],
    level: float,
) -> dict[str, Any]:
    """As :func:`~metabalance.study.judging.judge_scored`, of Parquet that need not fit into memory.

    Rates have Wilson's intervals; ranking metrics the ends between which the order within bins puts them.

    Args:
        path: A Parquet file, a folder of them, or a pattern.
        target: Column of the true classes.
        score: See :func:`~metabalance.study.scored.scored_table`.
        positive: The positive class, by default the rarest.
        decision: Column of decided classes; by default ``decision`` where it is there.
        weight: Column of weights.
        metrics: Names; by default a selection.
        level: Nominal coverage of the intervals.

    Raises:
        DataError: No Parquet, columns that are missing or unsound, scores that are no probabilities, or a metric
            that does not follow from histograms.
    """
    if not (holds_parts(path) or path.is_dir() or path.suffix in (".parquet", ".pq")):
        raise DataError(
            f"--stream reads Parquet, but {path} is none; leave --stream out, or convert the file"
        )
    file = ParquetParts(path)
    names = file.names
    if target not in names:
        raise DataError(f"{path.name} has no column {target!r}; its columns are {', '.join(names[:20])}")
    decision = "decision" if decision is None and score is None and "decision" in names else decision
    stem = STEM if score is None else score
    columns = [n for n in names if n in (target, decision, weight) or n.startswith(stem)]
    sample, counted = _first_rows(file, columns, target, path.name)
    options: dict[str, Any] = {"target": target, "score": score, "decision": decision, "weight": weight}
    first = scored_table(sample, positive=positive, name=path.name, **options)
    # Each label as it is in the file, and the class that it is.
    classes = dict(zip(sample[target].tolist(), first.target.tolist()))
    totals = np.zeros(len(first.classes), dtype=np.int64)
    for label, count in counted.items():
        totals[classes[label]] += count
    tables, scores = ConfusionStream(len(first.classes)), ScoreStream(len(first.classes))
    for frame in _batches(file, columns):
        _add(frame, first, classes, options, tables, scores)
    chosen = [get_metric(name) for name in metrics or (TWO if len(first.classes) == 2 else MANY)]
    return {
        "name": path.name,
        "target": target,
        "classes": list(first.classes),
        "positive": first.classes[first.positive],
        "counts": totals.tolist(),
        "rows": int(totals.sum()),
        "weighted": weight is not None,
        "probabilities": True,
        "decision": "the decisions in the file" if decision else "the most probable class",
        "level": level,
        "ends": "ends",
        "metrics": [_row(m, tables, scores, None if weight else level) for m in chosen],
        "per_class": [],
        "per_group": [],
        "notes": [
            "in one pass: rates have Wilson's intervals, other ends are those that bins of scores leave open, and "
            "say nothing of chance"
        ],
    }


def _first_rows(file: Any, columns: list[str], target: str, name: str) -> tuple[pd.DataFrame, dict[Any, int]]:
    """A small table with every label, the rarest fewest times, and the rows of each label."""
    counted: dict[Any, int] = {}
    kept: list[pd.DataFrame] = []
    for frame in _batches(file, [target]):
        if frame[target].isna().any():
            raise DataError(f"the target {target!r} is missing in some rows of {name}; leave them out")
        for label, count in frame[target].value_counts(sort=False).items():
            counted[label] = counted.get(label, 0) + int(count)
        if len(counted) > MAX_LABELS:
            raise DataError(f"the target {target!r} has over {MAX_LABELS} different values and is no class")
    if not counted:
        raise DataError(f"{name} has no rows; there is nothing to judge")
    missing = set(counted)
    for frame in _batches(file, columns):
        found = frame[frame[target].isin(missing)].drop_duplicates(target)
        missing -= set(found[target])
        kept.append(found)
        if not missing:
            break
    one = pd.concat(kept, ignore_index=True)
    # Twice all but the rarest, so that the rarest of the sample is that of the file.
    fewest = min(counted.values())
    return pd.concat([one, one[one[target].map(counted) > fewest]], ignore_index=True), counted


def _batches(file: Any, columns: list[str]) -> Iterator[pd.DataFrame]:
    for block in file.blocks(BATCH, columns=columns):
        # A target that is a partition has other levels in every file.
        yield block.unify_dictionaries().to_pandas(strings_to_categorical=False).apply(_plain)


def _plain(series: pd.Series) -> pd.Series:
    return series.astype(series.cat.categories.dtype) if hasattr(series, "cat") else series


def _add(
    frame: pd.DataFrame, first: Scored, classes: dict[Any, int], options: dict[str, Any], tables: ConfusionStream,
    scores: ScoreStream,
) -> None:  # fmt: skip
    """Counts one batch."""
    truth = _codes(frame[options["target"]], classes, first)
    weight = None if options["weight"] is None else frame[options["weight"]].to_numpy(np.float64)
    values = _scores(frame, first, options["score"])
    scores.update(values, truth, weight)
    if options["decision"] is not None:
        label = _codes(frame[options["decision"]], classes, first)
    else:
        label = (values > 0.5).astype(np.int64) if values.ndim == 1 else values.argmax(1)
    tables.update(label, truth, weight)


def _codes(series: pd.Series, classes: dict[Any, int], first: Scored) -> np.ndarray:
    """Class indices ``(N,)``; a decision may name its class in text where the target has a number."""
    codes, levels = pd.factorize(series)
    known = {str(label): i for label, i in classes.items()} | {c: i for i, c in enumerate(first.classes)}
    index = [classes.get(level, known.get(str(level).strip(), -1)) for level in levels]
    if -1 in index or (codes < 0).any():
        bad = "a missing value" if (codes < 0).any() else repr(levels[index.index(-1)])
        raise DataError(f"the column {series.name!r} holds {bad}, which is no class of {first.target_name!r}")
    return np.array(index, dtype=np.int64)[codes]


def _scores(frame: pd.DataFrame, first: Scored, score: str | None) -> np.ndarray:
    """``(N,)`` of the positive class of two, else ``(N, C)``."""
    if score in frame.columns:
        return frame[score].to_numpy(np.float64)
    stem = STEM if score is None else score
    columns = {c[len(stem) :]: c for c in frame.columns if c.startswith(stem)}
    if len(first.classes) == 2:
        column = columns.get(first.classes[1]) or next(iter(columns.values()))
        return frame[column].to_numpy(np.float64)
    return frame[[columns[c] for c in first.classes]].to_numpy(np.float64)


def _row(metric: Any, tables: ConfusionStream, scores: ScoreStream, level: float | None) -> dict[str, Any]:
    """One metric; a level where rates may have intervals."""
    head = {name: getattr(metric, name) for name in ("name", "title", "kind", "greater_is_better")}
    two = tables.num_classes == 2
    if metric.kind == "score":
        found = scores.value(metric)
        by = "" if found.reason else "exact" if found.error == 0 else "bins of scores"
        return head | {
            "value": found.value, "low": found.low, "high": found.high, "method": by, "reason": found.reason,
        }  # fmt: skip
    value = tables.value(metric)
    low = high = math.nan
    if level is not None and two and metric.name in ("precision", "recall", "specificity"):
        interval = rates(tables.table, 1, level)[metric.name]
        low, high = interval.low, interval.high
    reason = metric.undefined if math.isnan(value) else ""
    by = "" if reason else "wilson" if math.isfinite(low) else "exact"
    return head | {"value": value, "low": low, "high": high, "method": by, "reason": reason}
