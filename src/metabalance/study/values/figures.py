"""What a report draws of predicted values, as plain JSON: residuals by target, error by density, a scatter, coverage."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabalance.judge.regions import GROUPS, Regions
from metabalance.judge.wilson import wilson_interval

__all__ = ["density_of", "figures", "stored_density"]

MOST_POINTS = 400
STRIPS = 12  # along the target, over which residuals are gathered
TAILS = (0.1, 0.25, 0.5, 0.75, 0.9)


def figures(
    prediction: np.ndarray,
    target: np.ndarray,
    regions: Sequence[Regions],
    names: Sequence[str],
    limits: np.ndarray | None = None,
) -> dict[str, Any]:
    """Figures of one set of predictions, target by target.

    Args:
        prediction: ``(N, T)``, in the user's unit.
        target: ``(N, T)``.
        regions: Of each target, by its training density.
        names: Of the targets ``(T,)``.
        limits: Lower and upper limits ``(N, T, 2)``, where there are any.

    Returns:
        ``targets``, each with ``name``, ``rows``; ``residuals``: quantiles of prediction minus target in strips of the
        target; ``density``: mean absolute error of each bin with its training rows; ``scatter``: at most 400 rows, the
        rare ones first; ``regions``: rows, mean absolute error and mean residual of each; ``coverage`` of the limits,
        by the region of the target and by that of the prediction.

    >>> from metabalance.judge import make_regions
    >>> y = np.repeat([[1.0], [2.0], [3.0]], [150, 50, 6], axis=0)
    >>> found = figures(y + 0.5, y, [make_regions(y, bin_width=1.0)], ["age"])["targets"][0]
    >>> found["residuals"]["q50"], found["density"]["train"], found["regions"]["few"]["rows"]
    ([0.5, 0.5, 0.5], [150, 50, 6], 6)
    """
    several = range(len(names))
    return {
        "targets": [
            _of_one(
                prediction[:, t], target[:, t], regions[t], str(names[t]), None if limits is None else limits[:, t]
            )
            for t in several
        ]
    }  # fmt: skip


def density_of(target: np.ndarray, names: Sequence[str], regions: Sequence[Regions]) -> list[dict[str, Any]]:
    """How densely rows lie along each target ``(N, T)``, and which bins are many-, medium- and few-shot.

    Returns:
        For each target ``name``, ``edges``, ``counts`` of these rows, ``groups`` by the regions' training rows, ``rule``
        and the thresholds ``many`` and ``few``.
    """
    found = []
    for t, region in enumerate(regions):
        counts = np.bincount(region.index(target[:, t]), minlength=len(region.counts))
        told = {"name": str(names[t]), **region.to_dict()}
        found.append(told | {"counts": counts.tolist(), "groups": region.groups.tolist()})
    return found


def stored_density(regions: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The same of stored regions: how densely the training rows themselves lie."""
    found = [Regions.from_dict(stored) for stored in regions]
    return [
        {"name": str(name), **region.to_dict(), "groups": region.groups.tolist()}
        for name, region in zip(names, found, strict=True)
    ]


def _of_one(p: np.ndarray, y: np.ndarray, region: Regions, name: str, limits: Any) -> dict[str, Any]:
    residual, group = p - y, region.of(y)
    found: dict[str, Any] = {
        "name": name,
        "rows": len(y),
        "residuals": _residuals(residual, y, group),
        "density": _by_density(residual, y, region),
        "scatter": _thinned(p, y, group),
        "regions": {
            g: {
                "rows": int((group == g).sum()),
                "mae": _mean(np.abs(residual)[group == g]),
                "bias": _mean(residual[group == g]),
            }
            for g in GROUPS
        },
    }
    if limits is not None:
        found["coverage"] = {
            "target": _coverage(limits, y, group),
            "prediction": _coverage(limits, y, region.of(p)),
        }
    return found


def _residuals(residual: np.ndarray, y: np.ndarray, group: np.ndarray) -> dict[str, list[Any]]:
    """Quantiles of the residual in equally wide strips of the target."""
    found: dict[str, list[Any]] = {
        k: [] for k in ("low", "high", *(f"q{q * 100:.0f}" for q in TAILS), "rows", "group")
    }
    if not len(y):
        return found
    low, high = float(y.min()), float(y.max())
    levels = np.unique(y)
    # A target of few values has a strip for each; halves of the numbers keep their difference finite.
    edges = (
        np.append(levels[:1], (levels[1:] / 2 + levels[:-1] / 2))
        if len(levels) <= STRIPS
        else np.linspace(low, high, STRIPS + 1)[:-1]
    )
    strip = np.searchsorted(edges, y, side="right") - 1
    ends = np.append(edges, high)
    for k in range(len(edges)):
        inside = strip == k
        if not inside.any():
            continue
        found["low"].append(float(ends[k]))
        found["high"].append(float(ends[k + 1]))
        for q, value in zip(TAILS, np.quantile(residual[inside], TAILS), strict=True):
            found[f"q{q * 100:.0f}"].append(float(value))
        found["rows"].append(int(inside.sum()))
        kinds, count = np.unique(group[inside], return_counts=True)
        found["group"].append(str(kinds[count.argmax()]))
    return found


def _by_density(residual: np.ndarray, y: np.ndarray, region: Regions) -> dict[str, list[Any]]:
    """Mean absolute error of each number of training rows near a value: one point a bin, one for all beyond."""
    near, index = region.rows(y), region.index(y)
    place = np.where(near > 0, index, -1)  # where nothing was seen in training, all is one point
    found: dict[str, list[Any]] = {"train": [], "mae": [], "rows": [], "group": []}
    for k in np.unique(place):
        inside = place == k
        found["train"].append(int(near[inside][0]))
        found["mae"].append(float(np.abs(residual[inside]).mean()))
        found["rows"].append(int(inside.sum()))
        found["group"].append(str(region.groups[k]) if k >= 0 else "few")
    return found


def _thinned(p: np.ndarray, y: np.ndarray, group: np.ndarray) -> dict[str, list[Any]]:
    """At most 400 rows: every region keeps a third of them before another takes more."""
    rng = np.random.default_rng(0)
    chosen: list[int] = []
    for left, name in ((3, "few"), (2, "medium"), (1, "many")):
        rows = np.flatnonzero(group == name)
        size = min(len(rows), (MOST_POINTS - len(chosen)) // left)
        chosen += sorted(rng.permutation(rows)[:size].tolist())
    return {
        "target": y[chosen].tolist(),
        "prediction": p[chosen].tolist(),
        "group": group[chosen].tolist(),
    }


def _coverage(limits: np.ndarray, y: np.ndarray, group: np.ndarray) -> dict[str, Any]:
    """Share of rows within their limits, with Wilson's interval, and the mean width; over all rows and by region."""
    inside = (limits[:, 0] <= y) & (y <= limits[:, 1])
    width = limits[:, 1] - limits[:, 0]
    found = {}
    for name in ("all", *GROUPS):
        rows = np.ones(len(y), dtype=bool) if name == "all" else group == name
        share = wilson_interval(float(inside[rows].sum()), float(rows.sum()))
        found[name] = {
            "rows": int(rows.sum()), "value": _plain(share.value), "low": _plain(share.low),
            "high": _plain(share.high), "width": _mean(width[rows]),
        }  # fmt: skip
    return found


def _mean(values: np.ndarray) -> float | None:
    return _plain(float(values.mean())) if len(values) else None


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
