"""How much each example counts: ``(losses (B,), target (B,), ...) -> weights (B,)``, of mean 1 or near it.

Weights that are learned bring their own step ``(model, batch, objective, optimizer) -> loss ()``.
"""

from metabalance.weigh.optimal_transport import PUBLISHED, OTReweighter, class_means, transport_costs
from metabalance.weigh.sinkhorn import SinkhornOT, Transport, sinkhorn
from metabalance.weigh.transport_step import OTStep

__all__ = [
    "PUBLISHED",
    "OTReweighter",
    "OTStep",
    "SinkhornOT",
    "Transport",
    "class_means",
    "sinkhorn",
    "transport_costs",
]
