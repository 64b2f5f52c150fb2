"""De Breuck, Evans & Rignanese 2021: MODNet on small data of materials, and whether it knows where it errs."""

import csv
import io
import lzma
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.data.errors import DataError
from metabalance.data.limits import read_limited
from metabalance.judge import mae
from metabalance.study.reproduce.base import Contrast, Experiment, Published

Array = NDArray[Any]

FILES = {"steels": "steels_yield", "expt gap": "expt_gap", "glass": "glass"}
FULL = ", full"
STAND_IN = "diabetes"
MODNET, FOREST, DUMMY = "MODNet", "random forest", "dummy"
ROWS = 1000  # of the training part, where there are more, at the small size
FOLDS = 5
# Members, chosen features, epochs; the small size and the full one.
SIZES = {False: (10, 64, 80), True: (100, 128, 300)}
TREES = 100


def measure(condition: str, seed: int, folder: Path | None) -> dict[str, dict[str, float]]:
    """One official fold: MODNet, a random forest and the training part's mean, on the same rows."""
    full = condition.endswith(FULL)
    name = condition.removesuffix(FULL)
    classes = name == "glass"
    X, y = _diabetes() if name == STAND_IN else _materials(name, folder)
    train, test = _fold(y, classes, seed % FOLDS)
    if not full and len(train) > ROWS:
        train = np.random.default_rng(seed).permutation(train)[:ROWS]
    found = {
        MODNET: _modnet(X[train], y[train], X[test], y[test], classes, full, seed),
        FOREST: _score(_forest(X[train], y[train], X[test], classes, seed), y[test], classes),
        DUMMY: _score(np.full(len(test), y[train].mean()), y[test], classes),
    }
    every = list(dict.fromkeys(metric for figures in found.values() for metric in figures))
    return {
        arm: {metric: figures.get(metric, float("nan")) for metric in every} for arm, figures in found.items()
    }


def _fold(y: Array, classes: bool, number: int) -> tuple[Array, Array]:
    from metabalance.systems.materials import nested_kfold

    folds = list(nested_kfold(y, task="classification" if classes else "regression", inner=0))
    return folds[number].train, folds[number].test


