"""Runs a claim: every missing fit on worker processes, stored at once, then the verdict.

A finished fit is a file named after all that its result depends on, so claims that need the same fit share it,
and a run killed anywhere goes on where it stopped.
"""

import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from metabalance import __version__
from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json
from metabalance.plain import plain
from metabalance.study.reproduce.base import AnySetup, Claim, Experiment, Fit, fits_of
from metabalance.study.reproduce.measure import run_fit
from metabalance.study.reproduce.places import at_hand, is_here, refuse
from metabalance.study.reproduce.values import ValueSetup
from metabalance.study.reproduce.verdict import choose, interval, judge, overall, overlap_of
from metabalance.study.store import RunStore, locked, write_atomically
from metabalance.study.workers import Outcome, Task, run_tasks, sentence

__all__ = ["FitStore", "Progress", "conditions_of", "needed", "reproduce", "run_missing", "summarise"]

FORMAT = 1


class FitStore:
    """A folder of finished fits.

    Args:
        folder: Created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def path(self, fit: Fit) -> Path:
        """Where a fit lies: its name holds a digest of all that it depends on."""
        text = json.dumps(fit.as_dict(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.folder / "fits" / f"{fit.recipe}-{digest}-seed{fit.seed}.json"

    def load(self, fit: Fit) -> dict[str, Any] | None:
        """The record, or None.

        Raises:
            DataError: The file is damaged.
        """
        path = self.path(fit)
        if not path.exists():
            return None
        try:
            return parse_json(path.read_text())["record"]
        except (ValueError, OSError, KeyError) as error:
            raise DataError(f"{path} cannot be read ({error}); remove it and run again") from error

    def save(self, fit: Fit, record: dict[str, Any]) -> None:
        """Writes a record, whole or not at all."""
        content = {"fit": fit.as_dict(), "record": record}
        write_atomically(self.path(fit), json.dumps(content, indent=1).encode())


@dataclass(frozen=True)
class Progress:
    """One step of a run: ``done`` of ``total`` fits, the recipe just finished, what became of it."""

    done: int
    total: int
    recipe: str = ""
    status: str = "stored"
    message: str = ""
    eta: float | None = None


def conditions_of(claim: Claim, folder: Path | None, full: bool) -> tuple[Mapping[str, AnySetup], bool]:
    """The set-ups that can be run here, and whether they are the fallback.

    Raises:
        DataError: The data are not there, and the claim has no set-up that does without.
    """
    wanted = {name: at_hand(setup, folder) for name, setup in (claim.full if full else claim.small).items()}
    lacking = [setup for setup in wanted.values() if not is_here(setup, folder)]
    if not lacking:
        return wanted, False
    if claim.fallback and not full:
        return claim.fallback, True
    refuse(lacking[0], folder)
    raise AssertionError("unreachable")


def needed(claim: Claim, conditions: Mapping[str, AnySetup], seeds: int) -> list[Fit]:
    """All fits of a claim, seed by seed, so that an unfinished run has whole pairs."""
    return list(
        {
            FitStore(Path()).path(fit): fit
            for seed in range(seeds)
            for condition, setup in conditions.items()
            for arm in claim.arms_of(condition).values()
            for fit in fits_of(arm, setup, seed)
        }.values()
    )


def run_missing(
    fits: Sequence[Fit],
    store: FitStore,
    *,
    data: Path | None,
    workers: int,
    deadline: float | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> dict[Path, str]:
    """Runs what is not stored yet, one worker in this process, more in their own; returns why, for what failed.

    Args:
        fits: What is wanted.
        store: What is there.
        data: Folder of the images and tables.
        workers: Processes.
        deadline: A value of ``time.monotonic()`` after which no fit is started.
        report: Called after each fit.
    """
    missing = [fit for fit in fits if store.load(fit) is None]
    by_key = {str(store.path(fit)): fit for fit in missing}
    done, started, failed = len(fits) - len(missing), time.monotonic(), {}
    report(Progress(done, len(fits)))
    tasks = [Task(key, fit_and_store, (fit, data, store.folder)) for key, fit in by_key.items()]
    run = _one_by_one(tasks, deadline) if workers == 1 else _beside(tasks, workers, deadline)
    try:
        for fresh, outcome in enumerate(run, start=1):
            done += 1
            if outcome.status != "ok":
                failed[Path(outcome.task.key)] = outcome.message
            eta = (time.monotonic() - started) / fresh * (len(fits) - done)
            recipe = by_key[outcome.task.key].recipe
            report(Progress(done, len(fits), recipe, outcome.status, outcome.message, eta))
    finally:
        run.close()
    return failed


def _beside(tasks: Sequence[Task], workers: int, deadline: float | None) -> Generator[Outcome, None, None]:
    limited = [replace(task, function=_on_one_thread, arguments=(task.arguments,)) for task in tasks]
    preload = ("metabalance.study.reproduce.measure",)
    return run_tasks(limited, workers=workers, deadline=deadline, preload=preload)


def _one_by_one(tasks: Sequence[Task], deadline: float | None) -> Generator[Outcome, None, None]:
    for task in tasks:
        if deadline is not None and time.monotonic() > deadline:
            return
        try:
            task.function(*task.arguments)
            yield Outcome(task, "ok")
        except DataError:  # data or disk: the same for every fit
            raise
        except Exception as error:
            yield Outcome(task, "failed", message=sentence(error))


def fit_and_store(fit: Fit, data: Path | None, folder: Path) -> None:
    """Runs one fit and keeps it."""
    if isinstance(fit.setup, ValueSetup):
        from metabalance.study.reproduce.value_measure import run_value_fit

        FitStore(folder).save(fit, run_value_fit(fit, data))
    else:
        FitStore(folder).save(fit, run_fit(fit, data))


def _on_one_thread(arguments: tuple[Any, ...]) -> None:
    import torch

    torch.set_num_threads(1)  # the workers share the cores
    fit_and_store(*arguments)


def reproduce(
    claim: Claim,
    out: Path,
    *,
    data: Path | None = None,
    full: bool = False,
    seeds: int | None = None,
    workers: int = 1,
    report: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Runs a claim and writes ``NAME.json`` and ``NAME.md`` beside the fits.

    Args:
        claim: What to run.
        out: The run folder; finished fits in it are used.
        data: Folder of the images and tables.
        full: The paper's scale.
        seeds: By default the claim's.
        workers: Processes.
        report: Called after each fit.

    Raises:
        DataError: Data are missing, the folder holds something else, or a fit failed.
    """
    conditions, fallback = conditions_of(claim, data, full)
    seeds = claim.seeds if seeds is None else seeds
    fits = needed(claim, conditions, seeds)
    folder = RunStore(out)
    folder.open({"format": FORMAT, "kind": "reproduce", "version": __version__})
    store = FitStore(out)
    with locked(out):
        folder.sweep()
        failed = run_missing(fits, store, data=data, workers=workers, report=report)
    if failed:
        raise DataError(
            f"{claim.name} cannot be judged, since {len(failed)} of its {len(fits)} fits failed: {next(iter(failed.values()))}"
        )
    result = summarise(claim, conditions, store, seeds) | {"full": full, "fallback": fallback}
    write_result(out / f"{claim.name}{'-full' if full else ''}", result)
    return result


