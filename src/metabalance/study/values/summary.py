"""The pieces of a comparison's summary that a continuous target needs: its metrics, what they are called, the data."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from metabalance.judge.regions import Regions, make_regions
from metabalance.judge.values import VALUE_METRICS, get_value_metric, value_metrics
from metabalance.study.values.figures import density_of

__all__ = [
    "PRIMARY",
    "SHOWN",
    "metric_limits",
    "regions_of",
    "value_data",
    "value_fit_metrics",
    "value_metric_info",
]

PRIMARY = "bmae"
BY_REGION = ("mae", "rmse", "gm", "r2", "pearson", "spearman")
SHOWN = (
    "bmae", "mae", "rmse", "gm", "r2", "pearson", "spearman",
    *(f"{name}@{group}" for name in BY_REGION for group in ("many", "medium", "few")),
)  # fmt: skip


def value_fit_metrics(
    prediction: np.ndarray,
    target: np.ndarray,
    regions: Sequence[Regions],
    names: Sequence[str] | None = None,
    extra: str | None = None,
) -> dict[str, float]:
    """Every metric of one fit on its test part.

    Args:
        prediction: ``(N, T)``, in the user's unit.
        target: ``(N, T)``.
        regions: Of the training part ``(T,)``.
        names: Of the targets; with several, ``mae[name]`` is each one's own.
        extra: A further metric.
    """
    wanted = [*VALUE_METRICS, *([extra] if extra else [])]
    return value_metrics(prediction, target, regions, wanted, target_names=names)


def regions_of(
    target: np.ndarray, *, bin_width: float | Sequence[float] | None = None, num_bins: int = 50
) -> list[Regions]:
    """Regions of each target ``(N, T)``.

    Args:
        target: Of training rows.
        bin_width: One for all, or one for each target.
        num_bins: Where no width is given.
    """
    size = target.shape[1]
    widths = [bin_width] * size if bin_width is None or np.isscalar(bin_width) else list(bin_width)  # type: ignore[arg-type]
    if len(widths) != size:
        raise ValueError(
            f"{size} targets need one width of bins each, or one for all, but {len(widths)} were given"
        )
    return [make_regions(target[:, t], bin_width=widths[t], num_bins=num_bins) for t in range(size)]  # type: ignore[arg-type]


def value_data(
    table: Any, *, bin_width: float | Sequence[float] | None = None, num_bins: int = 50
) -> dict[str, Any]:
    """What a result says of its data in place of classes: ``target``, ``targets`` and their ``density``.

    Args:
        table: Has ``target (N, T)`` and ``names``. Its regions are for showing: each fit takes those of its own
            training part.
        bin_width: As for :func:`regions_of`.
        num_bins: Likewise.
    """
    names = [str(name) for name in table.names]
    regions = regions_of(table.target, bin_width=bin_width, num_bins=num_bins)
    return {
        "target": ", ".join(names),
        "targets": names,
        "density": density_of(table.target, names, regions),
    }


def value_metric_info(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Title and direction of each metric.

    >>> value_metric_info(["mae@few"])
    {'mae@few': {'title': 'Mean absolute error, few', 'greater_is_better': False}}
    """
    metrics = {name: get_value_metric(name) for name in names}
    return {n: {"title": m.title, "greater_is_better": m.greater_is_better} for n, m in metrics.items()}


def metric_limits(name: str) -> tuple[float, float]:
    """Where a metric ends: an interval does not reach beyond.

    >>> metric_limits("mae@few"), metric_limits("r2"), metric_limits("spearman")
    ((0.0, inf), (-inf, 1.0), (-1.0, 1.0))
    """
    base = get_value_metric(name).options["base"]
    if base == "r2":
        return -np.inf, 1.0
    return (-1.0, 1.0) if base in ("pearson", "spearman") else (0.0, np.inf)
