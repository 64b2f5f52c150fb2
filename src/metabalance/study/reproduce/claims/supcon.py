"""Examples of one class pulled together (Khosla et al. 2020; balanced: Zhu et al. 2022)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="supcon",
    paper="balanced_supcon",
    statement=(
        "Under a long tail a supervised contrastive term helps when it is balanced: each class repels with its mean, "
        "however many examples the batch holds."
    ),
    published=Published(
        "no table could be read.",
        "CIFAR-LT and ImageNet-LT, ResNets, logit-adjusted cross-entropy plus 0.35 of the term on two views.",
        "unconfirmed",
        "the authors' code for the set-up",
    ),
    arms={
        "ERM": Arm("erm"),
        "SupCon": Arm("supcon"),
        "logit adjustment, augmented": Arm("logit_adjustment", changes={"augment": True}),
        "balanced SupCon": Arm("balanced_supcon"),
    },
    contrasts=(
        greater("SupCon > ERM", "SupCon", "ERM"),
        greater("balanced > SupCon", "balanced SupCon", "SupCon"),
        greater("not by logit adjustment alone", "balanced SupCon", "logit adjustment, augmented"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
)
