"""How parameters move: ``step(model, batch, objective, optimizer) -> loss ()``, detached.

A method that needs a second stream of batches takes that loader in its constructor, so that the engine
stays blind. A step with state has ``state_dict`` and ``load_state_dict``.
"""

from metabalance.optimize.adversarial import AdversarialStep, PGDAttack
from metabalance.optimize.asymmetric_sam import AsymmetricSAM
from metabalance.optimize.deferred import DeferredReweighting, DeferredSampler
from metabalance.optimize.metabalance import PRESETS, MetaBalance, MetaBalanceStep, Preset, hold_out_meta_set
from metabalance.optimize.sam import SAM, perturbation, perturbed

__all__ = [
    "PRESETS",
    "SAM",
    "AdversarialStep",
    "AsymmetricSAM",
    "DeferredReweighting",
    "DeferredSampler",
    "MetaBalance",
    "MetaBalanceStep",
    "PGDAttack",
    "Preset",
    "hold_out_meta_set",
    "perturbation",
    "perturbed",
]
