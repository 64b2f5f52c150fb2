"""Focal loss against cross-entropy under a long tail (Lin et al. 2017)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CLAIM = Claim(
    name="focal",
    paper="focal",
    statement="Easy examples drown the rare ones in the loss; letting them count less raises accuracy on the rare.",
    published=Published(
        "CIFAR-10-LT accuracy 71.9 % (cross-entropy), 70.2 % (focal): below plain training.",
        "CIFAR-10-LT, ratio 100, ResNet-32, as re-run by later papers; the focal paper's own figures are of detection.",
        "secondary",
        "table 1 of the Remix paper, from the LDAM paper",
    ),
    arms={
        "ERM": Arm("erm"),
        "focal, gamma 1": Arm("focal", {"gamma": 1.0}),
        "focal, gamma 2": Arm("focal", {"gamma": 2.0}),
    },
    contrasts=(
        greater("gamma 2 > ERM", "focal, gamma 2", "ERM"),
        greater("gamma 2 > ERM on rare classes", "focal, gamma 2", "ERM", "few"),
    ),
    small=SMALL,
    fallback=FALLBACK,
    full=FULL,
    notes=("The long-tail papers use gamma 1; the detection paper, whose claim this is, uses 2.",),
)
