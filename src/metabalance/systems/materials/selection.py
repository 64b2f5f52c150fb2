"""Chooses features that tell much of the target and little of each other, by normalised mutual information.

De Breuck, Hautier & Rignanese, npj Computational Materials 7, 83 (2021), arXiv 2004.14766. Departures of the authors'
code from their paper: its exponent falls as 4.5 - 0.4 n^0.4 in place of 4.5 - n^0.4 (``p_schedule="code"``); their two
implementations count n from 1 and from 0, here it is the number of chosen features; ``random_state=0`` counts as not
set, and the rows of the target's estimate are not seeded at all, both of which are not so here.
"""

import os
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from metabalance.systems.materials.nmi import Columns, normalized

__all__ = ["NMIRelevanceRedundancy", "redundancy_offset", "redundancy_power"]

Array = NDArray[Any]
Schedule = Callable[[int], float]


def redundancy_power(n: int, schedule: str = "paper") -> float:
    """The exponent p of redundancy after n chosen features: max(0.1, 4.5 - n^0.4), or of 0.4 n^0.4 as in the code.

    >>> redundancy_power(1), round(redundancy_power(32), 3), redundancy_power(41), redundancy_power(402, "code")
    (3.5, 0.5, 0.1, 0.1)
    """
    slope = {"paper": 1.0, "code": 0.4}
    if schedule not in slope:
        raise ValueError(f"p_schedule must be 'paper' or 'code', but {schedule!r} was given")
    return max(0.1, 4.5 - slope[schedule] * n**0.4)


def redundancy_offset(n: int) -> float:
    """The offset c after n chosen features, min(1e5, 1e-6 n³): late features are chosen by relevance alone.

    >>> redundancy_offset(1), redundancy_offset(100), redundancy_offset(10**6)
    (1e-06, 1.0, 100000.0)
    """
    return min(1e5, 1e-6 * n**3)


