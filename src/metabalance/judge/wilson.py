"""An interval of a share that holds for few trials too."""

import numpy as np
from scipy.special import ndtri

from metabalance.judge.interval import Interval, check_level

__all__ = ["wilson_interval"]


def wilson_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's interval of a share: sound for few trials and for shares near 0 or 1.

    Wilson, JASA 1927.

    Args:
        successes: Between 0 and ``n``.
        n: Trials; 0 gives NaN.
        level: Nominal coverage.

    Raises:
        ValueError: ``successes`` is outside ``[0, n]``, or ``level`` outside ``(0, 1)``.

    >>> print(wilson_interval(9, 10))
    0.9000 [0.5958, 0.9821]
    """
    check_level(level)
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n={n}, but {successes} was given")
    if n == 0:
        nan = float("nan")
        return Interval(nan, nan, nan, level, "wilson", "there are no trials")
    share, z2 = successes / n, float(ndtri((1 + level) / 2)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # Exactly 0 and 1 at the edges, where rounding would leave 1e-17.
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == n else float(centre + half)
    return Interval(share, low, high, level, "wilson")
