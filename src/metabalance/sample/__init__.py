"""Which examples are seen: a ``torch.utils.data.Sampler`` of row indices, built from the labels ``(N,)``.

Each is seeded and epoch-aware (an epoch's order depends only on seed and epoch), shards itself when training
is distributed, and has ``state_dict``. :mod:`metabalance.sample.resample` changes the table itself instead.
"""

from metabalance.sample.balanced import ClassBalancedSampler
from metabalance.sample.base import IndexSampler
from metabalance.sample.over import OverSampler
from metabalance.sample.power import PowerSampler
from metabalance.sample.resample import RESAMPLERS, Resampled, resample
from metabalance.sample.shuffle import ShuffleSampler
from metabalance.sample.under import UnderSampler

__all__ = [
    "RESAMPLERS",
    "ClassBalancedSampler",
    "IndexSampler",
    "OverSampler",
    "PowerSampler",
    "Resampled",
    "ShuffleSampler",
    "UnderSampler",
    "resample",
]
