"""``fit`` for a continuous target: one candidate on a whole table, ready to ship."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metabalance import __version__
from metabalance.plain import plain
from metabalance.study.candidates import VALUE_BASELINES, Candidate, check_options, parse_candidates
from metabalance.study.divide import carve
from metabalance.study.evidence import training_record
from metabalance.study.sources import ValueTable
from metabalance.study.unfinished import TUNING
from metabalance.study.values.evidence import values_evidence
from metabalance.study.values.fitting import ValueSettings, fit_value_candidate, rehearse_values
from metabalance.study.values.reference import make_value_reference
from metabalance.study.values.ship import TrainedRegressor, network_of
from metabalance.study.values.summary import PRIMARY

__all__ = ["ValueTraining", "train_values", "value_protocol"]

VALIDATION_FRACTION = 0.2
HELD_OUT = (
    "bmae",
    "mae",
    "rmse",
    "r2",
    "mae@many",
    "mae@medium",
    "mae@few",
)  # what is told of rows kept aside


@dataclass(frozen=True)
class ValueTraining:
    """What :func:`train_values` gives.

    Args:
        model: The trained model.
        held_out: Rows kept aside; empty without a holdout.
    """

    model: TrainedRegressor
    held_out: np.ndarray


def train_values(
    table: ValueTable,
    recipe: str,
    *,
    seed: int = 0,
    metric: str = PRIMARY,
    holdout: float = 0.0,
    network: dict[str, Any] | None = None,
    missing_columns: Literal["error", "impute"] = "error",
    tune: int = 0,
    checkpoint: Path | None = None,
) -> ValueTraining:
    """Trains a candidate; a fifth of the rows is the validation part, which the intervals are fitted on.

    Args:
        table: A checked table.
        recipe: ``NAME`` or ``NAME(option=value)``.
        seed: Everything random follows from it.
        metric: Picks the epoch and tuned options on the validation part.
        holdout: Share of the rows kept aside until the end.
        network: Settings of the network.
        missing_columns: The policy of ``predict``: ``error`` or ``impute``.
        tune: Trainings that search the options, or 0.
        checkpoint: A folder from which a killed training goes on, see :mod:`~metabalance.study.unfinished`.
    """
    import torch

    torch.set_num_threads(1)  # a small network's batch is too little work to share
    candidate = value_candidate(recipe, len(table.names), network)
    rows, held = np.arange(len(table.target)), np.array([], dtype=int)
    if holdout:
        rows, held = carve(table, rows, holdout, seed)
    fit, validation = carve(table, rows, VALIDATION_FRACTION, seed)
    preprocessor = table.preprocessor(missing_columns)
    train = (preprocessor.fit_transform(table.take(fit)), table.target[fit])
    valid = (preprocessor.transform(table.take(validation)), table.target[validation])
    settings = ValueSettings(metric, network or {}, tune=tune, checkpoint=checkpoint)
    tuning = None if checkpoint is None else checkpoint / TUNING
    fitted = fit_value_candidate(candidate, train, valid, seed, settings, tuning)
    record = {
        "target": table.target_name,
        "data": {"name": table.name, "rows": len(table.target), "fingerprint": table.fingerprint},
        "split": {"fit": len(fit), "validation": len(validation), "held_out": len(held)},
        "seed": seed,
        "findings": [{"code": f.code, "message": f.message} for f in table.findings],
    }
    training = training_record(fitted.model, metric)
    model = TrainedRegressor.assemble(fitted, preprocessor, table.names, fitted.regions, valid, record)
    model.evidence = {
        "kind": "values",
        "training": training,
        "validation": _shown(model, table, validation, promised=False),
        "held_out": _shown(model, table, held, promised=True) if holdout else None,
    }
    judged = (held, "held-out") if holdout else (validation, "validation")
    rows, part = judged
    model.reference = make_value_reference(model, table.take(rows), table.target[rows], part)
    return ValueTraining(model, held)


def value_candidate(text: str, targets: int, network: dict[str, Any] | None = None) -> Candidate:
    """The one candidate that ``--recipe`` names; tried for a moment, and whether its model could be saved.

    Raises:
        ValueError: None or several are named, or it cannot be trained.
        DataError: Its network could not be saved.
    """
    found = parse_candidates(text, "values")
    if len(found) != 1:
        raise ValueError(f"--recipe takes one recipe, but {text!r} names {len(found)}; compare takes several")
    check_options(found[0], "values")
    for model in rehearse_values(found[0], targets, network):
        if found[0].name not in VALUE_BASELINES:
            network_of(model)
    return found[0]


def value_protocol(table: ValueTable, recipe: str, options: dict[str, Any]) -> dict[str, Any]:
    """What must not change between a killed fit and its continuation, as JSON: the data and every option."""
    return {
        "format": 1,
        "kind": "values",
        "version": __version__,
        "data_fingerprint": table.fingerprint,
        "target": table.target_name,
        "recipe": recipe,
        **plain(options),
    }


def _shown(model: TrainedRegressor, table: ValueTable, rows: np.ndarray, *, promised: bool) -> dict[str, Any]:
    """What the report shows of these rows; on the rows that the intervals were fitted on coverage proves nothing."""
    prediction, ends = model.outputs(table.take(rows))
    promise = model.promise(None, None)
    return values_evidence(
        prediction, table.target[rows], model.regions, model.names, ends if promised else None,
        level=promise[1] if promise and promised else None,
    )  # fmt: skip
