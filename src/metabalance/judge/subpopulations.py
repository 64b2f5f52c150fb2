"""Whom a metric serves: ROC AUC and average precision within groups of different prevalence, and over all of them.

McDermott et al., NeurIPS 2024, arXiv 2401.06091: where groups differ in their share of positives, choosing by average
precision over all rows together repairs the mistakes of the group with more positives first.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.bootstrap import bootstrap_interval
from metabalance.judge.checks import check_scores
from metabalance.judge.delong import delong_interval
from metabalance.judge.interval import Interval
from metabalance.judge.mistakes import atomic_mistakes
from metabalance.judge.ranking import average_precision, roc_auc
from metabalance.plain import plain

__all__ = ["Subpopulation", "SubpopulationBias", "subpopulation_bias"]

Array = NDArray[Any]
CLEAR = 1.25  # times as much gained by a repair in one group as in another: below, no preference is told
UNEQUAL = 2.0  # times as many positives: from here on the groups' average precisions are not comparable


@dataclass(frozen=True)
class Subpopulation:
    """One group.

    Args:
        group: Its label.
        rows: Its rows.
        positives: Its positives.
        prevalence: Their share; the average precision of a useless ranking.
        roc_auc: Within the group, with DeLong's interval.
        average_precision: Within the group, with a bootstrap interval if one was asked for.
        average_precision_at_common_prevalence: The same with the rows weighted to the share of positives among all
            rows: what is left of a difference between groups is then not their prevalence.
        share_of_mistakes: Of all atomic mistakes, those that keep down a positive of this group. To ROC AUC all are
            worth the same, so it is also the group's share of what repairs add to it.
        share_of_gain: The group's share of what repairing each of them adds to average precision.
        preference: The second over the first: above 1, average precision turns to this group first.
    """

    group: Any
    rows: int
    positives: int
    prevalence: float
    roc_auc: Interval
    average_precision: Interval
    average_precision_at_common_prevalence: float
    share_of_mistakes: float
    share_of_gain: float
    preference: float


@dataclass(frozen=True)
class SubpopulationBias:
    """All groups beside each other.

    Args:
        prevalence: Of all rows.
        roc_auc: Of all rows.
        average_precision: Of all rows.
        mistakes: Atomic mistakes.
        groups: Each of them, by descending prevalence.
        says: What follows, in sentences.
    """

    prevalence: float
    roc_auc: float
    average_precision: float
    mistakes: int
    groups: tuple[Subpopulation, ...]
    says: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON: None for what has no value."""
        return plain(asdict(self))


def subpopulation_bias(
    scores: ArrayLike, target: ArrayLike, groups: ArrayLike, *, n_boot: int = 0, seed: int = 0
) -> SubpopulationBias:
    """Both metrics by group, and whose mistakes each would have repaired.

    Args:
        scores: ``(N,)`` of the positive class, or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.
        groups: Labels ``(N,)``.
        n_boot: Bootstrap resamples for the intervals of average precision; 0 for none.
        seed: Of the resamples.

    Raises:
        ValueError: NaN scores, shapes that do not fit, more than two classes.

    >>> bias = subpopulation_bias(
    ...     [0.9, 0.8, 0.7, 0.6, 0.3, 0.2, 0.1, 0.05], [0, 1, 1, 0, 0, 1, 0, 0], list("aaaabbbb")
    ... )
    >>> [(g.group, g.prevalence, round(g.preference, 2)) for g in bias.groups]
    [('a', 0.5, 1.67), ('b', 0.25, 0.33)]
    """
    s, y, _ = check_scores(scores, target, None)
    labels = np.asarray(groups)
    if labels.shape != y.shape:
        raise ValueError(f"groups must be ({len(y)},), one label a row, but have shape {labels.shape}")
    found = atomic_mistakes(s, y)
    shares = _attributed(s, y, labels, found)
    mistakes = float(found.pairs.sum())
    gain = float(found.pairs @ found.gain_average_precision)
    overall = float(y.mean())
    parts = []
    for label, kept, gained in shares:
        rows = labels == label
        mine, theirs = s[rows], y[rows]
        of_mistakes, of_gain = _ratio(kept, mistakes), _ratio(gained, gain)
        parts.append(
            Subpopulation(
                group=label,
                rows=len(theirs),
                positives=int(theirs.sum()),
                prevalence=float(theirs.mean()),
                roc_auc=delong_interval(mine, theirs),
                average_precision=_with_interval(mine, theirs, n_boot, seed),
                average_precision_at_common_prevalence=average_precision(
                    mine, theirs, _to_prevalence(theirs, overall)
                ),
                share_of_mistakes=of_mistakes,
                share_of_gain=of_gain,
                preference=_ratio(of_gain, of_mistakes),
            )
        )
    parts.sort(key=lambda part: -part.prevalence)
    return SubpopulationBias(
        overall, roc_auc(s, y), average_precision(s, y), int(mistakes), tuple(parts), tuple(_says(parts))
    )