def _modnet(
    X: Array, y: Array, X_test: Array, y_test: Array, classes: bool, full: bool, seed: int
) -> dict[str, float]:
    from metabalance.systems.materials import (
        BootstrapEnsemble,
        MODNetClassifier,
        MODNetRegressor,
        NMIRelevanceRedundancy,
        confidence_ranked_error,
        knn_distance,
        miscalibration_area,
    )

    members, features, epochs = SIZES[full]
    task = "classification" if classes else "regression"
    chosen = NMIRelevanceRedundancy(features, task=task, random_state=seed).fit(X, y)
    X, X_test = chosen.transform(X), chosen.transform(X_test)
    options: dict[str, Any] = {
        "num_neurons": ((features,), (features // 2,), (features // 4,), (features // 8,)),
        "activation": "elu", "lr": 5e-3, "epochs": epochs, "batch_size": 32 if len(X) < 1000 else 64,
    }  # fmt: skip
    model = MODNetClassifier(**options) if classes else MODNetRegressor(loss="mae", **options)
    ensemble = BootstrapEnsemble(model, members, random_state=seed).fit(X, y)
    if classes:
        return _score(ensemble.predict_proba(X_test)[:, 1], y_test, classes)
    mean, std = ensemble.predict(X_test, return_std=True)
    errors = np.abs(mean - y_test)
    fill = np.nan_to_num(X, nan=0.0), np.nan_to_num(X_test, nan=0.0)
    distance = knn_distance(*fill)
    near, far = np.quantile(distance, [1 / 3, 2 / 3])
    return _score(mean, y_test, classes) | {
        "sigma_skill": confidence_ranked_error(errors, std).skill,
        "knn_skill": confidence_ranked_error(errors, distance).skill,
        "sparse": float((errors[distance >= far].mean() - errors[distance <= near].mean()) / errors.mean()),
        "miscalibration": miscalibration_area(mean, std, y_test),
    }


def _forest(X: Array, y: Array, X_test: Array, classes: bool, seed: int) -> Array:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    if classes:
        forest = RandomForestClassifier(TREES, random_state=seed).fit(X, y)
        return forest.predict_proba(X_test)[:, 1]
    return RandomForestRegressor(TREES, max_features=1 / 3, random_state=seed).fit(X, y).predict(X_test)


def _score(prediction: Array, target: Array, classes: bool) -> dict[str, float]:
    from metabalance.systems.materials import matbench_scores

    if classes:
        found = matbench_scores(prediction, target.astype(np.int64), task="classification")
        return {metric: found[metric] for metric in ("rocauc", "balanced_accuracy")}
    return {"mae": mae(prediction, target)}


@lru_cache(maxsize=3)
def _materials(name: str, folder: Path | None) -> tuple[Array, Array]:
    from metabalance.systems.materials import CompositionFeatures

    formulas, y = read_compositions(folder, NEEDS[name])
    try:
        return CompositionFeatures().fit_transform(formulas), y
    except ImportError as error:
        raise DataError(str(error)) from error


def read_compositions(folder: Path | None, file: str) -> tuple[list[str], Array]:
    """Formulas and targets of a table with a header and two columns.

    Raises:
        DataError: It is not there or cannot be read.
    """
    path = None if folder is None else folder / file
    if path is None or not path.is_file():
        raise DataError(f"the table {file} is not there, below the folder of --data or METABALANCE_DATA")
    try:
        with lzma.open(path) as stream:
            content = read_limited(stream, f"the content of {path.name}").decode()
        rows = [row for row in csv.reader(io.StringIO(content, newline="")) if row][1:]
        values = {"true": "1", "false": "0"}
        return [row[0] for row in rows], np.array([float(values.get(r[1].lower(), r[1])) for r in rows])
    except (OSError, ValueError, IndexError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch the file again") from error


def _diabetes() -> tuple[Array, Array]:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    return X, y


NEEDS = {name: f"matbench-composition/{file}.csv.xz" for name, file in FILES.items()}
FIRST = "i. MODNet beats a random forest on small data"
SECOND = "ii. its spread and the distance to training rows rank its errors"
THIRD = "iii. errors are larger where training rows are sparse"
REGRESSIONS = tuple(f"{n}{f}" for n in ("steels", "expt gap") for f in ("", FULL)) + (STAND_IN,)


def better(condition: str, metric: str, sign: float, other: str, **more: Any) -> Contrast:
    """MODNet against another arm under one condition."""
    says = f"MODNet better than the {other}, {condition}"
    return Contrast(says, metric, ((condition, MODNET, sign), (condition, other, -sign)), **more)


def above_zero(says: str, metric: str, part: str) -> tuple[Contrast, ...]:
    """A figure of MODNet lies above 0 under each regression."""
    return tuple(Contrast(f"{says}, {c}", metric, ((c, MODNET, 1.0),), part=part) for c in REGRESSIONS)


def texts(full: bool) -> Mapping[str, str]:
    """Conditions in words."""
    members, features, epochs = SIZES[full]
    rows = "" if full else f", trained on {ROWS:,} rows of each training part"
    model = f"MODNet of {members} members on {features} features, {epochs} epochs"
    found = {
        "steels": f"yield strength of 312 steels in MPa, official folds, composition only; {model}",
        "expt gap": f"band gap of 4,604 compounds in eV, official folds, composition only{rows}; {model}",
        "glass": f"whether 5,680 alloys form a glass, official folds, composition only{rows}; {model}",
    }
    return {name + (FULL if full else ""): text for name, text in found.items()}


EXPERIMENT = Experiment(
    name="modnet",
    paper="modnet",
    statement="Features chosen by information and an ensemble of small networks are better than a random forest on small "
    "data of materials, and both the ensemble's spread and the distance to the training rows tell where they err.",
    published=Published(
        "Steels MAE 96.2 MPa (random forest 104, mean 230), band gap MAE 0.347 eV (0.446, 1.14), glass ROC-AUC 0.931 "
        "(0.858).",
        "MODNet v0.1.9 on MatBench v0.1, matminer's features, hyper-parameters searched in inner folds, ensembles of 100 "
        "or more; the random forest is MatBench's.",
        "confirmed",
        "table 1, in the repository of the benchmark runs",
    ),
    arms={
        MODNET: "features by NMI, networks, bootstrap; fixed hyper-parameters",
        FOREST: f"{TREES} trees on all features",
        DUMMY: "the training part's mean",
    },
    conditions=texts(False),
    measure=measure,
    contrasts=(
        *(better(f"steels{f}", "mae", -1.0, FOREST, part=FIRST) for f in ("", FULL)),
        *(better(f"expt gap{f}", "mae", -1.0, FOREST, part=FIRST) for f in ("", FULL)),
        *(better(f"glass{f}", "rocauc", 1.0, FOREST, part=FIRST) for f in ("", FULL)),
        *(better(c, "mae", -1.0, DUMMY, control=True) for c in REGRESSIONS),
        *above_zero("spread ranks errors better than chance", "sigma_skill", SECOND),
        *above_zero("distance ranks errors better than chance", "knn_skill", SECOND),
        *above_zero("sparse third worse than dense third", "sparse", THIRD),
    ),
    shown=("mae", "rocauc", "sigma_skill", "knn_skill", "sparse", "miscalibration"),
    needs=NEEDS,
    fallback={STAND_IN: "442 patients, the target a measure of disease progression; no material"},
    full=texts(True),
    overlap=1 / (FOLDS - 1),
    seeds=FOLDS,
    notes=(
        "A seed is an official fold (KFold or StratifiedKFold, shuffled, 18012019); training parts overlap, which the "
        "intervals allow for (Nadeau & Bengio 2003).",
        "Composition only: shares of elements and statistics of their properties (mendeleev's), fewer features than "
        "matminer's; these three tasks of MatBench come without structures.",
        "Skill is 1 for a ranking by the errors themselves, 0 for a random one; sparse and dense are thirds of the test "
        "rows by distance, their difference in units of the mean error.",
        "The area is of probabilities. The leaderboard's rocauc is that of labels, which is the balanced accuracy.",
    ),
)
