"""Many models on many data sets: mean ranks, and how far apart they must lie to differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc
from scipy.stats import rankdata, studentized_range

from metabalance.judge.interval import check_level

__all__ = ["Ranking", "critical_difference"]


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of models, best first, and what they can tell.

    Args:
        names: Models, best first.
        ranks: Their mean ranks; 1 would be the best everywhere.
        critical_difference: Mean ranks that differ by less cannot be told apart.
        groups: Runs of at least two neighbours that cannot be told apart: the bars of the diagram.
        p_value: Friedman's, that all models are alike. Read the groups only when it is small.
        blocks: Data sets (or splits) behind it.
        level: 1 - α.
        reason: What was left out; else empty.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    p_value: float
    blocks: int
    level: float
    reason: str = ""


def critical_difference(
    values: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    greater_is_better: bool = True,
    level: float = 0.95,
) -> Ranking:
    r"""Friedman's test with Nemenyi's critical difference, as Demšar (JMLR 2006) draws it.

    Mean ranks of M models over D data sets differ if they lie :math:`q_\alpha \sqrt{M(M+1)/(6D)}` apart, with
    :math:`q_\alpha` the quantile of the studentised range over :math:`\sqrt2`.

    The data sets must be independent of each other. Folds and seeds of one data set are not: they share rows,
    and the test then finds differences that are not there. Average over them first, or compare two models with
    :func:`~metabalance.judge.paired_difference`.

    Args:
        values: One row a data set, one column a model ``(D, M)``. Rows that are not finite are left out.
        names: Of the models; their numbers by default.
        greater_is_better: Which value gets rank 1.
        level: 1 - α.

    Raises:
        ValueError: Fewer than two models or complete rows, or names that do not fit.

    >>> result = critical_difference([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.7, 0.75, 0.5]], ["a", "b", "c"])
    >>> result.names, [round(rank, 2) for rank in result.ranks]
    (('a', 'b', 'c'), [1.33, 1.67, 3.0])
    >>> round(result.critical_difference, 2), result.groups
    (1.91, (('a', 'b', 'c'),))
    """
    check_level(level)
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 2 or v.shape[1] < 2:
        raise ValueError(
            f"values must be (data sets, models) with at least two models, but have shape {v.shape}"
        )
    models = [str(k) for k in range(v.shape[1])] if names is None else [str(name) for name in names]
    if len(models) != v.shape[1] or len(set(models)) < len(models):
        raise ValueError(f"{v.shape[1]} models need as many different names, but {models} were given")
    complete = v[np.isfinite(v).all(1)]
    d, m = complete.shape
    if d < 2:
        raise ValueError(f"{d} of {len(v)} rows have a value of every model; it takes two")
    rank = rankdata(-complete if greater_is_better else complete, axis=1)
    mean = rank.mean(0)
    # With ties the sum of squared ranks is smaller; this is Friedman's statistic in the form that allows for it.
    spread = (rank**2).sum() - d * m * (m + 1) ** 2 / 4
    statistic = (m - 1) * d**2 * ((mean - (m + 1) / 2) ** 2).sum() / spread if spread > 0 else 0.0
    q = float(studentized_range.ppf(level, m, np.inf)) / np.sqrt(2)
    critical = q * np.sqrt(m * (m + 1) / (6 * d))
    order = np.argsort(mean, kind="stable")
    ordered, ranks = [models[k] for k in order], mean[order]
    lost = len(v) - d
    return Ranking(
        tuple(ordered), tuple(ranks.tolist()), float(critical), _groups(ordered, ranks, critical),
        float(chdtrc(m - 1, statistic)), d, level,
        f"{lost} of {len(v)} rows lack a value and were left out" if lost else "",
    )  # fmt: skip


def _groups(names: Sequence[str], ranks: np.ndarray, critical: float) -> tuple[tuple[str, ...], ...]:
    """The longest runs within ``critical``, none inside another."""
    groups, reached = [], 1
    for start in range(len(ranks)):
        end = int(np.searchsorted(ranks, ranks[start] + critical))
        if end > max(reached, start + 1):
            groups.append(tuple(names[start:end]))
            reached = end
    return tuple(groups)
