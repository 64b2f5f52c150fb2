"""The published configurations of MetaBalance.

Bansal et al., "MetaBalance", 2021, arXiv 2106.09643, as their code runs them.
"""

from dataclasses import dataclass

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A published configuration of the authors' code.

    Args:
        inner: Balancing of the inner stream.
        outer: Balancing of the outer stream.
        inner_batch: Rows of an inner batch.
        outer_batch: Rows of an outer batch, of each group.
        lr: Learning rate of the outer SGD.
        epochs: Passes over the stream named by ``epoch_of``.
        schedule: Learning rate over the epochs, in words.
        note: The network, and what differs between the versions of the code.
        inner_lr: η of the look-ahead; never scheduled.
        accumulate: M, one more than the authors' ``meta_step``.
        leak: λ.
        momentum: Of the outer SGD.
        nesterov: Whether that momentum is Nesterov's.
        weight_decay: Of the outer SGD.
        outer_reduction: ``"mean"`` or ``"sum"`` over outer groups.
        epoch_of: The stream whose pass is an epoch, ``"inner"`` or ``"outer"``.
        warmup_epochs: Epochs of plain training on the natural stream beforehand.

    >>> PRESETS["credit_card"].inner, PRESETS["credit_card"].outer, PRESETS["credit_card"].accumulate
    ('random_under', 'all_knn', 81)
    """

    inner: str
    outer: str
    inner_batch: int
    outer_batch: int
    lr: float
    epochs: int
    schedule: str
    note: str
    inner_lr: float = 0.01
    accumulate: int = 81
    leak: float = 0.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    outer_reduction: str = "mean"
    epoch_of: str = "outer"
    warmup_epochs: int = 0


PRESETS: dict[str, Preset] = {
    "cifar": Preset(
        inner="natural",
        outer="class_balanced",
        inner_batch=20,
        outer_batch=30,
        lr=0.01,
        epochs=350,
        schedule="cosine to 0",
        note="ResNet-18, cross-entropy. The variant added in 2022 has leak=0.005.",
    ),
    "credit_card": Preset(
        inner="random_under",
        outer="all_knn",
        inner_batch=24,
        outer_batch=16,
        lr=0.02,
        leak=0.01,
        epochs=100,
        schedule="constant",
        note="MLP 29-16-24-20-24-1. The code of June 2021 has inner='natural', outer='random_under', lr=0.1.",
    ),
    "loan_default": Preset(
        inner="svm_smote",
        outer="random_under",
        inner_batch=24,
        outer_batch=16,
        lr=0.02,
        leak=0.01,
        epochs=100,
        schedule="constant",
        note="MLP 12-25-1. The code of June 2021 has inner='natural', outer='random_under', lr=0.1.",
    ),
    "faces": Preset(
        inner="natural",
        outer="one batch per group",
        inner_batch=32,
        outer_batch=16,
        lr=0.1,
        accumulate=9,
        epochs=200,
        schedule="divided by 10 at epochs 50, 100 and 150",
        nesterov=False,
        outer_reduction="sum",
        epoch_of="inner",
        warmup_epochs=8,
        note="ResNet-18, focal loss on CosFace logits; no weight decay on batch norm; plain warm-up.",
    ),
}
