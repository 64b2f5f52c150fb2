"""Conformal intervals of a continuous target: as wide as it takes to hold it at a promised rate, for each group.

Split conformal prediction: Papadopoulos, Proedrou, Vovk & Gammerman, ECML 2002; on predicted quantiles (CQR): Romano,
Patterson & Candès, "Conformalized Quantile Regression", NeurIPS 2019, arXiv 1905.03222; by groups, as in Vovk et al.,
"Mondrian Confidence Machine", 2003.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.conformal import conformal_quantile

__all__ = ["ConformalIntervals", "interval_coverage"]

Array = NDArray[Any]


class ConformalIntervals:
    r"""Intervals that hold the target with probability at least :math:`1 - \alpha`.

    The promise is about rows like those given to ``fit``, on average over them, and so the rare values pay for it: look
    at :func:`interval_coverage` by region of the target. Groups that are known before the target (a region of the
    *prediction*, a site) can each be given the promise.

    Args:
        alpha: Allowed share of misses, between 0 and 1.

    After ``fit``: ``margins_``, by group, infinite where too few rows stand behind it.

    >>> intervals = ConformalIntervals(alpha=0.1).fit(np.zeros(19), np.arange(-9.0, 10.0))
    >>> low, high = intervals([5.0])  # the 18th smallest of 19 errors
    >>> float(low[0]), float(high[0])
    (-4.0, 14.0)
    """

    margins_: dict[Any, float]

    def __init__(self, alpha: float = 0.1) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, such as 0.1, but {alpha} was given")
        self.alpha = alpha

    def fit(
        self, prediction: ArrayLike, target: ArrayLike, group: ArrayLike | None = None
    ) -> "ConformalIntervals":
        """Takes the margins from rows that the model was not fitted on.

        Args:
            prediction: ``(N,)``, or a lower and an upper quantile ``(N, 2)``, in any order (CQR).
            target: ``(N,)``.
            group: ``(N,)``, known before the target; without, all rows are one.

        Raises:
            ValueError: Shapes that do not fit, or values that are not finite.
        """
        low, high = _limits(prediction)
        y, groups = _column(target, len(low), "target"), _groups(group, len(low))
        miss = np.maximum(low - y, y - high)  # below 0 inside: quantiles that are too wide shrink
        self.margins_ = {
            g: conformal_quantile(miss[groups == g], self.alpha) for g in np.unique(groups).tolist()
        }
        return self

    def __call__(self, prediction: ArrayLike, group: ArrayLike | None = None) -> tuple[Array, Array]:
        """Lower and upper ends ``(N,)``; without limit for a group that ``fit`` has not seen."""
        low, high = _limits(prediction)
        margin = np.array([self.margins_.get(g, np.inf) for g in _groups(group, len(low)).tolist()])
        # An interval that would shrink below nothing is its middle.
        margin = np.maximum(margin, (low - high) / 2)
        return low - margin, high + margin


def interval_coverage(
    low: ArrayLike, high: ArrayLike, target: ArrayLike, region: ArrayLike | None = None
) -> dict[Any, float]:
    """Share of the rows whose interval holds the target: of ``all``, and of each region of the target.

    >>> interval_coverage([0, 0, 0], [1, 1, 1], [0.5, 0.5, 9.0], ["many", "many", "few"])
    {'all': 0.6666666666666666, 'few': 0.0, 'many': 1.0}
    """
    y = np.asarray(target, dtype=np.float64)
    held = (_column(low, len(y), "low", True) <= y) & (y <= _column(high, len(y), "high", True))
    found: dict[Any, float] = {"all": float(held.mean()) if len(y) else float("nan")}
    if region is not None:
        regions = _groups(region, len(y))
        found |= {r: float(held[regions == r].mean()) for r in np.unique(regions).tolist()}
    return found


def _limits(prediction: ArrayLike) -> tuple[Array, Array]:
    p = np.asarray(prediction, dtype=np.float64)
    if p.ndim not in (1, 2) or (p.ndim == 2 and p.shape[1] != 2) or not np.isfinite(p).all():
        raise ValueError(
            f"predictions must be (N,), or two quantiles (N, 2), and finite, but have shape {p.shape} or other values"
        )
    # Two heads can cross; sorted, the lower is the lower.
    return (p, p) if p.ndim == 1 else (p.min(1), p.max(1))


def _column(values: ArrayLike, rows: int, name: str, infinite: bool = False) -> Array:
    v = np.asarray(values, dtype=np.float64)
    if v.shape != (rows,) or np.isnan(v).any() or (not infinite and np.isinf(v).any()):
        raise ValueError(
            f"{name} must be ({rows},) and without missing values, but has shape {v.shape} or holds some"
        )
    return v


def _groups(group: ArrayLike | None, rows: int) -> Array:
    g = np.zeros(rows, dtype=np.int64) if group is None else np.asarray(group)
    if g.shape != (rows,):
        raise ValueError(f"groups must be ({rows},), one for each row, but have shape {g.shape}")
    return g
