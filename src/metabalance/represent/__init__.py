"""Where examples land: ``nn.Module: (features (B, D), target (B,)) -> ()``, a penalty added with a coefficient.

Features are the input of the network's last linear layer, or of a :class:`Projector` behind them. Penalties
that compare two views of an example take them stacked, ``cat([view1, view2])``, with the target twice.

What shapes the features before the labels are used has the signature of its slot: :class:`RotationTransform` and
:func:`rotate_batch` change a batch, :class:`MoCoStep` is a step, and :func:`pseudo_labels` labels rows.
"""

from metabalance.represent.balanced_supcon import BalancedSupConLoss
from metabalance.represent.base import Projected, Projector
from metabalance.represent.moco import MoCoStep
from metabalance.represent.nt_xent import NTXentLoss
from metabalance.represent.rotation import RotationTransform, rotate_batch
from metabalance.represent.self_training import pseudo_labels
from metabalance.represent.srat import SeparationLoss
from metabalance.represent.supcon import SupConLoss
from metabalance.represent.vicreg import VICRegLoss

__all__ = [
    "BalancedSupConLoss",
    "MoCoStep",
    "NTXentLoss",
    "Projected",
    "Projector",
    "RotationTransform",
    "SeparationLoss",
    "SupConLoss",
    "VICRegLoss",
    "pseudo_labels",
    "rotate_batch",
]
