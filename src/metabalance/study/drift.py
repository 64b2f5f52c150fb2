"""Whether new rows look like the old ones: tests on counts in fixed bins, with an effect that must be worth a word.

Kolmogorov-Smirnov on the bins' edges, which is the exact test's distance or less; Pearson's chi-square; the population
stability index (Siddiqi, Wiley 2006); Wasserstein's distance. A p-value alone is no alarm: a million rows make anything
significant, so that an effect of :data:`FLOOR` is asked for as well, and Holm's correction over all columns.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = ["FLOOR", "Drift", "binned_drift", "kolmogorov_p", "level_drift", "psi", "score_drift"]

Array = NDArray[Any]
FLOOR = 0.1  # of PSI ("moderate" by Siddiqi's rule of thumb) or of a difference of shares
FEWEST = 5  # expected rows in a cell of the chi-square


@dataclass(frozen=True)
class Drift:
    """How far a column, or the score, has moved.

    Args:
        name: Of the column.
        test: ``"ks"`` or ``"chi2"``, the test of ``p``.
        distance: Largest difference of cumulated shares (KS), or half the sum of absolute differences of shares.
        psi: Population stability index.
        p: Of both the values and the share of missing ones, Bonferroni-corrected for the two; NaN without rows.
        missing: Share of missing values before and now.
        wasserstein: Wasserstein distance of the scores; NaN for columns.
    """

    name: str
    test: str
    distance: float
    psi: float
    p: float
    missing: tuple[float, float] = (0.0, 0.0)
    wasserstein: float = float("nan")

    @property
    def effect(self) -> float:
        """The largest of distance, PSI and the change in missing values."""
        return float(np.nanmax([self.distance, self.psi, abs(self.missing[1] - self.missing[0]), 0.0]))


def psi(before: ArrayLike, now: ArrayLike) -> float:
    r"""Population stability index of counts in the same bins: :math:`\sum_b (q_b - p_b) \log(q_b / p_b)`.

    Half a row is added to every bin, so that an empty one does not make it infinite.

    Args:
        before: Counts ``(B,)``.
        now: Counts ``(B,)``.

    >>> psi([50, 50], [50, 50]), round(psi([500, 500], [250, 750]), 2)
    (0.0, 0.27)
    """
    a, b = np.asarray(before, dtype=np.float64) + 0.5, np.asarray(now, dtype=np.float64) + 0.5
    p, q = a / a.sum(), b / b.sum()
    return float(((q - p) * np.log(q / p)).sum())


def kolmogorov_p(distance: float, before: float, now: float) -> float:
    """P-value of a distance of two distribution functions, by Stephens' approximation; conservative for ties.

    Args:
        distance: 0 to 1.
        before: Rows behind the one function.
        now: Rows behind the other.

    >>> round(kolmogorov_p(0.136, 200, 200), 2)
    0.04
    """
    if not before * now > 0:
        return float("nan")
    size = np.sqrt(before * now / (before + now))
    return float(stats.kstwobign.sf((size + 0.12 + 0.11 / size) * distance))


def binned_drift(
    name: str, before: ArrayLike, now: ArrayLike, gone: tuple[float, float], thinning: float = 1.0
) -> Drift:
    """Drift of a number, from its counts in ordered bins.

    Args:
        name: Of the column.
        before: Counts ``(B,)`` of the reference; weighted ones where the reference is.
        now: Counts ``(B,)`` of the new rows.
        gone: Missing values before and now.
        thinning: Effective rows of the reference for each of its rows, 1 without weights.
    """
    a, b = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    if not (a.sum() > 0 and b.sum() > 0):
        return Drift(
            name, "ks", float("nan"), float("nan"), _missing_p(a, b, gone, thinning), _shares(a, b, gone)
        )
    gap = float(abs(np.cumsum(a) / a.sum() - np.cumsum(b) / b.sum()).max())
    p = _both(kolmogorov_p(gap, a.sum() * thinning, b.sum()), _missing_p(a, b, gone, thinning))
    return Drift(name, "ks", gap, psi(a * thinning, b), p, _shares(a, b, gone))


def level_drift(
    name: str, before: ArrayLike, now: ArrayLike, gone: tuple[float, float], thinning: float = 1.0
) -> Drift:
    """As :func:`binned_drift`, for a category: counts ``(L,)`` of its levels, in any order."""
    a, b = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    if not (a.sum() > 0 and b.sum() > 0):
        return Drift(
            name, "chi2", float("nan"), float("nan"), _missing_p(a, b, gone, thinning), _shares(a, b, gone)
        )
    gap = float(abs(a / a.sum() - b / b.sum()).sum() / 2)
    p = _both(_chi_square_p(a * thinning, b), _missing_p(a, b, gone, thinning))
    return Drift(name, "chi2", gap, psi(a * thinning, b), p, _shares(a, b, gone))


def score_drift(
    before: ArrayLike, now: ArrayLike, weight: ArrayLike | None = None, *, name: str = "score", bins: int = 10
) -> Drift:
    """Drift of the scores, from the rows themselves.

    Args:
        before: Scores ``(M,)`` of the reference.
        now: Scores ``(N,)`` of the new rows.
        weight: Of the reference ``(M,)``.
        name: For tables.
        bins: Of the PSI, equally full in the reference.
    """
    a, b = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    w = np.ones(len(a)) if weight is None else np.asarray(weight, dtype=np.float64)
    nan = float("nan")
    if not (w.sum() > 0 and len(b)):
        return Drift(name, "ks", nan, nan, nan)
    order = np.argsort(a, kind="stable")
    a, w = a[order], w[order]
    effective = w.sum() ** 2 / (w**2).sum()
    points = np.unique(np.concatenate([a, b]))
    below = np.append(0, np.cumsum(w) / w.sum())[np.searchsorted(a, points, side="right")]
    gap = float(abs(below - np.searchsorted(np.sort(b), points, side="right") / len(b)).max())
    inner = a[np.searchsorted(np.cumsum(w) / w.sum(), np.arange(1, bins) / bins).clip(max=len(a) - 1)]
    edges = np.unique(inner)
    counts = [
        np.bincount(np.searchsorted(edges, values, side="right"), weights, len(edges) + 1)
        for values, weights in ((a, w * effective / w.sum()), (b, None))
    ]
    moved = float(stats.wasserstein_distance(a, b, u_weights=w))
    return Drift(name, "ks", gap, psi(*counts), kolmogorov_p(gap, effective, len(b)), wasserstein=moved)


def _chi_square_p(a: Array, b: Array) -> float:
    """Cells that expect too few rows are pooled into one."""
    share = min(a.sum(), b.sum()) / (a.sum() + b.sum())
    small = (a + b) * share < FEWEST
    if small.any():
        a = np.append(a[~small], a[small].sum())
        b = np.append(b[~small], b[small].sum())
    used = a + b > 0
    if used.sum() < 2:
        return 1.0
    return float(stats.chi2_contingency(np.stack([a[used], b[used]]), correction=False).pvalue)


def _missing_p(a: Array, b: Array, gone: tuple[float, float], thinning: float) -> float:
    old, new = (a.sum() + gone[0]) * thinning, b.sum() + gone[1]
    if not (gone[0] + gone[1] and old > 0 and new > 0):
        return float("nan")
    before, now = gone[0] * thinning, gone[1]
    # Fisher's exact test asks for whole numbers; those of a weighted reference are rounded.
    table = np.rint([[before, old - before], [now, new - now]]).astype(np.int64)
    if table.sum() > 10_000 and table.min() >= FEWEST:
        return float(stats.chi2_contingency(table, correction=False).pvalue)
    return float(stats.fisher_exact(table).pvalue)


def _both(values: float, missing: float) -> float:
    return values if np.isnan(missing) else float(min(1.0, 2 * min(values, missing)))


def _shares(a: Array, b: Array, gone: tuple[float, float]) -> tuple[float, float]:
    old, new = a.sum() + gone[0], b.sum() + gone[1]
    return (float(gone[0] / old) if old else float("nan"), float(gone[1] / new) if new else float("nan"))
