"""One candidate on one training part of a continuous target: trained, its options chosen on the validation part."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.judge.values import get_value_metric, value_metrics
from metabalance.study.candidates import SETTINGS, VALUE_BASELINES, Candidate
from metabalance.study.choosing import choose_options, fit_record, rehearsed
from metabalance.study.search import Attempt, Watch
from metabalance.study.values.summary import PRIMARY, regions_of

__all__ = ["FittedValues", "ValueSettings", "fit_value_candidate", "rehearse_values"]

FEWEST = 20  # validation rows; below, nothing is stopped early or tuned by them
CHECKPOINT_SECONDS = 10.0  # what a killed fit loses at most


@dataclass(frozen=True)
class ValueSettings:
    """What all candidates of a study of values share; see :class:`~metabalance.study.kinds.FitSettings`.

    Args:
        monitor: The metric that picks epochs and tuned options on the validation part: any of
            :func:`~metabalance.judge.values.get_value_metric`. Epochs are picked by its form without a region.
        network: Settings of every network (``epochs``, ``hidden``, ``lr``, ...).
        max_seconds: Time limit of one training; it stops cleanly there.
        tune: Trainings that search the options of each candidate, or 0 for none.
        checkpoint: A folder from which a killed fit goes on; None keeps nothing.
    """

    monitor: str = PRIMARY
    network: dict[str, Any] = field(default_factory=dict)
    max_seconds: float | None = None
    tune: int = 0
    checkpoint: Path | None = None

    def work(
        self, candidate: Candidate, train: Any, validation: Any, test: np.ndarray, size: int, *, seed: int, fold: int,
        tuning: Path | None = None,
    ) -> tuple[dict[str, Any], np.ndarray]:  # fmt: skip
        """One fit of a comparison. Gives values and the ends of their intervals ``(N, T, 3)``, float64.

        Intervals are the conformal ones of level 0.9 by the predicted region, NaN where the validation rows are too few.
        """
        from metabalance.study.values.intervals import fit_intervals

        fitted = fit_value_candidate(candidate, train, validation, seed * 1000 + fold, self, tuning)
        prediction, limits = fitted.outputs(validation[0])
        intervals = fit_intervals(prediction, limits, validation[1], fitted.regions)
        prediction, limits = fitted.outputs(test)
        ends = np.full((*prediction.shape, 2), np.nan) if intervals is None else intervals(prediction, limits)
        outputs = np.concatenate([prediction[:, :, None], ends], axis=2)
        return fit_record(fitted, seed, fold, self.monitor), outputs


@dataclass
class FittedValues:
    """A trained candidate.

    Args:
        candidate: What was asked for.
        options: The options chosen among those asked for.
        model: A fitted regressor or a :class:`~metabalance.study.values.baselines.ValueBaseline`.
        regions: Many, medium and few of each target, by the training rows.
        validation: Metrics of the validation part: used for choices, hence optimistic.
        seconds: Training time, tuning included.
        notes: What the user should know.
        tuning: What the search did; None without one.
    """

    candidate: Candidate
    options: dict[str, Any]
    model: Any
    regions: list[Any]
    validation: dict[str, float]
    seconds: float
    notes: tuple[str, ...] = ()
    tuning: dict[str, int] | None = None

    def outputs(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Values ``(N, T)``, and the limits ``(N, T, 2)`` that the model itself predicts, or None."""
        return outputs_of(self.model, X)


