"""The protocol: shared folds, metrics by hand, and the leaderboard's fault, which is not repeated."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, max_error, mean_absolute_percentage_error, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold

from metabalance.judge import balanced_accuracy
from metabalance.systems.materials import Fold, matbench_scores, nested_kfold, summarise_folds
from metabalance.systems.materials.matbench import SEED


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_folds_are_the_official_ones_and_inner_ones_lie_within(task):
    y = np.arange(57) % 2
    make = KFold if task == "regression" else StratifiedKFold
    official = make(5, shuffle=True, random_state=18012019).split(y, y)
    assert SEED == 18012019
    for fold, (train, test) in zip(nested_kfold(y, task=task), official, strict=True):
        assert isinstance(fold, Fold)
        assert fold.train.tolist() == train.tolist()
        assert fold.test.tolist() == test.tolist()
        assert len(fold.inner) == 5
        for fit, validation in fold.inner:
            assert sorted([*fit, *validation]) == train.tolist()
    assert next(nested_kfold(y, inner=0)).inner == ()


def test_metrics_are_scikit_learns():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    p = np.clip(0.3 * y + rng.uniform(size=200), 0, 1)
    found = matbench_scores(p, y, task="classification")
    assert found["accuracy"] == pytest.approx(accuracy_score(y, p >= 0.5))
    assert found["f1"] == pytest.approx(f1_score(y, p >= 0.5))
    assert found["rocauc"] == pytest.approx(roc_auc_score(y, p))
    value, said = rng.normal(size=200), rng.normal(size=200)
    found = matbench_scores(said, value)
    assert found["max_error"] == pytest.approx(max_error(value, said))
    assert found["mape"] == pytest.approx(mean_absolute_percentage_error(value, said))
    assert found["rmse"] ** 2 == pytest.approx(((value - said) ** 2).mean())
    masked = matbench_scores([1.0, 3.0], [0.0, 2.0])
    assert masked["mape"] == 0.5
    assert masked["mae"] == 1.0
    assert np.isnan(matbench_scores([1.0], [0.0])["mape"])


def test_the_area_of_hard_labels_is_the_balanced_accuracy():
    """What the leaderboard calls rocauc; ours takes probabilities and differs."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 300)
    p = np.clip(0.3 * y + rng.uniform(size=300), 0, 1)
    hard = (p >= 0.5).astype(float)
    assert matbench_scores(hard, y, task="classification")["rocauc"] == pytest.approx(
        balanced_accuracy(hard.astype(int), y)
    )
    soft = matbench_scores(p, y, task="classification")
    assert soft["rocauc"] > soft["balanced_accuracy"] + 0.01


def test_the_summary_shows_a_fold_that_collapsed():
    found = summarise_folds([{"f1": 0.9}, {"f1": 0.0}])
    assert found == {"f1": {"mean": 0.45, "max": 0.9, "min": 0.0, "std": 0.45}}
    with pytest.raises(ValueError, match="no folds"):
        summarise_folds([])


@pytest.mark.parametrize(
    ("prediction", "target", "task", "says"),
    [
        ([1.0], [1.0, 2.0], "regression", "shapes"), ([], [], "regression", "N at least 1"),
        ([1.5], [1], "classification", "probabilities"), ([0.5], [2], "classification", "labels 0 and 1"),
        ([0.5], [1], "ranking", "task must be"),
    ],
)  # fmt: skip
def test_what_is_no_prediction_is_refused(prediction, target, task, says):
    with pytest.raises(ValueError, match=says):
        matbench_scores(prediction, target, task=task)
    with pytest.raises(ValueError, match="task must be"):
        next(nested_kfold([1, 2], task="x"))
