"""Choosing a model by labels with errors: whose order survives, and "F1, then G-mean".

Kulatilleke & Samarakoon 2022, arXiv 2208.11904, recommend F1 and then G-mean, in that order. Their model of annotation
error is in :mod:`~metabalance.judge.label_noise`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from metabalance.judge.label_noise import Rates, metric_of_table, noisy_confusion

__all__ = ["lexicographic_best", "ranking_stability"]


def ranking_stability(tables: Sequence[ArrayLike], rates: Rates, metrics: Sequence[str]) -> dict[str, float]:
    """How well the order of classifiers survives annotation error: Kendall's tau between true and expected values.

    Args:
        tables: One ``(C, C)`` of true against predicted classes for each classifier, two or more.
        rates: See :func:`~metabalance.judge.annotation_matrix`.
        metrics: Names of decision metrics.

    Returns:
        By name, 1 where noise changes no order; NaN when fewer than two classifiers have a value.

    >>> tables = [[[90, 5], [2, 8]], [[94, 1], [5, 5]], [[78, 17], [1, 9]]]
    >>> ranking_stability(tables, (0.3, 0.02), ["mcc", "g_mean"])
    {'mcc': 1.0, 'g_mean': 0.33333333333333337}
    """
    from scipy.stats import kendalltau

    noisy = [noisy_confusion(table, rates) for table in tables]
    out = {}
    for name in metrics:
        pairs = np.array([[metric_of_table(name, m) for m in pair] for pair in zip(tables, noisy)])
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        # To twelve digits: what noise leaves equal should not be put in order by rounding.
        out[name] = float(kendalltau(*pairs.T.round(12)).statistic) if len(pairs) > 1 else float("nan")
    return out


def lexicographic_best(
    values: Mapping[str, Mapping[str, float]],
    metrics: Sequence[str] = ("f1", "g_mean"),
    tolerance: float = 0.005,
) -> str:
    """The best by the first metric; among those within a tolerance of it, the best by the next.

    Kulatilleke & Samarakoon's "F1 then G-mean". The tolerance is ours (half a point of F1): without one the second
    metric would never be asked. A model without a value of a metric comes last.

    Args:
        values: By model, its value of each metric; higher is better.
        metrics: The order in which they are asked.
        tolerance: What counts as equal, for all but the last.

    Raises:
        ValueError: No models or no metrics, or a negative tolerance.

    >>> lexicographic_best({"silent": {"f1": 0.519, "g_mean": 0.607}, "loud": {"f1": 0.519, "g_mean": 0.969}})
    'loud'
    """
    if not values or not metrics or tolerance < 0:
        raise ValueError("it takes a model, a metric and a tolerance that is not negative")
    left = list(values)
    for i, name in enumerate(metrics):
        of = {model: _or_lowest(values[model][name]) for model in left}
        best = max(of.values())
        margin = tolerance if i < len(metrics) - 1 else 0.0
        left = [model for model in left if of[model] >= best - margin or of[model] == best]
    return left[0]


def _or_lowest(value: float) -> float:
    return value if np.isfinite(value) else -np.inf