def fit_value_candidate(
    candidate: Candidate,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    seed: int,
    settings: ValueSettings,
    tuning: Path | None = None,
) -> FittedValues:
    """Trains one candidate, tuning it on the validation part: what ``settings.tune`` asks for, or several values given.

    Args:
        candidate: Recipe or baseline.
        train: ``(X (N, ...), y (N, T))``, preprocessed.
        validation: Likewise; never the test part.
        seed: Everything random follows from it.
        settings: Shared by all candidates.
        tuning: A file for the finished trials of the search, from which a killed one goes on; None keeps none.

    Raises:
        ValueError: The candidate cannot be trained on these data; one sentence says why.
    """
    started = time.monotonic()
    metric = get_value_metric(settings.monitor)
    sign = 1 if metric.greater_is_better else -1
    regions = regions_of(train[1])
    enough = len(validation[1]) >= FEWEST

    def attempt(
        options: dict[str, Any], watch: Watch | None = None, checkpoint: Path | None = None
    ) -> Attempt:
        def callback(row: dict[str, Any]) -> None:
            if watch is not None and row["selectable"] and "monitor" in row:
                watch(row["epoch"], sign * row["monitor"])

        held = validation if enough else None
        model, said = _train(
            candidate.name, options, train, held, seed, settings, watch and callback, checkpoint
        )
        prediction = outputs_of(model, validation[0])[0]
        value = value_metrics(prediction, validation[1], regions, [metric.name])[metric.name]
        # An undefined value never beats a defined one, even if it came first.
        return Attempt(options, float(np.nan_to_num(sign * value, nan=-np.inf)), model, prediction, said)

    best, found, notes = choose_options(
        candidate, attempt, settings, enough=enough, train=train, validation=validation, seed=seed, tuning=tuning,
        kind="values",
    )  # fmt: skip
    return FittedValues(
        candidate, best.options, best.model, regions, {metric.name: sign * best.value},
        time.monotonic() - started + (found.earlier if found else 0.0), tuple(dict.fromkeys(notes)),
        found.record if found else None,
    )  # fmt: skip


def outputs_of(model: Any, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Values ``(N, T)`` and limits ``(N, T, 2)`` or None, of a regressor or a baseline."""
    if hasattr(model, "outputs"):
        return model.outputs(X)
    prediction = np.asarray(model.predict(X), dtype=np.float64)
    return prediction.reshape(len(X), -1), model.predict_limits(X)


def rehearse_values(
    candidate: Candidate, targets: int = 1, network: dict[str, Any] | None = None
) -> list[Any]:
    """Trains a candidate for a moment on a few made-up rows, with each of its options' values.

    Args:
        candidate: Recipe or baseline.
        targets: T.
        network: Settings of the network, of which ``module`` and ``augment`` count.

    Returns:
        The models.

    Raises:
        ValueError: An option's value makes no sense to the recipe, the network or the optimiser.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4)).astype(np.float32)
    y = np.exp(0.5 * X[:, :1] + 0.1 * rng.normal(size=(200, targets)))

    def train(options: dict[str, Any], brief: dict[str, Any]) -> Any:
        settings = ValueSettings(network=brief, max_seconds=0.05)
        return _train(candidate.name, options, (X, y), (X, y), 0, settings)[0]

    return rehearsed(candidate, network, train)


def _train(
    name: str,
    options: dict[str, Any],
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
    settings: ValueSettings,
    callback: Callable[[dict[str, Any]], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[Any, tuple[str, ...]]:
    """Trains a recipe or baseline; the model, and what the user should know."""
    if name in VALUE_BASELINES:
        from metabalance.study.values.baselines import VALUE_FITTERS

        flat = [(X.reshape(len(X), -1), y) for X, y in (train, *([validation] if validation else []))]
        return VALUE_FITTERS[name](*flat[0], flat[1] if validation else None, seed, **options), ()
    from metabalance.regressor import MetaBalanceRegressor

    network = settings.network | {key: value for key, value in options.items() if key in SETTINGS}
    model = MetaBalanceRegressor(
        name,
        recipe_options={key: value for key, value in options.items() if key not in SETTINGS},
        preprocess=None,
        monitor=settings.monitor.partition("@")[0].partition("[")[0],
        max_seconds=settings.max_seconds,
        validation_fraction=0.0,
        random_state=seed,
        checkpoint=None if checkpoint is None else str(checkpoint),
        checkpoint_seconds=CHECKPOINT_SECONDS,
        **network,
    )
    model.fit(*train, validation_data=validation, callback=callback)
    late = ("training was stopped by the time limit",) if model.history_.stopped == "deadline" else ()
    early = (model.history_.note,) if model.history_.note else ()
    return model, (*model.notes_, *early, *late)
