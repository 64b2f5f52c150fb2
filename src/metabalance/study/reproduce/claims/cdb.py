"""Difficulty instead of size: the class-wise difficulty-balanced loss (Sinha et al. 2020)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, equal, greater
from metabalance.study.reproduce.claims.setups import CIFAR_FULL, DIGITS_LT, FASHION_LT

# Classes of one size and of unequal difficulty, as shirts and trousers are by themselves.
EQUAL_SIZES = FASHION_LT.but(profile="balanced", n_max=100, ratio=1, validation=60)

CLAIM = Claim(
    name="cdb",
    paper="cdb",
    statement=(
        "What matters is difficulty, not size: weights that follow a class's recall help where weights that follow "
        "its size do nothing."
    ),
    published=Published(
        "CIFAR-100-LT accuracy 37.4 % (CDB, tau 1.5); no plain figure could be confirmed.",
        "CIFAR-100-LT, ratio 200, ResNet-32, 240 epochs, 25 validation images per class.",
        "confirmed",
        "README of the authors' code",
    ),
    arms={
        "ERM": Arm("erm"),
        "weights by size": Arm("class_balanced"),
        "CDB, dynamic tau": Arm("cdb"),
        "CDB, tau 1.5": Arm("cdb", {"tau": 1.5}),
    },
    contrasts=(
        equal("weights by size do nothing", "weights by size", "ERM", "worst", control=True),
        greater("CDB > ERM on the worst class", "CDB, dynamic tau", "ERM", "worst"),
        greater("with tau 1.5 too", "CDB, tau 1.5", "ERM", "worst"),
    ),
    small={"Fashion-MNIST, equal sizes": EQUAL_SIZES},
    fallback={"digits, equal sizes": DIGITS_LT.but(profile="balanced", n_max=20, ratio=1)},
    full={"CIFAR-10, equal sizes": CIFAR_FULL.but(profile="balanced", ratio=1), "CIFAR-10-LT": CIFAR_FULL},
    shown=("balanced_accuracy", "worst"),
    only={"CIFAR-10-LT": ("ERM", "CDB, dynamic tau", "CDB, tau 1.5")},
)
