"""Splits that keep their promise: every class in every part, groups whole, the future never in training.

scikit-learn's ``StratifiedGroupKFold`` may return a test part that lacks a class, or is empty (its issues
28218 and 34828), and scores of such a part are undefined. Here every split is verified, and refused in words
when no division of the rows was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from metabalance.data.checks import row_hashes
from metabalance.data.errors import DataError

__all__ = ["Duplicates", "Split", "carve_validation", "duplicate_groups", "duplicates_across", "make_splits"]

SHUFFLES = 20


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers, sorted, of the training and the test part; fold ``0 .. folds-1`` of one ``seed``."""

    train: np.ndarray
    test: np.ndarray
    fold: int
    seed: int


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Test rows of one split whose features occur, exactly, in its training part.

    Attributes:
        fold, seed: The split.
        count: Such rows.
        share: The same, of all test rows.
        per_class: The same, of each class's test rows ``(C,)``, NaN where there are none; None without a
            target.
    """

    fold: int
    seed: int
    count: int
    share: float
    per_class: np.ndarray | None


def make_splits(
    target_index: Any,
    *,
    folds: int,
    seed: int,
    groups: Any = None,
    time: Any = None,
    dedupe: Literal["group"] | None = None,
    rows: Any = None,
    classes: Sequence[Any] | None = None,
) -> list[Split]:
    """Cross-validation in which every training and every test part has every class.

    Rows are dealt class by class. With ``groups``, all rows of a group stay on one side. With ``time``, the
    rows are cut into ``folds + 1`` spans of about equal size, rows of one moment staying together; fold
    ``k`` trains on the spans up to ``k`` and tests on the next (a rolling origin: Tashman, International
    Journal of Forecasting 2000), and groups that occur in the test part leave the training part.

    Args:
        target_index: Class indices ``(N,)`` from 0.
        folds: At least 2; with ``time``, at least 1.
        seed: Of the shuffles; without effect when ``time`` is given.
        groups: Group labels ``(N,)``.
        time: Numbers, dates or dates as text ``(N,)``.
        dedupe: ``"group"`` keeps equal ``rows`` on one side, by :func:`duplicate_groups`.
        rows: The features, a frame or hashes ``(N,)``; only for ``dedupe``.
        classes: Labels ``(C,)`` for messages.

    Returns:
        One split per fold.

    Raises:
        DataError: A class has too few rows, groups or moments; group labels or times are missing.
        ValueError: An argument is out of range.

    >>> split = make_splits([0, 0, 0, 0, 1, 1], folds=2, seed=0)[0]
    >>> len(split.train), len(split.test)
    (3, 3)
    """
    y, names = _target(target_index, classes)
    if folds < (1 if time is not None else 2):
        raise ValueError(f"folds must be at least 2 (1 with time), but {folds} was given")
    if dedupe is not None:
        if dedupe != "group" or rows is None:
            raise ValueError(f'dedupe must be None or "group", and needs rows; {dedupe!r} was given')
        groups = duplicate_groups(rows, groups)
    codes = None if groups is None else _group_codes(groups, len(y))
    if time is not None:
        return _time_splits(y, _moments(time, len(y)), codes, folds, seed, names)
    fold_of = _deal(y, codes, folds, seed, names)
    index = np.arange(len(y))
    return [Split(index[fold_of != k], index[fold_of == k], k, seed) for k in range(folds)]


def carve_validation(
    train_index: Any,
    target_index: Any,
    fraction: float,
    seed: int,
    groups: Any = None,
    time: Any = None,
    min_per_class: int = 1,
    classes: Sequence[Any] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Takes a validation part out of a training part, with the promises of :func:`make_splits`.

    Args:
        train_index: Row numbers ``(M,)``.
        target_index: Class indices of *all* rows ``(N,)``; so for ``groups`` and ``time``.
        fraction: Share of the training rows wanted for validation, of each class, and at least
            ``min_per_class`` rows of it. With groups and with time it is met as closely as they allow.
        seed: Of the shuffle.
        groups: Group labels ``(N,)``.
        time: Times ``(N,)``: the validation part is the last in time.
        min_per_class: Rows of each class that validation must have, at least 1; fitting keeps at least one.
        classes: Labels ``(C,)`` for messages.

    Returns:
        Row numbers for fitting and for validation, each sorted.

    Raises:
        DataError: A class has too few rows, groups or moments.
        ValueError: ``fraction`` is not between 0 and 1, or ``min_per_class`` not positive.

    >>> fit, validation = carve_validation(np.arange(10), [0] * 8 + [1] * 2, 0.25, seed=0)
    >>> len(fit), len(validation)
    (7, 3)
    """
    if not 0 < fraction < 1 or min_per_class < 1:
        raise ValueError(
            "fraction must lie between 0 and 1, and min_per_class be at least 1, "
            f"but {fraction} and {min_per_class} were given"
        )
    train = np.sort(np.asarray(train_index))
    y, names = _target(target_index, classes)
    part = y[train]
    present = np.unique(part)
    for c in present:
        if (n := int((part == c).sum())) < min_per_class + 1:
            raise DataError(
                f"class {names[c]!r} has {n} rows in a training part, but validation needs {min_per_class} "
                "and fitting at least one; merge the class, add rows, or validate on fewer"
            )
    codes = None if groups is None else _group_codes(groups, len(y))[train]
    if time is not None:
        held = _last_in_time(part, _moments(time, len(y))[train], codes, fraction, min_per_class)
    elif codes is not None:
        held = _held_groups(part, codes, fraction, seed, min_per_class)
    else:
        held = _held_rows(part, fraction, seed, min_per_class)
    if held is None:
        raise DataError(
            f"no validation part has {min_per_class} rows of every class and leaves one for fitting, "
            f"with {'times' if time is not None else 'groups'} kept apart; merge rare classes, or add rows"
        )
    fit = ~held
    if time is not None and codes is not None:
        fit &= ~np.isin(codes, codes[held])
    return train[fit], train[held]


