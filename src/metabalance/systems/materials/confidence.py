"""Does the model know when it errs? Coverage of its intervals, distance to the training rows, errors by confidence.

De Breuck, Evans & Rignanese, "Robust model benchmarking and bias-imbalance in data-driven materials science", Journal of
Physics: Condensed Matter 33, 404002 (2021), arXiv 2102.02263. In the authors' code one helper measures "training"
distances on the test fold; here the two sets are separate arguments.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from scipy.special import ndtri
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

__all__ = [
    "RankedError",
    "confidence_ranked_error",
    "coverage_curve",
    "knn_distance",
    "miscalibration_area",
]

Array = NDArray[Any]


def coverage_curve(
    mean: ArrayLike, std: ArrayLike, target: ArrayLike, *, levels: int = 200
) -> tuple[Array, Array]:
    """Which share of the targets lies in the central normal interval of each nominal coverage.

    Args:
        mean: Predictions ``(N,)``.
        std: Their standard deviations ``(N,)``, not negative; 0 covers exact hits alone.
        target: ``(N,)``.
        levels: How many nominal coverages, evenly from 0 to 1.

    Returns:
        Nominal and observed coverages, both ``(levels,)``; below the diagonal the model is too sure of itself.

    Raises:
        ValueError: Shapes that differ, no rows, values that are not finite, or negative deviations.

    >>> nominal, observed = coverage_curve([0.0, 0.0], [1.0, 1.0], [0.5, 1.5], levels=5)
    >>> nominal.tolist(), observed.tolist()
    ([0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.5, 0.5, 1.0])
    """
    m, s, y = (np.asarray(a, dtype=np.float64) for a in (mean, std, target))
    if m.ndim != 1 or not m.shape == s.shape == y.shape or not len(m):
        raise ValueError(
            f"mean, std and target must be (N,) with N at least 1, but are {m.shape}, {s.shape}, {y.shape}"
        )
    if not (np.isfinite(m).all() and np.isfinite(s).all() and np.isfinite(y).all()) or (s < 0).any():
        raise ValueError(
            "mean, std and target must be finite, and no std negative; remove the rows that are not"
        )
    if levels < 2:
        raise ValueError(f"levels must be at least 2, but {levels} was given")
    error = np.abs(m - y)
    with np.errstate(divide="ignore", over="ignore"):
        z = np.divide(error, s, out=np.where(error > 0, np.inf, 0.0), where=s > 0)
    nominal = np.linspace(0, 1, levels)
    return nominal, np.searchsorted(np.sort(z), ndtri(0.5 + nominal / 2), side="right") / len(z)


def miscalibration_area(mean: ArrayLike, std: ArrayLike, target: ArrayLike, *, levels: int = 200) -> float:
    """Area between the coverage curve and the diagonal: 0 if calibrated, at most 1/2. Arguments as for the curve.

    >>> round(miscalibration_area([0.0, 0.0], [1.0, 1.0], [0.5, 1.5]), 3)
    0.157
    """
    nominal, observed = coverage_curve(mean, std, target, levels=levels)
    return float(trapezoid(np.abs(observed - nominal), nominal))


def knn_distance(
    train: ArrayLike, rows: ArrayLike, *, k: int = 5, metric: str = "cosine", standardize: bool = True
) -> Array:
    """Mean distance of each row to its k nearest training rows: far rows are extrapolated.

    Args:
        train: Features of the training rows ``(M, F)``, finite.
        rows: Features to judge ``(N, F)``, finite, none of them a training row.
        k: How many neighbours.
        metric: Of :class:`sklearn.neighbors.NearestNeighbors`.
        standardize: Whether to standardise by the training rows.

    Returns:
        ``(N,)``.

    Raises:
        ValueError: Fewer training rows than k, or features that do not match.

    >>> knn_distance([[0.0], [1.0], [5.0]], [[0.5]], k=2, metric="euclidean", standardize=False)
    array([0.5])
    """
    base, query = np.asarray(train, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    if base.ndim != 2 or query.ndim != 2 or base.shape[1] != query.shape[1]:
        raise ValueError(
            f"train (M, F) and rows (N, F) must have the same columns, but are {base.shape} and {query.shape}"
        )
    if not 1 <= k <= len(base):
        raise ValueError(f"k={k} neighbours of {len(base)} training rows; k must be from 1 to their number")
    if standardize:
        scaler = StandardScaler().fit(base)
        base, query = scaler.transform(base), scaler.transform(query)
    distances, _ = NearestNeighbors(n_neighbors=k, metric=metric).fit(base).kneighbors(query)
    return distances.mean(axis=1)


@dataclass(frozen=True)
class RankedError:
    """Mean error of what is left when the least certain rows are dropped one after another, relative to no ranking.

    Attributes:
        dropped: Share of the rows that are gone, ``(N,)``.
        curve: By the given uncertainty.
        oracle: By the errors themselves: no ranking is lower.
        random: Mean over random orders, about 1 throughout.
        ranked: Area under ``curve`` over that under ``random``; below 1 the uncertainty knows something.
        skill: How far from random (0) to the oracle (1) it gets; below 0 it misleads, NaN if all errors are equal.
    """

    dropped: Array
    curve: Array
    oracle: Array
    random: Array

    @property
    def ranked(self) -> float:
        return float(self.curve.mean() / self.random.mean())

    @property
    def skill(self) -> float:
        room = self.random.mean() - self.oracle.mean()
        return float((self.random.mean() - self.curve.mean()) / room) if room > 1e-12 else float("nan")


def confidence_ranked_error(
    errors: ArrayLike, score: ArrayLike, *, permutations: int = 1000, random_state: Any = 0
) -> RankedError:
    """Drops the rows of the largest score first, and follows the mean error of the rest.

    All curves are divided by the mean of the random curve, as in the authors' code. Of equal scores the later row goes
    first.

    Args:
        errors: Absolute errors ``(N,)``, not all 0.
        score: Uncertainty ``(N,)``, large where the model is unsure: a standard deviation, a distance.
        permutations: Random orders; 0 for their expectation.
        random_state: Of the random orders.

    Raises:
        ValueError: Shapes that differ, no rows, values that are not finite, or errors that are negative or all 0.

    >>> found = confidence_ranked_error([1.0, 2.0, 3.0], [0.1, 0.3, 0.2], permutations=0)
    >>> found.curve.round(3).tolist(), found.oracle.tolist()
    ([1.0, 1.0, 0.5], [1.0, 0.75, 0.5])
    """
    e, u = np.asarray(errors, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if e.ndim != 1 or e.shape != u.shape or not len(e):
        raise ValueError(
            f"errors and score must be (N,) with N at least 1, but have shapes {e.shape} and {u.shape}"
        )
    if not (np.isfinite(e).all() and np.isfinite(u).all()) or (e < 0).any() or not e.any():
        raise ValueError("errors must be finite, not negative and not all 0, and scores finite")
    e = e / e.max()  # the curves are relative, and no sum over- or underflows
    rng = check_random_state(random_state)
    random = np.full(len(e), e.mean())
    if permutations:
        random = np.mean([_mean_of_rest(rng.permutation(e)) for _ in range(permutations)], axis=0)
    unit = random.mean()
    curve, oracle = (_mean_of_rest(e[np.argsort(s, kind="stable")]) / unit for s in (u, e))
    return RankedError(np.arange(len(e)) / len(e), curve, oracle, random / unit)


def _mean_of_rest(ordered: Array) -> Array:
    """Means of the first N, N - 1, ..., 1 values."""
    return (np.cumsum(ordered) / np.arange(1, len(ordered) + 1))[::-1]
