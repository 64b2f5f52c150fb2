"""What a report needs to know of one set of predicted values, as plain JSON: figures with intervals, and what is drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabalance.judge.interval import Interval
from metabalance.judge.regions import Regions
from metabalance.judge.value_intervals import value_estimates
from metabalance.judge.values import get_value_metric
from metabalance.plain import plain
from metabalance.study.values.figures import figures
from metabalance.study.values.summary import SHOWN

__all__ = ["estimate_rows", "values_evidence"]


def values_evidence(
    prediction: np.ndarray,
    target: np.ndarray,
    regions: Sequence[Regions],
    names: Sequence[str],
    limits: np.ndarray | None = None,
    *,
    weight: np.ndarray | None = None,
    level: float | None = None,
    n_boot: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures of predicted values with intervals, and what is drawn of them.

    Args:
        prediction: ``(N, T)``, in the user's unit.
        target: ``(N, T)``.
        regions: Of each target, by its training density.
        names: Of the targets ``(T,)``.
        limits: Lower and upper limits ``(N, T, 2)``, where there are any.
        weight: ``(N,)`` or None; of the metrics, not of what is drawn.
        level: What the limits promise to cover, 0 to 1.
        n_boot: Resamples behind each interval.
        seed: Of the resamples.

    Returns:
        ``kind``, ``rows``, ``targets``, ``estimates`` (name, title, value, low, high, method, reason), ``values`` (of
        :func:`~metabalance.study.values.figures.figures`), ``regions`` and ``level``. Plain JSON: NaN is None.
    """
    found = value_estimates(
        prediction, target, regions, SHOWN, weight=weight, target_names=names, n_boot=n_boot, seed=seed
    )
    told: dict[str, Any] = plain(
        {
            "kind": "values",
            "rows": len(target),
            "targets": [str(name) for name in names],
            "weighted": weight is not None,
            "estimates": estimate_rows(found),
            "values": figures(prediction, target, regions, names, limits),
            "regions": [region.to_dict() for region in regions],
            "level": level,
        }
    )
    return told


def estimate_rows(found: Mapping[str, Interval]) -> list[dict[str, Any]]:
    """Intervals as rows of a table."""
    rows = []
    for key, interval in found.items():
        metric = get_value_metric(key)
        rows.append(
            {
                "name": key, "title": metric.title, "greater_is_better": metric.greater_is_better,
                "value": interval.value, "low": interval.low, "high": interval.high,
                "method": interval.method if np.isfinite(interval.low) else "", "reason": interval.reason,
            }
        )  # fmt: skip
    return rows
