"""Runs a claim about measures: every condition and seed measured once and kept, then the verdict.

Nothing of ours is trained, so there is one size, and one process does.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from metabalance import __version__
from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json
from metabalance.plain import plain
from metabalance.study.reproduce.base import Experiment
from metabalance.study.reproduce.run import FORMAT, Progress, result_of, write_result
from metabalance.study.store import RunStore, locked, write_atomically

__all__ = ["conditions_here", "file_of", "run_experiment"]


def file_of(experiment: Experiment, condition: str, folder: Path | None) -> Path | None:
    """The file that a condition needs, or None where it is not there."""
    path = None if folder is None else folder / experiment.needs[condition]
    return path if path is not None and path.is_file() else None


def conditions_here(
    experiment: Experiment, folder: Path | None, full: bool = False
) -> tuple[dict[str, str], bool]:
    """The conditions that can be run, and whether others stand in for some that cannot.

    Raises:
        DataError: The paper's scale is asked for, and a file is not there.
    """
    lacking = [c for c in experiment.needs if file_of(experiment, c, folder) is None]
    if full and experiment.full:
        if lacking:
            raise DataError(
                f"{experiment.name} at the paper's scale needs {', '.join(experiment.needs[c] for c in lacking)}, below the "
                "folder of --data or METABALANCE_DATA; without --full other data stand in"
            )
        return dict(experiment.full), False
    kept = {c: text for c, text in experiment.conditions.items() if c not in lacking}
    return (kept | dict(experiment.fallback), True) if lacking else (kept, False)


def run_experiment(
    experiment: Experiment,
    out: Path,
    *,
    data: Path | None = None,
    seeds: int | None = None,
    full: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Measures what is missing and writes ``NAME.json`` and ``NAME.md``.

    Args:
        experiment: What to run.
        out: The run folder; what was measured before is used.
        data: Folder of real tables.
        seeds: By default the experiment's.
        full: Wanted at the paper's scale; where there is one size, the result says so.
        report: Called after each measurement.

    Raises:
        DataError: The folder holds something else, a stored measurement is damaged, or a table cannot be read.
    """
    conditions, fallback = conditions_here(experiment, data, full)
    seeds = experiment.seeds if seeds is None else seeds
    folder = RunStore(out)
    folder.open({"format": FORMAT, "kind": "reproduce", "version": __version__})
    work = [(condition, seed) for seed in range(seeds) for condition in conditions]
    records: dict[tuple[str, str], list[Mapping[str, Any]]] = {
        (c, a): [] for c in conditions for a in experiment.arms
    }
    with locked(out):
        folder.sweep()
        started, fresh = time.monotonic(), 0
        for done, (condition, seed) in enumerate(work):
            path = path_of(out, experiment, condition, conditions[condition], seed)
            record = _load(path)
            status = "stored"
            if record is None:
                begun, status = time.monotonic(), "ok"
                measured = experiment.measure(condition, seed, data)
                seconds = time.monotonic() - begun
                record = {
                    arm: plain(dict(figures)) | {"seconds": seconds} for arm, figures in measured.items()
                }
                write_atomically(path, json.dumps(record, indent=1).encode())
                fresh += 1
            for arm in experiment.arms:
                records[condition, arm].append(record[arm])
            left = len(work) - done - 1
            eta = (time.monotonic() - started) / fresh * left if fresh else None
            report(Progress(done + 1, len(work), condition, status if fresh else "", eta=eta))
    told = {condition: {"text": text} for condition, text in conditions.items()}
    notes = [
        *experiment.notes,
        *(["This claim has one size; --full changes nothing."] if full and not experiment.full else []),
    ]
    result = result_of(experiment, records, told, seeds) | {
        "full": full,
        "fallback": fallback,
        "notes": notes,
    }
    write_result(out / f"{experiment.name}{'-full' if full else ''}", result)
    return result


def path_of(out: Path, experiment: Experiment, condition: str, text: str, seed: int) -> Path:
    """Where a measurement lies: its name holds a digest of what it depends on."""
    digest = hashlib.sha256(json.dumps([experiment.name, condition, text, __version__]).encode()).hexdigest()
    return out / "fits" / f"{experiment.name}-{digest[:16]}-seed{seed}.json"


def _load(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return parse_json(path.read_text())
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it and run again") from error
