"""A learned weight for every loss value (Shu et al. 2019)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="meta-weight-net",
    paper="meta_weight_net",
    statement="Weights as a learned function of the loss, judged on a small balanced set, beat plain training.",
    published=Published(
        "CIFAR-10-LT error 29.6 % (plain), 26.4 % (Meta-Weight-Net).",
        "CIFAR-10-LT, ratio 100, ResNet-32, 100 epochs, 10 further images per class as meta set.",
        "confirmed",
        "README of the CMW-Net code",
    ),
    arms={
        "ERM": Arm("erm"),
        "balanced batches": Arm("balanced_batches"),
        "Meta-Weight-Net": Arm("meta_weight_net"),
    },
    contrasts=(
        greater("Meta-Weight-Net > ERM", "Meta-Weight-Net", "ERM"),
        greater("Meta-Weight-Net > balanced batches", "Meta-Weight-Net", "balanced batches"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
)
