"""Flat minima, and flatter ones for rare classes (Shwartz-Ziv et al. 2023)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="sam-a",
    paper="sam_a",
    statement="On imbalanced data asymmetric SAM beats SAM, and SAM beats plain SGD.",
    published=Published(
        "no table could be read; the order SAM-A > SAM > SGD is a precursor's.",
        "imbalanced CIFAR-10, ResNet, SGD with a cosine.",
        "secondary",
        "text of the precursor",
    ),
    arms={
        "SGD": Arm("erm"),
        "SAM": Arm("sam", tune={"rho": (0.05, 0.2)}),
        "SAM-A": Arm("sam_a", tune={"rho": (0.05, 0.2)}),
    },
    contrasts=(
        greater("SAM > SGD", "SAM", "SGD"),
        greater("SAM-A > SAM", "SAM-A", "SAM"),
        greater("SAM-A > SGD", "SAM-A", "SGD"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
    seeds=4,
    notes=("The radius is chosen on the validation rows.",),
)
