"""One candidate on one training part: trained, calibrated, its decisions chosen on the validation part."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.adjust.base import Calibration
from metabalance.adjust.calibrations import get_calibration
from metabalance.adjust.choose import choose_decision
from metabalance.adjust.decision import Decision
from metabalance.adjust.prior import shift_log_prior
from metabalance.judge.metrics import get_metric
from metabalance.study.candidates import BASELINES, SETTINGS, Candidate
from metabalance.study.choosing import choose_options, fit_record, rehearsed
from metabalance.study.search import Attempt, Watch

__all__ = ["Fitted", "Settings", "binary_or_all", "fit_candidate", "rehearse", "train_one"]

CHECKPOINT_SECONDS = 10.0  # what a killed fit loses at most


@dataclass(frozen=True)
class Settings:
    """What all candidates of a study share.

    Args:
        monitor: The metric that picks epochs and tuned options on the validation part.
        cost: Cost matrix ``(C, C)``, rows true, columns predicted; or None.
        positive: Index of the positive class.
        min_positives: Below this many validation rows of a class, nothing is stopped early or tuned by it.
        calibrate: Name of the calibration, see :func:`~metabalance.adjust.get_calibration`.
        prior: Class shares ``(C,)`` where the model will work, if they differ from the data's: probabilities,
            calibration and decisions are made for these.
        objective: What a decision is chosen for, besides f1, balanced accuracy and cost; see
            :func:`~metabalance.adjust.parse_objective`.
        network: Settings of every network (``epochs``, ``hidden``, ``lr``, ...).
        max_seconds: Time limit of one training; it stops cleanly there.
        tune: Trainings that search the options of each candidate, or 0 for none.
        checkpoint: A folder from which a killed fit goes on, see :mod:`~metabalance.study.unfinished`; None keeps
            nothing.
    """

    monitor: str = "average_precision"
    cost: tuple[tuple[float, ...], ...] | None = None
    positive: int = 1
    min_positives: int = 5
    calibrate: str = "bias_corrected"
    prior: tuple[float, ...] | None = None
    objective: str | None = None
    network: dict[str, Any] = field(default_factory=dict)
    max_seconds: float | None = None
    tune: int = 0
    checkpoint: Path | None = None

    def work(
        self, candidate: Candidate, train: Any, validation: Any, test: np.ndarray, size: int, *, seed: int, fold: int,
        tuning: Path | None = None,
    ) -> tuple[dict[str, Any], np.ndarray]:  # fmt: skip
        """One fit of a comparison; see :class:`~metabalance.study.kinds.FitSettings`. Gives probabilities ``(N, C)``.

        The test part is read when everything is chosen.
        """
        fitted = fit_candidate(candidate, train, validation, size, seed * 1000 + fold, self, tuning)
        record = fit_record(fitted, seed, fold, self.monitor) | {
            "decisions": {name: decision.to_dict() for name, decision in fitted.decisions.items()},
            "calibrator": fitted.calibrator.to_dict(),
        }
        return record, fitted.predict_proba(test).astype(np.float32)


@dataclass
class Fitted:
    """A trained candidate with what was fitted after it.

    Args:
        candidate: What was asked for.
        options: The options chosen among those asked for.
        model: Has ``predict_proba``, at the source prior.
        calibrator: Log-probabilities to calibrated probabilities.
        decisions: Objective to :class:`~metabalance.adjust.Decision`.
        validation: Metrics of the validation part: used for choices, hence optimistic.
        seconds: Training time, tuning included.
        source_prior: Class shares of the training part ``(C,)``.
        notes: What the user should know.
        prior: Class shares the probabilities are made for ``(C,)``, or None for the source prior.
        tuning: What the search did, see :class:`~metabalance.study.search.Searched`; None without one.
    """

    candidate: Candidate
    options: dict[str, Any]
    model: Any
    calibrator: Calibration
    decisions: dict[str, Decision]
    validation: dict[str, float]
    seconds: float
    source_prior: np.ndarray
    notes: tuple[str, ...] = ()
    prior: np.ndarray | None = None
    tuning: dict[str, int] | None = None

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Calibrated probabilities ``(N, C)``, at ``prior`` if there is one and the source prior otherwise."""
        scores = log_probabilities(self.model, X)
        return self.calibrator(
            scores if self.prior is None else shift_log(scores, self.source_prior, self.prior)
        )


