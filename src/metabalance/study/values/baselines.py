"""Baselines of a continuous target that are no neural networks: the mean, ridge, LightGBM, XGBoost.

They see the same rows, the same preprocessing and the same validation part as the recipes. Each target is
standardised inside, so that its unit may be anything; trees are fitted target by target and stop early on the
validation part.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from metabalance.study.baselines import EARLY_STOPPING_ROUNDS, extra, load_tree

__all__ = ["VALUE_FITTERS", "ValueBaseline", "standard_unit", "value_baseline_options"]

LOSSES = ("squared", "absolute", "huber")


class ValueBaseline:
    """A fitted baseline: ``predict`` and a form that can be stored without pickling.

    Args:
        name: mean, ridge, lightgbm or xgboost.
        targets: T.
        tensors: ``target_mean`` and ``target_scale`` ``(T,)``; of ridge and mean also ``coef`` ``(T, D)`` and
            ``intercept`` ``(T,)``, in standardised units.
        files: The library's own portable format, a file for each target (trees).
    """

    def __init__(
        self,
        name: str,
        targets: int,
        tensors: dict[str, np.ndarray],
        files: dict[str, bytes] | None = None,
    ) -> None:
        self.name = name
        self.targets = targets
        self.tensors = tensors
        self.files = files or {}
        self._loaded: list[Any] = []

    def missing(self) -> list[str]:
        """Names of tensors and files that it should have and has not."""
        linear = self.name in ("dummy", "ridge")
        tensors = ["target_mean", "target_scale", *(["coef", "intercept"] if linear else [])]
        files = [] if linear else [_file(self.name, i) for i in range(self.targets)]
        return [n for n in tensors if n not in self.tensors] + [n for n in files if n not in self.files]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Values ``(N, T)`` in the user's unit, float64; images are rows of pixels here."""
        X = X.reshape(len(X), -1)
        if self.name in ("dummy", "ridge"):
            raw = X.astype(np.float64) @ self.tensors["coef"].T + self.tensors["intercept"]
        else:
            if not self._loaded:
                self._loaded = [
                    load_tree(self.name, self.files[_file(self.name, i)]) for i in range(self.targets)
                ]
            raw = np.column_stack([np.asarray(booster(X), dtype=np.float64) for booster in self._loaded])
        return raw * self.tensors["target_scale"] + self.tensors["target_mean"]

    def limits(self, X: np.ndarray) -> None:
        """None: it predicts no quantiles."""

    def outputs(self, X: np.ndarray) -> tuple[np.ndarray, None]:
        """What ``predict`` and ``limits`` give, at once."""
        return self.predict(X), None


