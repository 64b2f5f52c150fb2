"""Attraction-repulsion-balanced loss (Xie et al. 2023)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, equal, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="arb",
    paper="arb",
    statement="Balancing attraction and repulsion raises accuracy over cross-entropy, in one stage of training.",
    published=Published(
        "no table could be read.",
        "CIFAR-10-LT, ratio 100, ResNet-32, 200 epochs.",
        "unconfirmed",
        "configurations of the authors' code for the set-up",
    ),
    arms={
        "cross-entropy": Arm("erm"),
        "ARB, counts of the batch": Arm("arb"),
        "ARB, counts of the training set": Arm("arb", {"counts": "global"}),
        "balanced softmax": Arm("balanced_softmax"),
    },
    contrasts=(
        greater("ARB > cross-entropy", "ARB, counts of the batch", "cross-entropy"),
        greater("with global counts too", "ARB, counts of the training set", "cross-entropy"),
        equal(
            "global counts are balanced softmax",
            "ARB, counts of the training set",
            "balanced softmax",
            control=True,
        ),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
)
