"""Logit adjustment, after training and in the loss, against plain training (Menon et al. 2021)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, equal, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="logit-adjustment",
    paper="logit_adjustment",
    statement=(
        "Subtracting the log prior from the logits after training, or adding it in the loss, raises balanced "
        "accuracy over plain training; the loss is the stronger of the two."
    ),
    published=Published(
        "CIFAR-10-LT accuracy 71.4 % (plain), 77.3 % (after training), 77.9 % (loss).",
        "CIFAR-10-LT, ratio 100, ResNet-32, 1,241 epochs.",
        "confirmed",
        "README of the authors' code",
    ),
    arms={
        "ERM": Arm("erm"),
        "after training": Arm("erm", after="thresholding"),
        "in the loss": Arm("logit_adjustment"),
        "balanced softmax": Arm("balanced_softmax"),
    },
    contrasts=(
        greater("after training > ERM", "after training", "ERM"),
        greater("in the loss > ERM", "in the loss", "ERM"),
        greater("in the loss > after training", "in the loss", "after training"),
        equal("tau 1 is balanced softmax", "in the loss", "balanced softmax", control=True),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    notes=("Division of the softmax by the class shares is logit adjustment after training with tau 1.",),
)
