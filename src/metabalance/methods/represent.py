"""Where examples land in the space of features: the methods of this stage, in the order in which they are listed."""

from metabalance.methods.base import Method

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = ()
# fmt: on
