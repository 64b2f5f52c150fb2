"""How far a chosen threshold moves when the rows it is chosen on are others.

The bootstrap of a cut-off: Fluss, Faraggi & Reiser, "Estimation of the Youden Index and its Associated Cutoff Point",
Biometrical Journal 2005. A threshold that jumps has been fitted to noise, whatever it achieves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_probabilities, check_target

__all__ = ["ThresholdVariability", "threshold_variability"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ThresholdVariability:
    """Thresholds chosen again and again.

    Args:
        values: One for each resample or fold; NaN where none could be chosen.
        low: Lower end of their interval.
        high: Upper end.
        level: Share of them between the ends.
        failed: Share of NaN among them, for a constraint the share in which it was not attainable.
    """

    values: Array
    low: float
    high: float
    level: float
    failed: float


def threshold_variability(
    choose: Callable[[Array, Array, Array], float],
    probs: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_boot: int = 200,
    folds: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> ThresholdVariability:
    """Chooses a threshold on resamples of the rows, or with one fold after the other left out.

    Args:
        choose: ``(probs (N,), target (N,), weight (N,)) -> threshold``; NaN where there is none.
        probs: Probabilities ``(N,)`` of the positive class.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.
        n_boot: Resamples, within each class.
        folds: In place of resamples, this many stratified folds.
        level: Of the interval.
        seed: Of the resamples or folds.

    Raises:
        ValueError: Settings out of range, or unsound data.

    >>> from metabalance.adjust import choose_threshold
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [90, 10])
    >>> p = np.clip(rng.normal(0.3 + 0.3 * y, 0.15), 0, 1)
    >>> found = threshold_variability(lambda p, y, w: choose_threshold(p, y, sample_weight=w).value, p, y)
    >>> round(found.low, 2), round(found.high, 2)
    (0.39, 0.62)
    """
    if not 0 < level < 1 or n_boot < 2 or (folds is not None and folds < 2):
        raise ValueError(
            f"level must lie between 0 and 1, n_boot and folds be at least 2, but {level}, {n_boot} and {folds} were given"
        )
    p = check_probabilities(probs, ndim=1)
    y, w = check_target(target, len(p), 2, sample_weight)
    rng, values = np.random.default_rng(seed), []
    classes = [np.flatnonzero(y == c) for c in (0, 1)]
    if folds is not None:
        fold = stratified_folds(y, folds, seed)
        values = [choose(p, y, np.where(fold == k, 0.0, w)) for k in range(folds)]
    else:
        for _ in range(n_boot):
            # Repeated rows and not weights: to a bound that depends on the number of rows, uneven weights are fewer rows.
            drawn = np.concatenate(
                [rows[rng.integers(len(rows), size=len(rows))] for rows in classes if len(rows)]
            )
            values.append(choose(p[drawn], y[drawn], w[drawn]))
    found = np.asarray(values, dtype=np.float64)
    defined = found[np.isfinite(found)]
    low = high = float("nan")
    if len(defined) >= len(found) / 2:
        low, high = map(float, np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]))
    return ThresholdVariability(found, low, high, level, 1 - len(defined) / len(found))


def stratified_folds(y: Array, folds: int, seed: int) -> Array:
    """The fold of each row ``(N,)``: each class is dealt out evenly, the rare classes not all beginning at fold 0."""
    rng, fold, start = np.random.default_rng(seed), np.zeros(len(y), dtype=np.int64), 0
    for c in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == c))
        fold[rows] = (np.arange(len(rows)) + start) % folds
        start += len(rows)
    return fold
