"""Smoothed densities of labels and features (Yang et al. 2021)."""

from metabalance.study.reproduce.base import Arm, Claim, Published
from metabalance.study.reproduce.claims.value_setups import (
    FALLBACK,
    FDS,
    FULL,
    LDS,
    LDS_FDS,
    NOTES,
    PLAIN,
    SHOWN,
    SMALL,
    lower,
    lower_each,
)

FEW, OVERALL, SMOOTHING = "i. the few gain", "ii. and so does the whole", "iii. smoothing is what helps"

CLAIM = Claim(
    name="lds-fds",
    paper="lds",
    statement=(
        "Weights by a smoothed density of the target (LDS), features smoothed over neighbouring values (FDS), and both "
        "together lower the error of rare values most, and of all values together."
    ),
    published=Published(
        "AgeDB, absolute error over all / of the few: LDS 7.67 / 10.89, FDS 7.69 / 9.98, both 7.47 / 10.55; plain training "
        "7.67 / 12.61 in another paper's runs. STS-B, squared error: LDS 0.914 / 0.955, FDS 0.916 / 1.086, both 0.907 / 0.942.",
        "AgeDB-DIR, ResNet-50; STS-B-DIR, a recurrent encoder with pretrained word vectors; test sets balanced over the target.",
        "confirmed",
        "README of the authors' code; the plain figures are third-party",
    ),
    arms={
        "plain": PLAIN,
        "root weights": Arm("sqrt_inverse_density"),
        "LDS": LDS,
        "FDS": FDS,
        "LDS + FDS": LDS_FDS,
    },
    contrasts=(
        *lower_each(("LDS", "FDS", "LDS + FDS"), "plain", "mae@few", FEW),
        *lower_each(("LDS", "FDS", "LDS + FDS"), "plain", "mae", OVERALL),
        lower("LDS < the same weights without smoothing", "LDS", "root weights", "mae@few", part=SMOOTHING),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    shown=SHOWN,
    notes=(*NOTES, "What smoothing does to the weights themselves is another claim, `lds-weights`."),
)
