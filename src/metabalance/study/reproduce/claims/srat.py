"""Adversarial training under imbalance (Wang et al. 2021)."""

from dataclasses import replace

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import CIFAR_STEP_FULL, DIGITS_LT

SETUP = DIGITS_LT.but(epochs=20)

CLAIM = Claim(
    name="srat",
    paper="srat",
    statement=(
        "Adversarial training hurts rare classes more than plain training does; re-weighting with a separation term "
        "makes rare classes more robust."
    ),
    published=Published(
        "no table could be read; the claim is the abstract's.",
        "CIFAR-10 and SVHN with step imbalance, ResNet-18, attacks within 8/255; no code was published.",
        "unconfirmed",
        "abstract",
    ),
    arms={
        "plain": Arm("erm"),
        "adversarial": Arm("adversarial", {"eps": 0.1, "steps": 5}),
        "SRAT": Arm("srat", {"eps": 0.1, "steps": 5}),
    },
    contrasts=(
        greater("adversarial training widens the gap", "adversarial", "plain", "gap"),
        greater("SRAT > adversarial, rare classes, attacked", "SRAT", "adversarial", "robust_few"),
        greater("SRAT > adversarial, attacked", "SRAT", "adversarial", "robust"),
    ),
    small={"digits-LT, attacked": replace(SETUP, attack=0.1)},
    full={"CIFAR-10 step, attacked": replace(CIFAR_STEP_FULL, attack=8 / 255)},
    shown=("balanced_accuracy", "gap", "robust", "robust_few"),
    notes=("Digits, since an attack of 5 steps makes every update six times as long.",),
)