def standard_unit(target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each target; the deviation of a constant one counts as 1.

    Args:
        target: ``(N, T)``, finite.

    Returns:
        Two arrays ``(T,)``.

    >>> standard_unit(np.array([[1e12, 7.0], [3e12, 7.0]]))
    (array([2.e+12, 7.e+00]), array([1.e+12, 1.e+00]))
    """
    largest = np.abs(target).max(axis=0)
    unit = np.where(largest > 0, largest, 1.0)  # squares of 1e200 would be infinite
    shares = target / unit
    constant = target.min(axis=0) == target.max(axis=0)
    mean = np.where(constant, target[0], shares.mean(axis=0) * unit)
    scale = shares.std(axis=0) * unit
    return mean, np.where(constant | (scale == 0), 1.0, scale)


def fit_dummy(X: np.ndarray, y: np.ndarray, validation: Any, seed: int) -> ValueBaseline:
    """The mean of the training rows, whatever the row: what any model must beat."""
    mean, scale = standard_unit(y)
    width = X.reshape(len(X), -1).shape[1]
    return _linear("dummy", np.zeros((len(mean), width)), np.zeros(len(mean)), mean, scale)


def fit_ridge(
    X: np.ndarray, y: np.ndarray, validation: Any, seed: int, *, alpha: float = 1.0
) -> ValueBaseline:
    """Linear least squares with an L2 penalty, in float64."""
    from sklearn.linear_model import Ridge

    if not alpha > 0:
        raise ValueError(f"alpha of ridge must be above 0, such as 1, but {alpha} was given")
    mean, scale = standard_unit(y)
    flat = X.reshape(len(X), -1).astype(np.float64)
    model = Ridge(alpha=alpha).fit(flat, (y - mean) / scale)
    return _linear("ridge", np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_), mean, scale)


def fit_lightgbm(
    X: np.ndarray,
    y: np.ndarray,
    validation: Any,
    seed: int,
    *,
    loss: str = "squared",
    n_estimators: int = 500,
    learning_rate: float = 0.05,
    num_leaves: int = 31,
    min_data_in_leaf: int = 20,
    feature_fraction: float = 1.0,
    lambda_l2: float = 0.0,
) -> ValueBaseline:
    """Gradient boosting by LightGBM; ``loss`` is squared, absolute or huber, and stops it too (huber: absolute)."""
    lightgbm = extra("lightgbm")
    objective = _named(loss, ("regression", "regression_l1", "huber"))
    settings = {
        "objective": objective, "metric": "l2" if loss == "squared" else "l1",
        "learning_rate": learning_rate, "num_leaves": num_leaves,
        "min_data_in_leaf": min_data_in_leaf, "feature_fraction": feature_fraction, "lambda_l2": lambda_l2,
        "seed": seed, "num_threads": 1,
        "deterministic": True, "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip

    def boosted(X: np.ndarray, z: np.ndarray, held: tuple[np.ndarray, np.ndarray] | None) -> bytes:
        train = lightgbm.Dataset(X, z)
        sets = [] if held is None else [lightgbm.Dataset(*held, reference=train)]
        stop = [] if held is None else [lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False)]
        booster = lightgbm.train(settings, train, n_estimators, valid_sets=sets, callbacks=stop)
        text = booster.model_to_string(num_iteration=booster.best_iteration if held is not None else -1)
        return text.encode()

    return _trees("lightgbm", X, y, validation, boosted)


def fit_xgboost(
    X: np.ndarray,
    y: np.ndarray,
    validation: Any,
    seed: int,
    *,
    loss: str = "squared",
    n_estimators: int = 500,
    learning_rate: float = 0.05,
    max_depth: int = 6,
    min_child_weight: float = 1.0,
    colsample_bytree: float = 1.0,
    reg_lambda: float = 1.0,
) -> ValueBaseline:
    """Gradient boosting by XGBoost; ``loss`` is squared, absolute or huber (its smooth form), and stops it too."""
    xgboost = extra("xgboost")
    settings = {
        "objective": _named(loss, ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")),
        "eval_metric": "rmse" if loss == "squared" else "mae", "learning_rate": learning_rate,
        "max_depth": max_depth, "min_child_weight": min_child_weight, "colsample_bytree": colsample_bytree,
        "reg_lambda": reg_lambda, "seed": seed, "nthread": 1, "tree_method": "hist", "verbosity": 0,
    }  # fmt: skip

    def boosted(X: np.ndarray, z: np.ndarray, held: tuple[np.ndarray, np.ndarray] | None) -> bytes:
        early = {} if held is None else {"early_stopping_rounds": EARLY_STOPPING_ROUNDS}
        sets = [] if held is None else [(xgboost.DMatrix(*held), "validation")]
        booster = xgboost.train(
            settings, xgboost.DMatrix(X, z), n_estimators, evals=sets, verbose_eval=False, **early
        )
        if held is not None:
            booster = booster[: booster.best_iteration + 1]
        return bytes(booster.save_raw("ubj"))

    return _trees("xgboost", X, y, validation, boosted)


VALUE_FITTERS: dict[str, Callable[..., ValueBaseline]] = {
    "dummy": fit_dummy,
    "ridge": fit_ridge,
    "lightgbm": fit_lightgbm,
    "xgboost": fit_xgboost,
}


def value_baseline_options(name: str) -> dict[str, Any]:
    """The options of a baseline and their defaults.

    >>> value_baseline_options("ridge")
    {'alpha': 1.0}
    """
    parameters = inspect.signature(VALUE_FITTERS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _linear(
    name: str, coef: np.ndarray, intercept: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> ValueBaseline:
    tensors = {
        "coef": np.ascontiguousarray(coef),
        "intercept": intercept,
        "target_mean": mean,
        "target_scale": scale,
    }
    return ValueBaseline(name, len(mean), tensors)


def _trees(
    name: str, X: np.ndarray, y: np.ndarray, validation: Any, boosted: Callable[..., bytes]
) -> ValueBaseline:
    """A booster for each standardised target."""
    mean, scale = standard_unit(y)
    flat, files = X.reshape(len(X), -1), {}
    for i in range(y.shape[1]):
        held = None
        if validation is not None:
            held = validation[0].reshape(len(validation[0]), -1), (validation[1][:, i] - mean[i]) / scale[i]
        files[_file(name, i)] = boosted(flat, (y[:, i] - mean[i]) / scale[i], held)
    return ValueBaseline(name, y.shape[1], {"target_mean": mean, "target_scale": scale}, files)


def _named(loss: str, names: tuple[str, ...]) -> str:
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, but {loss!r} was given")
    return names[LOSSES.index(loss)]


def _file(name: str, target: int) -> str:
    return f"{name}-{target}.{'txt' if name == 'lightgbm' else 'ubj'}"