class NMIRelevanceRedundancy(SelectorMixin, BaseEstimator):
    r"""Takes the feature most informative of the target, then again and again the one with the largest
    :math:`\min_{s \in S} \mathrm{NMI}(f, y) / (\mathrm{NMI}(f, s)^p + c)`.

    Constant columns, exact copies and columns with less than ``drop_thr`` nats of self-information go first. A NaN counts
    as a value of its own, below all others. Redundancy is estimated only for features that could still win, which
    changes no choice: what a feature could score at best and at worst follows from what is known of it.

    Args:
        n_features: How many to keep; None for all that pass, in which case nearly all pairs are compared.
        n_neighbors: The k of the nearest neighbours.
        p: Exponent of redundancy, a number or a function of the number of chosen features; None for ``p_schedule``.
        c: Offset, likewise; None for :func:`redundancy_offset`.
        drop_thr: Least self-information.
        max_samples: Rows to estimate from, drawn if there are more; None for all.
        task: ``regression`` or ``classification``.
        p_schedule: ``paper`` or ``code``, see :func:`redundancy_power`.
        n_jobs: Threads; -1 for all cores.
        random_state: Of the rows and of the noise that breaks ties.

    Attributes:
        selected_: The chosen columns, first choice first.
        ranking_: ``(F,)``, 1 for the first choice; those not chosen share the last place.
        scores_: NMI with the target ``(F,)``, or ``(F, T)`` for several; 0 for columns that went first.
        pairs_: How many pairs of features were compared.

    Several targets ``(N, T)`` are ranked one by one; the rankings are merged place by place.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 4))
    >>> X[:, 3] = X[:, 0] + 0.01 * rng.normal(size=500)  # nearly a copy
    >>> y = X[:, 0] + 0.8 * X[:, 1]
    >>> NMIRelevanceRedundancy(2, random_state=0).fit(X, y).get_support()
    array([ True,  True, False, False])
    """

    def __init__(
        self,
        n_features: int | None = None,
        *,
        n_neighbors: int = 3,
        p: float | Schedule | None = None,
        c: float | Schedule | None = None,
        drop_thr: float = 0.2,
        max_samples: int | None = 6000,
        task: str = "regression",
        p_schedule: str = "paper",
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_features = n_features
        self.n_neighbors = n_neighbors
        self.p = p
        self.c = c
        self.drop_thr = drop_thr
        self.max_samples = max_samples
        self.task = task
        self.p_schedule = p_schedule
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "NMIRelevanceRedundancy":
        """Ranks the columns.

        Args:
            X: ``(N, F)``; NaN is allowed.
            y: Values or classes ``(N,)``, or ``(N, T)``.

        Raises:
            ValueError: An option out of range, too few rows, or infinite values.
        """
        self._check_options()
        data, target = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", multi_output=True, ensure_min_samples=2,
            y_numeric=self.task == "regression",
        )  # fmt: skip
        if len(data) <= self.n_neighbors:
            raise ValueError(
                f"{len(data)} samples were given; n_neighbors={self.n_neighbors} needs at least {self.n_neighbors + 1}"
            )
        rng = check_random_state(self.random_state)
        if self.max_samples is not None and len(data) > self.max_samples:
            rows = np.sort(rng.choice(len(data), self.max_samples, replace=False))
            data, target = data[rows], target[rows]
        targets = target[:, None] if target.ndim == 1 else target
        filled = fill_missing(data)
        distinct = distinct_columns(filled)
        self.scores_ = np.zeros((data.shape[1], targets.shape[1]))
        self.pairs_, rankings = 0, []
        if len(distinct):
            columns = Columns(
                filled[:, distinct], n_neighbors=self.n_neighbors, random_state=rng, n_jobs=self.n_jobs
            )
            relevance = np.column_stack([self._relevance(columns, t) for t in targets.T])
            self.scores_[distinct] = relevance
            passing = np.flatnonzero(columns.entropies >= self.drop_thr)
            known: dict[int, Array] = {}
            for t in range(targets.shape[1]):
                ranked = self._rank(columns, passing, relevance[:, t], known)
                rankings.append([int(distinct[f]) for f in ranked])
            self.pairs_ = int(sum((~np.isnan(row)).sum() for row in known.values()))
        if not any(rankings):
            raise ValueError(
                f"none of {data.shape[1]} feature(s) has drop_thr={self.drop_thr} nats of self-information and more than one "
                "value; lower drop_thr or give other columns"
            )
        self.selected_ = np.array(interleave(rankings)[: self.n_features], dtype=np.int64)
        self.ranking_ = np.full(data.shape[1], len(self.selected_) + 1)
        self.ranking_[self.selected_] = np.arange(1, len(self.selected_) + 1)
        if target.ndim == 1:
            self.scores_ = self.scores_[:, 0]
        return self

    def _relevance(self, columns: Columns, target: Array) -> Array:
        found, own = (
            columns.about_class(target)
            if self.task == "classification"
            else columns.about_value(target.astype(np.float64))
        )
        return normalized(found, columns.entropies, np.full(len(columns), own))

    def _rank(self, columns: Columns, passing: Array, relevance: Array, known: dict[int, Array]) -> list[int]:
        """Greedy choice among ``passing``; ``known`` keeps redundancies, a row a chosen feature, for other targets."""
        if not len(passing):
            return []
        relevance = relevance[passing]
        entropy = columns.entropies[passing]
        wanted = len(passing) if self.n_features is None else min(self.n_features, len(passing))
        chosen = [int(relevance.argmax())]
        worst = np.zeros(len(passing))  # largest redundancy with those of ``chosen`` that were looked at
        looked = np.zeros(len(passing), dtype=np.int64)  # how many of them, from the front
        free = np.ones(len(passing), dtype=bool)
        free[chosen] = False
        batch = 4 * _workers(self.n_jobs)
        while len(chosen) < wanted:
            n = len(chosen)
            p, c = self._power(n), self._offset(n)
            limit = 2 * columns.most / (entropy + entropy[chosen].min())
            while True:
                ceiling = np.where(looked == n, worst, np.maximum(worst, limit))
                best = np.where(free, score(relevance, worst, p, c), -np.inf)  # no more than this
                least = np.where(free, score(relevance, ceiling, p, c), -np.inf)  # no less
                top = int(best.argmax())
                rest = best.copy()
                rest[top] = -np.inf
                second = int(rest.argmax())
                sure = least[top] == best[top] or least[top] > rest[second]
                if sure:
                    break
                open_ = np.flatnonzero(free & (looked < n) & (best >= least.max()))
                open_ = open_[np.argsort(-best[open_], kind="stable")][:batch]
                self._look(columns, passing, open_, chosen, worst, looked, known)
            chosen.append(top)
            free[top] = False
        return [int(passing[f]) for f in chosen]

    def _look(
        self, columns: Columns, passing: Array, features: Array, chosen: list[int], worst: Array, looked: Array,
        known: dict[int, Array],
    ) -> None:  # fmt: skip
        """Estimates the redundancy of features with all chosen ones that they were not compared with."""
        pairs = [(f, s) for f in features for s in chosen[looked[f] :]]
        for _, s in pairs:
            known.setdefault(s, np.full(len(passing), np.nan))
        missing = [(f, s) for f, s in pairs if np.isnan(known[s][f])]
        found = columns.of_pairs([(passing[f], passing[s]) for f, s in missing])
        for (f, s), value in zip(missing, found):
            known[s][f] = value
        for f, s in pairs:
            worst[f] = max(worst[f], known[s][f])
        looked[features] = len(chosen)

    def _power(self, n: int) -> float:
        value = redundancy_power(n, self.p_schedule) if self.p is None else _at(self.p, n)
        return _not_negative("p", value, n)

    def _offset(self, n: int) -> float:
        return _not_negative("c", redundancy_offset(n) if self.c is None else _at(self.c, n), n)

    def _check_options(self) -> None:
        redundancy_power(1, self.p_schedule)
        if self.task not in ("regression", "classification"):
            raise ValueError(f"task must be 'regression' or 'classification', but {self.task!r} was given")
        for name in ("n_features", "max_samples", "n_neighbors"):
            value = getattr(self, name)
            if not (value is None and name != "n_neighbors") and not (
                isinstance(value, Integral) and int(value) >= 1
            ):
                raise ValueError(f"{name} must be a whole number from 1, but {value!r} was given")

    def _get_support_mask(self) -> Array:
        check_is_fitted(self)
        mask = np.zeros(len(self.ranking_), dtype=bool)
        mask[self.selected_] = True
        return mask

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags


