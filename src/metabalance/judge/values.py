"""How well a continuous target is predicted: over all rows, where it was frequent in training, and where rare.

The metrics are those of :mod:`metabalance.judge.regression`, for one target or several, each also by region:
``mae@few`` is the mean absolute error over the rows whose value few training rows were near.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, nan_when_undefined
from metabalance.judge.metrics import REGRESSION_METRICS, Metric
from metabalance.judge.regions import GROUPS, Regions

__all__ = ["VALUE_METRICS", "get_value_metric", "value_metrics"]

Array = NDArray[Any]
VALUE_METRICS = ("mae", "rmse", "gm", "bmae", "r2", "pearson", "spearman")
ERRORS = ("mae", "rmse", "gm", "bmae")
HIT = 1e-10  # what an exact hit counts as in a geometric mean, in standard deviations of the training target


def value_metrics(
    prediction: ArrayLike,
    target: ArrayLike,
    regions: Regions | Sequence[Regions],
    names: Sequence[str] = VALUE_METRICS,
    *,
    sample_weight: ArrayLike | None = None,
    target_names: Sequence[str] | None = None,
) -> dict[str, float]:
    """Errors and correlations over all rows and by region.

    ``bmae`` is the mean of the absolute error's means in those bins of the regions that hold rows (Ren, Zhang, Yu &
    Liu, CVPR 2022, arXiv 2203.16427); regions by training density are those of Yang et al., ICML 2021, arXiv
    2102.09554. Of several targets an error is divided by the target's standard deviation in training and averaged
    over the targets; R² and correlations are averaged as they are.

    Args:
        prediction: ``(N,)`` or ``(N, T)``, finite.
        target: Likewise.
        regions: Of :func:`~metabalance.judge.make_regions`, one for each target.
        names: Of metrics; one without a region (``"mae"``) stands for itself and its three regions.
        sample_weight: Weights ``(N,)``.
        target_names: T names, by default 1, 2, ...

    Returns:
        ``mae``, ``mae@many``, ``mae@medium``, ``mae@few``, ...; of several targets also each one's in its own unit,
        ``mae[depth]``, ``mae@few[depth]``. NaN where a metric has no value: :func:`~metabalance.judge.undefined_reason`
        of :func:`get_value_metric` says why.

    Raises:
        ValueError: An unknown metric, shapes that do not fit, or values that are not finite.

    >>> from metabalance.judge import make_regions
    >>> regions = make_regions([1.0] * 150 + [2.0] * 50 + [3.0] * 5, bin_width=1.0)
    >>> value_metrics([1.5, 2.0, 5.0], [1.0, 2.0, 3.0], regions, ["mae"])
    {'mae': 0.8333333333333334, 'mae@many': 0.5, 'mae@medium': 0.0, 'mae@few': 2.0}
    """
    p, y, w, several = checked(prediction, target, regions, sample_weight)
    keys = keys_of(names, p.shape[1], target_names)
    return {key: get_value_metric(key)(p, y, w, regions=several, target_names=target_names) for key in keys}


def get_value_metric(name: str) -> Metric:
    """The metric of a name such as ``bmae``, ``mae@few`` or ``rmse@many[depth]``.

    It is called with the regions: ``metric(prediction, target, sample_weight, regions=regions)``, and with
    ``target_names`` where a target is named.

    Raises:
        ValueError: An unknown name.

    >>> get_value_metric("mae@few").title, get_value_metric("r2").greater_is_better
    ('Mean absolute error, few', True)
    """
    base, group, only = _parsed(name)
    known = REGRESSION_METRICS[base]
    title = ", ".join(filter(None, (known.title, group))) + (f" of {only}" if only else "")
    undefined = f"no rows in the region {group!r}, or {known.undefined}" if group else known.undefined
    full = base + (f"@{group}" if group else "") + (f"[{only}]" if only else "")
    options = {"base": base, "group": group, "only": only}
    return Metric(full, _value, "regression", known.greater_is_better, title, undefined, options)


def keys_of(names: Sequence[str], targets: int, target_names: Sequence[str] | None = None) -> list[str]:
    """The keys that :func:`value_metrics` gives for these names."""
    if isinstance(names, str):
        raise ValueError(f"names must be several, such as [{names!r}], but text was given")
    keys: dict[str, None] = {}
    for name in names:
        base, group, only = _parsed(name)
        whole = [get_value_metric(name).name] if group or only else [base, *(f"{base}@{g}" for g in GROUPS)]
        keys.update(dict.fromkeys(whole))
    labels = labels_of(targets, target_names)
    if targets > 1:
        every = list(keys)
        for label in labels:
            keys.update(dict.fromkeys(f"{key}[{label}]" for key in every if not key.endswith("]")))
    return list(keys)


def labels_of(targets: int, target_names: Sequence[str] | None) -> list[str]:
    """Names of the targets, different from each other."""
    if target_names is None:
        return [str(t + 1) for t in range(targets)]
    labels = [str(name) for name in target_names]
    if len(labels) != targets or len(set(labels)) != targets:
        raise ValueError(f"target_names must be {targets} different names, but {labels} were given")
    return labels


def checked(
    prediction: ArrayLike,
    target: ArrayLike,
    regions: Regions | Sequence[Regions],
    sample_weight: ArrayLike | None,
) -> tuple[Array, Array, Array, list[Regions]]:
    """Predictions and targets ``(N, T)``, weights ``(N,)`` and T regions."""
    p, y = (np.asarray(v, dtype=np.float64) for v in (prediction, target))
    p, y = (v[:, None] if v.ndim == 1 else v for v in (p, y))
    if p.ndim != 2 or p.shape != y.shape or not p.shape[1]:
        raise ValueError(
            f"prediction and target must both be (N,) or both (N, T), but have shapes {np.shape(prediction)} "
            f"and {np.shape(target)}"
        )
    several = [regions] if isinstance(regions, Regions) else list(regions)
    if len(several) != p.shape[1]:
        raise ValueError(f"{p.shape[1]} targets need as many regions, but {len(several)} were given")
    if not (np.isfinite(p).all() and np.isfinite(y).all()):
        raise ValueError("predictions and targets must be finite; find out where the others come from")
    w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if w.shape != (len(y),) or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"sample_weight must be ({len(y)},), finite and not negative")
    return p, y, w, several


_NAME = re.compile(r"(\w+)(?:@(\w+))?(?:\[(.*)\])?", re.DOTALL)


def _parsed(name: str) -> tuple[str, str, str]:
    found = _NAME.fullmatch(name.strip())
    base, group, only = (part or "" for part in found.groups()) if found else ("", "", "")
    base, group = base.lower(), group.lower()
    if base not in VALUE_METRICS or (group and group not in GROUPS):
        raise ValueError(
            f"the metric {name!r} is unknown for a continuous target; use one of {', '.join(VALUE_METRICS)}, "
            "also by region, such as mae@few"
        )
    return base, group, only


@nan_when_undefined
def _value(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    regions: Regions | Sequence[Regions],
    base: str,
    group: str = "",
    only: str = "",
    target_names: Sequence[str] | None = None,
) -> float:
    p, y, w, several = checked(prediction, target, regions, sample_weight)
    labels = labels_of(len(several), target_names)
    if only:
        if only not in labels:
            raise ValueError(f"there is no target {only!r}; use one of {', '.join(labels)}")
        t = labels.index(only)
        return _of_one(base, p[:, t], y[:, t], w, several[t], group)
    if len(several) == 1:
        return _of_one(base, p[:, 0], y[:, 0], w, several[0], group)
    found = []
    for t, region in enumerate(several):
        try:
            value = _of_one(base, p[:, t], y[:, t], w, region, group)
        except Undefined as reason:
            raise Undefined(f"of {labels[t]}, {reason}") from None
        found.append(value / region.scale if base in ERRORS else value)
    return float(np.mean(found))


def _of_one(base: str, p: Array, y: Array, w: Array, region: Regions, group: str) -> float:
    """One metric of one target, in the target's unit."""
    if group:
        inside = region.of(y) == group
        if not w[inside].sum() > 0:
            raise Undefined(f"no row lies in the region {group!r}")
        p, y, w = p[inside], y[inside], w[inside]
    elif not w.sum() > 0:
        raise Undefined("all weights are 0" if len(w) else "there are no rows")
    if base == "bmae":
        mass = np.bincount(region.index(y), w)
        error = np.bincount(region.index(y), w * np.abs(p - y))
        return float(np.mean(error[mass > 0] / mass[mass > 0]))
    function: Any = REGRESSION_METRICS[base].function
    # In the unit of the target: an eps that means nothing to a target of 1e-12 would be its error.
    options = {"eps": HIT * region.scale} if base == "gm" else {}
    return float(function.__wrapped__(p, y, w, **options))