def fit_candidate(
    candidate: Candidate,
    train: tuple[np.ndarray, np.ndarray] | Any,
    validation: tuple[np.ndarray, np.ndarray],
    num_classes: int,
    seed: int,
    settings: Settings,
    tuning: Path | None = None,
) -> Fitted:
    """Trains one candidate, tuning it on the validation part: what ``settings.tune`` asks for, or several values given.

    Args:
        candidate: Recipe or baseline.
        train: ``(X (N, D) or (N, C, H, W), y (N,))``, preprocessed, y as class indices; or
            :class:`~metabalance.data.streamed.Rows`.
        validation: Likewise; never the test part.
        num_classes: C.
        seed: Everything random follows from it.
        settings: Shared by all candidates.
        tuning: A file for the finished trials of the search, from which a killed one goes on; None keeps none.

    Raises:
        ValueError: The candidate cannot be trained on these data; one sentence says why.
    """
    started = time.monotonic()
    X_val, y_val = validation
    metric = get_metric(settings.monitor)
    enough = np.bincount(y_val, minlength=num_classes).min() >= settings.min_positives
    sign = 1 if metric.greater_is_better else -1

    def attempt(
        options: dict[str, Any], watch: Watch | None = None, checkpoint: Path | None = None
    ) -> Attempt:
        def callback(row: dict[str, Any]) -> None:
            if watch is not None and row["selectable"] and "monitor" in row:
                watch(row["epoch"], sign * row["monitor"])

        held = validation if enough else None
        model, said = train_one(
            candidate.name, options, train, held, num_classes, seed, settings, watch and callback, checkpoint
        )
        scores = log_probabilities(model, X_val)
        value = metric(
            binary_or_all(np.exp(scores), settings.positive), _target(y_val, num_classes, settings.positive)
        )
        # An undefined value never beats a defined one, even if it came first.
        return Attempt(options, float(np.nan_to_num(sign * value, nan=-np.inf)), model, scores, said)

    best, found, notes = choose_options(
        candidate,
        attempt,
        settings,
        enough=enough,
        train=train,
        validation=validation,
        seed=seed,
        tuning=tuning,
    )
    scores = best.scores
    if isinstance(train, tuple):
        source = np.bincount(train[1], minlength=num_classes) / len(train[1])
    else:
        source = train.unit_counts.sum(axis=0) / train.unit_counts.sum()
    weight = None
    if settings.prior is not None:
        goal = np.asarray(settings.prior)
        scores = shift_log(scores, source, goal)
        share = np.bincount(y_val, minlength=num_classes) / len(y_val)
        weight = (goal / np.maximum(share, 1e-12))[y_val]
    calibrator = get_calibration(settings.calibrate).fit(scores, y_val, sample_weight=weight)
    probabilities = calibrator(scores)
    decisions = {
        objective: choose_decision(
            probabilities,
            y_val,
            objective,
            positive=settings.positive,
            cost=settings.cost,
            sample_weight=weight,
        )
        for objective in dict.fromkeys(
            (
                "f1",
                "balanced_accuracy",
                *(["cost"] if settings.cost is not None else []),
                settings.objective or "f1",
            )
        )
    }
    return Fitted(
        candidate,
        best.options,
        best.model,
        calibrator,
        decisions,
        {settings.monitor: sign * best.value},
        time.monotonic() - started + (found.earlier if found else 0.0),
        source,
        tuple(dict.fromkeys(notes)),
        None if settings.prior is None else np.asarray(settings.prior),
        found.record if found else None,
    )