def duplicate_groups(rows: Any, groups: Any = None) -> np.ndarray:
    """Group numbers ``(N,)`` under which equal rows, and rows of one given group, belong together.

    Args:
        rows: A frame, or hashes ``(N,)``.
        groups: Group labels ``(N,)`` to respect too: groups that share a row become one.

    >>> duplicate_groups(pd.DataFrame({"a": [5, 6, 5]})).tolist()
    [0, 1, 0]
    """
    codes = pd.factorize(_hashes(rows))[0]
    if groups is None:
        return codes
    given = _group_codes(groups, len(codes))
    # A graph of hashes and groups, with a row for an edge: its components are the new groups.
    size = int(codes.max()) + 1
    nodes = size + int(given.max()) + 1
    edges = coo_array((np.ones(len(codes), dtype=np.int8), (codes, size + given)), shape=(nodes, nodes))
    return connected_components(edges, directed=False)[1][codes]


def duplicates_across(rows: Any, splits: Sequence[Split], target_index: Any = None) -> list[Duplicates]:
    """Counts, for each split, the test rows whose features occur in its training part.

    Args:
        rows: The features, a frame or hashes ``(N,)``.
        splits: From :func:`make_splits`.
        target_index: Class indices ``(N,)``, for shares per class.

    >>> split = Split(np.array([0, 1]), np.array([2, 3]), fold=0, seed=0)
    >>> duplicates_across(pd.DataFrame({"a": [5, 6, 5, 7]}), [split])[0].share
    0.5
    """
    codes = pd.factorize(_hashes(rows))[0]
    y = None if target_index is None else np.asarray(target_index)
    size = int(codes.max()) + 1
    reports = []
    for split in splits:
        seen = np.zeros(size, dtype=bool)
        seen[codes[split.train]] = True
        again = seen[codes[split.test]]
        per_class = None
        if y is not None:
            total = np.bincount(y[split.test], minlength=int(y.max()) + 1).astype(float)
            hits = np.bincount(y[split.test][again], minlength=len(total))
            per_class = np.divide(hits, total, out=np.full(len(total), np.nan), where=total > 0)
        reports.append(Duplicates(split.fold, split.seed, int(again.sum()), float(again.mean()), per_class))
    return reports


def _hashes(rows: Any) -> np.ndarray:
    return row_hashes(rows) if isinstance(rows, pd.DataFrame) else np.asarray(rows)


def _target(target_index: Any, classes: Sequence[Any] | None) -> tuple[np.ndarray, Sequence[Any]]:
    y = np.asarray(target_index)
    if y.ndim != 1 or not len(y) or not np.issubdtype(y.dtype, np.integer) or y.min() < 0:
        raise ValueError("target_index must be a vector of class indices from 0")
    return y, list(range(int(y.max()) + 1)) if classes is None else classes


def _group_codes(groups: Any, size: int) -> np.ndarray:
    codes = pd.Categorical(pd.Series(groups)).codes.astype(np.int64)
    if len(codes) != size:
        raise ValueError(f"there are {size} rows, but {len(codes)} group labels")
    if (codes < 0).any():
        raise DataError(
            f"the group is missing in {int((codes < 0).sum())} rows; fill it in or remove these rows"
        )
    return codes


