"""Weights by the effective number of samples (Cui et al. 2019)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="class-balanced",
    paper="class_balanced",
    statement=(
        "Weights by the inverse effective number, with a tuned beta, beat plain training and inverse frequency."
    ),
    published=Published(
        "CIFAR-10-LT accuracy 71.9 % (plain), 74.6 % (class-balanced focal).",
        "CIFAR-10-LT, ratio 100, ResNet-32.",
        "secondary",
        "table 1 of the Remix paper, from the LDAM paper",
    ),
    arms={
        "ERM": Arm("erm"),
        "inverse frequency": Arm("class_weight"),
        "effective number": Arm("class_balanced", tune={"beta": (0.9, 0.99, 0.999, 0.9999)}),
    },
    contrasts=(
        greater("effective number > ERM", "effective number", "ERM"),
        greater("effective number > inverse frequency", "effective number", "inverse frequency"),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    seeds=4,
    notes=("Beta is chosen on the validation rows among the paper's four values.",),
)
