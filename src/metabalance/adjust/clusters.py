"""Clustered conformal prediction: classes whose scores look alike share one quantile.

Ding, Angelopoulos, Bates, Jordan & Tibshirani, NeurIPS 2023, arXiv 2306.09335. Part of the rows finds the clusters: of
each class with enough of them, some quantiles of its scores, by k-means weighted with the root of its rows. The rest
gives the clusters' quantiles. Classes of too few rows form the null cluster, which takes the quantile of all rows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["clustered_quantiles"]

Array = NDArray[Any]
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)


def clustered_quantiles(
    scores: Array, y: Array, classes: int, alpha: float, seed: int = 0
) -> tuple[Array, list[str]]:
    """Quantiles ``(C,)`` of the true classes' scores ``(N,)``, by clusters of classes, and what was done.

    The share of rows for clustering and the number of clusters are the authors' choice: with n the rows of the
    smallest class (at least those that its own quantile would need) and K the number of classes with as many, a share
    K/(75 + K) and half of n's share of that many clusters.

    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(np.arange(100), 60)
    >>> scores = rng.random(6000) * np.where(y < 50, 1, 0.1)  # half of the classes are ten times easier
    >>> quantiles, notes = clustered_quantiles(scores, y, 100, alpha=0.1)
    >>> bool((quantiles[:50] > 0.7).all() and (quantiles[50:] < 0.3).all())
    True
    """
    from metabalance.adjust.conformal import conformal_quantile

    # Not the stream of the bare seed: whoever simulates scores from it would split by the scores themselves.
    rng = np.random.default_rng([seed, 2306])
    counts = np.bincount(y, minlength=classes)
    needed = int(np.ceil(1 / alpha - 1 - 1e-9))
    smallest = max(int(min(counts[counts > 0], default=0)), needed)
    many = int((counts >= smallest).sum())
    share = many / (75 + many)
    clusters = int(np.floor(share * smallest / 2))
    everything = np.full(classes, conformal_quantile(scores, alpha))
    if clusters < 2:
        return everything, ["too few rows to find clusters: one quantile serves all classes"]
    first = rng.random(len(y)) < share
    levels = np.append(LEVELS, 1 - alpha)
    rows = np.bincount(y[first], minlength=classes)
    known = np.flatnonzero(rows >= needed)
    if len(known) <= clusters:
        return everything, [
            "too few classes have enough rows to be clustered: one quantile serves all classes"
        ]
    from sklearn.cluster import KMeans

    shape = np.stack([np.quantile(scores[first & (y == c)], levels) for c in known])
    means = KMeans(clusters, n_init=10, random_state=seed).fit(shape, sample_weight=np.sqrt(rows[known]))
    cluster_of = np.full(classes, -1)
    cluster_of[known] = means.labels_
    rest, row_cluster = scores[~first], cluster_of[y[~first]]
    quantiles = np.full(classes, conformal_quantile(rest, alpha))
    for k in range(clusters):
        quantiles[cluster_of == k] = conformal_quantile(rest[row_cluster == k], alpha)
    alone = np.flatnonzero(cluster_of < 0)
    notes = [f"{clusters} clusters of classes"]
    if len(alone):
        notes.append(
            f"too few rows to be clustered, so that the quantile of all rows serves them: classes {alone.tolist()}"
        )
    return quantiles, notes
