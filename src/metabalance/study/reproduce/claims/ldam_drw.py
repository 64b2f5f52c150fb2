"""LDAM margins and deferred re-weighting (Cao et al. 2019)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="ldam-drw",
    paper="ldam",
    statement="Deferred re-weighting beats plain training, and LDAM margins with it beat either alone.",
    published=Published(
        "CIFAR-10-LT accuracy 71.9 % (plain), 73.4 % (LDAM), 74.9 % (DRW), 76.6 % (LDAM-DRW); independent re-runs: "
        "71.2 % (plain), 75.1 % (DRW), 77.8 % (LDAM-DRW).",
        "CIFAR-10-LT, ratio 100, ResNet-32, 200 epochs, weights from epoch 160; best epoch on the test images.",
        "secondary",
        "table 1 of the Remix paper; the re-runs: README of imbalanced-DL, confirmed",
    ),
    arms={
        "ERM": Arm("erm"),
        "DRW": Arm("drw"),
        "LDAM": Arm("ldam"),
        "LDAM-DRW": Arm("ldam_drw"),
    },
    contrasts=(
        greater("DRW > ERM", "DRW", "ERM"),
        greater("LDAM-DRW > ERM", "LDAM-DRW", "ERM"),
        greater("LDAM-DRW > DRW", "LDAM-DRW", "DRW"),
        greater("LDAM-DRW > LDAM", "LDAM-DRW", "LDAM"),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
)
