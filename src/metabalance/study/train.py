"""``fit``: one candidate on a whole table, or on all images, ready to ship."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metabalance import __version__
from metabalance.judge.intervals import Interval, interval_for
from metabalance.judge.metrics import get_metric
from metabalance.plain import plain
from metabalance.study.candidates import Candidate
from metabalance.study.estimates import class_estimates, estimates
from metabalance.study.evidence import evidence, training_record
from metabalance.study.fitting import Settings, binary_or_all, fit_candidate
from metabalance.study.reference import make_reference
from metabalance.study.ship import TrainedModel, candidate_of
from metabalance.study.sources import Source
from metabalance.study.splits import carve_validation
from metabalance.study.unfinished import TUNING

__all__ = ["Training", "fit_protocol", "train_table"]

VALIDATION_FRACTION = 0.2


@dataclass(frozen=True)
class Training:
    """What :func:`train_table` gives.

    Args:
        model: The trained model.
        held_out: Rows kept aside; empty without a holdout.
        metrics: Their metrics with intervals.
    """

    model: TrainedModel
    held_out: np.ndarray
    metrics: dict[str, Interval]


def train_table(
    table: Source,
    recipe: str,
    *,
    seed: int = 0,
    metric: str = "average_precision",
    cost: tuple[tuple[float, ...], ...] | None = None,
    objective: str = "f1",
    calibration: str = "bias_corrected",
    prior: np.ndarray | None = None,
    holdout: float = 0.0,
    network: dict[str, Any] | None = None,
    missing_columns: Literal["error", "impute"] = "error",
    tune: int = 0,
    checkpoint: Path | None = None,
) -> Training:
    """Trains a candidate; a fifth of the rows is the validation part.

    Args:
        table: A checked table or images.
        recipe: ``NAME`` or ``NAME(option=value)``.
        seed: Everything random follows from it.
        metric: Picks the epoch and tuned options on the validation part.
        cost: Cost matrix ``(C, C)`` or None.
        objective: What the decision is chosen for, see :func:`~metabalance.adjust.parse_objective`.
        calibration: Of the probabilities, see :func:`~metabalance.adjust.get_calibration`.
        prior: Class shares ``(C,)`` where the model will work, or None for the table's.
        holdout: Share of the rows kept aside until the end.
        network: Settings of the network.
        missing_columns: The policy of ``predict``: ``error`` or ``impute``.
        tune: Trainings that search the options, or 0.
        checkpoint: A folder from which a killed training goes on, see :mod:`~metabalance.study.unfinished`.

    Returns:
        The trained model with the rows kept aside and what it is worth on them.
    """
    import torch

    torch.set_num_threads(1)  # a small network's batch is too little work to share
    candidate = candidate_of(recipe, table.image_shape, network)
    rows, held = np.arange(len(table.target)), np.array([], dtype=int)
    parts: dict[str, Any] = {
        "seed": seed, "groups": table.groups, "time": table.time, "classes": table.classes,
    }  # fmt: skip
    if holdout:
        rows, held = carve_validation(rows, table.target, fraction=holdout, **parts)
    fit, validation = carve_validation(rows, table.target, fraction=VALIDATION_FRACTION, **parts)
    preprocessor = table.preprocessor(missing_columns)
    train = (preprocessor.fit_transform(table.take(fit)), table.target[fit])
    valid = (preprocessor.transform(table.take(validation)), table.target[validation])
    return finish_training(
        table, candidate, train, valid, preprocessor, Fractions(len(fit), validation, held), seed=seed, metric=metric,
        cost=cost, objective=objective, calibration=calibration, prior=prior, holdout=holdout, network=network,
        tune=tune, checkpoint=checkpoint,
    )  # fmt: skip


@dataclass(frozen=True)
class Fractions:
    """How rows were split.

    Args:
        fit: Number of training rows.
        validation: The table's rows for validation.
        held: The table's rows kept aside.
    """

    fit: int
    validation: np.ndarray
    held: np.ndarray


def finish_training(
    table: Source, candidate: Candidate, train: Any, valid: tuple[np.ndarray, np.ndarray], preprocessor: Any,
    split: Fractions, *, seed: int = 0, metric: str = "average_precision", cost: Any = None, objective: str = "f1",
    calibration: str = "bias_corrected", prior: np.ndarray | None = None, holdout: float = 0.0,
    network: dict[str, Any] | None = None, tune: int = 0, checkpoint: Path | None = None,
) -> Training:  # fmt: skip
    """Fits the candidate on preprocessed rows, and tells what it is worth.

    Args:
        table: Has at least the rows for validation and those kept aside.
        candidate: What to fit.
        train: See :func:`~metabalance.study.fitting.fit_candidate`.
        valid: Preprocessed validation rows and their classes.
        preprocessor: Fitted.
        split: Which rows are which.
        seed, metric, cost, objective, calibration, prior, holdout, network, tune, checkpoint: See :func:`train_table`.
    """
    validation, held = split.validation, split.held
    settings = Settings(
        monitor=metric if get_metric(metric, cost=cost).kind == "score" else "average_precision",
        cost=cost,
        positive=table.positive,
        prior=None if prior is None else tuple(prior),
        calibrate=calibration,
        objective=objective,
        network=network or {},
        tune=tune,
        checkpoint=checkpoint,
    )
    tuning = None if checkpoint is None else checkpoint / TUNING
    fitted = fit_candidate(candidate, train, valid, len(table.classes), seed, settings, tuning)
    goal = fitted.source_prior if prior is None else prior
    record = {
        "target": table.target_name,
        "data": {"name": table.name, "rows": len(table.target), "fingerprint": table.fingerprint},
        "split": {"fit": split.fit, "validation": len(validation), "held_out": len(held)},
        "seed": seed,
        "objective": objective,
        "prior_given": prior is not None,
        "cost": None if cost is None else [list(row) for row in cost],
        "findings": [{"code": f.code, "message": f.message} for f in table.findings],
    }
    model = TrainedModel.assemble(
        fitted, preprocessor, table.classes, table.positive, np.asarray(goal), objective, record
    )
    model.evidence = {
        "training": training_record(fitted.model, settings.monitor),
        "validation": _shown(model, table, validation, prior),
        "held_out": _shown(model, table, held, prior) if holdout else None,
    }
    judged = (held, "held-out") if holdout else (validation, "validation")
    model.reference = make_reference(model, table.take(judged[0]), table.target[judged[0]], judged[1])
    return Training(model, held, _held_out(model, table, held, prior) if holdout else {})


def fit_protocol(table: Source, recipe: str, options: dict[str, Any]) -> dict[str, Any]:
    """What must not change between a killed fit and its continuation, as JSON: the data and every option."""
    return {
        "format": 1,
        "version": __version__,
        "data_fingerprint": table.fingerprint,
        "target": table.target_name,
        "positive": str(table.classes[table.positive]),
        "recipe": recipe,
        **plain(options),
    }


def _shown(model: TrainedModel, table: Source, rows: np.ndarray, prior: np.ndarray | None) -> dict[str, Any]:
    """What the report shows of these rows, weighted as :func:`_held_out` weights them."""
    probabilities, target, size = (
        model.predict_proba(table.take(rows)),
        table.target[rows],
        len(table.classes),
    )
    counts = np.bincount(target, minlength=size)
    weight = None if prior is None else (prior / np.maximum(counts, 1) * len(target))[target]
    scores, decided = binary_or_all(probabilities, table.positive), model.decision.decide(probabilities)
    names = [str(c) for c in table.classes]
    found = evidence(scores, target, names, table.positive, decided, weight)
    cost = model.record["cost"]
    found["estimates"] = estimates(
        scores, target, decided, weight, num_classes=size, positive=table.positive, cost=cost
    )
    found["class_estimates"] = class_estimates(scores, target, decided, size)
    return plain(found)


def _held_out(
    model: TrainedModel, table: Source, held: np.ndarray, prior: np.ndarray | None
) -> dict[str, Interval]:
    """Metrics of the rows kept aside, weighted to the class shares that the model was made for."""
    probabilities = model.predict_proba(table.take(held))
    target = table.target[held]
    binary = len(table.classes) == 2
    scores = binary_or_all(probabilities, table.positive)
    truth = (target == table.positive).astype(np.int64) if binary else target
    chosen = model.decision.decide(probabilities)
    labels = (chosen == table.positive).astype(np.int64) if binary else chosen
    weight = None if prior is None else (prior / np.bincount(target) * len(target))[target]
    shown: dict[str, Interval] = {}
    for name in ("roc_auc", "average_precision", "f1", "balanced_accuracy", "brier"):
        metric = get_metric(name)
        given = scores if metric.kind == "score" else labels
        shown[name] = interval_for(metric, given, truth, weight, n_boot=500, seed=0)
    return shown
