"""Contrasting what the model confuses, on top of anything (Keramati et al. 2024)."""

from metabalance.study.reproduce.base import Arm, Claim, Published
from metabalance.study.reproduce.claims.value_setups import (
    BALANCED_MSE,
    CONR,
    FALLBACK,
    FULL,
    LDS,
    LDS_FDS,
    NOTES,
    PLAIN,
    RANKSIM,
    SHOWN,
    SMALL,
    lower,
)

BASES = {
    "LDS": LDS,
    "LDS + FDS": LDS_FDS,
    "Balanced MSE": BALANCED_MSE,
    "RankSim": RANKSIM,
}
OVERALL, FEW = "i. on plain training, over all", "ii. on plain training, the few"
ADDED, ADDED_FEW = "iii. on the others, over all", "iv. on the others, the few"
RERUN = "v. as independent re-runs have it, LDS + FDS and Balanced MSE help the few more"

CLAIM = Claim(
    name="conr",
    paper="conr",
    statement=(
        "ConR lowers the error over all values and of the few, on plain training and on top of LDS, FDS, Balanced MSE and "
        "RankSim alike."
    ),
    published=Published(
        "AgeDB, absolute error of the few: FDS + RankSim 9.68, with ConR 9.43; LDS + FDS + RankSim 9.92, with ConR 9.21. "
        "Independent re-runs, over all / of the few: plain 7.67 / 12.61, ConR 7.41 / 12.04, LDS + FDS 7.55 / 10.52, Balanced "
        "MSE 7.98 / 9.93.",
        "AgeDB-DIR, ResNet-50.",
        "secondary",
        "public reviews of the paper, and another paper's runs of all methods",
    ),
    arms={
        "plain": PLAIN,
        "ConR": CONR,
        **BASES,
        **{f"{name} + ConR": Arm("conr", {"base": arm.recipe}) for name, arm in BASES.items()},
    },
    contrasts=(
        lower("ConR < plain", "ConR", "plain", "mae", part=OVERALL),
        lower("ConR < plain", "ConR", "plain", "mae@few", part=FEW),
        *(lower(f"on {base}", f"{base} + ConR", base, "mae", part=ADDED) for base in BASES),
        *(lower(f"on {base}", f"{base} + ConR", base, "mae@few", part=ADDED_FEW) for base in BASES),
        *(
            lower(f"{base} < ConR", base, "ConR", "mae@few", part=RERUN)
            for base in ("LDS + FDS", "Balanced MSE")
        ),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    shown=SHOWN,
    notes=NOTES,
)
