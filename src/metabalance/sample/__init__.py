"""Which examples are seen, and which new ones are made of them.

- A sampler is a ``torch.utils.data.Sampler`` of row indices, built from the labels ``(N,)``. It is seeded and
  epoch-aware (an epoch's order depends only on seed and epoch), shards itself when training is distributed, and
  has ``state_dict``.
- A batch transform is called as ``(inputs, target, generator) -> (inputs, target)`` (mixup and its kin, in the
  loader), or as ``(model, batch) -> batch`` where it needs the network (M2m, in the step).
- ``fit_resample(X, y) -> (X, y)`` changes the data itself, once: SMOTE and ADASYN on tensors here, and
  imbalanced-learn's strategies by name in :mod:`metabalance.sample.resample`. For a continuous target there are
  :class:`SMOGN` and :class:`RareOverSampler`.
"""

from metabalance.sample.adasyn import ADASYN
from metabalance.sample.balanced import ClassBalancedSampler
from metabalance.sample.base import IndexSampler
from metabalance.sample.cutmix import CutMix
from metabalance.sample.m2m import MajorToMinor
from metabalance.sample.mixup import Mixup
from metabalance.sample.neighbours import nearest
from metabalance.sample.over import OverSampler
from metabalance.sample.power import PowerSampler
from metabalance.sample.progressive import ProgressiveSampler
from metabalance.sample.rare_values import RareOverSampler, box_plot_points, relevance
from metabalance.sample.remix import Remix
from metabalance.sample.resample import RESAMPLERS, Resampled, resample
from metabalance.sample.shuffle import ShuffleSampler
from metabalance.sample.smogn import SMOGN
from metabalance.sample.smote import SMOTE
from metabalance.sample.under import UnderSampler

__all__ = [
    "ADASYN",
    "RESAMPLERS",
    "SMOGN",
    "SMOTE",
    "ClassBalancedSampler",
    "CutMix",
    "IndexSampler",
    "MajorToMinor",
    "Mixup",
    "OverSampler",
    "PowerSampler",
    "ProgressiveSampler",
    "RareOverSampler",
    "Remix",
    "Resampled",
    "ShuffleSampler",
    "UnderSampler",
    "box_plot_points",
    "nearest",
    "relevance",
    "resample",
]
