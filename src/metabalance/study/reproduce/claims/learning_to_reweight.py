"""Example weights from gradients on a clean batch (Ren et al. 2018)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="learning-to-reweight",
    paper="learning_to_reweight",
    statement="Weights by agreement with the gradient of a small balanced set beat plain training.",
    published=Published(
        "CIFAR-10-LT error 29.6 % (plain), 25.8 % (L2RW).",
        "CIFAR-10-LT, ratio 100, ResNet-32, as re-run by Meta-Weight-Net's authors.",
        "confirmed",
        "README of the CMW-Net code",
    ),
    arms={
        "ERM": Arm("erm"),
        "balanced batches": Arm("balanced_batches"),
        "Learning to Reweight": Arm("learning_to_reweight"),
    },
    contrasts=(
        greater("Learning to Reweight > ERM", "Learning to Reweight", "ERM"),
        greater("Learning to Reweight > balanced batches", "Learning to Reweight", "balanced batches"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
)
