"""Baselines that are no neural networks: logistic regression, LightGBM, XGBoost.

They see the same rows, the same preprocessing and the same validation part as the recipes. The trees stop
early on the validation part's log loss.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from metabalance.counts import class_counts, class_weights
from metabalance.data.errors import DataError

__all__ = ["FITTERS", "Baseline", "baseline_options"]

EARLY_STOPPING_ROUNDS = 30


class Baseline:
    """A fitted baseline: ``predict_proba`` and a form that can be stored without pickling.

    Args:
        name: logistic, lightgbm or xgboost.
        num_classes: C.
        tensors: Arrays that describe the model (logistic regression).
        files: The library's own portable format (trees).
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        tensors: dict[str, np.ndarray] | None = None,
        files: dict[str, bytes] | None = None,
    ) -> None:
        self.name = name
        self.num_classes = num_classes
        self.tensors = tensors or {}
        self.files = files or {}
        self._loaded: Any = None

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities ``(N, C)``; images are rows of pixels here."""
        X = X.reshape(len(X), -1)
        if self.name == "logistic":
            logits = X.astype(np.float64) @ self.tensors["coef"].T + self.tensors["intercept"]
            logits -= logits.max(axis=1, keepdims=True)
            exp = np.exp(logits)
            return exp / exp.sum(axis=1, keepdims=True)
        if self._loaded is None:
            self._loaded = load_tree(
                self.name, self.files["lightgbm.txt" if self.name == "lightgbm" else "xgboost.ubj"]
            )
        raw = np.asarray(self._loaded(X), dtype=np.float64)
        return np.column_stack([1 - raw, raw]) if raw.ndim == 1 else raw


def fit_logistic(
    X: np.ndarray, y: np.ndarray, validation: Any, seed: int, *, C: float = 1.0, class_weight: Any = None
) -> Baseline:
    """Logistic regression with an L2 penalty."""
    from sklearn.linear_model import LogisticRegression

    weights = class_weights(class_counts(y), class_weight).numpy()[y]
    model = LogisticRegression(C=C, max_iter=2000, random_state=seed).fit(X, y, sample_weight=weights)
    coef, intercept = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if len(coef) == 1:  # binary: one row of log-odds becomes two of logits
        coef, intercept = np.vstack([np.zeros_like(coef), coef]), np.concatenate([[0.0], intercept])
    return Baseline("logistic", len(intercept), tensors={"coef": coef, "intercept": intercept})


def fit_lightgbm(
    X: np.ndarray,
    y: np.ndarray,
    validation: Any,
    seed: int,
    *,
    n_estimators: int = 500,
    learning_rate: float = 0.05,
    num_leaves: int = 31,
    min_data_in_leaf: int = 20,
    feature_fraction: float = 1.0,
    lambda_l2: float = 0.0,
    class_weight: Any = None,
) -> Baseline:
    """Gradient boosting by LightGBM."""
    lightgbm = extra("lightgbm")
    classes = int(y.max()) + 1
    settings = {
        "objective": "binary" if classes == 2 else "multiclass", "num_class": 1 if classes == 2 else classes,
        "learning_rate": learning_rate, "num_leaves": num_leaves,
        "min_data_in_leaf": min_data_in_leaf, "feature_fraction": feature_fraction, "lambda_l2": lambda_l2,
        "seed": seed, "num_threads": 1,
        "deterministic": True, "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip
    counts = class_counts(y, classes)
    weights = class_weights(counts, class_weight).numpy()[y]
    train = lightgbm.Dataset(X, y, weight=weights)
    held = [] if validation is None else [lightgbm.Dataset(*validation, reference=train)]
    stop = [] if validation is None else [lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False)]
    booster = lightgbm.train(settings, train, n_estimators, valid_sets=held, callbacks=stop)
    text = booster.model_to_string(num_iteration=booster.best_iteration if validation is not None else -1)
    return Baseline("lightgbm", classes, files={"lightgbm.txt": text.encode()})


def fit_xgboost(
    X: np.ndarray,
    y: np.ndarray,
    validation: Any,
    seed: int,
    *,
    n_estimators: int = 500,
    learning_rate: float = 0.05,
    max_depth: int = 6,
    min_child_weight: float = 1.0,
    colsample_bytree: float = 1.0,
    reg_lambda: float = 1.0,
    class_weight: Any = None,
) -> Baseline:
    """Gradient boosting by XGBoost."""
    xgboost = extra("xgboost")
    classes = int(y.max()) + 1
    settings = {
        "objective": "binary:logistic" if classes == 2 else "multi:softprob", "learning_rate": learning_rate,
        "max_depth": max_depth, "min_child_weight": min_child_weight, "colsample_bytree": colsample_bytree,
        "reg_lambda": reg_lambda, "seed": seed, "nthread": 1, "tree_method": "hist", "verbosity": 0,
        **({} if classes == 2 else {"num_class": classes}),
    }  # fmt: skip
    weights = class_weights(class_counts(y, classes), class_weight).numpy()[y]
    train = xgboost.DMatrix(X, y, weight=weights)
    early = {} if validation is None else {"early_stopping_rounds": EARLY_STOPPING_ROUNDS}
    held = [] if validation is None else [(xgboost.DMatrix(*validation), "validation")]
    booster = xgboost.train(settings, train, n_estimators, evals=held, verbose_eval=False, **early)
    if validation is not None:
        booster = booster[: booster.best_iteration + 1]
    return Baseline("xgboost", classes, files={"xgboost.ubj": bytes(booster.save_raw("ubj"))})


FITTERS: dict[str, Callable[..., Baseline]] = {
    "logistic": fit_logistic,
    "lightgbm": fit_lightgbm,
    "xgboost": fit_xgboost,
}


def baseline_options(name: str) -> dict[str, Any]:
    """The options of a baseline and their defaults."""
    parameters = inspect.signature(FITTERS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def load_tree(name: str, stored: bytes) -> Any:
    """The ``predict`` of trees in their library's own format.

    Raises:
        DataError: They cannot be read, or the library is not installed.
    """
    library = extra(name)
    try:
        if name == "lightgbm":
            return library.Booster(model_str=stored.decode()).predict
        booster = library.Booster(model_file=bytearray(stored))
    except Exception as error:  # each library has an exception of its own
        raise DataError(
            f"the trees of {name} cannot be read ({' '.join(str(error).split())[:100]}); fit the model again"
        ) from error
    return lambda X: booster.inplace_predict(np.ascontiguousarray(X))


def extra(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise DataError(f"{module} is not installed; pip install 'metabalance[trees]' brings it") from error
