"""Columns that follow the target nearly without error, and columns whose gaps depend on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu, rankdata

from metabalance.data.findings import Finding
from metabalance.data.tables import is_text
from metabalance.judge.paired import holm
from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import Part, amount, listed
from metabalance.study.values.audit.subject import ValuePlan, ValueSubject

__all__ = ["check_missing_values", "nearly_the_target"]

FOLLOWS, AGREES = 0.999, 0.9  # a correlation, and the least one of the ranks that goes with it
FEWEST, SCREEN = 20, 20_000
LEVEL, MATERIAL = 0.01, 0.1  # of the probability that a row with a gap has the larger value, from one half
SHOWN = 50


def nearly_the_target(features: pd.DataFrame, y: np.ndarray) -> list[Finding]:
    """MB109.

    Args:
        features: Columns of use, and none that MB006 has found.
        y: Targets ``(N, T)``.
    """
    rows = np.arange(len(features))[:: max(1, len(features) // SCREEN)]
    if len(rows) < FEWEST:
        return []
    found = []
    for name, column in features.iloc[rows].items():
        for goal in y[rows].T:
            how = _follows(column, goal)
            if how:
                found.append((str(name), how))
                break
    if not found:
        return []
    message = (
        f"{listed([f'{name!r} ({how})' for name, how in found])}: a single column that gives the target away nearly without "
        "error; is it the target in another unit, or known only after the fact? Drop it unless it is there when predicting"
    )
    return [Finding("MB109", "warning", message, tuple(name for name, _ in found))]


def _follows(column: pd.Series, goal: np.ndarray) -> str | None:
    """How a column gives a target away, or None."""
    if goal.min() == goal.max():
        return None
    if is_text(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype):
        codes, levels = pd.factorize(column, use_na_sentinel=False)
        if not 2 <= len(levels) <= len(column) / 10:
            return None
        unit = goal / np.abs(goal).max()
        mean = np.bincount(codes, unit) / np.bincount(codes)
        explained = 1 - np.sum((unit - mean[codes]) ** 2) / np.sum((unit - unit.mean()) ** 2)
        return f"its levels explain {explained:.4f} of the variance" if explained >= FOLLOWS**2 else None
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return None
    values = column.to_numpy(dtype=float, na_value=np.nan)
    there = np.isfinite(values)
    if there.sum() < max(FEWEST, len(values) / 2):
        return None
    ranks = _correlation(rankdata(values[there]), rankdata(goal[there]))
    # One row far out makes a correlation by itself; what follows the target does so in all rows.
    linear = _correlation(values[there], goal[there]) if abs(ranks) >= AGREES else 0.0
    if abs(linear) >= FOLLOWS:
        return f"correlation {linear:.4f}"
    return f"rank correlation {ranks:.4f}" if abs(ranks) >= FOLLOWS else None


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = (v / (np.abs(v).max() or 1.0) for v in (a, b))
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else 0.0


def check_missing_values(subject: ValueSubject, plan: ValuePlan) -> Part:
    """MB110."""
    part = Part(facts={"missing": []})
    useful = subject.useful
    columns = [name for name in useful.columns if useful[name].isna().any()]
    lines: list[dict[str, Any]] = []
    for name in columns:
        gone = useful[name].isna().to_numpy()
        for t in subject.varying:
            lines.append(
                {"column": str(name), "target": subject.names[t], **_gap(gone, subject.y[:, t], subject.rare)}
            )
    for line, adjusted in zip(lines, holm([line["p"] for line in lines]) if lines else ()):
        line["p_holm"] = float(adjusted)
        line["material"] = bool(adjusted < LEVEL and abs(line["larger"] - 0.5) >= MATERIAL)
    part.facts["missing"] = sorted(lines, key=lambda line: (not line["material"], -line["share"]))[:SHOWN]
    found = sorted((line for line in lines if line["material"]), key=lambda line: -abs(line["larger"] - 0.5))
    if found:
        part.found(
            "MB110", "warning", f"values are missing where the target is of another size: {listed(_told(found), 4)}",
            columns=tuple(dict.fromkeys(line["column"] for line in found)),
        )  # fmt: skip
    return part


def _gap(gone: np.ndarray, y: np.ndarray, rare: np.ndarray) -> dict[str, float]:
    inside, rest = y[gone], y[~gone]
    told = {
        "share": float(gone.mean()), "share_of_rare": float(gone[rare].mean()) if rare.any() else float("nan"),
        "larger": 0.5, "p": 1.0,
    }  # fmt: skip
    if len(inside) and len(rest):
        test = mannwhitneyu(inside, rest, method="asymptotic")
        told |= {"larger": float(test.statistic / (len(inside) * len(rest))), "p": float(test.pvalue)}
    return told | {"median_where_missing": _median(inside), "median_elsewhere": _median(rest)}


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _told(lines: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{line['column']!r} ({percent(line['share'])}; median of {line['target']!r} "
        f"{amount(line['median_where_missing'])} where missing, {amount(line['median_elsewhere'])} elsewhere)"
        for line in lines
    ]