def _moments(time: Any, size: int) -> np.ndarray:
    """Ranks of the times ``(N,)``, equal for equal times."""
    values = pd.Series(time).reset_index(drop=True)
    if len(values) != size:
        raise ValueError(f"there are {size} rows, but {len(values)} times")
    if not pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_datetime64_any_dtype(
        values.dtype
    ):
        from metabalance.data.dates import date_format

        form = date_format(values)
        if form is None:
            raise DataError(
                "the time column holds neither numbers nor dates of one format; write them as 2020-01-31"
            )
        values = pd.to_datetime(values, format=form)
    codes = pd.factorize(values, sort=True)[0]
    if (codes < 0).any():
        raise DataError(
            f"the time is missing in {int((codes < 0).sum())} rows; fill it in or remove these rows"
        )
    return codes


def _deal(y: np.ndarray, codes: np.ndarray | None, folds: int, seed: int, names: Sequence[Any]) -> np.ndarray:
    """The fold of each row ``(N,)``."""
    counted = pd.DataFrame({"y": y, "unit": np.arange(len(y)) if codes is None else codes}).drop_duplicates()
    for c, n in zip(*np.unique(counted["y"], return_counts=True)):
        if n < folds:
            held = f"{n} rows" if codes is None else f"rows in {n} groups"
            raise DataError(
                f"class {names[c]!r} has {held} only, too few for {folds} folds with the class in each; "
                f"{f'use {n} folds, ' if n > 1 else ''}merge the class with another, or add rows"
            )
    for attempt in range(SHUFFLES):
        rng = np.random.default_rng([seed, attempt])
        fold_of = _deal_rows(y, folds, rng) if codes is None else _deal_groups(y, codes, folds, rng)
        table = np.zeros((folds, int(y.max()) + 1), dtype=bool)
        table[fold_of, y] = True
        # Two folds with a class put it into every training part, each fold into every test part.
        if table[:, np.unique(y)].all():
            return fold_of
    lacking = np.unique(y)[~table[:, np.unique(y)].all(axis=0)][0]
    raise DataError(
        f"no way is found to give each of {folds} folds a row of class {names[lacking]!r} with groups whole; "
        "use fewer folds, or merge classes"
    )


