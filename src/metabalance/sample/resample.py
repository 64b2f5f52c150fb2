"""The table itself is resampled, once, before training: the eleven strategies of MetaBalance's grid.

Bansal, Goldblum, Cherepanova, Schwarzschild, Bruss & Goldstein, "MetaBalance", 2021, arXiv 2106.09643, use
imbalanced-learn with its defaults for each stream of batches (Lemaître, Nogueira & Aridas, JMLR 2017).
"""

import warnings
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

__all__ = ["RESAMPLERS", "Resampled", "resample"]

#: Name -> class of imbalanced-learn; ``"simple"`` leaves the table as it is.
RESAMPLERS: dict[str, str | None] = {
    "simple": None,
    "smote": "over_sampling.SMOTE",
    "borderline_smote": "over_sampling.BorderlineSMOTE",
    "svm_smote": "over_sampling.SVMSMOTE",
    "adasyn": "over_sampling.ADASYN",
    "random_over": "over_sampling.RandomOverSampler",
    "cluster_centroids": "under_sampling.ClusterCentroids",
    "random_under": "under_sampling.RandomUnderSampler",
    "near_miss": "under_sampling.NearMiss",
    "all_knn": "under_sampling.AllKNN",
    "smote_enn": "combine.SMOTEENN",
}

_GROWS_BY_NEIGHBOURS = ("smote", "borderline_smote", "svm_smote", "adasyn", "smote_enn")


class Resampled(NamedTuple):
    """A resampled table.

    Attributes:
        X: Rows ``(M, D)``, of the given dtype.
        y: Classes ``(M,)``.
        source_index: The original row of each ``(M,)``, or ``None`` when rows were synthesised.
        note: What had to differ from the defaults, in one sentence; empty if nothing.
    """

    X: np.ndarray
    y: np.ndarray
    source_index: np.ndarray | None
    note: str


def resample(
    X: np.ndarray, y: np.ndarray, strategy: str | None = "simple", seed: int = 0, n_jobs: int | None = 1
) -> Resampled:
    """Applies one of :data:`RESAMPLERS`, with imbalanced-learn's defaults, to the training rows.

    Distances are taken in the given columns: scale them first. Synthetic rows mix two real ones, so that
    codes of categories become fractions.

    Args:
        X: Finite numbers ``(N, D)``.
        y: Classes ``(N,)``, at least two of them.
        strategy: A name of the table; ``None`` and ``"none"`` are ``"simple"``.
        seed: For the strategies that draw at random.
        n_jobs: Parallel searches for neighbours, where the strategy searches.

    Raises:
        ValueError: An unknown name, a single class, values that are not finite, or rows that the strategy
            cannot work on (a class with one row and no neighbour, nothing to synthesise from, a class cleaned
            away).

    >>> X, y = np.arange(10.0).reshape(5, 2), np.array([0, 0, 0, 1, 1])
    >>> out = resample(X, y, "smote")
    >>> np.bincount(out.y).tolist(), out.note
    ([3, 3], 'smote looked at 1 neighbour instead of 5, since the smallest class it grows has 2 rows.')
    """
    name = "simple" if strategy in (None, "none") else strategy
    if name not in RESAMPLERS:
        raise ValueError(f"strategy={strategy!r} is unknown; use one of {', '.join(RESAMPLERS)}")
    X, y = np.asarray(X), np.asarray(y)
    if X.ndim != 2 or y.shape != X.shape[:1]:
        raise ValueError(f"X must be (N, D) and y (N,), but they have shapes {X.shape} and {y.shape}")
    path = RESAMPLERS[name]
    if path is None:
        return Resampled(X, y, np.arange(len(y)), "")
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"{name} needs at least two classes, but y holds {len(classes)}")
    if not np.isfinite(X).all():
        raise ValueError(
            f"{name} measures distances, but X holds values that are missing or infinite; fill them"
        )
    settings, notes = _settings(name, counts, seed, n_jobs)
    sampler = _build(path, settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            new_X, new_y = sampler.fit_resample(X, y)
        except (ValueError, RuntimeError) as error:
            raise ValueError(_explain(name, error)) from error
    notes += [f"{name} warned: {str(w.message).splitlines()[0]}" for w in caught[:1]]
    lost = np.setdiff1d(classes, new_y)
    if len(lost):
        raise ValueError(f"{name} would remove every row of class {lost[0]}; use a strategy that keeps it")
    source = getattr(sampler, "sample_indices_", None)
    # Over-sampling by repetition and all selections name their source rows; interpolation has none.
    index = None if source is None or name in _GROWS_BY_NEIGHBOURS else np.asarray(source)
    return Resampled(new_X, new_y, index, " ".join(notes))


def _build(path: str, settings: dict[str, Any]) -> Any:
    module, cls = path.split(".")
    return getattr(import_module(f"imblearn.{module}"), cls)(**settings)


def _settings(
    name: str, counts: np.ndarray, seed: int, n_jobs: int | None
) -> tuple[dict[str, Any], list[str]]:
    """Keyword arguments of the imbalanced-learn class, and notes on what is not its default."""
    notes: list[str] = []

    def neighbours(k: int, most: int, what: str) -> int:
        if most < k:
            few = f"{most} neighbour{'s' if most != 1 else ''}"
            notes.append(f"{name} looked at {few} instead of {k}, since {what}.")
        return min(k, most)

    settings: dict[str, Any] = {} if name in ("near_miss", "all_knn") else {"random_state": seed}
    if name in _GROWS_BY_NEIGHBOURS:
        # Imported late: scikit-learn's neighbours and imbalanced-learn take a second to load.
        from sklearn.neighbors import NearestNeighbors

        grown = counts[counts < counts.max()]
        smallest = int(grown.min()) if len(grown) else int(counts.max())
        if smallest < 2:
            raise ValueError(
                f"{name} mixes rows of one class, but the smallest class has 1 row; use 'random_over' instead"
            )
        k = neighbours(5, smallest - 1, f"the smallest class it grows has {smallest} rows")
        # One more than k, for a row is its own nearest neighbour.
        near = NearestNeighbors(n_neighbors=k + 1, n_jobs=n_jobs)
        if name == "smote_enn":
            settings |= {"smote": _build("over_sampling.SMOTE", {"k_neighbors": near, "random_state": seed})}
            settings |= {"n_jobs": n_jobs}
        else:
            settings |= {"n_neighbors" if name == "adasyn" else "k_neighbors": near}
        if name in ("borderline_smote", "svm_smote"):
            m = neighbours(10, int(counts.sum()) - 1, "there are no more rows")
            settings |= {"m_neighbors": NearestNeighbors(n_neighbors=m + 1, n_jobs=n_jobs)}
    elif name == "near_miss":
        smallest = int(counts.min())
        k = neighbours(3, smallest, f"the smallest class has {smallest} row{'s' if smallest != 1 else ''}")
        settings |= {"n_neighbors": k, "n_jobs": n_jobs}
    elif name == "all_knn":
        settings |= {"n_jobs": n_jobs}
    return settings, notes


def _explain(name: str, error: Exception) -> str:
    if name == "adasyn":
        return (
            "adasyn found no row to synthesise from, since no row of a small class has a neighbour of "
            "another class (or too few do to round to one new row); use 'smote' instead"
        )
    if name == "svm_smote" and "noise" in str(error):
        return "svm_smote takes every support vector of a small class for noise; use 'smote' instead"
    reason = str(error).splitlines()[0].rstrip(". ") if str(error) else type(error).__name__
    return f"{name} cannot resample these rows ({reason}); use another strategy, such as 'random_over'"
