"""Unlabelled images, and pre-training without labels (Yang & Xu 2020)."""

from metabalance.study.reproduce.base import Arm, Claim, Published, greater
from metabalance.study.reproduce.claims.setups import FALLBACK, FULL, SMALL

CHANGES = {"ratio": 50.0, "n_max": 300}

CLAIM = Claim(
    name="value-of-labels",
    paper="self_training",
    statement=(
        "Pseudo-labelled images help, more so when they are balanced; so does self-supervised pre-training on the "
        "imbalanced images themselves."
    ),
    published=Published(
        "CIFAR-10-LT error, ratio 50: 16.8 % with balanced unlabelled images, 18.4 % when they are as imbalanced; "
        "rotation pre-training, ratio 50: 21.8 %. The plain 23.2 % is unconfirmed.",
        "CIFAR-10-LT, ResNet-32, five times as many unlabelled images; best epoch on the test images.",
        "confirmed",
        "README of the authors' code",
    ),
    arms={
        "ERM": Arm("erm"),
        "self-training, balanced": Arm("self_training", changes={"unlabeled": 5, "unlabeled_ratio": 1.0}),
        "self-training, imbalanced": Arm("self_training", changes={"unlabeled": 5, "unlabeled_ratio": 50.0}),
        "rotation pre-training": Arm("rotation_pretraining"),
    },
    contrasts=(
        greater("self-training > ERM", "self-training, balanced", "ERM"),
        greater("imbalanced unlabelled images too", "self-training, imbalanced", "ERM"),
        greater("balanced > imbalanced", "self-training, balanced", "self-training, imbalanced"),
        greater("rotation pre-training > ERM", "rotation pre-training", "ERM"),
    ),
    small={name: setup.but(**CHANGES) for name, setup in SMALL.items()},
    fallback={name: setup.but(n_max=12, ratio=10) for name, setup in FALLBACK.items()},
    full={name: setup.but(n_max=700, ratio=50) for name, setup in FULL.items()},
    seeds=4,
    notes=(
        "The paper draws CIFAR's unlabelled images from 80 Million Tiny Images, which has been withdrawn; here they are "
        "images of the same set whose labels are not used: at full scale the labelled images are therefore fewer.",
    ),
)
