"""A scored file judged: metrics with intervals, for each class and each group; what is undefined says why."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.data.tables import read_table
from metabalance.judge import (
    Metric,
    confusion,
    f_beta_per_class,
    get_metric,
    interval_for,
    undefined_reason,
    wilson_interval,
)
from metabalance.plain import plain
from metabalance.study.given import as_data_errors, check_goal, cost_matrix, names_of
from metabalance.study.judging_against import compare_columns
from metabalance.study.judging_priors import at_priors, parse_priors
from metabalance.study.judging_tables import show_judgement
from metabalance.study.scored import Scored, scored_table
from metabalance.study.store import write_atomically
from metabalance.study.terminal import Console
from metabalance.study.values.judging import judge_values, show_values
from metabalance.study.values.scored import are_values, refuse_for_values, scored_values

__all__ = ["judge_scored", "rates"]

TWO = (
    "average_precision", "roc_auc", "recall@precision>=0.9", "precision@1%", "brier", "brier_skill", "log_loss",
    "ece_equal_mass", "precision", "recall", "specificity", "f1", "balanced_accuracy", "g_mean", "mcc",
)  # fmt: skip
MANY = (
    "average_precision", "roc_auc", "brier", "brier_skill", "log_loss", "ece", "ece_classwise", "accuracy",
    "balanced_accuracy", "f1", "g_mean", "mcc",
)  # fmt: skip
OF_GROUPS = ("average_precision", "roc_auc", "precision", "recall")  # unless metrics are named
SHOWN_GROUPS = 20
FEW = 50  # rows of a class: below, a bootstrap visibly covers less than it claims


def judge_command(
    *, data: Path, target: str, score: str | None, positive: str | None, decision: str | None, metrics: str | None,
    cost: str | None, groups: str | None, weight: str | None, json_path: Path | None, level: float, resamples: int,
    seed: int, stream: bool, overwrite: bool, header: bool, delimiter: str | None, against: str | None = None,
    priors: str | None = None, task: str | None = None, train: Path | None = None, bin_width: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Prints the metrics of a scored file and, if asked, writes them as JSON."""
    if not 0 < level < 1:
        raise DataError(f"--level must lie between 0 and 1, such as 0.95, but {level} was given")
    if json_path is not None:
        try:
            check_goal(json_path, overwrite)
        except DataError as error:
            raise DataError(str(error).replace("--out", "--json")) from None
    named = names_of(metrics)
    frame = None if stream else read_table(data, header=header, delimiter=delimiter)
    if frame is not None and are_values(frame, target, task):
        refuse_for_values(
            {"--positive": positive, "--decision": decision, "--cost": cost, "--priors": priors}
        )
        values = scored_values(
            frame, target=target, prediction=score, weight=weight, groups=groups, train=train, bin_width=bin_width,
            name=Path(data).name,
        )  # fmt: skip
        result = judge_values(
            values, named, against=names_of(against), level=level, resamples=resamples, seed=seed
        )
        show_values(Console(), result)
        _write(result, json_path)
        return result
    if train is not None or bin_width is not None or (stream and task == "regression"):
        option = "--stream" if stream else "--train" if train is not None else "--bin-width"
        other = "classes" if stream else "predicted values"
        raise DataError(
            f"{option} is for {other}; leave it out, or say --task regression for predicted values"
        )
    with as_data_errors():
        for name in named:
            get_metric(name, cost=((0, 1), (1, 0)) if cost else None)
    columns = {"score": score, "positive": positive, "decision": decision, "weight": weight}
    if frame is None:
        from metabalance.study.judging_stream import judge_stream

        if groups or cost or against or priors:
            raise DataError(
                "--groups, --cost, --against and --priors need all rows in memory; leave them out, or --stream"
            )
        with as_data_errors():
            result = judge_stream(data, target=target, metrics=named, level=level, **columns)
    else:
        assert frame is not None
        scored = scored_table(frame, target=target, groups=groups, name=Path(data).name, **columns)
        matrix = cost_matrix(cost, scored)  # type: ignore[arg-type]  # it asks for the classes and the positive one
        settings: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
        result = judge_scored(scored, named, cost=matrix, **settings)
        if priors:
            chosen = [get_metric(name, cost=matrix) for name in named]
            result["priors"] = at_priors(
                scored, _decision(scored)[0], parse_priors(priors), chosen, **settings
            )
        if against:
            chosen = [get_metric(name, cost=matrix) for name in named]
            with as_data_errors():
                result["against"] = compare_columns(scored, names_of(against), chosen, **settings)
    show_judgement(Console(), result)
    _write(result, json_path)
    return result


def _write(result: dict[str, Any], json_path: Path | None) -> None:
    if json_path is not None:
        write_atomically(json_path, json.dumps(plain(result), indent=2, allow_nan=False).encode())
        Console().print(f"\nJSON: {escape(str(json_path))}", highlight=False, soft_wrap=True)


