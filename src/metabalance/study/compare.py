"""Which remedy works on these data: every recipe on the same splits, beside an untouched baseline."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.data.errors import DataError
from metabalance.study.candidates import KIND_BASELINES, Candidate
from metabalance.study.changes import describe
from metabalance.study.engines import EngineChoice, open_engine
from metabalance.study.kinds import kind_of
from metabalance.study.sources import Studied, Table
from metabalance.study.store import RunStore, cannot_write, locked

__all__ = ["BASELINE", "Plan", "Progress", "Table", "run_comparison"]

BASELINE = "erm"
LOCAL = EngineChoice()


@dataclass(frozen=True)
class Plan:
    """What to compare, and how.

    Args:
        candidates: Recipes and baselines; the untouched baseline is added if it is missing.
        folds: Folds of each repetition.
        seeds: Repetitions with new shuffles.
        metric: The primary metric.
        validation_fraction: Share of each training part for early stopping, calibration and decisions.
        cost: Cost matrix ``(C, C)`` or None; of classes.
        network: Settings of every network.
        workers: Fits at a time; None is all that the engine has.
        engine: Where the fits run. Neither is part of the protocol.
        budget: Seconds for everything, or None.
        fit_limit: Seconds for one training, or None; what takes longer is stopped and reported.
        min_positives: See :class:`~metabalance.study.fitting.Settings`.
        dedupe: Keep equal rows on one side of every split.
        tune: Trainings that search the options of each candidate in each fold, or 0; the same for all.
    """

    candidates: tuple[Candidate, ...]
    folds: int = 5
    seeds: int = 3
    metric: str = "average_precision"
    validation_fraction: float = 0.2
    cost: tuple[tuple[float, ...], ...] | None = None
    network: dict[str, Any] = field(default_factory=dict)
    workers: int | None = 1
    engine: EngineChoice = LOCAL
    budget: float | None = None
    fit_limit: float | None = None
    min_positives: int = 5
    dedupe: bool = False
    tune: int = 0

    def protocol(self, table: Studied) -> dict[str, Any]:
        """What must not change between a run and its continuation. More recipes may be added."""
        return {
            "format": 1,
            "version": __version__,
            "data_fingerprint": table.fingerprint,
            "target": table.target_name,
            "folds": self.folds,
            "seeds": self.seeds,
            "metric": self.metric,
            "validation_fraction": self.validation_fraction,
            "network": {key: list(v) if isinstance(v, tuple) else v for key, v in self.network.items()},
            "dedupe": self.dedupe,
            "tune": self.tune,
            **kind_of(table.kind).protocol(self, table),
        }


@dataclass(frozen=True)
class Progress:
    """One step of a run, for whoever shows it.

    Args:
        done: Finished fits, those of earlier runs included.
        total: All fits.
        label: The candidate just finished.
        status: ok, failed, timeout, died, skipped or stored (found finished).
        message: Why it failed.
        eta: Seconds to go, estimated from this run's fits; None before the first.
    """

    done: int
    total: int
    label: str
    status: str
    message: str = ""
    eta: float | None = None


@dataclass
class Run:
    """What a comparison leaves for the summary."""

    table: Studied
    plan: Plan
    store: RunStore
    candidates: tuple[Candidate, ...]
    splits: list[Any]
    failures: dict[tuple[str, int, int], tuple[str, str]]
    duplicates: Any
    seconds: float
    complete: bool
    created: str


def run_comparison(
    table: Studied, plan: Plan, folder: Path, report: Callable[[Progress], None] = lambda progress: None
) -> Run:
    """Fits every candidate on every split, going on where an earlier run stopped.

    Args:
        table: The checked table or images.
        plan: What to compare.
        folder: The run folder.
        report: Called after each fit.

    Raises:
        DataError: The rows cannot be divided so, or the folder holds another run.
    """
    from metabalance.study.divide import divide
    from metabalance.study.splits import duplicates_across

    started = time.monotonic()
    candidates = plan.candidates
    if BASELINE not in [c.label for c in candidates]:
        candidates = (Candidate(BASELINE), *candidates)
    groups = _groups(table, plan)
    kind_of(table.kind).check(table, plan.folds, timed=table.time is not None)
    # Before the folder is touched: rows that cannot be divided are no run.
    splits, inner = divide(
        table, folds=plan.folds, seeds=plan.seeds, validation_fraction=plan.validation_fraction, groups=groups
    )
    duplicates = _duplicates(duplicates_across(table.rows, splits), splits)
    store = RunStore(folder)
    store.open(plan.protocol(table), describe(table))
    with locked(folder):
        store.sweep()
        failures, complete = _fit_missing(table, plan, candidates, splits, inner, store, started, report)
    return Run(
        table, plan, store, candidates, splits, failures, duplicates, time.monotonic() - started,
        complete=complete, created=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def _fit_missing(
    table: Studied, plan: Plan, candidates: tuple[Candidate, ...], splits: list[Any], inner: dict, store: RunStore,
    started: float, report: Callable[[Progress], None],
) -> tuple[dict[tuple[str, int, int], tuple[str, str]], bool]:  # fmt: skip
    """Fits what is not stored yet; returns what failed, and whether everything was tried."""
    from metabalance.study.jobs import UNSTORED, clear

    wanted = [(c, s) for s in splits for c in candidates]
    missing = [(c, s) for c, s in wanted if not store.has(c.label, s.seed, s.fold)]
    done = len(wanted) - len(missing)
    report(Progress(done, len(wanted), "", "stored"))
    scratch = store.folder / "scratch"
    kind = kind_of(table.kind)
    settings = kind.settings(plan, table)
    failures: dict[tuple[str, int, int], tuple[str, str]] = {}
    if not missing:
        return failures, True
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        source = table.write(scratch)
    except OSError as error:
        clear(scratch)
        raise cannot_write(scratch, error) from error
    engine = open_engine(plan.engine, plan.workers, scratch, source)
    # The hard limit leaves a cooperative one time to stop cleanly.
    limit = None if plan.fit_limit is None else (1.5 * plan.fit_limit + 10) * max(plan.tune, 1)
    preparing, fitting = {}, {}
    where: dict[str, tuple[str, int, int]] = {}
    for split in splits:
        todo = [c for c, s in missing if s is split]
        if not todo:
            continue
        seed, fold = split.seed, split.fold
        fit, validation = inner[seed, fold]
        prepare = engine.prepare(seed, fold, {"fit": fit, "validation": validation, "test": split.test})
        tasks = [
            engine.fit(
                prepare, seed, fold, c, kind.size(table), settings, store.files(c.label, seed, fold), limit
            )
            for c in todo
        ]
        preparing[seed, fold], fitting[seed, fold] = prepare, tasks
        where |= {task.key: (c.label, seed, fold) for task, c in zip(tasks, todo)}
    left = {key: len(tasks) for key, tasks in fitting.items()}
    fresh, first = 0, time.monotonic()
    outcomes = engine.run(
        _ordered(preparing, fitting), None if plan.budget is None else started + plan.budget
    )
    try:
        for outcome in outcomes:
            if outcome.task.key not in where:
                if outcome.status != "ok":
                    raise DataError(f"a fold could not be prepared: {outcome.message}")
                continue
            label, seed, fold = where[outcome.task.key]
            if outcome.status == "ok" and UNSTORED in outcome.value:
                raise DataError(outcome.value[UNSTORED])
            if outcome.status != "ok":
                failures[label, seed, fold] = (outcome.status, outcome.message)
            fresh, done = fresh + 1, done + 1
            eta = (time.monotonic() - first) / fresh * (len(wanted) - done)
            report(Progress(done, len(wanted), label, outcome.status, outcome.message, eta))
            left[seed, fold] -= 1
            if not left[seed, fold]:
                engine.forget(seed, fold)
    finally:
        outcomes.close()
        clear(scratch)
    return failures, done == len(wanted)


def _ordered(preparing: dict, fitting: dict) -> list[Any]:
    """Each split is prepared while the one before it is fitted."""
    keys = list(preparing)
    tasks = [preparing[k] for k in keys[:1]]
    for i, key in enumerate(keys):
        tasks += [preparing[k] for k in keys[i + 1 : i + 2]] + fitting[key]
    return tasks


def _groups(table: Studied, plan: Plan) -> np.ndarray | None:
    from metabalance.study.splits import duplicate_groups

    return duplicate_groups(table.rows, table.groups) if plan.dedupe else table.groups


def _duplicates(found: list[Any], splits: list[Any]) -> dict[str, Any]:
    """Test rows of the first repetition with an equal row in their training part, all folds together."""
    rows = sum(d.count for d in found if d.seed == 0)
    return {"rows": rows, "share": rows / sum(len(s.test) for s in splits if s.seed == 0)}


def baseline_names() -> tuple[str, ...]:
    """Baselines that are no remedies: they are never called one in the advice."""
    return (BASELINE, *(name for names in KIND_BASELINES.values() for name in names))


def as_plain(finding: Any) -> dict[str, Any]:
    """A finding as JSON."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(finding).items()}