def score(relevance: Array, redundancy: Array, p: float, c: float) -> Array:
    """Relevance over redundancy^p + c; what is irrelevant scores 0, also where nothing is redundant.

    >>> score(np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.0, 0.0]), 0.5, 0.0)
    array([ 1., inf,  0.])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(relevance > 0, relevance / (redundancy**p + c), 0.0)


def fill_missing(X: Array) -> Array:
    """NaN as half a range below the least value of its column; a column of nothing else becomes constant.

    >>> fill_missing(np.array([[1.0], [3.0], [np.nan]])).ravel()
    array([1., 3., 0.])
    """
    missing = np.isnan(X)
    if not missing.any():
        return X
    low = np.where(missing, np.inf, X).min(axis=0)
    high = np.where(missing, -np.inf, X).max(axis=0)
    low, high = np.where(np.isfinite(low), low, 0), np.where(np.isfinite(high), high, 0)
    below = low - np.where(high > low, (high - low) / 2, 1)
    return np.where(missing, below, X)


def distinct_columns(X: Array) -> Array:
    """The columns that are neither constant nor an exact copy of an earlier one.

    >>> distinct_columns(np.array([[1.0, 2.0, 1.0, 0.0], [1.0, 3.0, 2.0, 1.0], [1.0, 4.0, 1.0, 0.0]]))
    array([1, 2, 3])
    """
    seen: dict[bytes, int] = {}
    for f in np.flatnonzero(np.ptp(X, axis=0) > 0):
        seen.setdefault((X[:, f] + 0.0).tobytes(), int(f))  # + 0.0: there is a negative zero
    return np.array(sorted(seen.values()), dtype=np.int64)


def interleave(rankings: list[list[int]]) -> list[int]:
    """One ranking of several, place by place, each item where it comes first.

    >>> interleave([[3, 1, 2], [3, 2, 0]])
    [3, 1, 2, 0]
    """
    longest = max(map(len, rankings), default=0)
    places = (r[i] for i in range(longest) for r in rankings if i < len(r))
    return list(dict.fromkeys(places))


def _at(value: float | Schedule, n: int) -> float:
    return float(value(n)) if callable(value) else float(value)


def _not_negative(name: str, value: float, n: int) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, but is {value} after {n} chosen features")
    return value


def _workers(n_jobs: int | None) -> int:
    """Processes that scikit-learn's ``n_jobs`` stands for."""
    n = n_jobs or 1
    return n if n > 0 else max(1, (os.cpu_count() or 1) + 1 + n)