def judge_scored(
    scored: Scored,
    metrics: Sequence[str] = (),
    *,
    cost: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Metrics of scored rows, plain values throughout.

    Args:
        scored: The rows.
        metrics: Names; by default a selection for the number of classes.
        cost: Cost matrix ``(C, C)``; adds the expected cost of the decisions.
        level: Nominal coverage of the intervals.
        resamples: Of bootstrap intervals.
        seed: Of the resamples.

    Returns:
        ``metrics`` (name, title, value, low, high, method, reason, ...), ``per_class``, ``per_group``, ``notes``
        and what was judged.

    Raises:
        ValueError: An unknown metric.
    """
    size = len(scored.classes)
    names = list(metrics) or list(TWO if size == 2 else MANY)
    if cost is not None and "expected_cost" not in names:
        names.append("expected_cost")
    chosen = [get_metric(name, cost=cost) for name in names]
    decision, rule = _decision(scored)
    settings: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
    every = np.ones(len(scored.target), dtype=bool)
    result = {
        "name": scored.name,
        "target": scored.target_name,
        "classes": list(scored.classes),
        "positive": scored.classes[scored.positive],
        "counts": scored.counts.tolist(),
        "rows": len(scored.target),
        "weighted": scored.weight is not None,
        "probabilities": scored.probabilities,
        "decision": rule,
        "level": level,
        "metrics": [_row(m, scored, decision, every, **settings) for m in chosen],
        "per_class": _per_class(scored, decision, level),
        "per_group": [],
        "notes": _notes(scored),
    }
    if scored.groups is not None:
        labels, counts = np.unique(scored.groups.astype(str), return_counts=True)
        largest = labels[np.argsort(-counts, kind="stable")[:SHOWN_GROUPS]]
        if len(labels) > SHOWN_GROUPS:
            result["notes"].append(f"the {SHOWN_GROUPS} largest of {len(labels)} groups are shown")
        of_groups = chosen if metrics else [m for m in chosen if m.name in OF_GROUPS]
        for label in largest:
            rows = scored.groups == label
            hit = int((scored.target[rows] == scored.positive).sum())
            found = [_row(m, scored, decision, rows, **settings) for m in of_groups]
            result["per_group"].append(
                {"group": str(label), "rows": int(rows.sum()), "positives": hit, "metrics": found}
            )
    return result


def rates(table: np.ndarray, positive: int, level: float) -> dict[str, Any]:
    """Precision, recall and specificity of one class with Wilson's intervals, out of unweighted counts.

    Args:
        table: Confusion table ``(C, C)``, rows true.
        positive: The class.
        level: Nominal coverage.
    """
    hit, rows, called = table[positive, positive], table[positive].sum(), table[:, positive].sum()
    others = table.sum() - rows
    return {
        "precision": wilson_interval(hit, called if rows else 0, level),
        "recall": wilson_interval(hit, rows, level),
        "specificity": wilson_interval(others - (called - hit), others, level),
    }


def _decision(scored: Scored) -> tuple[np.ndarray | None, str]:
    """What decision metrics judge, and where it comes from."""
    if scored.decision is not None:
        return scored.decision, "the decisions in the file"
    if scored.scores.ndim == 2:
        return scored.scores.argmax(1), "the class with the highest score"
    if scored.probabilities:
        return (scored.scores > 0.5).astype(np.int64), "a probability above one half"
    return None, "none: the scores are no probabilities, and there is no column of decisions"


def _row(
    metric: Metric, scored: Scored, decision: np.ndarray | None, rows: np.ndarray, *, level: float, resamples: int,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """One metric on some rows."""
    head = {"name": metric.name, "title": metric.title, "kind": metric.kind}
    head["greater_is_better"] = metric.greater_is_better  # type: ignore[assignment]
    nothing = {"value": math.nan, "low": math.nan, "high": math.nan, "method": ""}
    given = decision if metric.kind == "decision" else scored.scores
    if given is None:
        return head | nothing | {"reason": "there are no decisions: name their column with --decision"}
    target, weight = scored.target[rows], None if scored.weight is None else scored.weight[rows]
    options = (
        {"num_classes": len(scored.classes)}
        if metric.kind == "decision" and metric.name != "expected_cost"
        else {}
    )
    whole = Metric(
        metric.name, metric.function, metric.kind, metric.greater_is_better, metric.title, metric.undefined,
        metric.options | options,
    )  # fmt: skip
    try:
        lack = undefined_reason(whole, given[rows], target, weight)
    except ValueError as error:  # probabilities, or two classes, are needed
        lack = str(error)
    if lack:
        return head | nothing | {"reason": lack}
    i = interval_for(whole, given[rows], target, weight, level=level, n_boot=resamples, seed=seed)
    return head | {"value": i.value, "low": i.low, "high": i.high, "method": i.method, "reason": i.reason}


def _per_class(scored: Scored, decision: np.ndarray | None, level: float) -> list[dict[str, Any]]:
    """Each class against all others: rates with intervals, F1, and the areas of its own scores."""
    size, target, weight = len(scored.classes), scored.target, scored.weight
    table = None if decision is None else confusion(decision, target, weight, num_classes=size)
    f1 = (
        [math.nan] * size
        if decision is None
        else f_beta_per_class(decision, target, weight, num_classes=size)
    )
    found = []
    for c, label in enumerate(scored.classes):
        own = scored.scores[:, c] if scored.scores.ndim == 2 else scored.scores * (1 if c else -1)
        row: dict[str, Any] = {"class": label, "rows": int(scored.counts[c]), "f1": float(f1[c])}
        for name in ("roc_auc", "average_precision"):
            row[name] = get_metric(name)(own, target == c, weight)
        if table is not None:
            for name, interval in rates(table, c, level).items():
                # Weights are no counts of trials: without an interval then.
                ends = (interval.low, interval.high) if weight is None else (math.nan, math.nan)
                row[name] = {
                    "value": interval.value,
                    "low": ends[0],
                    "high": ends[1],
                    "reason": interval.reason,
                }
        found.append(row)
    return found


def _notes(scored: Scored) -> list[str]:
    counts, notes = scored.counts, []
    rare = np.flatnonzero((counts > 0) & (counts < FEW))
    for c in rare[:5]:
        notes.append(
            f"{scored.classes[c]} has {counts[c]} rows: figures that rest on it are uncertain, and intervals by "
            "resampling somewhat too narrow"
        )
    notes += [f"{scored.classes[c]} has no rows" for c in np.flatnonzero(counts == 0)[:5]]
    return notes
