r"""What ROC AUC and average precision see: both average false positives over the positives, with other weights.

McDermott, Hansen, Zhang, Angelotti & Gallifant, "A Closer Look at AUROC and AUPRC under Class Imbalance",
NeurIPS 2024, arXiv 2401.06091. With :math:`\text{FPR}(t)` the share of negatives scored at least t,
:math:`\text{FR}(t)` (the firing rate) that of all rows, and t the score of a positive drawn at random,

.. math::
    \text{AUROC} = 1 - E[\text{FPR}(t)], \qquad \text{AUPRC} = 1 - (1 - \pi)\, E[\text{FPR}(t) / \text{FR}(t)].

So a mistake costs the area under the ROC curve the same wherever it stands, and average precision the more the
higher it stands. The authors' code gets ties wrong; here they are exact: among equal scores the first takes
:math:`(\text{FPR}_\ge + \text{FPR}_>)/2`, and the positive itself counts in the firing rate.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metabalance.judge.checks import Undefined, check_scores, nan_when_undefined

__all__ = ["Mistakes", "atomic_mistakes", "auprc_expectation", "auroc_expectation", "log_roc_area"]

Array = NDArray[Any]


@nan_when_undefined
def auroc_expectation(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """The area under the ROC curve as one minus the mean false-positive rate at the scores of the positives.

    Equal to :func:`~metabalance.judge.roc_auc`, ties included.

    Args:
        scores: ``(N,)`` of the positive class, in any unit, or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.

    Returns:
        The area; NaN when a class has no rows.

    Raises:
        ValueError: NaN scores, or shapes that do not fit.

    >>> auroc_expectation([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    above, true = _curve(scores, target, sample_weight)
    rate = (above - true) / (above[-1] - true[-1])
    share = np.diff(true, prepend=0) / true[-1]
    return float(1 - share @ (rate + np.append(0, rate[:-1])) / 2)


@nan_when_undefined
def auprc_expectation(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Average precision as the same mean, each false-positive rate divided by the firing rate there.

    Equal to :func:`~metabalance.judge.average_precision`. Arguments as for :func:`auroc_expectation`.

    >>> round(auprc_expectation([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 4)
    0.8333
    """
    above, true = _curve(scores, target, sample_weight)
    negatives = above[-1] - true[-1]
    false_rate, firing = (above - true) / negatives, above / above[-1]
    # The highest scores may have weight 0: nothing fires there, and no positive is found.
    ratio = np.divide(false_rate, firing, out=np.zeros_like(firing), where=firing > 0)
    share = np.diff(true, prepend=0) / true[-1]
    return float(1 - negatives / above[-1] * (share @ ratio))


@nan_when_undefined
def log_roc_area(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    r"""Area under the log ROC curve, :math:`\int \log \text{TPR}\, d\text{FPR} \le 0`: the limit of average precision.

    As the share of positives :math:`\pi` goes to 1 at the same ROC curve, average precision goes to
    :math:`1 + \frac{1 - \pi}{\pi} \int \log \text{TPR}\, d\text{FPR}`. By parts the integral is the mean of
    :math:`-\text{FPR}/\text{TPR}` over the positives, which is what is computed: the staircase of a sample begins
    with a true-positive rate of 0, whose logarithm is no number. Arguments as for :func:`auroc_expectation`.

    >>> log_roc_area([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    -0.25
    """
    above, true = _curve(scores, target, sample_weight)
    false_rate, found = (above - true) / (above[-1] - true[-1]), true / true[-1]
    ratio = np.divide(false_rate, found, out=np.zeros_like(found), where=found > 0)
    return float(-np.diff(found, prepend=0) @ ratio)


@dataclass(frozen=True)
class Mistakes:
    """Adjacent scores with a negative directly above a positive, from the top, one entry for each pair of scores.

    Args:
        negative: Row ``(M,)`` of a negative at the upper score.
        positive: Row ``(M,)`` of a positive at the lower score.
        rank: Rows at or above the upper score ``(M,)``; without ties the rank of the negative, 1 at the top.
        positives_above: Positives strictly above the upper score ``(M,)``.
        pairs: Pairs of a negative and a positive with these two scores ``(M,)``; 1 without ties.
        gain_roc_auc: What exchanging the two scores of one pair adds to the area under the ROC curve ``(M,)``.
        gain_average_precision: What it adds to average precision ``(M,)``.

    Without ties, a negative at rank r and t positives above it, they are :math:`1/(n_+ n_-)` and
    :math:`(t + 1) / (n_+ r (r + 1))`. With ties the second may be negative: a positive that joins a crowd of
    negatives has the precision of the crowd.
    """

    negative: Array
    positive: Array
    rank: Array
    positives_above: Array
    pairs: Array
    gain_roc_auc: Array
    gain_average_precision: Array

    def __len__(self) -> int:
        return len(self.rank)

    def as_records(self, first: int | None = None) -> list[dict[str, float | int]]:
        """The first so many mistakes from the top, each a dictionary ready for JSON."""
        columns = {name: getattr(self, name)[:first].tolist() for name in self.__dataclass_fields__}
        return [dict(zip(columns, row)) for row in zip(*columns.values())]


def atomic_mistakes(scores: ArrayLike, target: ArrayLike) -> Mistakes:
    """Every smallest mistake of a ranking, and what repairing it alone is worth under either metric.

    Args:
        scores: ``(N,)`` of the positive class, or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.

    Returns:
        The mistakes, highest first; none when a class has no rows.

    Raises:
        ValueError: NaN scores, or shapes that do not fit.

    >>> found = atomic_mistakes([0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1])
    >>> found.gain_roc_auc, found.gain_average_precision.round(4)
    (array([0.25, 0.25]), array([0.25  , 0.0833]))
    """
    _, y, run, order, first = _runs(scores, target)
    ordered = y[order]
    size = np.diff(np.append(first, len(y)))
    positives = np.bincount(run, ordered, minlength=len(size)).astype(np.int64)
    negatives = size - positives
    upper = np.flatnonzero((negatives[:-1] > 0) & (positives[1:] > 0))
    a, b, c, d = positives[upper], negatives[upper], positives[upper + 1], negatives[upper + 1]
    rank = first[upper] + size[upper]
    below = rank + size[upper + 1]
    t = (np.cumsum(positives) - positives)[upper]
    n_pos = int(positives.sum())
    n_neg = len(y) - n_pos
    # The positive that moves up, and the a that were there: at the precision of the upper score afterwards; the one
    # that moves no longer counts at the precision of the lower score, which stays what it was.
    gain = ((t + 2 * a + 1) / rank - (t + a + c) / below) / max(n_pos, 1)
    return Mistakes(
        negative=_member(order, ordered == 0, first, upper),
        positive=_member(order, ordered == 1, first, upper + 1),
        rank=rank,
        positives_above=t,
        pairs=b * c,
        gain_roc_auc=(a + b + c + d) / (2 * max(n_pos * n_neg, 1)),
        gain_average_precision=gain,
    )


def _runs(scores: ArrayLike, target: ArrayLike) -> tuple[Array, Array, Array, Array, Array]:
    """Scores, target, run of equal scores at each place from the top, order, and the first place of each run."""
    try:
        s, y, _ = check_scores(scores, target, None)
    except Undefined:
        none = np.zeros(0, dtype=np.int64)
        return np.zeros(0), none, none, none, none
    if s.ndim != 1:
        raise ValueError(f"mistakes are told for two classes, but the scores have {s.shape[1]} columns")
    order = np.argsort(-s, kind="stable")
    new = np.append(True, s[order][1:] != s[order][:-1])
    return s, y, np.cumsum(new) - 1, order, np.flatnonzero(new)


def _member(order: Array, wanted: Array, first: Array, of: Array) -> Array:
    """The first row wanted in each of some runs."""
    places = np.flatnonzero(wanted)
    return order[places[np.searchsorted(places, first[of])]] if len(of) else np.zeros(0, dtype=np.int64)


def _curve(scores: ArrayLike, target: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, Array]:
    """Weight, and weight of positives, at or above each distinct score, highest first."""
    s, y, w = check_scores(scores, target, sample_weight)
    if s.ndim != 1:
        raise ValueError(f"the expectation is over two classes, but the scores have {s.shape[1]} columns")
    for name, label in (("positive", 1), ("negative", 0)):
        if not w[y == label].sum() > 0:
            raise Undefined(f"the {name} class has no rows")
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(s[order][1:] != s[order][:-1], True))
    return np.cumsum(w[order])[last], np.cumsum((w * y)[order])[last]
