"""The search that makes ordinary training competitive: batch size, augmentation, smoothing, SAM-A, rates.

Shwartz-Ziv, Goldblum, Li, Bruss & Wilson, "Simplifying Neural Network Training Under Class Imbalance", NeurIPS 2023,
arXiv 2312.02517, whose claim is that these, tuned, do without remedies. The ranges are ours: the paper's are
UNCONFIRMED, and its choices of architecture and of self-supervised losses are left to the caller.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from metabalance.estimator import MetaBalanceClassifier
from metabalance.judge.metrics import get_metric
from metabalance.study.search import import_optuna, quiet
from metabalance.study.spaces import RATES

__all__ = ["Tuned", "tune_simplified"]

# What is always part of the search's start: the untouched settings, so that the search can only gain by them.
START = {
    "batch_size": 128,
    "smoothing": 0.0,
    "tail_smoothing": 0.0,
    "sharp": False,
    "rho": 0.05,
    "augment": False,
}


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        model: The classifier of the best trial, trained on the rows outside the held-out part.
        options: Its recipe options.
        settings: Its other settings: ``batch_size``, ``lr``, ``weight_decay``.
        value: The metric on the held-out part. It was chosen for being best: judge the model on other rows.
        trials: ``(parameters, value)`` of all trials, in order.
    """

    model: MetaBalanceClassifier
    options: dict[str, Any]
    settings: dict[str, Any]
    value: float
    trials: list[tuple[dict[str, Any], float]]


def tune_simplified(
    X: Any,
    y: Any,
    *,
    trials: int = 20,
    held_out: float = 0.2,
    monitor: str = "average_precision",
    seed: int = 0,
    storage: str | None = None,
    **settings: Any,
) -> Tuned:
    """Searches the settings of the recipe ``simplified`` on a held-out part of the data, by Optuna's TPE.

    The first trial is plain training, so that the search never ends below it.

    Args:
        X: Features ``(N, D)`` or images ``(N, channels, height, width)``, an array.
        y: Labels ``(N,)``.
        trials: How many, those in ``storage`` included.
        held_out: The share of each class that judges the trials.
        monitor: A metric by name.
        seed: Of the split, the search and the training.
        storage: An Optuna storage such as ``sqlite:///search.db``, from which an interrupted search goes on.
        settings: Further settings of :class:`~metabalance.MetaBalanceClassifier`, the same for all trials.

    Raises:
        DataError: Optuna is not installed.
        ValueError: ``trials`` is below 1, or too few rows of a class are held out for the metric to be trusted.
    """
    optuna = import_optuna()
    if trials < 1:
        raise ValueError(f"trials must be at least 1, but {trials} was given")
    taken = {"recipe", "recipe_options", "batch_size", "lr", "weight_decay", "monitor", "random_state"} & set(
        settings
    )
    if taken:
        raise ValueError(f"the search sets {sorted(taken)[0]} itself; leave it out")
    fit, held = train_test_split(np.arange(len(y)), test_size=held_out, stratify=y, random_state=seed)
    X, y = np.asarray(X), np.asarray(y)

    def train(p: dict[str, Any]) -> MetaBalanceClassifier:
        return MetaBalanceClassifier(
            "simplified",
            recipe_options=_options(p),
            monitor=monitor,
            random_state=seed,
            **_rates(p),
            **settings,
        ).fit(X[fit], y[fit], validation_data=(X[held], y[held]))

    def objective(trial: Any) -> float:
        trial.suggest_categorical("batch_size", [16, 32, 64, 128, 256, 512])
        smoothing = trial.suggest_float("smoothing", 0.0, 0.2)
        trial.suggest_float("tail_smoothing", smoothing, 0.4)  # the paper: no less for rare classes
        trial.suggest_categorical("sharp", [False, True])
        trial.suggest_float("rho", 0.01, 0.5, log=True)
        trial.suggest_categorical("augment", [False, True])
        for name, rate in RATES.items():
            trial.suggest_float(name, rate.low, rate.high, log=rate.log)
        value = train(trial.params).history_.best_value
        if value is None:
            raise ValueError(
                "too few rows of a class are held out to choose by; raise held_out, or lower min_positives"
            )
        return value

    with quiet(optuna):
        study = optuna.create_study(
            storage=storage,
            study_name="simplified",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=seed),
            direction="maximize" if get_metric(monitor).greater_is_better else "minimize",
        )
        done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
        if not study.trials:
            defaults = MetaBalanceClassifier()
            study.enqueue_trial(START | {"lr": defaults.lr, "weight_decay": defaults.weight_decay})
        study.optimize(objective, n_trials=max(0, trials - len(done)))
    best = study.best_trial.params
    rows = [(t.params, float(t.value)) for t in study.trials if t.value is not None]
    # Trained once more rather than kept: a storage holds settings, and the same seed gives the same model.
    return Tuned(train(best), _options(best), _rates(best), float(study.best_value), rows)


def _options(p: dict[str, Any]) -> dict[str, Any]:
    names = ("smoothing", "tail_smoothing", "augment")
    return {name: p[name] for name in names} | {"rho": p["rho"] if p["sharp"] else 0.0}


def _rates(p: dict[str, Any]) -> dict[str, Any]:
    return {name: p[name] for name in ("batch_size", "lr", "weight_decay")}
