"""Frequent examples translated into rare ones (Kim et al. 2020)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="m2m",
    paper="m2m",
    statement="Over-sampling with examples translated from frequent classes beats over-sampling with copies.",
    published=Published(
        "CIFAR-10-LT accuracy 71.2 % (plain), 76.2 % (M2m).",
        "CIFAR-10-LT, ratio 100, ResNet-32, 200 epochs, translation from epoch 160; independent re-runs.",
        "confirmed",
        "README of imbalanced-DL",
    ),
    arms={"ERM": Arm("erm"), "over-sampling": Arm("oversample"), "M2m": Arm("m2m")},
    contrasts=(
        greater("M2m > ERM", "M2m", "ERM"),
        greater("M2m > over-sampling", "M2m", "over-sampling"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
)