def _deal_rows(y: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Deals shuffled rows like cards, class after class: counts of folds differ by one at most."""
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    fold_of = np.empty(len(y), dtype=np.int64)
    fold_of[order] = rng.permutation(folds)[np.arange(len(y)) % folds]
    return fold_of


def _deal_groups(y: np.ndarray, codes: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Deals whole groups, those with the scarcest classes first, each to the fold that needs it most.

    The cost of a fold is the sum over classes of its squared shares of the class, so that a class of ten rows
    weighs as much as one of a million. Groups of one row fill the gaps at the end, all at once.
    """
    table = csr_array((np.ones(len(y)), (codes, y)), shape=(int(codes.max()) + 1, int(y.max()) + 1))
    table.sum_duplicates()
    total = np.maximum(np.asarray(table.sum(axis=0)).ravel(), 1)
    size = np.asarray(table.sum(axis=1)).ravel()
    spread = np.bincount(table.indices, minlength=len(total))  # groups in which each class occurs
    scarcest = np.minimum.reduceat(spread[table.indices], table.indptr[:-1])
    shuffled = rng.permutation(len(size))
    large = shuffled[np.lexsort((-size[shuffled], scarcest[shuffled]))]
    large = large[size[large] > 1]
    have, filled = np.zeros((folds, len(total))), np.zeros(folds)
    fold_of_group = np.full(len(size), -1)
    for g in large:
        span = slice(table.indptr[g], table.indptr[g + 1])
        members, n = table.indices[span], table.data[span]
        cost = have[:, members] @ (n / total[members] ** 2) + filled * size[g] / len(y) ** 2
        k = int(np.argmin(cost))
        fold_of_group[g] = k
        have[k, members] += n
        filled[k] += size[g]
    fold_of = fold_of_group[codes]
    for c in np.unique(y[fold_of < 0]):
        single = rng.permutation(np.flatnonzero((fold_of < 0) & (y == c)))
        share = _level(have[:, c], len(single), filled)
        fold_of[single] = np.repeat(np.arange(folds), share)
        filled += share
    return rng.permutation(folds)[fold_of]


def _level(have: np.ndarray, more: int, filled: np.ndarray) -> np.ndarray:
    """How many of ``more`` units each fold gets, so that the totals become as equal as they can be."""
    order = np.lexsort((filled, have))
    water = have[order]
    # The level after raising the lowest j folds to a common height; the highest j that still rises counts.
    levels = (np.cumsum(water) + more) / np.arange(1, len(water) + 1)
    j = int(np.flatnonzero(levels >= water)[-1]) + 1
    share = np.zeros(len(have), dtype=np.int64)
    share[order[:j]] = np.floor(levels[j - 1]) - water[:j]
    share[order[: more - int(share.sum())]] += 1
    return share


def _time_splits(
    y: np.ndarray, moments: np.ndarray, codes: np.ndarray | None, folds: int, seed: int, names: Sequence[Any]
) -> list[Split]:
    rarest = int(np.argmin(np.where(np.bincount(y) > 0, np.bincount(y), len(y) + 1)))
    complaint = ""
    # Spans of equally many rows first; if one lacks a class, spans of equally many rows of the rarest class.
    for counted in (np.ones(len(y)), (y == rarest).astype(float)):
        ends = np.cumsum(np.bincount(moments, weights=counted))
        wanted = ends[-1] * np.arange(1, folds + 1) / (folds + 1)
        cuts = (
            np.abs(ends[:-1, None] - wanted).argmin(axis=0) if len(ends) > 1 else np.zeros(folds, dtype=int)
        )
        if len(ends) <= folds or (np.diff(cuts) <= 0).any():
            complaint = complaint or f"there are too few different times ({len(ends)}) for {folds} folds"
            continue
        span = np.searchsorted(cuts, moments)
        splits, lacking = [], ""
        for k in range(folds):
            test = span == k + 1
            train = span <= k
            if codes is not None:
                train &= ~np.isin(codes, codes[test])
            splits.append(Split(np.flatnonzero(train), np.flatnonzero(test), k, seed))
            for part, rows in (("training", train), ("test", test)):
                absent = np.setdiff1d(y, y[rows])
                if len(absent) and not lacking:
                    lacking = (
                        f"the {part} part of fold {k + 1} in time has no row of class {names[absent[0]]!r}"
                    )
        if not lacking:
            return splits
        complaint = complaint or lacking
    raise DataError(f"{complaint}; use fewer folds, merge the class with another, or split without time")


def _held_rows(y: np.ndarray, fraction: float, seed: int, min_per_class: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    held = np.zeros(len(y), dtype=bool)
    for c in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == c))
        held[rows[: min(max(min_per_class, round(fraction * len(rows))), len(rows) - 1)]] = True
    return held


def _held_groups(
    y: np.ndarray, codes: np.ndarray, fraction: float, seed: int, min_per_class: int
) -> np.ndarray | None:
    codes = pd.factorize(codes)[0]
    for folds in range(min(max(2, round(1 / fraction)), int(codes.max()) + 1), 1, -1):
        for attempt in range(SHUFFLES):
            fold_of = _deal_groups(y, codes, folds, np.random.default_rng([seed, folds, attempt]))
            fits = [fold_of == k for k in range(folds) if _both_sides(y, fold_of == k, min_per_class)]
            if fits:
                return min(fits, key=lambda held: abs(held.mean() - fraction))
    return None


def _last_in_time(
    y: np.ndarray, moments: np.ndarray, codes: np.ndarray | None, fraction: float, min_per_class: int
) -> np.ndarray | None:
    last = [np.sort(moments[y == c]) for c in np.unique(y)]
    # The cut must lie after the first row of each class and before its last few.
    low, high = max(rows[0] for rows in last), min(rows[-min_per_class] for rows in last)
    later = 1 - np.cumsum(np.bincount(moments)) / len(y)
    cuts = np.arange(low, high)
    for cut in cuts[np.argsort(np.abs(later[low:high] - fraction), kind="stable")][:SHUFFLES]:
        held = moments > cut
        fit = ~held if codes is None else ~held & ~np.isin(codes, codes[held])
        if _both_sides(y, held, min_per_class, fit):
            return held
    return None


def _both_sides(y: np.ndarray, held: np.ndarray, min_per_class: int, fit: np.ndarray | None = None) -> bool:
    present = np.unique(y)
    inside = np.bincount(y[held], minlength=int(present[-1]) + 1)[present]
    left = np.bincount(y[~held if fit is None else fit], minlength=int(present[-1]) + 1)[present]
    return bool((inside >= min_per_class).all() and (left >= 1).all())
