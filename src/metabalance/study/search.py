"""The search of ``--tune n``: n trainings of one candidate, judged on the validation part of its fold alone.

Optuna's tree-structured Parzen estimator (Bergstra, Bardenet, Bengio & Kégl, NeurIPS 2011) proposes options, and a
trial whose best epoch so far lies below the median of the earlier ones is stopped. The first trial is the untouched
defaults, so that on the validation part the search can only gain.

Each proposal follows from the seed, its number and the finished trials, and nothing else. Finished trials lie in a
SQLite file of Optuna's, each written in one transaction: a killed search goes on after them and ends with the same bits.
"""

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.data.errors import DataError
from metabalance.study.spaces import Choice, SearchSpace, Whole

__all__ = ["Attempt", "Searched", "import_optuna", "quiet", "search"]

RANDOM_TRIALS = 5  # before the estimator takes over, the defaults among them
PRUNE_AFTER = 4  # whole trials that are needed for a median
WARM_UP = 5  # epochs in which no trial is stopped

Watch = Callable[[int, float], None]


@dataclass(frozen=True)
class Attempt:
    """One training.

    Args:
        options: What it was trained with.
        value: On the validation part, the larger the better, never NaN.
        model: Has ``predict_proba``.
        scores: Log-probabilities of the validation part ``(N, C)``.
        notes: What the user should know.
    """

    options: dict[str, Any]
    value: float
    model: Any
    scores: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Args:
        best: The best attempt; of equal ones the first.
        record: ``trials`` asked for, those ``pruned`` and ``failed`` among them, and the number of the ``best``.
        earlier: Seconds of the trials that were finished before an interruption.
        notes: What the user should know of the search.
    """

    best: Attempt
    record: dict[str, int]
    earlier: float
    notes: tuple[str, ...] = ()


def search(
    train: Callable[[dict[str, Any], Watch | None], Attempt],
    space: SearchSpace,
    trials: int,
    seed: int,
    label: str,
    *,
    path: Path | None = None,
    identity: str = "",
) -> Searched:
    """Searches the options of one candidate.

    Args:
        train: ``(options, watch) -> Attempt``; calls ``watch(epoch, value)``, the larger the better, after each
            epoch that may be selected, and lets pass what it raises.
        space: What may change.
        trials: The budget; pruned and failed trials count.
        seed: Everything random follows from it and the label.
        label: The candidate's.
        path: Where finished trials are kept, or None for memory alone.
        identity: What the stored trials must belong to; those of anything else are dropped.

    Raises:
        DataError: Optuna is not installed.
        Exception: Whatever the first trial raises: the untouched defaults have to train.
    """
    optuna = import_optuna()
    if not space.spaces:
        alone = train(space.untouched, None)
        note = "every option was given: nothing was left to tune"
        return Searched(alone, {"trials": 1, "pruned": 0, "failed": 0, "best": 0}, 0.0, (note,))
    names = {name: _names(found) for name, found in space.spaces.items()}
    distributions = {name: _distribution(optuna, found) for name, found in space.spaces.items()}
    first = {name: _written(value) if names[name] else value for name, value in space.start.items()}
    kept: Attempt | None = None

    def options_of(number: int, parameters: dict[str, Any]) -> dict[str, Any]:
        if number == 0:
            return space.untouched
        return space.untouched | {
            name: names[name][value] if names[name] else value for name, value in parameters.items()
        }

    with quiet(optuna), _shelf(optuna, path, identity) as shelf:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER, n_warmup_steps=WARM_UP)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        study.add_trials(shelf.load(distributions)[:trials])
        earlier = sum(t.user_attrs["seconds"] for t in study.trials)
        for number in range(len(study.trials), trials):
            study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=RANDOM_TRIALS, seed=_seed(seed, label, number)
            )
            if number == 0:
                study.enqueue_trial(first)
            trial = study.ask(distributions)
            began = time.monotonic()
            attempt = _tried(optuna, study, trial, options_of(number, trial.params), train)
            seconds = time.monotonic() - began
            if attempt is not None and attempt.value > _best(optuna, study)[1]:
                kept = attempt
            done = _finished(optuna, study, trial, attempt, seconds)
            shelf.add(done)
        best, _ = _best(optuna, study)
        if kept is None or kept.options != options_of(best.number, best.params):
            # The model of a trial before the interruption: the same seed makes the same bits again.
            kept = train(options_of(best.number, best.params), None)
        states = [t.state for t in study.trials]
    record = {
        "trials": len(states),
        "pruned": states.count(optuna.trial.TrialState.PRUNED),
        "failed": states.count(optuna.trial.TrialState.FAIL),
        "best": best.number,
    }
    errors = [t.user_attrs["error"] for t in study.trials if "error" in t.user_attrs]
    told = (f"{len(errors)} of {trials} trials failed: {errors[0]}",) if errors else ()
    return Searched(kept, record, earlier, told)


def _tried(optuna: Any, study: Any, trial: Any, options: dict[str, Any], train: Any) -> Attempt | None:
    """The attempt; None for one that was pruned, failed, or is the repetition of an earlier trial."""
    best = -np.inf

    def watch(epoch: int, value: float) -> None:
        nonlocal best
        if np.isnan(value):
            return
        best = max(best, value)
        trial.report(best, epoch)
        if trial.number and trial.should_prune():
            raise optuna.TrialPruned

    same = next((t for t in study.get_trials(deepcopy=False)[:-1] if t.params == trial.params), None)
    if same is not None:
        trial.set_user_attr("same_as", same.number)
        return None
    try:
        return train(options, watch)
    except optuna.TrialPruned:
        trial.set_user_attr("pruned", True)
    except (MemoryError, DataError):
        raise
    except Exception as error:  # a rate at which the loss is not finite, say
        if trial.number == 0:
            raise
        trial.set_user_attr("error", " ".join(str(error).split())[:400] or type(error).__name__)
    return None


def _finished(optuna: Any, study: Any, trial: Any, attempt: Attempt | None, seconds: float) -> Any:
    """Tells the study how a trial ended, and gives it as it is stored."""
    state, value = optuna.trial.TrialState.COMPLETE, None if attempt is None else attempt.value
    if attempt is None:
        attributes = trial.user_attrs
        state = optuna.trial.TrialState.PRUNED if "pruned" in attributes else optuna.trial.TrialState.FAIL
        if "same_as" in attributes:
            same = study.trials[attributes["same_as"]]
            state = same.state
            value = same.value if state == optuna.trial.TrialState.COMPLETE else None
    trial.set_user_attr("number", trial.number)
    trial.set_user_attr("seconds", seconds)
    return study.tell(trial, value, state=state)


def _best(optuna: Any, study: Any) -> tuple[Any, float]:
    """The first of the best trials, and its value."""
    done = [t for t in study.get_trials(deepcopy=False) if t.state == optuna.trial.TrialState.COMPLETE]
    best = max(done, key=lambda t: t.value, default=None)
    return (None, -np.inf) if best is None else (best, best.value)


def _seed(seed: int, label: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{label}/{number}".encode()).digest()[:4], "big")


def _names(space: Any) -> dict[str, Any]:
    """A choice's values by what a storage can hold; empty for numbers."""
    return {_written(value): value for value in space.values} if isinstance(space, Choice) else {}


