"""How much each example counts: ``(losses (B,), target (B,), ...) -> weights (B,)``, of mean 1 or near it.

Weights that are learned bring their own step ``(model, batch, objective, optimizer) -> loss ()``.
"""

from metabalance.weigh.sinkhorn import SinkhornOT, Transport, sinkhorn

__all__ = ["SinkhornOT", "Transport", "sinkhorn"]
