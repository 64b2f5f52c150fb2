"""Worker processes that can be stopped: a task that hangs or dies costs one task, never the run.

joblib and concurrent.futures cannot end one task that runs over its time (a support vector machine inside
SVMSMOTE on 100,000 rows, say): the process has to go. Hence this small pool on ``multiprocessing``.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["Agenda", "Outcome", "Task", "run_tasks"]


@dataclass(frozen=True)
class Task:
    """A module-level function with its arguments.

    Args:
        key: Unique name.
        function: Importable from the worker.
        arguments: Picklable.
        needs: Key of a task that has to succeed first, or None.
        seconds: Time limit, or None.
        family: Once a task of a family has run out of time, the others of it are not started.
    """

    key: str
    function: Callable[..., Any]
    arguments: tuple = ()
    needs: str | None = None
    seconds: float | None = None
    family: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a task: ``status`` is ok, failed, timeout, died or skipped (its need failed, or its family is slow)."""

    task: Task
    status: str
    value: Any = None
    message: str = ""
    seconds: float = 0.0


class _Worker:
    def __init__(self, context: Any) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.task: Task | None = None
        self.started = 0.0

    def give(self, task: Task) -> None:
        self.task, self.started = task, time.monotonic()
        # A worker that died idle is found out when its answer is collected.
        with contextlib.suppress(OSError):
            self.pipe.send((task.function, task.arguments))

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection) -> None:
    # Ctrl-C is for the parent, which stops the workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, arguments = pipe.recv()
            pipe.send(answer(function, arguments))


def _leave_with_parent() -> None:
    """A killed parent cannot stop its workers: they would go on with an hour's fit for nobody."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def answer(function: Callable[..., Any], arguments: tuple) -> tuple[str, Any, str]:
    """Status, value and message of a call."""
    try:
        return "ok", function(*arguments), ""
    except MemoryError:
        return "failed", None, "out of memory"
    except Exception as error:
        return "failed", None, sentence(error)


def sentence(error: Exception) -> str:
    """An exception in one line; a ValueError speaks for itself."""
    text = " ".join(str(error).split())[:400] or "no message"
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


class Agenda:
    """Which task may start: in their order, once what it needs has succeeded, and none of a slow family.

    Args:
        tasks: All of them.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.waiting = list(tasks)
        self.known = {task.key for task in self.waiting}
        self.succeeded: set[str] = set()
        self.lost: set[str] = set()
        self.slow: dict[str, str] = {}

    def skipped(self) -> Iterator[Outcome]:
        """Takes out what will never start: what needs a lost task, and the rest of a slow family."""
        while orphan := next((t for t in self.waiting if t.needs in self.lost), None):
            self._lose(orphan)
            yield Outcome(orphan, "skipped", message=f"{orphan.needs} did not succeed")
        for task in [t for t in self.waiting if t.family in self.slow]:
            self._lose(task)
            yield self.too_slow(task)

    def too_slow(self, task: Task) -> Outcome:
        """What becomes of a task of a slow family."""
        message = f"not started, since an earlier fit {self.slow[str(task.family)]}"
        return Outcome(task, "skipped", message=message)

    def start(self) -> Task | None:
        """Takes out the next task that may start."""
        for i, task in enumerate(self.waiting):
            if task.needs is None or task.needs in self.succeeded or task.needs not in self.known:
                return self.waiting.pop(i)
        return None

    def ended(self, outcome: Outcome) -> None:
        """Keeps in mind what became of a task."""
        task = outcome.task
        (self.succeeded if outcome.status == "ok" else self.lost).add(task.key)
        if outcome.status == "timeout" and task.family is not None:
            self.slow[task.family] = outcome.message

    def _lose(self, task: Task) -> None:
        self.waiting.remove(task)
        self.lost.add(task.key)


def out_of_time(task: Task, spent: float) -> Outcome:
    """What becomes of a task that ran over its limit."""
    return Outcome(task, "timeout", None, f"did not finish within {task.seconds:.0f} s", spent)


def run_tasks(
    tasks: Iterable[Task], *, workers: int, deadline: float | None = None, preload: tuple[str, ...] = ()
) -> Generator[Outcome, None, None]:
    """Runs tasks on ``workers`` processes and yields each outcome as it comes.

    Tasks start in their order, as soon as what they need has succeeded. At ``deadline`` (a value of
    ``time.monotonic()``) whatever runs is stopped and the rest is not started: those tasks yield nothing.
    The processes are gone when the iterator is closed, for whatever reason.

    Args:
        tasks: What to run.
        workers: Processes at a time.
        deadline: When to stop.
        preload: Modules that the workers share, imported once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    agenda = Agenda(tasks)
    staff: list[_Worker] = []
    try:
        while True:
            yield from agenda.skipped()
            running = [w for w in staff if w.task is not None]
            while len(running) < workers and (task := agenda.start()):
                worker = next((w for w in staff if w.task is None), None)
                if worker is None:
                    worker = _Worker(context)
                    staff.append(worker)
                worker.give(task)
                running.append(worker)
            if not running:
                return
            if deadline is not None and time.monotonic() > deadline:
                return
            pipes: dict[Any, _Worker] = {w.pipe: w for w in running}
            for pipe in wait(list(pipes), timeout=0.2):
                worker = pipes[pipe]
                outcome = _collect(worker)
                if outcome.status == "died":
                    worker.kill()
                    staff.remove(worker)
                agenda.ended(outcome)
                yield outcome
            for worker in [w for w in staff if w.task is not None]:
                late = worker.task
                assert late is not None
                spent = time.monotonic() - worker.started
                if late.seconds is not None and spent > late.seconds:
                    worker.kill()
                    staff.remove(worker)
                    outcome = out_of_time(late, spent)
                    agenda.ended(outcome)
                    yield outcome
    finally:
        for worker in staff:
            worker.kill()


def _collect(worker: _Worker) -> Outcome:
    task, spent = worker.task, time.monotonic() - worker.started
    assert task is not None
    worker.task = None
    try:
        status, value, message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(1)
        return Outcome(
            task,
            "died",
            None,
            f"its process ended with code {worker.process.exitcode} (out of memory?)",
            spent,
        )
    return Outcome(task, status, value, message, spent)


def default_workers() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
