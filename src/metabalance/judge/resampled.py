"""Intervals over repeated splits of the same data, whose training parts overlap."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from metabalance.judge.interval import Interval, check_level

__all__ = ["corrected_resampled_interval"]


def corrected_resampled_interval(values: ArrayLike, test_fraction: float, level: float = 0.95) -> Interval:
    r"""Interval of a mean over repeated splits of the same data, whose training parts overlap.

    Student's t with the variance :math:`(1/J + n_\text{test}/n_\text{train})\, s^2`: the plain
    :math:`s^2/J` of J splits takes them for independent, and finds differences that are not there. Nadeau &
    Bengio, Machine Learning 2003; for repeated cross-validation Bouckaert & Frank, PAKDD 2004.

    Args:
        values: One per split ``(J,)``, all folds of all repetitions; or differences of two models on the same
            splits. Values that are not finite are left out.
        test_fraction: Share of the rows in each test part, between 0 and 1: 0.2 for five folds.
        level: Nominal coverage.

    Returns:
        The mean with its interval; NaN ends with fewer than two finite values.

    Raises:
        ValueError: ``test_fraction`` or ``level`` is outside ``(0, 1)``.

    >>> print(corrected_resampled_interval([0.80, 0.82, 0.78, 0.81, 0.79], test_fraction=0.2))
    0.8000 [0.7706, 0.8294]
    """
    mean, spread, df, reason = corrected_moments(values, test_fraction)
    check_level(level)
    half = float(stdtrit(df, (1 + level) / 2)) * spread if df > 0 else float("nan")
    return Interval(mean, mean - half, mean + half, level, "corrected resampled t", reason)


def corrected_moments(values: ArrayLike, test_fraction: float) -> tuple[float, float, int, str]:
    """Mean, corrected standard error, degrees of freedom, and what is to be said about them."""
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, but {test_fraction} was given")
    v = np.asarray(values, dtype=np.float64).reshape(-1)
    finite = v[np.isfinite(v)]
    j, lost = len(finite), len(v) - len(finite)
    mean = float(finite.mean()) if j else float("nan")
    if j < 2:
        return mean, float("nan"), 0, f"{j} of {len(v)} splits have a value; it takes two"
    spread = float(finite.std(ddof=1)) * np.sqrt(1 / j + test_fraction / (1 - test_fraction))
    return (
        mean,
        float(spread),
        j - 1,
        f"{lost} of {len(v)} splits have no value and were left out" if lost else "",
    )
