"""How many positives it takes: for an interval of a wanted width, and to tell two models apart.

Rare classes are what samples lack, so that the answer is a number of positives; the negatives come along. All
of it is planning: the formulas assume that the metric's value will be about the one given.
"""

import math
from collections.abc import Callable

from scipy.special import ndtri

from metabalance.judge.metrics import get_metric

__all__ = ["positives_needed", "positives_to_tell"]

MOST = 10**12


def positives_needed(
    metric: str, value: float, half_width: float, *, prevalence: float | None = None, level: float = 0.95
) -> int:
    r"""Positives needed in the test data so that the metric's interval is ``value ± half_width``.

    =====================  =====================================================================================
    ``roc_auc``            the variance of Hanley & McNeil, Radiology 1982
    ``average_precision``  the binomial interval of Boyd, Eng & Page, ECML 2013: :math:`v(1-v)/m`
    ``recall``             Wilson's interval over the positives
    ``specificity``        Wilson's interval over the negatives, which ``prevalence`` turns into positives
    ``accuracy``           Wilson's interval over all rows, likewise
    ``precision``          Wilson's interval over the alerts, taken to be as many as the positives
    ``f1``                 the delta method with precision and recall both equal to ``value``:
                           :math:`v(1-v)\,[(2-v)^2+v]/(4m)`
    ``balanced_accuracy``  half the interval of the recall, at the least certain recall that fits ``value``
    ``g_mean``             the delta method with a specificity of 1: :math:`(1-v^2)/(4m)`
    =====================  =====================================================================================

    They err on the safe side: for two normals with 100 negatives to each positive, the standard error of Boyd
    et al. was 0.95 to 1.3 times the simulated one, that of Hanley & McNeil 1.3 to 2.2 times.

    Args:
        metric: One of these names, or an everyday one such as ``auc``.
        value: What it will be, about; between 0 and 1.
        half_width: Half the interval's width, above 0.
        prevalence: Share of positives in the test data. None takes the negatives to be so many that they no
            longer matter; ``specificity`` and ``accuracy`` need it.
        level: Nominal coverage.

    Returns:
        At least 1.

    Raises:
        ValueError: Another metric, or settings out of range.

    >>> positives_needed("roc_auc", 0.9, 0.03)
    182
    >>> positives_needed("recall", 0.8, 0.05)
    245
    """
    name = get_metric(metric).name
    if name not in _NEEDED:
        raise ValueError(
            f"no formula for {metric!r}; use one of {', '.join(_NEEDED)}, or a pilot's bootstrap"
        )
    if not 0 < value < 1:
        raise ValueError(f"value must lie between 0 and 1, both excluded, but {value} was given")
    if not half_width > 0:
        raise ValueError(f"half_width must be above 0, such as 0.05, but {half_width} was given")
    if prevalence is not None and not 0 < prevalence < 1:
        raise ValueError(f"prevalence must lie between 0 and 1, such as 0.002, but {prevalence} was given")
    if prevalence is None and name in ("specificity", "accuracy"):
        raise ValueError(f"{name} is measured on more than the positives: give prevalence, their share")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95, but {level} was given")
    z = float(ndtri((1 + level) / 2))
    ratio = math.inf if prevalence is None else (1 - prevalence) / prevalence
    return _smallest(lambda m: _NEEDED[name](m, value, ratio, z), half_width)


def positives_to_tell(
    difference: float,
    standard_error: float,
    positives: int,
    *,
    level: float = 0.95,
    power: float = 0.8,
    comparisons: int = 1,
) -> float:
    r"""Positives at which a two-sided test would find a difference of this size, with probability ``power``.

    :math:`m\,\big((z_{1-\alpha/2k} + z_\text{power})\,s / d\big)^2`, for a difference :math:`d` whose standard
    error is :math:`s` with :math:`m` positives. It assumes that the observed difference is the true one, that
    the standard error falls with the root of the number of positives (the class shares stay as they are, or
    the negatives do not matter), and that estimates are about normal; k comparisons are paid for as by
    Bonferroni, which asks a little more than Holm does.

    Args:
        difference: Between the models.
        standard_error: Of the difference, above 0.
        positives: Behind both numbers.
        level: 1 - α.
        power: Probability of finding it.
        comparisons: How many tests share the α.

    Returns:
        A whole number; infinity when there is no difference.

    Raises:
        ValueError: Settings out of range.

    >>> positives_to_tell(0.01, 0.008, positives=492)
    2472.0
    """
    if not 0 < level < 1 or not 0 < power < 1:
        raise ValueError(f"level and power must lie between 0 and 1, but {level} and {power} were given")
    if not standard_error > 0 or positives < 1 or comparisons < 1:
        raise ValueError(
            "standard_error must be above 0, positives and comparisons at least 1, but "
            f"{standard_error}, {positives} and {comparisons} were given"
        )
    if difference == 0:
        return math.inf
    z = float(ndtri(1 - (1 - level) / (2 * comparisons)) + ndtri(power))
    return float(math.ceil(positives * (z * standard_error / difference) ** 2))


def _smallest(half_width: Callable[[int], float], wanted: float) -> int:
    """The smallest count with a half-width of at most ``wanted``, which falls with the count."""
    high = 1
    while half_width(high) > wanted:
        high *= 2
        if high > MOST:
            raise ValueError(f"a half-width of {wanted:g} takes more than {MOST:,} positives; ask for less")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if half_width(middle) <= wanted else (middle, high)
    return high


def _wilson(n: float, share: float, z: float) -> float:
    return z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)


def _hanley_mcneil(m: float, area: float, ratio: float, z: float) -> float:
    two_positives, two_negatives = area / (2 - area), 2 * area**2 / (1 + area)
    # Divided by the number of negatives, m * ratio, which may be infinite.
    single = (area * (1 - area) + (m - 1) * (two_positives - area**2)) / (m * ratio)
    return z * math.sqrt((single + (1 - 1 / (m * ratio)) * (two_negatives - area**2)) / m)


def _balanced(m: float, value: float, ratio: float, z: float) -> float:
    return _wilson(m, max(0.5, 2 * value - 1), z) / 2


# Half-width of the interval, of (positives, value, negatives for each positive, normal quantile).
_NEEDED: dict[str, Callable[[float, float, float, float], float]] = {
    "roc_auc": _hanley_mcneil,
    "average_precision": lambda m, v, ratio, z: z * math.sqrt(v * (1 - v) / m),
    "recall": lambda m, v, ratio, z: _wilson(m, v, z),
    "specificity": lambda m, v, ratio, z: _wilson(m * ratio, v, z),
    "accuracy": lambda m, v, ratio, z: _wilson(m * (1 + ratio), v, z),
    "precision": lambda m, v, ratio, z: _wilson(m, v, z),
    "f1": lambda m, v, ratio, z: z * math.sqrt(v * (1 - v) * ((2 - v) ** 2 + v) / (4 * m)),
    "balanced_accuracy": _balanced,
    "g_mean": lambda m, v, ratio, z: z * math.sqrt((1 - v**2) / (4 * m)),
}
