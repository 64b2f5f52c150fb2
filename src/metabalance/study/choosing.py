"""The options of one candidate, chosen on the validation part: as given, by a grid, or by a search."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.study.candidates import Candidate
from metabalance.study.evidence import training_record
from metabalance.study.search import Attempt, Searched, search
from metabalance.study.spaces import search_space
from metabalance.study.unfinished import Points, checkpoint_name

__all__ = ["choose_options", "fit_record", "rehearsed"]


def choose_options(
    candidate: Candidate,
    attempt: Callable[..., Attempt],
    settings: Any,
    *,
    enough: bool,
    train: Any,
    validation: tuple[np.ndarray, np.ndarray],
    seed: int,
    tuning: Path | None = None,
    kind: str = "classes",
) -> tuple[Attempt, Searched | None, list[str]]:
    """Trains a candidate with the options that do best on the validation part.

    Args:
        candidate: Recipe or baseline.
        attempt: ``(options, watch, checkpoint) -> Attempt``: one training.
        settings: Has ``tune``, ``network`` and ``checkpoint``.
        enough: Whether the validation rows are enough to choose by.
        train: ``(X, y)``, or rows that are streamed.
        validation: ``(X, y)``.
        seed: Of the search.
        tuning: A file for the finished trials of the search, from which a killed one goes on; None keeps none.
        kind: Of target.

    Returns:
        The best attempt, what a search did (None without one), and notes.
    """
    grid = candidate.grid()
    notes: list[str] = []
    if (settings.tune or len(grid) > 1) and not enough:
        used = f"{grid[0]} was" if grid[0] else "the defaults were"
        notes.append(f"too few validation rows to tune: {used} used")
        grid = grid[:1]
    if settings.tune and enough:
        assert isinstance(train, tuple)
        space = search_space(candidate, settings.network, train[0].shape[1:], kind)
        identity = (
            "" if tuning is None else _identity((candidate.label, space), train, validation, seed, settings)
        )
        found = search(attempt, space, settings.tune, seed, candidate.label, path=tuning, identity=identity)
        return found.best, found, [*notes, *found.notes, *found.best.notes]
    best, said = _best_of(grid, attempt, settings.checkpoint)
    return best, None, notes + said


def _identity(
    searched: Any,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    seed: int,
    settings: Any,
) -> str:
    """What the trials of a search hang on; all but their number."""
    digest = hashlib.sha256(
        repr((__version__, searched, seed, replace(settings, tune=0, checkpoint=None))).encode()
    )
    for array in (*train, *validation):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _best_of(
    grid: list[dict[str, Any]], attempt: Callable[..., Attempt], folder: Path | None
) -> tuple[Attempt, list[str]]:
    """The best of a grid, the first of equals, with what was said of all; goes on where a killed process stopped."""
    points = Points(folder if len(grid) > 1 else None)

    def tried(number: int) -> Attempt:
        return attempt(grid[number], checkpoint=None if folder is None else folder / checkpoint_name(number))

    best: Attempt | None = None
    for number in range(len(points.finished), len(grid)):
        found = tried(number)
        if all(found.value > point["value"] for point in points.finished):
            best = found
        points.add(found.value, found.notes)
    values = [point["value"] for point in points.finished]
    if best is None:  # it won before an interruption
        best = tried(values.index(max(values)))
    return best, [note for point in points.finished for note in point["notes"]]


def fit_record(fitted: Any, seed: int, fold: int, monitor: str) -> dict[str, Any]:
    """What is stored of any fit of a comparison.

    Args:
        fitted: Has ``candidate``, ``options``, ``model``, ``validation``, ``seconds``, ``notes`` and ``tuning``.
        seed: Of the split.
        fold: Its number.
        monitor: The metric that picked the epoch.
    """
    return {
        "label": fitted.candidate.label,
        "seed": seed,
        "fold": fold,
        "options": {key: list(v) if isinstance(v, tuple) else v for key, v in fitted.options.items()},
        "seconds": fitted.seconds,
        "validation": fitted.validation,
        "notes": list(fitted.notes),
        "tuning": fitted.tuning,
        "training": training_record(fitted.model, monitor),
    }


def rehearsed(
    candidate: Candidate,
    network: Mapping[str, Any] | None,
    train: Callable[[dict[str, Any], dict[str, Any]], Any],
) -> list[Any]:
    """Trains a candidate for a moment with each of its options' values: what cannot be trained is found in a second.

    Args:
        candidate: Recipe or baseline.
        network: Settings of the network, of which ``module`` and ``augment`` count.
        train: ``(options, settings of the network) -> model``, on a few made-up rows.

    Returns:
        The models.

    Raises:
        ValueError: An option's value makes no sense to the recipe, the network or the optimiser.
    """
    kept = {key: value for key, value in (network or {}).items() if key in ("module", "augment")}
    models = []
    for options in candidate.grid():
        brief = kept | ({"epochs": 1} if "epochs" not in options else {})
        try:
            models.append(train(options, brief))
        except Exception as error:  # whatever a library makes of it
            chosen = " with " + ", ".join(f"{k}={v!r}" for k, v in options.items()) if options else ""
            raise ValueError(
                f"{candidate.name} cannot be trained{chosen}: {' '.join(str(error).split())}"
            ) from error
    return models
