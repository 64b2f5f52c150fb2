"""Metrics equal torchmetrics, where it is installed and right, to the float32 in which it counts."""

import numpy as np
import pytest
import torch

from metabalance import judge
from metabalance.judge import get_metric

functional = pytest.importorskip(
    "torchmetrics.functional.classification", reason="torchmetrics comes with the examples' packages"
)


def binary(seed, ties):
    rng = np.random.default_rng(seed)
    y = (rng.random(200) < 0.2).astype(int)
    p = np.clip(rng.normal(0.3 + 0.3 * y, 0.2), 0.001, 0.999)
    p = (9 * p).round() / 10 + 0.01 if ties else p  # off the edges of bins and off one half
    return p, y, torch.tensor(p), torch.tensor(y)


def many(seed, ties, classes=4):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, 200) ** 2 // classes])
    z = rng.normal(size=(len(y), classes)).round(1 if ties else 9)
    z[np.arange(len(y)), y] += 1
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return p, y, torch.tensor(p), torch.tensor(y)


BINARY = {
    "roc_auc": functional.binary_auroc,
    "average_precision": functional.binary_average_precision,
    "accuracy": functional.binary_accuracy,
    "precision": functional.binary_precision,
    "recall": functional.binary_recall,
    "specificity": functional.binary_specificity,
    "f1": functional.binary_f1_score,
    "mcc": functional.binary_matthews_corrcoef,
    "kappa": functional.binary_cohen_kappa,
    "partial_auc": lambda p, y: functional.binary_auroc(p, y, max_fpr=0.1),
    "recall@precision>=0.5": lambda p, y: functional.binary_recall_at_fixed_precision(
        p, y, min_precision=0.5
    )[0],
    "precision@recall>=0.6": lambda p, y: functional.binary_precision_at_fixed_recall(p, y, min_recall=0.6)[
        0
    ],
    "recall@fpr<=0.125": lambda p, y: functional.binary_sensitivity_at_specificity(
        p, y, min_specificity=0.875
    )[0],
    "f2": lambda p, y: functional.binary_fbeta_score(p, y, beta=2.0),
}
MANY = {
    "roc_auc": lambda p, y: functional.multiclass_auroc(p, y, 4),
    "roc_auc_weighted": lambda p, y: functional.multiclass_auroc(p, y, 4, average="weighted"),
    "average_precision": lambda p, y: functional.multiclass_average_precision(p, y, 4),
    "accuracy": lambda p, y: functional.multiclass_accuracy(p, y, 4, average="micro"),
    "balanced_accuracy": lambda p, y: functional.multiclass_accuracy(p, y, 4, average="macro"),
    "precision": lambda p, y: functional.multiclass_precision(p, y, 4),
    "recall": lambda p, y: functional.multiclass_recall(p, y, 4),
    "specificity": lambda p, y: functional.multiclass_specificity(p, y, 4),
    "f1": lambda p, y: functional.multiclass_f1_score(p, y, 4),
    "f1_weighted": lambda p, y: functional.multiclass_f1_score(p, y, 4, average="weighted"),
    "mcc": lambda p, y: functional.multiclass_matthews_corrcoef(p, y, 4),
    "kappa": lambda p, y: functional.multiclass_cohen_kappa(p, y, 4),
    "top_k@2": lambda p, y: functional.multiclass_accuracy(p, y, 4, average="micro", top_k=2),
}
# It computes in float32, whatever it is given.
SINGLE = {"rel": 1e-6, "abs": 1e-6}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", BINARY)
def test_two_classes(name, ties):
    for seed in range(3):
        p, y, scores, target = binary(seed, ties)
        twin = float(BINARY[name](scores, target))
        assert get_metric(name)(p, y) == pytest.approx(twin, **SINGLE)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", MANY)
def test_many_classes(name, ties):
    for seed in range(3):
        p, y, scores, target = many(seed, ties and name != "top_k@2")
        twin = float(MANY[name](scores, target))
        assert get_metric(name)(p, y) == pytest.approx(twin, **SINGLE)


def test_calibration_error():
    p, y, scores, target = binary(3, ties=False)
    twin = functional.binary_calibration_error(scores, target, n_bins=15)
    assert judge.ece(p, y) == pytest.approx(float(twin), **SINGLE)
    p, y, scores, target = many(3, ties=False)
    twin = functional.multiclass_calibration_error(scores, target, 4, n_bins=15)
    assert judge.ece(p, y) == pytest.approx(float(twin), **SINGLE)


def test_tables():
    p, y, scores, target = many(4, ties=False)
    twin = functional.multiclass_confusion_matrix(scores, target, 4).numpy()
    np.testing.assert_array_equal(judge.confusion(p, y), twin)


@pytest.mark.filterwarnings("ignore:No (positive|negative) samples in targets")
def test_where_it_gives_a_number_to_what_has_none():
    scores, target = torch.linspace(0.1, 0.9, 10), torch.ones(10, dtype=torch.long)
    assert float(functional.binary_auroc(scores, target)) == 0  # torchmetrics#2494, still so in 1.9
    assert np.isnan(judge.roc_auc(scores.numpy(), target.numpy()))
