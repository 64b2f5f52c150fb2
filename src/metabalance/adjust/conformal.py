"""Conformal prediction sets: as many classes as it takes to hold the true one at a promised rate, for each class.

Vovk, Lindsay, Nouretdinov & Gammerman, "Mondrian Confidence Machine", 2003; the score 1 - p of Sadinle, Lei &
Wasserman, JASA 2019; the cumulated score (APS) of Romano, Sesia & Candès, NeurIPS 2020, arXiv 2006.02544. With one
quantile for all classes the promise holds on average only, and it is the rare class that pays.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.adjust.base import check_probabilities, check_target

__all__ = ["ConformalSets", "class_coverage", "conformal_quantile"]

Array = NDArray[Any]
SCORES = ("lac", "aps")
GROUPINGS = ("class", "cluster", "marginal")


class ConformalSets:
    r"""Prediction sets that hold the true class with probability at least :math:`1 - \alpha`.

    The promise is about rows like those given to ``fit``, and about repeating both: over many calibration sets of n
    rows the coverage of a class lies between :math:`1 - \alpha` and :math:`1 - \alpha + 1/(n+1)`, but that of one set
    varies around it. A class with fewer than :math:`1/\alpha - 1` calibration rows is in every set, and ``notes_`` says
    so: nothing less would keep the promise.

    Args:
        alpha: Allowed share of misses, between 0 and 1.
        by: ``"class"``: a quantile for each class; ``"cluster"``: for groups of classes with like scores, for many
            classes of few rows (Ding et al., see :mod:`metabalance.adjust.clusters`); ``"marginal"``: one for all.
        score: ``"lac"``, one minus the probability; or ``"aps"``, the probability of all classes down to this one,
            which makes sets of hard rows larger instead of empty.
        seed: Of the split into clusters.

    Raises:
        ValueError: Settings that do not exist.

    After ``fit``: ``quantiles_`` ``(C,)``, infinite for classes that are in every set; ``counts_`` ``(C,)``; ``notes_``.

    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [900, 100])
    >>> p = np.clip(0.1 + 0.5 * y + 0.15 * rng.normal(size=1000), 0.01, 0.99)
    >>> probs = np.stack([1 - p, p], axis=1)
    >>> sets = ConformalSets(alpha=0.1).fit(probs, y)
    >>> sets(probs[[0, 950]])
    array([[ True, False],
           [False,  True]])
    >>> class_coverage(sets(probs), y).round(2)
    array([0.9 , 0.91])
    """

    quantiles_: Array
    counts_: Array
    notes_: tuple[str, ...]

    def __init__(self, alpha: float = 0.1, by: str = "class", score: str = "lac", seed: int = 0) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, such as 0.1, but {alpha} was given")
        if by not in GROUPINGS or score not in SCORES:
            raise ValueError(
                f"by must be one of {GROUPINGS} and score of {SCORES}, but {by!r} and {score!r} were given"
            )
        self.alpha, self.by, self.score, self.seed = alpha, by, score, seed

    def fit(self, probs: ArrayLike, target: ArrayLike) -> "ConformalSets":
        """Takes the quantiles from rows that neither the model nor its calibration was fitted on.

        Args:
            probs: ``(N, C)``.
            target: Class indices ``(N,)``.

        Raises:
            ValueError: Rows that are no probabilities, or class indices outside ``0 .. C-1``.
        """
        p = check_probabilities(probs, ndim=2)
        rows, size = p.shape
        y, _ = check_target(target, rows, size, None)
        scores = class_scores(p, self.score)[np.arange(rows), y]
        self.counts_ = np.bincount(y, minlength=size)
        notes: list[str] = []
        if self.by == "marginal":
            self.quantiles_ = np.full(size, conformal_quantile(scores, self.alpha))
        elif self.by == "class":
            self.quantiles_ = np.array([conformal_quantile(scores[y == c], self.alpha) for c in range(size)])
        else:
            from metabalance.adjust.clusters import clustered_quantiles

            self.quantiles_, notes = clustered_quantiles(scores, y, size, self.alpha, self.seed)
        whole = np.flatnonzero(np.isinf(self.quantiles_))
        if len(whole):
            least = int(np.ceil(1 / self.alpha - 1 - 1e-9))
            notes = [
                *notes,
                f"in every set, since fewer than {least} rows stand behind them: classes {whole.tolist()}",
            ]
        self.notes_ = tuple(notes)
        return self

    def __call__(self, probs: ArrayLike) -> Array:
        """Sets ``(N, C)``, bool, of probabilities ``(N, C)``; a set may be empty with the score ``"lac"``."""
        p = check_probabilities(probs, ndim=2)
        if p.shape[1] != len(self.quantiles_):
            raise ValueError(f"fitted on {len(self.quantiles_)} classes, but {p.shape[1]} were given")
        return class_scores(p, self.score) <= self.quantiles_

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; exact. An infinite quantile becomes None."""
        return {
            "alpha": self.alpha, "by": self.by, "score": self.score, "seed": self.seed,
            "quantiles": [None if np.isinf(q) else float(q) for q in self.quantiles_],
            "counts": self.counts_.tolist(), "notes": list(self.notes_),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ConformalSets":
        """The inverse of :meth:`to_dict`."""
        made = cls(state["alpha"], state["by"], state["score"], state["seed"])
        made.quantiles_ = np.array([np.inf if q is None else q for q in state["quantiles"]], dtype=np.float64)
        made.counts_, made.notes_ = np.asarray(state["counts"]), tuple(state["notes"])
        return made


def conformal_quantile(scores: ArrayLike, alpha: float) -> float:
    r"""The :math:`\lceil (n + 1)(1 - \alpha) \rceil`-th smallest of n scores; infinite where there are too few.

    Not ``np.quantile(scores, 1 - alpha)``: the new row is one of n + 1.

    >>> conformal_quantile([0.1, 0.2, 0.3, 0.4], 0.2), conformal_quantile([0.1, 0.2, 0.3], 0.2)
    (0.4, inf)
    """
    s = np.sort(np.asarray(scores, dtype=np.float64))
    # (n + 1)(1 - alpha) is whole for round numbers, and rounding errors would raise it by one.
    rank = int(np.ceil((len(s) + 1) * (1 - alpha) - 1e-9))
    return float(s[max(rank, 1) - 1]) if rank <= len(s) else float("inf")


def class_scores(p: Array, score: str) -> Array:
    """How badly each class would fit each row ``(N, C)``."""
    if score == "lac":
        return 1 - p
    order = np.argsort(-p, axis=1, kind="stable")
    cumulated = np.cumsum(np.take_along_axis(p, order, axis=1), axis=1)
    out = np.empty_like(p)
    np.put_along_axis(out, order, cumulated, axis=1)
    return out


def class_coverage(sets: ArrayLike, target: ArrayLike) -> Array:
    """Share of each class's rows whose set holds it ``(C,)``; NaN for a class without rows.

    >>> class_coverage([[True, False], [True, True], [True, False]], [0, 1, 1])
    array([1. , 0.5])
    """
    held = np.asarray(sets, dtype=bool)
    if held.ndim != 2:
        raise ValueError(f"sets must be (N, C), but have shape {held.shape}")
    y, _ = check_target(target, held.shape[0], held.shape[1], None)
    n, size = held.shape
    count = np.bincount(y, minlength=size)
    hit = np.bincount(y, held[np.arange(n), y], minlength=size)
    return np.where(count > 0, hit / np.maximum(count, 1), np.nan)
