"""Weights as a function of loss and class size (Shu et al. 2023)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="cmw-net",
    paper="cmw_net",
    statement="A weighting function that also knows the class's size beats one of the loss alone, and plain training.",
    published=Published(
        "CIFAR-10-LT error 29.6 % (plain), 26.4 % (Meta-Weight-Net), 21.2 % (CMW-Net).",
        "CIFAR-10-LT, ratio 100, ResNet-32, 200 epochs, weights from epoch 160; best epoch on the test images.",
        "confirmed",
        "README of the authors' code",
    ),
    arms={"ERM": Arm("erm"), "Meta-Weight-Net": Arm("meta_weight_net"), "CMW-Net": Arm("cmw_net")},
    contrasts=(
        greater("CMW-Net > ERM", "CMW-Net", "ERM"),
        greater("CMW-Net > Meta-Weight-Net", "CMW-Net", "Meta-Weight-Net"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
)
