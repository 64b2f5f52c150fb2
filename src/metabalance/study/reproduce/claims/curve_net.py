"""Loss curves tell noisy examples from rare ones (Jiang et al. 2022)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

NOISY = {"ratio": 20.0, "noise": 0.4}

CLAIM = Claim(
    name="curve-net",
    paper="curve_net",
    statement="Where labels are noisy and classes imbalanced at once, weights from loss curves beat weights from losses.",
    published=Published(
        "no table could be read.",
        "CIFAR-10-LT, ratio 20, 40 % uniform label noise, ResNet-32, 1,000 clean balanced images.",
        "unconfirmed",
        "configurations of the authors' code for the set-up",
    ),
    arms={"ERM": Arm("erm"), "Meta-Weight-Net": Arm("meta_weight_net"), "CurveNet": Arm("curve_net")},
    contrasts=(
        greater("CurveNet > ERM", "CurveNet", "ERM"),
        greater("CurveNet > Meta-Weight-Net", "CurveNet", "Meta-Weight-Net"),
    ),
    small={name: setup.but(n_max=200, **NOISY) for name, setup in SMALL.items()},
    fallback={name: setup.but(**NOISY) for name, setup in FALLBACK.items()},
    full={name: setup.but(**NOISY) for name, setup in FULL.items()},
    notes=("The meta set here is taken from the noisy training rows: no clean images are given to any arm.",),
)
