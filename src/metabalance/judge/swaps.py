"""Which mistakes a metric has repaired first, and whose: the drift experiments on two subpopulations.

McDermott et al., NeurIPS 2024, arXiv 2401.06091. A model chosen by ROC AUC has no reason to repair one mistake
before another; one chosen by average precision repairs the highest first, and where a population of many positives
ranks above one of few, those are its own. Departures from the authors' notebooks, all of them slips there: every
step draws new permutations, the lowest pair may be repaired too, and scores below an area of one half stay there.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.mistakes import Mistakes, atomic_mistakes
from metabalance.judge.ranking import average_precision, roc_auc

__all__ = ["Drift", "drift_by_chance", "fix_mistakes", "scores_at_auroc", "two_populations"]

Array = NDArray[Any]
CHOICES = {"roc_auc": roc_auc, "average_precision": average_precision}


@dataclass(frozen=True)
class Drift:
    """What became of the groups' metrics, step by step; step 0 is the beginning.

    Args:
        groups: Labels of the groups.
        roc_auc: Within each group ``(steps + 1, G)``.
        average_precision: Within each group ``(steps + 1, G)``.
        fixed: Repairs whose positive is of each group, so far ``(steps + 1, G)``; zeros where scores move by chance.
        scores: At the end ``(N,)``.
    """

    groups: tuple[Any, ...]
    roc_auc: Array
    average_precision: Array
    fixed: Array
    scores: Array


def fix_mistakes(
    scores: ArrayLike,
    target: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    order: Literal["random", "top", "best"] = "random",
    steps: int = 50,
    seed: int = 0,
) -> Drift:
    """Repairs one atomic mistake after another by exchanging two scores, and follows each group.

    Args:
        scores: ``(N,)``.
        target: 0 or 1, ``(N,)``.
        groups: Labels ``(N,)``; by default one group.
        order: ``"random"``, to ROC AUC every repair is worth the same; ``"top"``, the highest-scored mistake, as the
            authors stand in for average precision; ``"best"``, the one that adds most to average precision.
        steps: Repairs; once no mistake is left, nothing changes any more.
        seed: Of the random order.

    Raises:
        ValueError: An unknown order, or data that :func:`~metabalance.judge.atomic_mistakes` refuses.

    >>> drift = fix_mistakes([0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1], order="top", steps=3)
    >>> drift.roc_auc[:, 0], drift.average_precision[:, 0].round(3)
    (array([0.25, 0.5 , 0.75, 1.  ]), array([0.5  , 0.75 , 0.833, 1.   ]))
    """
    if order not in ("random", "top", "best"):
        raise ValueError(f"order={order!r} is unknown; use 'random', 'top' or 'best'")
    s, y, labels, members = _begin(scores, target, groups)
    rng = np.random.default_rng(seed)
    fixed, track = np.zeros(len(labels)), [_figures(s, y, members)]
    counts = [fixed.copy()]
    for _ in range(steps):
        found = atomic_mistakes(s, y)
        if len(found):
            i = _next(found, order, rng)
            high, low = found.negative[i], found.positive[i]
            s[[high, low]] = s[[low, high]]
            fixed = fixed + np.array([m[low] for m in members])
        track.append(_figures(s, y, members))
        counts.append(fixed)
    return _finish(labels, track, counts, s)


def drift_by_chance(
    scores: ArrayLike,
    target: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    optimize: Literal["roc_auc", "average_precision"],
    change: Literal["permute", "perturb"] = "permute",
    steps: int = 25,
    tries: int = 15,
    seed: int = 0,
) -> Drift:
    """Moves scores at random, keeps the best of several tries under a metric, and follows each group.

    Args:
        scores: ``(N,)``.
        target: 0 or 1, ``(N,)``.
        groups: Labels ``(N,)``; by default one group.
        optimize: The metric, over all groups together, by which a try is kept.
        change: ``"permute"``, every row moves by at most three ranks, step after step; ``"perturb"``, step k adds
            uniform noise within 0.002 k to the scores of the beginning.
        steps: Rounds.
        tries: Random changes in each round.
        seed: Of the changes.

    Raises:
        ValueError: An unknown metric or change.

    >>> drift = drift_by_chance([0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1], optimize="roc_auc", steps=5)
    >>> bool(drift.roc_auc[-1, 0] > drift.roc_auc[0, 0])
    True
    """
    if optimize not in CHOICES or change not in ("permute", "perturb"):
        raise ValueError(
            f"optimize={optimize!r}, change={change!r}: use 'roc_auc' or 'average_precision', and 'permute' or 'perturb'"
        )
    start, y, labels, members = _begin(scores, target, groups)
    rng = np.random.default_rng(seed)
    s, track = start, [_figures(start, y, members)]
    for step in range(1, steps + 1):
        if change == "permute":
            options = [_displaced(s, rng) for _ in range(tries)]
        else:
            options = [start + rng.uniform(-1, 1, len(s)) * 0.002 * step for _ in range(tries)]
        s = max(options, key=lambda option: CHOICES[optimize](option, y))
        track.append(_figures(s, y, members))
    return _finish(labels, track, [np.zeros(len(labels))] * (steps + 1), s)


def scores_at_auroc(n: int, auroc: float, prevalence: float, seed: int = 0) -> tuple[Array, Array]:
    """Scores and labels ``(n,)`` whose expected area under the ROC curve is ``auroc``.

    Positives are uniform on (0, 1); each negative falls into the gap above k of them, k binomial with mean
    ``(1 - auroc)`` of the positives, and is uniform inside. With many positives the negatives gather at one quantile of
    them, and the ROC curve becomes a step: the sampler is for the paper's small groups.

    Args:
        n: Rows.
        auroc: Wanted area, 0 to 1.
        prevalence: Share of positives; at least one row of each class is made.
        seed: Of the draws.

    Raises:
        ValueError: Fewer than two rows, or a share outside 0 to 1.

    >>> scores, target = scores_at_auroc(2000, auroc=0.85, prevalence=0.1)
    >>> int(target.sum()), round(roc_auc(scores, target), 2)
    (200, 0.85)
    """
    if n < 2 or not (0 <= auroc <= 1 and 0 <= prevalence <= 1):
        raise ValueError(
            f"it takes two rows, and auroc and prevalence from 0 to 1, but {n}, {auroc} and {prevalence} were given"
        )
    rng = np.random.default_rng(seed)
    positives = int(np.clip(round(n * prevalence), 1, n - 1))
    edges = np.concatenate([[0.0], np.sort(rng.uniform(size=positives)), [1.0]])
    gap = rng.binomial(positives, 1 - auroc, size=n - positives)
    negative = edges[gap] + rng.uniform(size=n - positives) * (edges[gap + 1] - edges[gap])
    return np.concatenate([edges[1:-1], negative]), np.repeat([1, 0], [positives, n - positives])


def two_populations(
    auroc: float = 0.85, prevalences: tuple[float, float] = (0.05, 0.01), n: int = 200, seed: int = 0
) -> tuple[Array, Array, Array]:
    """Scores, labels and groups ``(2 n,)`` of the paper's experiment: equally well ranked, positives of unequal share.

    The scores of each group are scaled so that their mean is its prevalence, as those of a calibrated model would.

    >>> scores, target, groups = two_populations()
    >>> [round(float(scores[groups == g].mean()), 3) for g in (0, 1)]
    [0.05, 0.01]
    """
    parts = [
        scores_at_auroc(n, auroc, share, seed=int(np.random.SeedSequence([seed, i]).generate_state(1)[0]))
        for i, share in enumerate(prevalences)
    ]
    scaled = [s * share / s.mean() for (s, _), share in zip(parts, prevalences)]
    return np.concatenate(scaled), np.concatenate([y for _, y in parts]), np.repeat([0, 1], n)


def _next(found: Mistakes, order: str, rng: np.random.Generator) -> int:
    if order == "top":
        return 0
    return int(rng.integers(len(found)) if order == "random" else found.gain_average_precision.argmax())


def _begin(
    scores: ArrayLike, target: ArrayLike, groups: ArrayLike | None
) -> tuple[Array, Array, tuple[Any, ...], list[Array]]:
    s, y = np.array(scores, dtype=np.float64), np.asarray(target)
    g = np.zeros(len(y), dtype=np.int64) if groups is None else np.asarray(groups)
    if not s.shape == y.shape == g.shape or s.ndim != 1:
        raise ValueError(f"scores, target and groups must be (N,), but have {s.shape}, {y.shape}, {g.shape}")
    labels = np.unique(g)
    return s, y, tuple(labels.tolist()), [g == label for label in labels]


def _figures(s: Array, y: Array, members: list[Array]) -> list[list[float]]:
    return [[metric(s[m], y[m]) for m in members] for metric in (roc_auc, average_precision)]


def _finish(labels: tuple[Any, ...], track: list[list[list[float]]], counts: list[Array], s: Array) -> Drift:
    figures = np.array(track)
    return Drift(labels, figures[:, 0], figures[:, 1], np.array(counts), s)


def _displaced(s: Array, rng: np.random.Generator) -> Array:
    """The same scores over a permutation that moves no row by more than three ranks."""
    order = np.argsort(s, kind="stable")
    # Keys i + u with u in [0, 4): a row is overtaken only by the three behind it, and overtakes only three.
    moved = np.argsort(np.arange(len(s)) + rng.uniform(0, 4, len(s)), kind="stable")
    shuffled = np.empty_like(s)
    shuffled[order[moved]] = s[order]
    return shuffled
