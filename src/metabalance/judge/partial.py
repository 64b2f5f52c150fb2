"""Parts and weightings of the ROC curve: partial area, and the H measure."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc

from metabalance.judge.checks import nan_when_undefined
from metabalance.judge.curves import binary_curve, check_binary, corners

__all__ = ["h_measure", "partial_auc"]


@nan_when_undefined
def partial_auc(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    max_fpr: float = 0.1,
    min_fpr: float = 0.0,
    standardised: bool = True,
) -> float:
    """Area under the ROC curve between two false-alarm rates: only the thresholds that could be used.

    Standardised as McClish (Medical Decision Making 1989): one half for a useless ranking, 1 for a perfect one,
    whatever the range; scikit-learn's ``roc_auc_score(max_fpr=...)`` is that. Raw, it lies between 0 and the
    width of the range.

    Args:
        scores: ``(N,)`` or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.
        max_fpr: Upper end of the range, at most 1.
        min_fpr: Lower end, from 0 and below ``max_fpr``.
        standardised: McClish's scale rather than the raw area.

    Raises:
        ValueError: An empty range, more than two classes, or shapes that do not fit.

    >>> scores, target = [0.9, 0.8, 0.7, 0.6, 0.2], [1, 0, 1, 0, 0]
    >>> round(partial_auc(scores, target, max_fpr=0.5), 4), round(partial_auc(scores, target, max_fpr=1), 4)
    (0.7778, 0.8333)
    """
    if not 0 <= min_fpr < max_fpr <= 1:
        raise ValueError(f"the range {min_fpr} to {max_fpr} must have 0 <= min_fpr < max_fpr <= 1")
    above, true = binary_curve(*check_binary(scores, target, sample_weight, "partial_auc"))
    fpr = np.append(0, (above - true) / (above[-1] - true[-1]))
    tpr = np.append(0, true / true[-1])
    area = np.append(0, np.cumsum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))

    def up_to(end: float) -> float:
        """Area from 0 to ``end``; the curve is straight between two points."""
        last = int(np.searchsorted(fpr, end, side="right")) - 1
        if last == len(fpr) - 1:
            return float(area[-1])
        step = end - fpr[last]
        slope = (tpr[last + 1] - tpr[last]) / (fpr[last + 1] - fpr[last])
        return float(area[last] + step * (tpr[last] + slope * step / 2))

    raw = up_to(max_fpr) - up_to(min_fpr)
    if not standardised:
        return raw
    useless, perfect = (max_fpr**2 - min_fpr**2) / 2, max_fpr - min_fpr
    return (1 + (raw - useless) / (perfect - useless)) / 2


@nan_when_undefined
def h_measure(
    scores: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    severity: float | None = None,
) -> float:
    r"""Share of the avoidable cost that the best thresholds avoid, when the costs are uncertain.

    The loss of the best threshold, :math:`\min_t\; c\,\pi_0\,\text{FPR}_t + (1-c)\,\pi_1\,\text{FNR}_t`, is averaged
    over a distribution of the cost ``c`` of a false alarm, against the same average for no scores at all:
    0 for a useless ranking, 1 for a perfect one. The ROC AUC is such an average too, but over a distribution
    of costs that depends on the classifier. Hand, Machine Learning 2009.

    Args:
        scores: ``(N,)`` or ``(N, 2)``.
        target: 0 or 1, ``(N,)``.
        sample_weight: Weights ``(N,)``.
        severity: What a false alarm costs in units of a missed positive, in the mode of the distribution:
            ``c`` is Beta(2, 1 + 1/severity), for 1 the Beta(2, 2) of Hand (2009). By default
            Beta(1 + π₁, 1 + π₀), by Hand & Anagnostopoulos, Pattern Recognition Letters 2014: the rarer
            positives are, the dearer one of them. (The R package hmeasure uses ``severity=π₁/π₀``.)

    Raises:
        ValueError: ``severity`` is not above 0, more than two classes, or shapes that do not fit.

    >>> scores, target = [0.9, 0.8, 0.7, 0.6, 0.2], [1, 0, 1, 0, 0]
    >>> round(h_measure(scores, target), 4), round(h_measure(scores, target, severity=1), 4)
    (0.5873, 0.58)
    """
    if severity is not None and not 0 < severity < np.inf:
        raise ValueError(f"severity must be above 0 and finite, but {severity} was given")
    above, true = binary_curve(*check_binary(scores, target, sample_weight, "h_measure"))
    rows = above[-1]
    positive, negative = true[-1] / rows, (rows - true[-1]) / rows
    a, b = (1 + positive, 1 + negative) if severity is None else (2.0, 1 + 1 / severity)
    false, hit = corners(above, true)

    def loss(missed: np.ndarray, alarms: np.ndarray, changes: np.ndarray) -> float:
        """Mean cost when vertex i serves the costs between ``changes[i + 1]`` and ``changes[i]``."""
        called = a / (a + b) * -np.diff(betainc(a + 1, b, changes))
        spared = b / (a + b) * -np.diff(betainc(a, b + 1, changes))
        return float(alarms @ called + missed @ spared)

    rise, run = np.diff(hit), np.diff(false)
    best = loss((hit[-1] - hit) / rows, false / rows, np.concatenate([[1.0], rise / (rise + run), [0.0]]))
    blind = loss(np.array([positive, 0]), np.array([0, negative]), np.array([1, positive, 0]))
    return 1 - best / blind
