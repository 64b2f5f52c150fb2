"""How much two columns tell of each other, on a scale where a column tells itself about 1: by nearest neighbours.

The estimators are those of Kraskov, Stögbauer & Grassberger, Physical Review E 69, 066138 (2004), for two continuous
columns, and of Ross, PLoS ONE 9(2), e87357 (2014), for a continuous one and classes; the normalisation is that of
De Breuck, Hautier & Rignanese, npj Computational Materials 7, 83 (2021), arXiv 2004.14766. They agree with
``sklearn.feature_selection.mutual_info_regression`` and ``mutual_info_classif``, which search neighbours anew in Python
for each pair; here each column is scaled and sorted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

__all__ = ["Columns", "mutual_information", "normalized_mutual_information"]

Array = NDArray[Any]
CHUNK = 16  # pairs of one task of a worker


@dataclass(frozen=True)
class Sorted:
    """A column: its values, the rows in ascending order, the values in that order."""

    values: Array
    order: Array
    ascending: Array

    @classmethod
    def of(cls, values: Array) -> "Sorted":
        order = np.argsort(values)
        return cls(values, order, values[order])


class Columns:
    r"""Columns made ready for many estimates: :math:`I(a; b) = \psi(N) + \psi(k) - \langle \psi(n_a) + \psi(n_b) \rangle`,
    where :math:`n` counts the rows, itself included, nearer in that column than the k-th neighbour in both.

    Values are divided by their standard deviation and get noise of 1e-10, as in scikit-learn, since the estimator has no
    meaning for ties; a column meets itself with two draws of noise, so that the information of tied values about
    themselves is their entropy.

    Args:
        X: ``(N, F)``, finite; at least ``n_neighbors + 1`` rows.
        n_neighbors: The k of the nearest neighbours.
        random_state: Of the noise.
        n_jobs: Threads; -1 for all cores.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=500)
    >>> columns = Columns(np.column_stack([x, x**3, rng.normal(size=500)]), random_state=0)
    >>> columns.between([0], [1, 2]).round(2)
    array([[0.7 , 0.01]])
    """

    def __init__(
        self, X: ArrayLike, *, n_neighbors: int = 3, random_state: Any = None, n_jobs: int | None = None
    ) -> None:
        X = _checked(X, n_neighbors)
        self.n_neighbors, self.n_jobs = n_neighbors, n_jobs
        self._psi = np.concatenate([[-np.inf], digamma(np.arange(1, len(X) + 2))])
        # One stream for all: the same seed twice would give two columns the same noise, which is information.
        self._rng = check_random_state(random_state)
        noised, twins = _with_noise(X, self._rng, copies=2)
        self._columns = [Sorted.of(column) for column in noised.T]
        #: Each column's information about itself, ``(F,)``, in nats.
        self.entropies = self._all(
            [(column, Sorted.of(twin)) for column, twin in zip(self._columns, twins.T)]
        )

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def most(self) -> float:
        """The largest information that the estimator can give of two columns of this length, in nats."""
        return float(self._psi[len(self._columns[0].values)] - self._psi[self.n_neighbors])

    def about_value(self, y: ArrayLike) -> tuple[Array, float]:
        """Information ``(F,)`` about a continuous target ``(N,)``, and the target's about itself."""
        pair = _with_noise(np.asarray(y, dtype=np.float64)[:, None], self._rng, 2)
        value, twin = (Sorted.of(p[:, 0]) for p in pair)
        found = self._all([(column, value) for column in self._columns] + [(value, twin)])
        return found[:-1], float(found[-1])

    def about_class(self, y: ArrayLike) -> tuple[Array, float]:
        """Information ``(F,)`` about classes ``(N,)``, and the classes' entropy."""
        _, y = np.unique(np.asarray(y), return_inverse=True)
        share = np.bincount(y) / len(y)
        chunks = self._run(self._class_chunk, self._columns, y)
        return np.concatenate(chunks), float(-(share * np.log(share)).sum())

    def between(self, left: Sequence[int] | Array, right: Sequence[int] | Array) -> Array:
        """Normalised information of each of some columns with each of others, ``(len(left), len(right))``."""
        pairs = [(int(i), int(j)) for i in left for j in right]
        return self.of_pairs(pairs).reshape(len(left), len(right))

    def of_pairs(self, pairs: Sequence[tuple[int, int]]) -> Array:
        """Normalised information of pairs of columns, ``(len(pairs),)``."""
        if not len(pairs):
            return np.zeros(0)
        i, j = np.array(pairs).T
        found = self._all([(self._columns[a], self._columns[b]) for a, b in pairs])
        return normalized(found, self.entropies[i], self.entropies[j])

    def _all(self, pairs: Sequence[tuple[Sorted, Sorted]]) -> Array:
        return np.concatenate([np.zeros(0), *self._run(self._chunk, pairs)])

    def _run(self, function: Any, items: Sequence[Any], *more: Any) -> list[Array]:
        parts = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
        if len(parts) < 2:
            return [function(part, *more) for part in parts]
        # The neighbour search releases the interpreter's lock, so threads do, and nothing is copied.
        return Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(function)(p, *more) for p in parts)

    def _chunk(self, pairs: Sequence[tuple[Sorted, Sorted]]) -> Array:
        return np.array([_of_values(a, b, self.n_neighbors, self._psi) for a, b in pairs])

    def _class_chunk(self, columns: Sequence[Sorted], y: Array) -> Array:
        return np.array([_of_classes(column, y, self.n_neighbors, self._psi) for column in columns])


