"""Mixed images, and labels that lean to the rarer class (Chou et al. 2020)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="remix",
    paper="remix",
    statement="mixup beats plain training under a long tail, and Remix does.",
    published=Published(
        "CIFAR-10-LT accuracy 71.9 % (plain), 73.1 % (mixup), 75.4 % (Remix); with DRW, in independent re-runs, "
        "82.1 % (mixup) and 81.8 % (Remix).",
        "CIFAR-10-LT, ratio 100, ResNet-32.",
        "secondary",
        "table 1 of the Remix paper; the re-runs: README of imbalanced-DL, confirmed",
    ),
    arms={"ERM": Arm("erm"), "mixup": Arm("mixup"), "Remix": Arm("remix")},
    contrasts=(greater("mixup > ERM", "mixup", "ERM"), greater("Remix > ERM", "Remix", "ERM")),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    notes=(
        "That Remix beats mixup is no part of the claim as judged here: the published figures contradict each other.",
    ),
)
