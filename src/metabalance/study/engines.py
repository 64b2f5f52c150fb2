"""Where the fits of a comparison run: on processes of this machine, or on Ray.

An engine says how a fold is prepared and a candidate is fitted, and runs the tasks; what is stored, and every bit of it,
is the same with each. It is no part of a run's protocol: a run begun with one engine goes on with the other.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from metabalance.data.errors import DataError
from metabalance.study.candidates import Candidate
from metabalance.study.jobs import FoldData, fit_arrays, fit_fold, prepare_arrays, prepare_fold, stored
from metabalance.study.kinds import FitSettings
from metabalance.study.sources import load_rows
from metabalance.study.workers import Outcome, Task, default_workers, run_tasks

__all__ = ["ENGINES", "Engine", "EngineChoice", "LocalEngine", "RayEngine", "open_engine"]

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class EngineChoice:
    """Where to run.

    Args:
        name: local or ray.
        address: A Ray cluster to join, ``auto`` or ``host:port``; None starts Ray on this machine.
        gpus_per_fit: What a fit asks Ray for; 0.25 puts four fits on one GPU.

    >>> EngineChoice("spark").check()
    Traceback (most recent call last):
        ...
    metabalance.data.errors.DataError: --engine 'spark' is unknown; use local or ray
    """

    name: str = "local"
    address: str | None = None
    gpus_per_fit: float = 0.0

    def check(self) -> None:
        """Refuses what cannot work, before anything is read.

        Raises:
            DataError: An unknown engine, an option of the other engine, no Ray, or nobody at the address.
        """
        if self.name not in ENGINES:
            raise DataError(f"--engine {self.name!r} is unknown; use {' or '.join(ENGINES)}")
        if self.name == "local":
            for option, given in (("--address", self.address), ("--gpus-per-fit", self.gpus_per_fit)):
                if given:
                    raise DataError(f"{option} is for Ray; add --engine ray, or leave it out")
            return
        if self.gpus_per_fit < 0 or (self.gpus_per_fit > 1 and self.gpus_per_fit % 1):
            raise DataError(
                f"--gpus-per-fit {self.gpus_per_fit:g} is no share of a GPU; use a value up to 1, or a whole number"
            )
        if find_spec("ray") is None:
            raise DataError("--engine ray needs Ray; pip install 'metabalance[cluster]' brings it")
        from metabalance.study.ray_engine import check_address

        check_address(self.address)


class Engine(Protocol):
    """Makes the tasks of a comparison and runs them."""

    def prepare(self, seed: int, fold: int, parts: dict[str, np.ndarray]) -> Task:
        """A task that prepares a split."""

    def fit(
        self, needs: Task, seed: int, fold: int, candidate: Candidate, size: int, settings: FitSettings,
        files: tuple[Path, Path], seconds: float | None,
    ) -> Task:  # fmt: skip
        """A task whose value is the record of a stored fit, or ``{UNSTORED: why}``; ``files`` are those of the store."""

    def run(self, tasks: Iterable[Task], deadline: float | None) -> Generator[Outcome, None, None]:
        """Outcomes as they come; whatever runs is stopped at the deadline, and when the iterator is closed."""

    def forget(self, seed: int, fold: int) -> None:
        """The arrays of a split are not needed any more."""


class LocalEngine:
    """Processes of this machine, which share the arrays of a fold through files.

    Args:
        folder: A scratch folder.
        source: What :meth:`~metabalance.study.sources.Source.write` wrote there.
        workers: Processes at a time; None is one per core.
    """

    def __init__(self, folder: Path, source: Path, workers: int | None) -> None:
        self.folder, self.source = folder, source
        self.workers = workers or default_workers()

    def prepare(self, seed: int, fold: int, parts: dict[str, np.ndarray]) -> Task:
        data = FoldData(self.folder, seed, fold)
        return Task(f"prepare/{seed}/{fold}", prepare_fold, (data, self.source, parts))

    def fit(
        self, needs: Task, seed: int, fold: int, candidate: Candidate, size: int, settings: FitSettings,
        files: tuple[Path, Path], seconds: float | None,
    ) -> Task:  # fmt: skip
        data = FoldData(self.folder, seed, fold)
        return Task(
            f"{candidate.label}/{seed}/{fold}", fit_fold, (data, candidate, size, settings, *files),
            needs=needs.key, seconds=seconds, family=candidate.label,
        )  # fmt: skip

    def run(self, tasks: Iterable[Task], deadline: float | None) -> Generator[Outcome, None, None]:
        return run_tasks(
            tasks, workers=self.workers, deadline=deadline,
            preload=("metabalance.study.jobs", "metabalance.estimator"),
        )  # fmt: skip

    def forget(self, seed: int, fold: int) -> None:
        FoldData(self.folder, seed, fold).remove()


class RayEngine:
    """A Ray cluster, whose object store holds the data once and the arrays of a fold once.

    The machines need not share a disk: records and probabilities come back here, and are stored here.

    Args:
        source: What :meth:`~metabalance.study.sources.Source.write` wrote.
        choice: Which cluster, and what a fit asks of it.
        workers: Fits at a time; None is a worker per core here, or all of a joined cluster.
    """

    def __init__(self, source: Path, choice: EngineChoice, workers: int | None) -> None:
        self.source, self.choice, self.workers = source, choice, workers
        self.results: dict[str, Path] = {}

    def prepare(self, seed: int, fold: int, parts: dict[str, np.ndarray]) -> Task:
        from metabalance.study.ray_engine import Shared

        return Task(f"prepare/{seed}/{fold}", prepare_arrays, (Shared("rows"), parts))

    def fit(
        self, needs: Task, seed: int, fold: int, candidate: Candidate, size: int, settings: FitSettings,
        files: tuple[Path, Path], seconds: float | None,
    ) -> Task:  # fmt: skip
        from metabalance.study.ray_engine import Kept

        key = f"{candidate.label}/{seed}/{fold}"
        self.results[key] = files[0]  # trials of a search stay in the worker's memory
        return Task(
            key, fit_arrays, (Kept(needs.key), candidate, size, settings, seed, fold),
            needs=needs.key, seconds=seconds, family=candidate.label,
        )  # fmt: skip

    def run(self, tasks: Iterable[Task], deadline: float | None) -> Generator[Outcome, None, None]:
        from metabalance.study.ray_engine import run_on_ray

        outcomes = run_on_ray(
            tasks, shared={"rows": (load_rows, (self.source,))}, address=self.choice.address,
            workers=self.workers, gpus=self.choice.gpus_per_fit, deadline=deadline,
        )  # fmt: skip
        try:
            for outcome in outcomes:
                result = self.results.get(outcome.task.key)
                if result is not None and outcome.status == "ok":
                    outcome = replace(outcome, value=stored(result, *outcome.value))
                yield outcome
        finally:
            outcomes.close()

    def forget(self, seed: int, fold: int) -> None:
        """The object store frees what no task refers to."""


def open_engine(choice: EngineChoice, workers: int | None, folder: Path, source: Path) -> Engine:
    """The engine of that name.

    Args:
        choice: Where to run.
        workers: Fits at a time; None is all that the engine has.
        folder: A scratch folder.
        source: What :meth:`~metabalance.study.sources.Source.write` wrote there.
    """
    choice.check()
    if choice.name == "ray":
        return RayEngine(source, choice, workers)
    return LocalEngine(folder, source, workers)
