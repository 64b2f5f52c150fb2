"""Where examples land: ``nn.Module: (features (B, D), target (B,)) -> ()``, a penalty added with a coefficient.

Features are the input of the network's last linear layer, or of a :class:`Projector` behind them. Penalties
that compare two views of an example take them stacked, ``cat([view1, view2])``, with the target twice. For a continuous
target, ``(B,)`` or ``(B, T)``: :class:`RankSimLoss`, and :class:`ConRLoss`, which takes the predictions as well.
:class:`FeatureDistributionSmoothing` changes the features themselves, by the bins of the target.

What shapes the features before the labels are used has the signature of its slot: :class:`RotationTransform` and
:func:`rotate_batch` change a batch, :class:`MoCoStep` is a step, and :func:`pseudo_labels` labels rows.
"""

from metabalance.represent.balanced_supcon import BalancedSupConLoss
from metabalance.represent.base import Projected, Projector
from metabalance.represent.conr import ConRLoss
from metabalance.represent.fds import FeatureDistributionSmoothing
from metabalance.represent.moco import MoCoStep
from metabalance.represent.nt_xent import NTXentLoss
from metabalance.represent.ranksim import RankSimLoss
from metabalance.represent.rotation import RotationTransform, rotate_batch
from metabalance.represent.self_training import pseudo_labels
from metabalance.represent.srat import SeparationLoss
from metabalance.represent.supcon import SupConLoss
from metabalance.represent.vicreg import VICRegLoss

__all__ = [
    "BalancedSupConLoss",
    "ConRLoss",
    "FeatureDistributionSmoothing",
    "MoCoStep",
    "NTXentLoss",
    "Projected",
    "Projector",
    "RankSimLoss",
    "RotationTransform",
    "SeparationLoss",
    "SupConLoss",
    "VICRegLoss",
    "pseudo_labels",
    "rotate_batch",
]
