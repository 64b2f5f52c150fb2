"""How much each example counts: ``(losses (B,), target (B,), ...) -> weights (B,)``.

Weights that are learned bring a step of the training loop, ``step(model, batch, objective, optimizer) ->
loss ()``, which draws the second stream of batches that they are judged on. It takes the losses from
``objective.losses(model, batch) -> (B,)``. Of a continuous target the density gives fixed weights for all training rows:
:func:`label_density_weights` and :class:`DenseWeight`.
"""

from metabalance.weigh.cmw_net import ClassAwareWeightNet, class_families
from metabalance.weigh.curve_net import CurveNetStep, CurveWeigher, CurveWeightNet
from metabalance.weigh.dense_weight import DenseWeight
from metabalance.weigh.label_density import bin_weights, label_density_weights
from metabalance.weigh.learned import LearnedWeights, normalized
from metabalance.weigh.learning_to_reweight import LearningToReweight, reweight
from metabalance.weigh.loss_curves import LossCurveRecorder, cyclic_probe_schedule, normalized_curves
from metabalance.weigh.meta_weight_net import MetaWeightNet
from metabalance.weigh.optimal_transport import OTReweighter, class_means, transport_costs
from metabalance.weigh.sinkhorn import SinkhornOT, Transport, sinkhorn
from metabalance.weigh.transport_step import OTStep

__all__ = [
    "ClassAwareWeightNet",
    "CurveNetStep",
    "CurveWeigher",
    "CurveWeightNet",
    "DenseWeight",
    "LearnedWeights",
    "LearningToReweight",
    "LossCurveRecorder",
    "MetaWeightNet",
    "OTReweighter",
    "OTStep",
    "SinkhornOT",
    "Transport",
    "bin_weights",
    "class_families",
    "class_means",
    "cyclic_probe_schedule",
    "label_density_weights",
    "normalized",
    "normalized_curves",
    "reweight",
    "sinkhorn",
    "transport_costs",
]