def _written(value: Any) -> str:
    return json.dumps(value)


def _distribution(optuna: Any, space: Any) -> Any:
    if isinstance(space, Choice):
        return optuna.distributions.CategoricalDistribution(list(_names(space)))
    kind = "IntDistribution" if isinstance(space, Whole) else "FloatDistribution"
    return getattr(optuna.distributions, kind)(space.low, space.high, log=space.log)


# -------------------------------------------------------------------------------------------- storage


class _Memory:
    """No file: a killed search starts anew."""

    def load(self, distributions: dict[str, Any]) -> list[Any]:
        return []

    def add(self, trial: Any) -> None:
        pass

    def close(self) -> None:
        pass


class _File(_Memory):
    """Finished trials in an Optuna SQLite file; the file is never needed for a result, only for going on."""

    def __init__(self, optuna: Any, path: Path, identity: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not the path in the URL: a folder may be called "a?b".
        self.storage = optuna.storages.RDBStorage(
            "sqlite:///tuning", engine_kwargs={"creator": lambda: sqlite3.connect(path, timeout=10)}
        )
        try:
            self.study = optuna.create_study(
                storage=self.storage, study_name="tuning", direction="maximize", load_if_exists=True
            )
            if self.study.user_attrs.get("identity") != identity:
                if self.study.trials:
                    raise ValueError("trials of another search")
                self.study.set_user_attr("identity", identity)
        except BaseException:
            self.close()
            raise

    def load(self, distributions: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for trial in self.study.trials:  # two processes may have written the same trial, each for itself
            if trial.user_attrs.get("number") == len(found) and trial.distributions == distributions:
                found.append(trial)
        return found

    def add(self, trial: Any) -> None:
        # A full disk ends the storing, not the search: the fit's own file will tell.
        with contextlib.suppress(Exception):
            self.study.add_trial(trial)
            self.storage.remove_session()  # or every trial makes the next one slower

    def close(self) -> None:
        self.storage.scoped_session.remove()
        self.storage.engine.dispose()


@contextlib.contextmanager
def _shelf(optuna: Any, path: Path | None, identity: str) -> Iterator[_Memory]:
    shelf = _Memory()
    for _ in range(2 if path is not None else 0):
        try:
            shelf = _File(optuna, Path(str(path)), identity)
            break
        except Exception:  # damaged, or of another search: it only saves time, so it starts anew
            remove(path)
    try:
        yield shelf
    finally:
        shelf.close()


def remove(path: Path | None) -> None:
    """Removes a search's file and what SQLite may have left beside it."""
    if path is not None:
        for file in (path, path.with_name(f"{path.name}-journal")):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def import_optuna() -> Any:
    """Optuna.

    Raises:
        DataError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise DataError("the search needs Optuna; pip install 'metabalance[search]' brings it") from error
    return optuna


@contextlib.contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Optuna tells nothing below an error; afterwards it tells what it told before."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
