"""A continuous target, as a comparison asks it; see :mod:`metabalance.study.kinds`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.data.values import strata
from metabalance.judge.values import get_value_metric
from metabalance.study.candidates import DEFAULT_VALUE_RECIPES
from metabalance.study.kinds import Measure
from metabalance.study.values.figures import figures
from metabalance.study.values.summary import (
    PRIMARY,
    SHOWN,
    metric_limits,
    regions_of,
    value_data,
    value_fit_metrics,
)

__all__ = ["KIND"]

# Spans of the target that splits deal rows from: fine ones first, one where groups or times allow no more.
LEVELS = (50, 10, 5, 2, 1)
ROWS_A_FOLD = 10


class ValueKind:
    """See :class:`~metabalance.study.kinds.Kind`."""

    name = "values"
    baseline = "plain baseline"
    recipes = DEFAULT_VALUE_RECIPES
    metric = PRIMARY

    def known_metric(self, name: str) -> str:
        try:
            return get_value_metric(name).name
        except ValueError as error:
            raise DataError(
                f"{error}; the target is a quantity (for classes give --task classification)"
            ) from error

    def refuse(self, options: Mapping[str, Any]) -> None:
        for option, given in options.items():
            if given:
                raise DataError(
                    f"--{option} is for classes, and the target is a quantity; leave it out, or give --task classification"
                )

    def rehearse(self, candidate: Any, table: Any, network: dict[str, Any]) -> None:
        from metabalance.study.values.fitting import rehearse_values

        rehearse_values(candidate, len(table.names), network)

    def check(self, table: Any, folds: int, timed: bool) -> None:
        rows = len(table.target)
        if rows < ROWS_A_FOLD * folds:
            least = max(2, rows // ROWS_A_FOLD)
            raise DataError(
                f"{table.name} has {rows} rows, too few for {folds} folds: a test part needs {ROWS_A_FOLD}; "
                + (f"use --folds {least}, or add rows" if rows >= 2 * ROWS_A_FOLD else "add rows")
            )

    def labels(self, table: Any, level: int = 0) -> tuple[np.ndarray, Sequence[Any] | None]:
        # Of times the spans of the target may be spread unevenly: only all rows together are in every part.
        levels = LEVELS[-1:] if table.time is not None else LEVELS
        return strata(table.target, levels[level]), None

    def undivided(self, table: Any, refused: DataError) -> DataError:
        whole = "times" if table.time is not None else "groups"
        return DataError(
            f"the {len(table.target)} rows of {table.name} cannot be divided so with {whole} kept whole; use fewer folds, or "
            "add rows"
        )

    def size(self, table: Any) -> int:
        return len(table.names)

    def protocol(self, plan: Any, table: Any) -> dict[str, Any]:
        return {"kind": self.name}

    def settings(self, plan: Any, table: Any) -> Any:
        from metabalance.study.values.fitting import ValueSettings

        return ValueSettings(plan.metric, plan.network, plan.fit_limit, plan.tune)

    def metrics(self, plan: Any) -> list[str]:
        return list(dict.fromkeys([plan.metric, *SHOWN]))

    def measure(self, name: str, plan: Any = None) -> Measure:
        metric = get_value_metric(name)
        low, high = (end if np.isfinite(end) else None for end in metric_limits(name))
        return Measure(metric.title, metric.greater_is_better, low, high)

    def fit_metrics(self, record: dict[str, Any], table: Any, split: Any, plan: Any) -> dict[str, float]:
        prediction, _ = _read(record)
        regions = regions_of(table.target[split.train])
        return value_fit_metrics(prediction, table.target[split.test], regions, table.names, plan.metric)

    def pooled(self, record: dict[str, Any], table: Any, split: Any, plan: Any) -> Any:
        return (*_read(record), table.target[split.test])

    def figures(self, pooled: list[Any], table: Any) -> dict[str, Any]:
        prediction, limits, target = (np.concatenate(part) for part in zip(*pooled))
        shown = None if np.isnan(limits).any() else limits
        return {"values": figures(prediction, target, regions_of(table.target), table.names, shown)}

    def data(self, table: Any) -> dict[str, Any]:
        return value_data(table)

    def evidence_told(self, result: dict[str, Any], fits: int) -> str:
        folds = result["protocol"]["folds"]
        told = []
        for one in result["data"]["density"]:
            few = sum(n for n, group in zip(one["counts"], one["groups"]) if group == "few")
            told.append(
                f"{few:g} rows are few-shot in {one['name']}, about {few / folds:.0f} in each test part"
            )
        return f"{fits} paired fits per recipe; {'; '.join(told)}."


KIND = ValueKind()


def _read(record: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Values ``(N, T)`` and the ends of their intervals ``(N, T, 2)`` of a stored fit."""
    outputs = record["outputs"]
    return outputs[:, :, 0], outputs[:, :, 1:]
