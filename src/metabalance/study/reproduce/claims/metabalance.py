"""MetaBalance against over-sampling where a class has five images, or one (Bansal et al. 2021)."""

from metabalance.study.reproduce.base import Arm, Claim, Data, Published, Setup, Training, greater
from metabalance.study.reproduce.claims.setups import CIFAR_FULL, FASHION_SEVERE

DIGITS_SEVERE = Setup(
    Data("digits", "one_vs_rest", n_max=100, ratio=100, order="random", validation=20, test=None),
    Training("mlp", epochs=60, batch_size=30),
)

CLAIM = Claim(
    name="metabalance",
    paper="metabalance",
    statement="MetaBalance outperforms re-sampling, especially with very few minority examples.",
    published=Published(
        "no table could be read; the claim is the abstract's.",
        "CIFAR-10, one class with 5,000 images and 5 of each other, ResNet-18, 350 epochs.",
        "unconfirmed",
        "abstract; the authors' code for the set-up",
    ),
    arms={
        "ERM": Arm("erm"),
        "over-sampling": Arm("oversample"),
        "MetaBalance as published": Arm("metabalance", {"inner_lr": 0.01, "order": 1}),
        "MetaBalance tuned": Arm("metabalance", {"order": 2, "inner_lr": 0.1}, {"leak": (0.005, 0.02)}),
    },
    contrasts=(
        greater("over-sampling > ERM", "over-sampling", "ERM", control=True),
        greater("MetaBalance as published > over-sampling", "MetaBalance as published", "over-sampling"),
        greater("MetaBalance tuned > over-sampling", "MetaBalance tuned", "over-sampling"),
    ),
    small={"Fashion-MNIST severe": FASHION_SEVERE, "digits severe": DIGITS_SEVERE},
    fallback={"digits severe": DIGITS_SEVERE},
    full={"CIFAR-10 severe": CIFAR_FULL.but(profile="one_vs_rest", ratio=980, order="random")},
    notes=(
        "The order, step and leak of the tuned arm are this library's, the leak chosen on the validation rows; the other "
        "arm has the paper's.",
        "Every update here is from one look-ahead; the published code averages 81. At full scale the network is a ResNet-32.",
    ),
)
