"""How parameters move: ``step(model, batch, objective, optimizer) -> loss ()``, detached.

A method that needs a second stream of batches takes that loader in its constructor, so that the engine
stays blind. A step with state has ``state_dict`` and ``load_state_dict``.
"""

from metabalance.optimize.metabalance import PRESETS, MetaBalance, MetaBalanceStep, Preset, hold_out_meta_set

__all__ = ["PRESETS", "MetaBalance", "MetaBalanceStep", "Preset", "hold_out_meta_set"]