def _attributed(s: Array, y: Array, labels: Array, found: Any) -> list[tuple[Any, float, float]]:
    """Each group with the pairs, and the gain in average precision, of the mistakes that keep its positives down."""
    values = s[found.positive]  # the lower scores, from the top: descending and distinct
    pairs = []
    for label in np.unique(labels):
        mine = np.sort(s[(labels == label) & (y == 1)])
        every = np.sort(s[y == 1])
        own = np.searchsorted(mine, values, "right") - np.searchsorted(mine, values)
        all_ = np.searchsorted(every, values, "right") - np.searchsorted(every, values)
        part = found.pairs * own / np.maximum(all_, 1)
        name = label.item() if isinstance(label, np.generic) else label
        pairs.append((name, float(part.sum()), float(part @ found.gain_average_precision)))
    return pairs


def _to_prevalence(target: Array, prevalence: float) -> Array:
    own = target.mean()
    if not 0 < own < 1:
        return np.ones(len(target))
    return np.where(target == 1, prevalence / own, (1 - prevalence) / (1 - own))


def _with_interval(s: Array, y: Array, n_boot: int, seed: int) -> Interval:
    if n_boot:
        return bootstrap_interval(average_precision, s, y, n_boot=n_boot, seed=seed)
    nan = float("nan")
    value = average_precision(s, y)
    reason = "none was asked for" if np.isfinite(value) else "a class has no rows"
    return Interval(value, nan, nan, 0.95, "none", reason)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _says(parts: list[Subpopulation]) -> list[str]:
    """What a reader should take away."""
    known = [p for p in parts if 0 < p.positives < p.rows]
    out = [
        f"Group {p.group!r} has no {'positives' if p.positives == 0 else 'negatives'}: its metrics have no value."
        for p in parts
        if p not in known
    ]
    if len(known) < 2:
        return [*out, "There are no two groups to compare."]
    most, least = known[0], known[-1]
    times = most.prevalence / least.prevalence
    if times < UNEQUAL:
        return [
            *out,
            f"The shares of positives differ by a factor of {times:.2g} at most: average precision over all rows "
            "has little to prefer one group for.",
        ]
    out.append(
        f"Group {most.group!r} has {times:.2g} times the share of positives of group {least.group!r}: their "
        "average precisions are not comparable as they stand; compare those at the common prevalence, or the "
        "areas under the ROC curve."
    )
    drawn = most.preference / least.preference if least.preference > 0 else float("inf")
    if np.isnan(most.preference):
        out.append("The ranking has no mistake to repair.")
    elif drawn > CLEAR:
        out.append(
            f"A model chosen by average precision over all rows is drawn to group {most.group!r}: it keeps "
            f"{most.share_of_mistakes:.0%} of the mistakes, but repairing them is {most.share_of_gain:.0%} of what "
            "there is to gain. To ROC AUC every mistake counts the same."
        )
    elif drawn < 1 / CLEAR:
        out.append(
            f"Average precision over all rows is drawn to group {least.group!r} here, not to the one with most "
            "positives: its mistakes stand higher."
        )
    else:
        out.append(
            "Average precision over all rows has no clear preference for a group's mistakes on these rows."
        )
    return out
