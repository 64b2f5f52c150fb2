"""One training run of a claim, and everything that is measured on its test images."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metabalance.estimator import MetaBalanceClassifier
from metabalance.judge import METRICS, recall_per_class
from metabalance.networks import ConvNet
from metabalance.study.reproduce.base import Fit, Setup, Training
from metabalance.study.reproduce.images import Split, count_groups, make_split

__all__ = ["figures", "run_fit"]

# No epoch is chosen: the last weights are kept, as in the published protocols that do not look at the test set.
NEVER = 10**9
ATTACKED = 500  # rows at a time


def run_fit(fit: Fit, data: Path | None) -> dict[str, Any]:
    """Trains and measures.

    The validation rows choose no epoch; they are there for losses that follow a class's recall, and for the
    choice among options.

    Returns:
        ``raw`` and ``thresholding``, dictionaries of figures on the test images; ``validation``, the balanced
        accuracy there; ``counts`` ``(C,)``; ``seconds`` of training, and the ``device`` that they were taken on.
    """
    setup = fit.setup
    assert isinstance(setup, Setup)
    split = make_split(setup.data, fit.seed, data)
    started = time.monotonic()
    model = _trained(fit, setup.training, split)
    seconds = time.monotonic() - started
    X, y = split.test
    scores = _scores(model, X)
    raw = figures(scores, y, split.counts)
    record = {
        "raw": raw,
        "thresholding": thresholded(scores, y, split.counts, raw),
        "validation": METRICS["balanced_accuracy"](_scores(model, split.validation[0]), split.validation[1]),
        "counts": split.counts.tolist(),
        "seconds": seconds,
        "device": _device(model),
        "notes": list(model.notes_),
    }
    if setup.attack:
        record["raw"] |= _robust(model, X, y, split.counts, setup.attack)
    return record


def _device(model: MetaBalanceClassifier) -> str:
    # A trained network is kept on the CPU, wherever it was trained.
    there = torch.cuda.is_available() and model.device != "cpu"
    return torch.cuda.get_device_name() if there else "cpu"


def figures(scores: np.ndarray, target: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    """What is recorded of scores ``(N, C)``; for two classes the second one is the positive.

    ``roc_auc`` is the multi-class one of Buda et al. 2018: the mean over the classes of the area of one class
    against all others. ``many``, ``medium`` and ``few`` are mean recalls of classes grouped by training count,
    ``gap`` is many minus few.
    """
    names = ("accuracy", "balanced_accuracy", "roc_auc", "average_precision", "f1", "log_loss", "ece")
    recall = recall_per_class(scores.argmax(axis=1), target, num_classes=scores.shape[1])
    groups = {name: _mean(recall[index]) for name, index in count_groups(counts).items()}
    return (
        {name: float(METRICS[name](scores, target)) for name in names}
        | groups
        | {"gap": groups["many"] - groups["few"], "worst": float(np.min(recall))}
        | {"recall": [float(r) for r in recall]}
    )


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def thresholded(
    scores: np.ndarray, target: np.ndarray, counts: np.ndarray, raw: dict[str, Any]
) -> dict[str, Any]:
    """The figures of scores divided by the class shares of the training rows.

    Rankings keep their figures: a factor per class changes no order within a class's scores.
    """
    divided = scores / (counts / counts.sum())
    found = figures(divided / divided.sum(axis=1, keepdims=True), target, counts)
    return found | {name: raw[name] for name in ("roc_auc", "average_precision")}


def _trained(fit: Fit, t: Training, split: Split) -> MetaBalanceClassifier:
    model = MetaBalanceClassifier(
        fit.recipe,
        recipe_options=dict(fit.options),
        module=NETWORKS.get(t.module, t.module),
        epochs=round(t.epochs * t.longer),
        batch_size=t.batch_size,
        optimizer=t.optimizer,
        lr=t.lr,
        weight_decay=t.weight_decay,
        schedule=t.schedule,
        augment=t.augment,
        min_positives=NEVER,
        patience=None,
        prior="training",
        random_state=fit.seed,
    )
    (X, y), (X_val, y_val) = split.train, split.validation
    more: dict[str, Any] = {} if split.unlabeled is None else {"unlabeled": split.unlabeled.numpy()}
    return model.fit(X.numpy(), y, validation_data=(X_val.numpy(), y_val), **more)


def _scores(model: MetaBalanceClassifier, X: Tensor) -> np.ndarray:
    """Softmax of the network's outputs, as they are: the test images are balanced."""
    return model.predict_proba(X.numpy())


def _robust(
    model: MetaBalanceClassifier, X: Tensor, y: np.ndarray, counts: np.ndarray, eps: float
) -> dict[str, float]:
    """Balanced accuracy, and that on the rare classes, when every pixel may move by ``eps``: PGD of 20 steps."""
    from metabalance.optimize import PGDAttack

    attack, generator = PGDAttack(eps, steps=20, clip=(0.0, 1.0)), torch.Generator().manual_seed(0)
    rows = zip(X.split(ATTACKED), torch.from_numpy(y).split(ATTACKED))
    found = figures(
        np.concatenate([_scores(model, attack(model.module_, x, target, generator)) for x, target in rows]),
        y,
        counts,
    )
    return {"robust": found["balanced_accuracy"], "robust_many": found["many"], "robust_few": found["few"]}


def _narrow(channels: int, num_classes: int) -> nn.Module:
    """A ConvNet that a single core trains in seconds."""
    # Two to three times as fast on a CPU as the default order of memory.
    return ConvNet(channels, num_classes, width=32).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


NETWORKS = {"convnet-32": _narrow}
