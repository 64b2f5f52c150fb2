"""The claims that can be run, a file each; the order is that of the listing."""

from metabalance.study.reproduce.base import Claim
from metabalance.study.reproduce.claims import (
    balanced_softmax,
    class_balanced,
    focal,
    logit_adjustment,
    metabalance,
)

__all__ = ["CLAIMS"]

CLAIMS: dict[str, Claim] = {
    module.CLAIM.name: module.CLAIM
    for module in (metabalance, focal, class_balanced, logit_adjustment, balanced_softmax)
}
