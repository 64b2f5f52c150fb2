"""Neighbours in the target are neighbours in the features (Gong et al. 2022)."""

from metabalance.study.reproduce.base import Arm, Claim, Published
from metabalance.study.reproduce.claims.value_setups import (
    FALLBACK,
    FULL,
    LDS_FDS,
    NOTES,
    PLAIN,
    RANKSIM,
    SHOWN,
    SMALL,
    lower,
)

ALONE, ADDED = "i. on plain training", "ii. on LDS + FDS"

CLAIM = Claim(
    name="ranksim",
    paper="ranksim",
    statement=(
        "Ranking features as the targets are ranked lowers the error over all values and of the few; it adds to LDS and FDS."
    ),
    published=Published(
        "AgeDB, absolute error over all / of the few: plain 7.67 / 12.61, RankSim 7.41 / 12.47; IMDB-WIKI 8.03 / 26.11 and "
        "7.72 / 25.89.",
        "AgeDB-DIR and IMDB-WIKI-DIR, ResNet-50.",
        "secondary",
        "another paper's runs of all methods",
    ),
    arms={
        "plain": PLAIN,
        "RankSim": RANKSIM,
        "LDS + FDS": LDS_FDS,
        "LDS + FDS + RankSim": Arm("ranksim", {"base": "lds_fds"}),
    },
    contrasts=(
        lower("RankSim < plain", "RankSim", "plain", "mae", part=ALONE),
        lower("RankSim < plain", "RankSim", "plain", "mae@few", part=ALONE),
        lower("on LDS + FDS", "LDS + FDS + RankSim", "LDS + FDS", "mae", part=ADDED),
        lower("on LDS + FDS", "LDS + FDS + RankSim", "LDS + FDS", "mae@few", part=ADDED),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    shown=SHOWN,
    notes=NOTES,
)
