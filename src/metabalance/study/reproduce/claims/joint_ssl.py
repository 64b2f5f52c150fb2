"""A self-supervised loss beside the supervised one (Shwartz-Ziv et al. 2023)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="joint-ssl",
    paper="joint_ssl",
    statement="Adding a self-supervised loss on two views to the supervised one, from the start, raises accuracy.",
    published=Published(
        "no table could be read.",
        "imbalanced CIFAR-10, ResNet; that the loss is VICReg is unconfirmed too.",
        "unconfirmed",
        "a review of the paper",
    ),
    arms={
        "ERM": Arm("erm"),
        "ERM, augmented": Arm("erm", changes={"augment": True}),
        "Joint-SSL": Arm("joint_ssl"),
    },
    contrasts=(
        greater("Joint-SSL > ERM", "Joint-SSL", "ERM"),
        greater("not by the augmentation alone", "Joint-SSL", "ERM, augmented"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
)
