"""How the parameters move: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "metabalance", "optimize",
        "Takes a look-ahead step on one balancing of the data and moves so that it does well on another.",
        (papers.BANSAL,), "metabalance.optimize:MetaBalance", "metabalance.optimize:MetaBalanceStep",
        notes=(
            "Published presets: credit_card, loan_default, cifar and faces.",
            "Not the method of the same name for multi-task recommendation.",
        ),
    ),
)
# fmt: on