def mutual_information(
    x: ArrayLike,
    y: ArrayLike,
    *,
    n_neighbors: int = 3,
    discrete_target: bool = False,
    random_state: Any = None,
) -> float:
    """Mutual information of a continuous column and a target, in nats, not below 0.

    Args:
        x: ``(N,)``, finite.
        y: ``(N,)``, finite values or, with ``discrete_target``, classes.
        n_neighbors: The k of the nearest neighbours.
        discrete_target: Whether ``y`` holds classes.
        random_state: Of the noise that breaks ties.

    Raises:
        ValueError: Lengths that differ, too few rows, values that are not finite.

    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=2000).T
    >>> round(mutual_information(a, b, random_state=0), 2), round(float(-np.log(1 - 0.9**2) / 2), 2)
    (0.85, 0.83)
    """
    columns = Columns(
        np.asarray(x, dtype=np.float64)[:, None], n_neighbors=n_neighbors, random_state=random_state
    )
    _check_target(y, len(np.asarray(x)), discrete_target)
    found, _ = columns.about_class(y) if discrete_target else columns.about_value(y)
    return float(found[0])


def normalized_mutual_information(
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n_neighbors: int = 3,
    discrete_target: bool = False,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Array:
    r"""Mutual information over the mean of the two self-informations, :math:`2 I(a; b) / (I(a; a) + I(b; b))`.

    By neighbours it is an estimate and not held below 1; 0 where both know nothing of themselves.

    Args:
        X: ``(N, F)``, finite.
        y: Target ``(N,)``; None for all pairs of columns.
        n_neighbors: The k of the nearest neighbours.
        discrete_target: Whether ``y`` holds classes.
        random_state: Of the noise that breaks ties.
        n_jobs: Threads; -1 for all cores.

    Returns:
        ``(F,)`` with the target, or ``(F, F)``, symmetric with ones on the diagonal.

    Raises:
        ValueError: Lengths that differ, too few rows, values that are not finite.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=400)
    >>> normalized_mutual_information(np.column_stack([x, -x]), random_state=0).round(3)
    array([[1., 1.],
           [1., 1.]])
    """
    columns = Columns(X, n_neighbors=n_neighbors, random_state=random_state, n_jobs=n_jobs)
    if y is not None:
        _check_target(y, len(np.asarray(X)), discrete_target)
        found, own = columns.about_class(y) if discrete_target else columns.about_value(y)
        return normalized(found, columns.entropies, np.full(len(columns), own))
    upper = np.column_stack(np.triu_indices(len(columns), 1))
    matrix = np.diag((columns.entropies > 0).astype(np.float64))
    matrix[tuple(upper.T)] = columns.of_pairs([(int(i), int(j)) for i, j in upper])
    return np.maximum(matrix, matrix.T)


def normalized(information: Array, entropy: Array, other: Array) -> Array:
    """Information over the mean self-information; 0 where that is 0.

    >>> normalized(np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.array([3.0, 0.0]))
    array([0.5, 0. ])
    """
    mean = (entropy + other) / 2
    return np.divide(information, mean, out=np.zeros_like(information), where=mean > 0)


def _of_values(a: Sorted, b: Sorted, k: int, psi: Array) -> float:
    # In the order of one column, rows that follow each other are near in space and in memory.
    points = np.column_stack([a.ascending, b.values[a.order]])
    tree = cKDTree(points, leafsize=8, balanced_tree=False, compact_nodes=False)
    distance = np.empty(len(points))
    distance[a.order] = tree.query(points, k=[k + 1], p=np.inf)[0][:, 0]
    inside = _psi_of_counts(a, distance, psi) + _psi_of_counts(b, distance, psi)
    return max(0.0, float(psi[len(points)] + psi[k] - inside))


def _psi_of_counts(column: Sorted, distance: Array, psi: Array) -> float:
    """Mean of ψ of how many values, itself included, lie nearer than ``distance``, given row by row."""
    counts = _counts_nearer(column.ascending, column.ascending, distance[column.order])
    return float(psi[counts].mean())


def _counts_nearer(values: Array, queries: Array, distance: Array) -> Array:
    # The neighbour itself lies at the distance and does not count; without the slack, rounding would count half of them.
    slack = 4 * np.finfo(np.float64).eps * max(abs(values[0]), abs(values[-1]))
    radius = np.maximum(distance - slack, 0)
    upper = np.searchsorted(values, queries + radius, side="right")
    return np.maximum(upper - np.searchsorted(values, queries - radius, side="left"), 1)


def _of_classes(column: Sorted, y: Array, k: int, psi: Array) -> float:
    by_value, counts = y[column.order], np.bincount(y)
    kept = counts[by_value] > 1  # a class of one row has no neighbour of its own
    values, labels = column.ascending[kept], by_value[kept]
    if not len(values):
        return 0.0
    distance, neighbours = np.empty(len(values)), np.minimum(k, counts - 1)
    for c in np.unique(labels):
        distance[labels == c] = _kth_distance(values[labels == c], int(neighbours[c]))
    inside = psi[_counts_nearer(values, values, distance)].mean()
    own = psi[neighbours[labels]].mean() - psi[counts[labels]].mean()
    return max(0.0, float(psi[len(values)] + own - inside))


def _kth_distance(values: Array, k: int) -> Array:
    """Distance of each of ascending values to its k-th neighbour: one of k + 1 windows of k + 1 values around it."""
    padded = np.concatenate([np.full(k, -np.inf), values, np.full(k, np.inf)])
    n = len(values)
    windows = [
        np.maximum(values - padded[k - j : k - j + n], padded[2 * k - j : 2 * k - j + n] - values)
        for j in range(k + 1)
    ]
    return np.minimum.reduce(windows)


def _with_noise(X: Array, rng: np.random.RandomState, copies: int) -> list[Array]:
    largest = np.abs(X).max(axis=0)
    X = X / np.where(largest > 0, largest, 1)  # no square over- or underflows
    spread = X.std(axis=0)
    X = X / np.where(spread > 0, spread, 1)
    size = 1e-10 * np.maximum(1, np.abs(X).mean(axis=0))
    X = X - X.mean(axis=0)  # distances stay, and are rounded less
    return [X + size * rng.standard_normal(X.shape) for _ in range(copies)]


def _checked(X: ArrayLike, n_neighbors: int) -> Array:
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2:
        raise ValueError(f"columns must be (N, F), but have shape {X.shape}")
    if n_neighbors < 1 or len(X) <= n_neighbors:
        raise ValueError(
            f"{len(X)} rows and n_neighbors={n_neighbors} were given; there must be at least one neighbour, and more "
            "rows than neighbours"
        )
    if not np.isfinite(X).all():
        raise ValueError(
            f"{int((~np.isfinite(X)).sum())} values are not finite; fill or remove them first "
            "(NMIRelevanceRedundancy fills NaN)"
        )
    return X


def _check_target(y: ArrayLike, rows: int, discrete: bool) -> None:
    y = np.asarray(y)
    if y.shape != (rows,):
        raise ValueError(f"the target must be ({rows},), one value a row, but has shape {y.shape}")
    if not discrete and not np.isfinite(y.astype(np.float64)).all():
        raise ValueError("the target must be finite; remove the rows where it is not")
