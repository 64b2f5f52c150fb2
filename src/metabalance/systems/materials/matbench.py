"""The MatBench protocol: five outer folds that everybody shares, and several metrics for each.

Dunn, Wang, Ganose, Dopp & Jain, npj Computational Materials 6, 138 (2020), arXiv 2005.00707. A fault of the harness is
avoided: while it computes the accuracy it overwrites probabilities with labels, so that every "rocauc" on the
leaderboard is the balanced accuracy (materialsproject/matbench, issues 137 and 181). Here the area is that of the
probabilities, and is not comparable with the leaderboard's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from metabalance.judge import balanced_accuracy, mae, rmse, roc_auc

__all__ = ["SEED", "Fold", "matbench_scores", "nested_kfold", "summarise_folds"]

Array = NDArray[Any]

SEED = 18012019
THRESHOLD = 0.5
SMALLEST = 1e-5  # targets nearer to 0 have no relative error


@dataclass(frozen=True)
class Fold:
    """One outer fold: rows to train on, rows to test once, and splits of the training rows for all choices.

    Attributes:
        train: Row numbers.
        test: Row numbers.
        inner: ``(fit, validation)`` row numbers, all within ``train``.
    """

    train: Array
    test: Array
    inner: tuple[tuple[Array, Array], ...]


def nested_kfold(
    y: ArrayLike, *, task: str = "regression", seed: int = SEED, outer: int = 5, inner: int = 5
) -> Iterator[Fold]:
    """The outer folds of MatBench, shuffled by its seed, each with inner folds of its training part.

    Args:
        y: Targets ``(N,)`` in the order of the official file.
        task: ``regression``, or ``classification`` for stratified folds.
        seed: Of the shuffling, outer and inner.
        outer: Outer folds.
        inner: Inner folds; 0 for none.

    Raises:
        ValueError: An unknown task, or fewer rows than folds.

    >>> fold = next(nested_kfold(np.arange(10.0)))
    >>> fold.test, len(fold.train), len(fold.inner)
    (array([1, 9]), 8, 5)
    """
    if task not in ("regression", "classification"):
        raise ValueError(f"task must be 'regression' or 'classification', but {task!r} was given")
    y = np.asarray(y)
    make = KFold if task == "regression" else StratifiedKFold
    for train, test in make(outer, shuffle=True, random_state=seed).split(np.zeros((len(y), 1)), y):
        parts: list[tuple[Array, Array]] = []
        if inner:
            folds = make(inner, shuffle=True, random_state=seed).split(np.zeros((len(train), 1)), y[train])
            parts = [(train[fit], train[validation]) for fit, validation in folds]
        yield Fold(train, test, tuple(parts))


def matbench_scores(
    prediction: ArrayLike, target: ArrayLike, *, task: str = "regression"
) -> dict[str, float]:
    """The metrics of the protocol on one test part.

    Args:
        prediction: Values ``(N,)``, or probabilities of the positive class ``(N,)``.
        target: Values, or labels 0 and 1, ``(N,)``.
        task: ``regression`` or ``classification``.

    Returns:
        ``mae``, ``rmse``, ``mape`` (over targets beyond 1e-5 from 0) and ``max_error``; or ``accuracy``,
        ``balanced_accuracy`` and ``f1`` at 0.5, and ``rocauc`` of the probabilities. NaN where there is none.

    Raises:
        ValueError: Shapes that differ, or classes without probabilities.

    >>> matbench_scores([1.0, 3.0], [1.0, 2.0])["mape"]
    0.25
    >>> matbench_scores([0.6, 0.7, 0.9], [0, 0, 1], task="classification")["rocauc"]
    1.0
    """
    p, y = np.asarray(prediction, dtype=np.float64), np.asarray(target)
    if p.ndim != 1 or p.shape != y.shape or not len(p):
        raise ValueError(
            f"prediction and target must be (N,) with N at least 1, but have shapes {p.shape} and {y.shape}"
        )
    if task == "regression":
        error, far = np.abs(p - y), np.abs(y) > SMALLEST
        return {
            "mae": mae(p, y),
            "rmse": rmse(p, y),
            "mape": float((error[far] / np.abs(y[far])).mean()) if far.any() else float("nan"),
            "max_error": float(error.max()),
        }
    if task != "classification":
        raise ValueError(f"task must be 'regression' or 'classification', but {task!r} was given")
    if not (np.isin(y, (0, 1)).all() and (p >= 0).all() and (p <= 1).all()):
        raise ValueError("classification needs labels 0 and 1, and probabilities of class 1")
    y, said = y.astype(np.int64), (p >= THRESHOLD).astype(np.int64)
    wrong, hits = int((said != y).sum()), int((said & y).sum())
    return {
        "accuracy": 1 - wrong / len(y),
        "balanced_accuracy": balanced_accuracy(said, y),
        "f1": 2 * hits / (2 * hits + wrong) if hits + wrong else float("nan"),
        "rocauc": roc_auc(p, y),
    }


def summarise_folds(folds: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, max, min and standard deviation of each metric over folds, as the protocol reports them.

    The mean hides a fold that collapsed; look at all four.

    >>> summarise_folds([{"mae": 1.0}, {"mae": 3.0}])["mae"]
    {'mean': 2.0, 'max': 3.0, 'min': 1.0, 'std': 1.0}
    """
    if not folds:
        raise ValueError("there are no folds to summarise; give the scores of one or more")
    values = {name: np.array([fold[name] for fold in folds]) for name in folds[0]}
    return {
        name: {key: float(getattr(np, key)(v)) for key in ("mean", "max", "min", "std")}
        for name, v in values.items()
    }
