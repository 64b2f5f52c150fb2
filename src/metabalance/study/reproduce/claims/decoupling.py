"""A representation from all data, a classifier from balanced data (Kang et al. 2020)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="decoupling",
    paper="crt",
    statement="Re-training or re-scaling the classifier alone, after plain training, beats plain training on rare classes.",
    published=Published(
        "ImageNet-LT accuracy 44.4 % (joint), 49.6 % (cRT), 49.4 % (tau-normalisation), 49.9 % (LWS).",
        "ImageNet-LT, ResNeXt-50, 90 epochs, then 10 of the classifier.",
        "confirmed",
        "README of the authors' code",
    ),
    arms={
        "joint": Arm("erm"),
        "cRT": Arm("crt"),
        "tau-normalisation": Arm("tau_norm", tune={"tau": (0.5, 1.0)}),
        "LWS": Arm("lws"),
    },
    contrasts=(
        greater("cRT > joint", "cRT", "joint"),
        greater("tau-normalisation > joint", "tau-normalisation", "joint"),
        greater("LWS > joint", "LWS", "joint"),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    seeds=4,
    notes=("Tau is chosen on the validation rows; the authors' script sweeps it on the test images.",),
)
