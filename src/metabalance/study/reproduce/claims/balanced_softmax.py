"""Balanced softmax against softmax (Ren et al. 2020)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="balanced-softmax",
    paper="balanced_softmax",
    statement="Balanced softmax raises accuracy on balanced test data over softmax, and on rare classes most.",
    published=Published(
        "CIFAR-10-LT accuracy 74.0 % (softmax), 79.8 % (balanced softmax).",
        "CIFAR-10-LT, ratio 200, AutoAugment and Cutout, 13,000 iterations of 512.",
        "confirmed",
        "README of the authors' code",
    ),
    arms={"softmax": Arm("erm"), "balanced softmax": Arm("balanced_softmax")},
    contrasts=(
        greater("balanced softmax > softmax", "balanced softmax", "softmax"),
        greater("on rare classes too", "balanced softmax", "softmax", "few"),
    ),
    small={name: setup.but(ratio=200, n_max=1000) for name, setup in SMALL.items()},
    fallback=FALLBACK,
    full={name: setup.but(ratio=200) for name, setup in FULL.items()},
)
