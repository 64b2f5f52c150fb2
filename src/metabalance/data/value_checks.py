"""What :mod:`metabalance.data.checks` is for classes: a look at a table whose target is continuous."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from metabalance.data.checks import GIVEN_AWAY, SCREEN_ROWS, check_features, listed, row_hashes
from metabalance.data.findings import Finding
from metabalance.data.values import Values

__all__ = ["check_value_table"]

FEWEST = 20  # rows; below, some column orders the target by luck


def check_value_table(
    frame: pd.DataFrame, values: Values, groups: str | None = None, time: str | None = None
) -> list[Finding]:
    """Looks at every feature column, and at equal rows.

    Args:
        frame: The whole table, ``N`` rows.
        values: The checked target; its columns are no features.
        groups: A column that names groups; no feature.
        time: A column of times; no feature.

    Returns:
        Findings, by code.

    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"y": rng.normal(size=50), "x": rng.normal(size=50)})
    >>> frame["again"] = np.exp(frame["y"])
    >>> [f.columns for f in check_value_table(frame, Values(frame[["y"]].to_numpy(), ("y",)))]
    [('again',)]
    """
    known = {*values.names, groups, time}
    features = frame[[name for name in frame.columns if str(name) not in known]]
    found, useful = check_features(features)
    if useful is not None:
        found += _leaks(useful, values)
        found += _equal_rows(useful)
    return sorted(found, key=lambda finding: finding.code)


def _leaks(features: pd.DataFrame, values: Values) -> list[Finding]:
    if len(features) < FEWEST:
        return []
    rows = np.arange(len(features))[:: max(1, len(features) // SCREEN_ROWS)]
    goals = [_centred(column[rows]) for column in values.table.T]
    numeric = features.select_dtypes(["number", "bool"]).columns
    leaks = [
        str(name)
        for name in numeric
        if (ranks := _centred(_filled(features[name].iloc[rows]))) is not None
        and any(goal is not None and abs(float(ranks @ goal)) >= GIVEN_AWAY for goal in goals)
    ]
    if not leaks:
        return []
    message = (
        f"{listed(leaks)}: a single column that orders the rows as the target does, (almost) without error; is it known "
        "only after the fact, or the target in disguise? Drop it unless it is there when predicting"
    )
    return [Finding("MB006", "warning", message, tuple(leaks))]


def _filled(column: pd.Series) -> np.ndarray:
    return np.nan_to_num(
        column.to_numpy(dtype=float, na_value=np.nan), nan=-np.inf, neginf=-np.inf, posinf=np.inf
    )


def _centred(values: np.ndarray) -> Any:
    """Ranks of mean 0 and length 1; None where all are equal."""
    ranks = rankdata(values)
    ranks -= ranks.mean()
    length = float(np.sqrt(ranks @ ranks))
    return ranks / length if length > 0 else None


def _equal_rows(features: pd.DataFrame) -> list[Finding]:
    repeated = int(pd.Series(row_hashes(features)).duplicated().sum())
    if not repeated:
        return []
    message = (
        f"{repeated:,} of {len(features):,} rows repeat the features of an earlier row; across a split they make results "
        "look better than they are"
    )
    return [Finding("MB007", "info", message)]
