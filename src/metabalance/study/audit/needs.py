"""How many positives an interval of a wanted width needs, by the usual closed forms.

Average precision, recall and the like as a share of positives (Boyd, Eng & Page, ECML 2013, find this to cover);
the area under the ROC curve after Hanley & McNeil, Radiology 1982.
"""

from math import ceil

from scipy.stats import norm

__all__ = ["positives_needed"]

SHARES = ("average_precision", "recall", "f1", "f2", "precision", "balanced_accuracy", "g_mean", "mcc")


def positives_needed(
    metric: str, value: float, half_width: float, *, prevalence: float, level: float = 0.95
) -> int | None:
    """The number of positives for which an interval is about ``± half_width``.

    Args:
        metric: Its name.
        value: About what it will be.
        half_width: Wanted.
        prevalence: Share of positives.
        level: Of the interval.

    Returns:
        The number, or None where no simple rule is known.

    >>> positives_needed("average_precision", 0.5, 0.05, prevalence=0.01)
    385
    >>> positives_needed("roc_auc", 0.9, 0.02, prevalence=0.01)
    465
    """
    z2 = norm.isf((1 - level) / 2) ** 2
    if metric in SHARES:
        variance = value * (1 - value)
    elif metric == "roc_auc":
        both, one = value / (2 - value), 2 * value**2 / (1 + value)
        negatives = (1 - prevalence) / prevalence  # for each positive
        variance = (both - value**2) + (one - value**2) / negatives
    else:
        return None
    return max(ceil(z2 * variance / half_width**2), 2)
