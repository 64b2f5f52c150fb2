"""What the claims about continuous targets share: tables, arms, and contrasts of errors, which are better when lower."""

from typing import Any

from metabalance.study.reproduce.base import Arm, Contrast, greater
from metabalance.study.reproduce.values import ValueData, ValueSetup

# Of California's 15,680 training rows 6,000 are drawn, so that a fit stays at seconds and rare values are rare. Plain
# training's balanced error on the validation rows chose the epochs: some 600 to 1,000 steps, after which it falls slowly.
SMALL = {
    "abalone": ValueSetup(ValueData("abalone")).but(epochs=40),
    "California housing": ValueSetup(ValueData("california", rows=6000)).but(epochs=20),
    "red wine": ValueSetup(ValueData("winequality-red")).but(epochs=60),
    "white wine": ValueSetup(ValueData("winequality-white")),
    "STS-B-DIR": ValueSetup(ValueData("stsb-dir")).but(epochs=15),
}
FALLBACK = {"diabetes": ValueSetup(ValueData("diabetes")).but(epochs=60, batch_size=32)}
# The papers' photographs cannot be had: what is larger here is the training.
FULL = {name: setup.but(hidden=(256, 128), epochs=200, rows=None) for name, setup in SMALL.items()}

SHOWN = ("mae", "bmae", "mae@many", "mae@medium", "mae@few")

PLAIN = Arm("erm")
LDS, FDS, LDS_FDS = Arm("lds"), Arm("fds"), Arm("lds_fds")
BALANCED_MSE, RANKSIM, CONR = Arm("balanced_mse", {"variant": "bmc"}), Arm("ranksim"), Arm("conr")

NOTES = (
    "The papers train a ResNet-50 on photographs of faces; here small networks learn from tables. --full makes networks "
    "and trainings larger, not the photographs.",
    "Test rows are drawn evenly over the target where there are rows (a third of a bin, at most 30 or 60), but for "
    "STS-B-DIR, whose published parts are kept: there the seeds differ in initial weights and order alone.",
    "Many, medium and few are bins with more than 100, and with fewer than 20, training rows (30 for STS-B-DIR, as published).",
)


def lower(says: str, arm: str, other: str, metric: str, margin: float = 0.0, **more: Any) -> Contrast:
    """``arm`` errs less than ``other`` under each condition."""
    return greater(says, other, arm, metric, margin, **more)


def lower_each(arms: tuple[str, ...], other: str, metric: str, part: str) -> tuple[Contrast, ...]:
    """Each of the arms errs less than the other."""
    return tuple(lower(f"{arm} < {other}", arm, other, metric, part=part) for arm in arms)
