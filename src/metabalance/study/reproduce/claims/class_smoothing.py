"""Softer labels for rarer classes (Shwartz-Ziv et al. 2023)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="class-smoothing",
    paper="class_smoothing",
    statement="Smoothing the labels of rare classes more than those of frequent ones beats smoothing all alike.",
    published=Published(
        "no table could be read.",
        "imbalanced images, ResNet.",
        "unconfirmed",
        "a review of the paper; the formula too is read from it",
    ),
    arms={
        "ERM": Arm("erm"),
        "all alike": Arm("class_smoothing", {"head": 0.1, "tail": 0.1}),
        "rare classes more": Arm("class_smoothing"),
        "frequent classes more (MiSLAS)": Arm("label_aware_smoothing"),
    },
    contrasts=(
        greater("rare more > ERM", "rare classes more", "ERM"),
        greater("rare more > all alike", "rare classes more", "all alike"),
        greater("rare more > frequent more", "rare classes more", "frequent classes more (MiSLAS)"),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    notes=("MiSLAS (Zhong et al. 2021) smooths in the opposite direction.",),
)
