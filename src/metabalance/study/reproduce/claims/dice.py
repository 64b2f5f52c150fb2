"""Dice loss: F1 instead of likelihood (Li et al. 2020)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import CIFAR_FULL, DIGITS_LT, FASHION_LT

# One class in fifty, in training and in testing, against the nine others together.
RARE = FASHION_LT.but(profile="binary", n_max=2000, ratio=50, order="random", test=None, epochs=10)

CLAIM = Claim(
    name="dice",
    paper="dice",
    statement="A loss made like F1 reaches a higher F1 at the threshold one half than cross-entropy does.",
    published=Published(
        "span F1 on CoNLL-2003 93.1 (focal) and 93.2 (dice), on OntoNotes 5 91.1 and 92.0.",
        "BERT taggers of named entities as reading comprehension.",
        "confirmed",
        "README of the authors' code",
    ),
    arms={"cross-entropy": Arm("erm"), "dice": Arm("dice", {"alpha": 0.0}), "self-adjusting": Arm("dice")},
    contrasts=(
        greater("dice > cross-entropy in F1", "dice", "cross-entropy", "f1"),
        greater("self-adjusting > cross-entropy in F1", "self-adjusting", "cross-entropy", "f1"),
        greater("the price: a higher log-loss", "dice", "cross-entropy", "log_loss", control=True),
    ),
    small={"Fashion-MNIST 1:50": RARE},
    fallback={"digits 1:20": DIGITS_LT.but(profile="binary", n_max=800, ratio=20, epochs=15)},
    full={"CIFAR-10 1:50": CIFAR_FULL.but(profile="binary", n_max=40_000, ratio=50, order="random")},
    shown=("f1", "average_precision", "log_loss", "ece"),
    notes=(
        "The paper's tasks are tagging of text; this is the same imbalance on images. F1 is at one half.",
    ),
)
