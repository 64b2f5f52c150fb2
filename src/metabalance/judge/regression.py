"""How well rare values are predicted: errors balanced over values, by many, medium and few shots, and what is explained."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, nan_when_undefined

__all__ = ["balanced_mae", "geometric_mean_error", "mae", "pearson", "r2", "rmse", "shot_errors", "spearman"]

Array = NDArray[Any]


@nan_when_undefined
def mae(prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean absolute error.

    Args:
        prediction: ``(N,)``, finite.
        target: ``(N,)``, finite.
        sample_weight: Weights ``(N,)``.

    Returns:
        In the unit of the target; NaN without rows.

    Raises:
        ValueError: Shapes that do not fit, values that are not finite, or negative weights.

    >>> mae([1.0, 2.0, 4.0], [1.0, 3.0, 2.0])
    1.0
    """
    error, _, w = _errors(prediction, target, sample_weight)
    return float(np.average(error, weights=w))


@nan_when_undefined
def rmse(prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Root of the mean squared error. Arguments and errors as for :func:`mae`.

    >>> round(rmse([1.0, 2.0, 4.0], [1.0, 3.0, 2.0]), 4)
    1.291
    """
    error, _, w = _errors(prediction, target, sample_weight)
    return float(np.sqrt(np.average(error**2, weights=w)))


@nan_when_undefined
def geometric_mean_error(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None, *, eps: float = 1e-10
) -> float:
    """Geometric mean of the absolute errors: fair to rows that are already nearly right.

    Yang et al., ICML 2021, arXiv 2102.09554. One exact hit would make it 0, so errors count as at least ``eps``,
    which is part of the figure; published code adds it to every error, to exact hits only, or not at all.

    Args:
        prediction: ``(N,)``.
        target: ``(N,)``.
        sample_weight: Weights ``(N,)``.
        eps: The smallest error, from 0, in the unit of the target.

    >>> round(geometric_mean_error([1.0, 2.0, 4.0], [2.0, 3.0, 2.0]), 4)
    1.2599
    """
    if not eps >= 0:
        raise ValueError(f"eps must not be negative, but {eps} was given")
    error, _, w = _errors(prediction, target, sample_weight)
    error, w = error[w > 0], w[w > 0]
    if eps == 0 and (error == 0).any():
        return 0.0
    return float(np.exp(np.average(np.log(np.maximum(error, eps)), weights=w)))


@nan_when_undefined
def balanced_mae(
    prediction: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    bin_width: float | None = None,
) -> float:
    """Mean over the target's values of the mean absolute error at each, so that rare values count like others.

    Ren, Zhang, Yu & Liu, CVPR 2022, arXiv 2203.16427 (bMAE). Equals :func:`mae` when every value is equally
    frequent.

    Args:
        prediction: ``(N,)``.
        target: ``(N,)``.
        sample_weight: Weights ``(N,)``.
        bin_width: Width of the bins for a continuous target; by default each different value counts.

    >>> balanced_mae([1.0, 1.0, 1.0, 9.0], [1.0, 1.0, 1.0, 5.0])
    2.0
    """
    error, y, w = _errors(prediction, target, sample_weight)
    value = _values(y, bin_width)
    _, index = np.unique(value, return_inverse=True)
    mass = np.bincount(index, w)
    return float(np.mean(np.bincount(index, w * error)[mass > 0] / mass[mass > 0]))


@nan_when_undefined
def r2(prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Share of the target's variance that the predictions explain; below 0 where the mean does better.

    Arguments and errors as for :func:`mae`; NaN where the target is constant. Within a region of the target it is small
    or negative by construction: there is little variance to explain.

    >>> r2([1.0, 2.0, 4.0], [1.0, 3.0, 2.0])
    -1.5
    """
    error, y, w = _errors(prediction, target, sample_weight)
    spread = _deviation(y, w, "target")
    unit = np.abs(spread[w > 0]).max()  # in this unit no square under- or overflows
    with np.errstate(over="ignore"):
        value = float(1 - np.sum(w * (error / unit) ** 2) / np.sum(w * (spread / unit) ** 2))
    if not np.isfinite(value):
        raise Undefined("the target is constant, but for rounding")
    return value


@nan_when_undefined
def pearson(prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Correlation of predictions and targets; NaN where either is constant. Arguments as for :func:`mae`.

    >>> round(pearson([1.0, 2.0, 4.0], [1.0, 3.0, 2.0]), 4)
    0.3273
    """
    _, y, w = _errors(prediction, target, sample_weight)
    return _correlation(np.asarray(prediction, dtype=np.float64), y, w)


@nan_when_undefined
def spearman(prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Correlation of the ranks, ties at their mean rank; NaN where either is constant. Arguments as for :func:`mae`.

    A weight of k counts as k rows.

    >>> round(spearman([1.0, 2.0, 4.0], [1.0, 3.0, 2.0]), 4)
    0.5
    """
    _, y, w = _errors(prediction, target, sample_weight)
    return _correlation(_ranks(np.asarray(prediction, dtype=np.float64), w), _ranks(y, w), w)


def shot_errors(
    prediction: ArrayLike,
    target: ArrayLike,
    train_target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    metric: Callable[..., float] = mae,
    bin_width: float = 1.0,
    many: float = 100,
    few: float = 20,
) -> dict[str, float]:
    """An error over all rows, and over those whose target value was frequent or rare in training.

    Yang et al., ICML 2021, arXiv 2102.09554. Only training counts make the groups; a value that training never
    saw is few-shot. (With ``mae`` the groups' errors, weighted by their rows, average to that of all.)

    Args:
        prediction: ``(N,)``.
        target: ``(N,)``.
        train_target: Targets of the training rows ``(M,)``.
        sample_weight: Weights ``(N,)``.
        metric: ``(prediction, target, sample_weight) -> float``, such as :func:`mae` or :func:`balanced_mae`.
        bin_width: Width of a bin of target values: 1 for years, 0.1 for similarities.
        many: Above so many training rows a bin is many-shot.
        few: Below so many it is few-shot.

    Returns:
        ``all``, ``many``, ``medium`` and ``few``; NaN where a group has no rows.

    >>> shot_errors([20.0, 21.0, 90.0], [20.0, 20.0, 80.0], [20.0] * 150 + [80.0] * 3)["few"]
    10.0
    """
    _, y, w = _checked(prediction, target, sample_weight)
    p = np.asarray(prediction, dtype=np.float64)
    seen, count = np.unique(
        _values(np.asarray(train_target, dtype=np.float64), bin_width), return_counts=True
    )
    value = _values(y, bin_width)
    place = np.minimum(np.searchsorted(seen, value), max(len(seen) - 1, 0))
    rows = np.where(seen[place] == value, count[place], 0) if len(seen) else np.zeros(len(value))
    group = np.where(rows > many, "many", np.where(rows < few, "few", "medium"))
    return {"all": metric(p, y, w)} | {
        name: metric(p[group == name], y[group == name], w[group == name])
        for name in ("many", "medium", "few")
    }


def _checked(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Absolute errors, targets and weights ``(N,)``."""
    p, y = np.asarray(prediction, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape:
        raise ValueError(f"prediction and target must be (N,), but have shapes {p.shape} and {y.shape}")
    if not (np.isfinite(p).all() and np.isfinite(y).all()):
        raise ValueError("predictions and targets must be finite; find out where the others come from")
    w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if w.shape != y.shape or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"sample_weight must be ({len(y)},), finite and not negative")
    return np.abs(p - y), y, w


def _errors(
    prediction: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array]:
    error, y, w = _checked(prediction, target, sample_weight)
    if not w.sum() > 0:
        raise Undefined("all weights are 0" if len(w) else "there are no rows")
    return error, y, w


def _deviation(values: Array, w: Array, name: str) -> Array:
    """Deviations from the weighted mean."""
    held = values[w > 0]
    if held.min() == held.max():
        raise Undefined(f"the {name} is constant")
    return values - np.average(values, weights=w)


def _correlation(p: Array, y: Array, w: Array) -> float:
    a, b = _deviation(p, w, "prediction"), _deviation(y, w, "target")
    a, b = a / np.abs(a[w > 0]).max(), b / np.abs(b[w > 0]).max()
    return float(np.clip(np.sum(w * a * b) / np.sqrt(np.sum(w * a**2) * np.sum(w * b**2)), -1, 1))


def _ranks(values: Array, w: Array) -> Array:
    """Mean ranks ``(N,)`` among rows that count by their weight."""
    _, index = np.unique(values, return_inverse=True)
    mass = np.bincount(index, w)
    return (np.cumsum(mass) - mass / 2)[index]


def _values(target: Array, bin_width: float | None) -> Array:
    """Bins by number; the allowance is for 0.3 / 0.1, which is below 3."""
    if bin_width is None:
        return target
    if not bin_width > 0:
        raise ValueError(f"bin_width must be above 0, but {bin_width} was given")
    return np.floor(target / bin_width + 1e-9)