def write_result(stem: Path, result: dict[str, Any]) -> None:
    """Writes a result for machines and for people."""
    from metabalance.study.reproduce.page import as_markdown

    write_atomically(stem.with_name(f"{stem.name}.json"), json.dumps(plain(result), indent=1).encode())
    write_atomically(stem.with_name(f"{stem.name}.md"), as_markdown(result).encode())


def summarise(
    claim: Claim, conditions: Mapping[str, AnySetup], store: FitStore, seeds: int
) -> dict[str, Any]:
    """The result of a claim whose fits are all stored, ready for JSON."""
    records: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for condition, setup in conditions.items():
        for name, arm in claim.arms_of(condition).items():
            rows: list[Mapping[str, Any]] = []
            for seed in range(seeds):
                found = [store.load(fit) for fit in fits_of(arm, setup, seed)]
                rows.append(choose([r for r in found if r is not None]))
            records[condition, name] = rows
    told = {
        name: asdict(setup) | {"counts": records[name, next(iter(claim.arms_of(name)))][0]["counts"]}
        for name, setup in conditions.items()
    }
    return result_of(claim, records, told, seeds)


def result_of(
    claim: Claim | Experiment,
    records: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    conditions: Mapping[str, Mapping[str, Any]],
    seeds: int,
) -> dict[str, Any]:
    """Table, contrasts and verdict of what was recorded by condition and arm, one record a seed."""
    judgements = judge(claim, records, list(conditions))
    parts = {
        part: overall([j for j in judgements if j.contrast.part == part])
        for part in dict.fromkeys(c.part for c in claim.contrasts)
        if part
    }
    table = [
        {
            "condition": condition,
            "arm": name,
            "seconds": sum(r["seconds"] for r in rows) / len(rows),
            **{
                m: asdict(interval([claim.value(r, m, name) for r in rows], overlap_of(claim)))
                for m in claim.shown
            },
        }
        for (condition, name), rows in records.items()
    ]
    return {
        "name": claim.name,
        "version": __version__,
        "paper": claim.paper,
        "statement": claim.statement,
        "published": asdict(claim.published),
        "conditions": dict(conditions),
        "seeds": seeds,
        "shown": list(claim.shown),
        "table": table,
        "contrasts": [
            {
                "says": j.contrast.says,
                "part": j.contrast.part,
                "control": j.contrast.control,
                "metric": j.contrast.metric,
                "condition": j.condition,
                "margin": j.contrast.margin,
                "equal": j.contrast.equal,
                "interval": asdict(j.interval),
                "verdict": j.verdict,
            }
            for j in judgements
        ],
        "parts": parts,
        "verdict": overall(judgements) if not parts else "; ".join(f"{k}: {v}" for k, v in parts.items()),
        "notes": list(claim.notes),
    }