def rehearse(
    candidate: Candidate, image_shape: tuple[int, ...] | None = None, network: dict[str, Any] | None = None
) -> list[Any]:
    """Trains a candidate for a moment on a few made-up rows or images, with each of its options' values.

    What cannot be trained at all is found in a second, before an hour of fits.

    Args:
        candidate: Recipe or baseline.
        image_shape: ``(channels, height, width)``, or None for a table.
        network: Settings of the network, of which ``module`` and ``augment`` count.

    Returns:
        The models.

    Raises:
        ValueError: An option's value makes no sense to the recipe, the network or the optimiser.
    """
    rng = np.random.default_rng(0)
    size, shape = (200, (4,)) if image_shape is None else (32, image_shape)
    y = (np.arange(size) % 4 == 0).astype(np.int64)
    X = (rng.normal(size=(size, *shape)) + 0.5 * y.reshape(-1, *[1] * len(shape))).astype(np.float32)
    if image_shape is not None:
        X = np.clip(X / 4 + 0.5, 0, 1)

    def train(options: dict[str, Any], brief: dict[str, Any]) -> Any:
        settings = Settings(network=brief, max_seconds=0.05)
        return train_one(candidate.name, options, (X, y), (X, y), 2, 0, settings)[0]

    return rehearsed(candidate, network, train)


def log_probabilities(model: Any, X: np.ndarray) -> np.ndarray:
    """Log-probabilities ``(N, C)``, finite: a saturated model's 0 becomes 1e-30."""
    return np.log(np.maximum(model.predict_proba(X), 1e-30))


def shift_log(scores: np.ndarray, source: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Log-probabilities moved from one class prior to another."""
    return np.maximum(shift_log_prior(scores, source, goal), np.log(1e-30))


def binary_or_all(probabilities: np.ndarray, positive: int) -> np.ndarray:
    """Scores as the metrics want them: ``(N,)`` of the positive class, or ``(N, C)`` beyond two classes."""
    return probabilities[:, positive] if probabilities.shape[1] == 2 else probabilities


def _target(y: np.ndarray, num_classes: int, positive: int) -> np.ndarray:
    return (y == positive).astype(np.int64) if num_classes == 2 else y


def train_one(
    name: str,
    options: dict[str, Any],
    train: tuple[np.ndarray, np.ndarray] | Any,
    validation: tuple[np.ndarray, np.ndarray] | None,
    num_classes: int,
    seed: int,
    settings: Settings,
    callback: Callable[[dict[str, Any]], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[Any, tuple[str, ...]]:
    """Trains a recipe or baseline; the model, and what the user should know."""
    if name in BASELINES:
        from metabalance.study.baselines import FITTERS

        if not isinstance(train, tuple):
            raise ValueError(f"{name} needs all rows in memory at once")

        flat = [(X.reshape(len(X), -1), y) for X, y in (train, *([validation] if validation else []))]
        return FITTERS[name](*flat[0], flat[1] if validation else None, seed, **options), ()
    from metabalance.estimator import MetaBalanceClassifier

    network = settings.network | {key: value for key, value in options.items() if key in SETTINGS}
    model = MetaBalanceClassifier(
        name,
        recipe_options={key: value for key, value in options.items() if key not in SETTINGS},
        preprocess=None,
        monitor=settings.monitor,
        min_positives=settings.min_positives,
        max_seconds=settings.max_seconds,
        validation_fraction=0.0,
        positive=settings.positive,
        random_state=seed,
        checkpoint=None if checkpoint is None else str(checkpoint),
        checkpoint_seconds=CHECKPOINT_SECONDS,
        **network,
    )
    if isinstance(train, tuple):
        model.fit(*train, validation_data=validation, callback=callback)
    else:
        model.fit_rows(train, num_classes, validation)
    late = ("training was stopped by the time limit",) if model.history_.stopped == "deadline" else ()
    early = (model.history_.note,) if model.history_.note else ()
    return model, (*model.notes_, *early, *late)
