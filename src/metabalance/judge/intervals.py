"""How sure: intervals for one figure, from its rows (bootstrap, DeLong, Wilson) or from repeated splits.

Every one is an :class:`Interval`. Where none exists its ends are NaN and ``reason`` says why; where it exists
but should not be trusted far, ``reason`` says that.
"""

from metabalance.judge.bootstrap import bootstrap_interval
from metabalance.judge.delong import delong_interval
from metabalance.judge.interval import Interval
from metabalance.judge.resampled import corrected_resampled_interval
from metabalance.judge.wilson import wilson_interval

__all__ = [
    "Interval",
    "bootstrap_interval",
    "corrected_resampled_interval",
    "delong_interval",
    "wilson_interval",
]
