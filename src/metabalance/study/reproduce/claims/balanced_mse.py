"""The squared error without the training prior (Ren et al. 2022)."""

from metabalance.study.reproduce.base import Arm, Claim, Published
from metabalance.study.reproduce.claims.value_setups import (
    FALLBACK,
    FULL,
    NOTES,
    PLAIN,
    SHOWN,
    SMALL,
    lower,
    lower_each,
)

ALL_THREE = ("GAI", "BMC", "BNI")
BALANCED, FEW, BETTER = "i. balanced error", "ii. the few", "iii. better than weights"

CLAIM = Claim(
    name="balanced-mse",
    paper="balanced_mse",
    statement=(
        "Balanced MSE, in closed form (GAI), by the batch (BMC) or by bins (BNI), lowers the error balanced over the "
        "target, that of the few most of all, and more than inverse weights do."
    ),
    published=Published(
        "IMDB-WIKI, balanced error over all / many / few: plain 13.92 / 7.32 / 32.78, GAI 12.69 / 7.59 / 28.31, BMC 12.65 / "
        "7.65 / 28.10, BNI 12.65 / 7.65 / 28.08.",
        "IMDB-WIKI-DIR, ResNet-50, only the last layer is trained again.",
        "confirmed",
        "README of the authors' code",
    ),
    arms={
        "plain": PLAIN,
        "inverse weights": Arm("inverse_density"),
        **{name: Arm("balanced_mse", {"variant": name.lower()}) for name in ALL_THREE},
    },
    contrasts=(
        *lower_each(ALL_THREE, "plain", "bmae", BALANCED),
        *lower_each(ALL_THREE, "plain", "mae@few", FEW),
        *lower_each(ALL_THREE, "inverse weights", "bmae", BETTER),
        lower("the many pay: plain < BMC", "plain", "BMC", "mae@many", control=True),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    shown=SHOWN,
    notes=(
        *NOTES,
        "The authors' one-dimensional task, which has a solution on paper, is `balanced-mse-line`.",
    ),
)
