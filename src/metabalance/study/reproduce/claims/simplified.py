"""Ordinary knobs, tuned, instead of special remedies (Shwartz-Ziv et al. 2023)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALLER

CLAIM = Claim(
    name="simplified",
    paper="simplified",
    statement="Tuning batch size, augmentation, smoothing and optimiser is enough; small batches are better.",
    published=Published(
        "CIFAR-10 accuracy 84.9 % (plain), 84.5 % (M2m), 86.0 % (tuned).",
        "imbalanced CIFAR-10, ratio 100.",
        "secondary",
        "one third-party document; weak",
    ),
    arms={
        "ERM": Arm("erm"),
        "ERM, batches of 16": Arm("erm", changes={"batch_size": 16}),
        "ERM, batches of 256": Arm("erm", changes={"batch_size": 256}),
        "logit adjustment": Arm("logit_adjustment"),
        "all knobs": Arm("simplified", tune={"augment": (True, False), "rho": (0.0, 0.05)}),
    },
    contrasts=(
        greater("all knobs > ERM", "all knobs", "ERM"),
        greater("all knobs > a special loss", "all knobs", "logit adjustment"),
        greater("batches of 16 > of 256", "ERM, batches of 16", "ERM, batches of 256"),
    ),
    small=SMALLER,
    fallback=FALLBACK,
    full=FULL,
    seeds=3,
    notes=(
        "Augmentation and radius are chosen on the validation rows; epochs are the same for all batch sizes.",
    ),
)
