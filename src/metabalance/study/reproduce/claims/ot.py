"""Weights from optimal transport to a balanced set (Guo et al. 2022)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="ot",
    paper="ot_reweighting",
    statement="Weights that bring the training set closest to a balanced one, in transport cost, beat plain training.",
    published=Published(
        "no table could be read.",
        "CIFAR-10-LT, ResNet-32, 10 further images per class as meta set.",
        "unconfirmed",
        "the authors' code for the set-up",
    ),
    arms={
        "ERM": Arm("erm"),
        "effective number": Arm("class_balanced"),
        "optimal transport": Arm("ot_reweighting"),
    },
    contrasts=(
        greater("optimal transport > ERM", "optimal transport", "ERM"),
        greater("optimal transport > effective number", "optimal transport", "effective number"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
)
