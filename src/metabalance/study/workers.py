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
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["Outcome", "Task", "run_tasks"]


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
            try:
                reply = ("ok", function(*arguments), "")
            except MemoryError:
                reply = ("failed", None, "out of memory")
            except Exception as error:
                reply = ("failed", None, sentence(error))
            pipe.send(reply)


def _leave_with_parent() -> None:
    """A killed parent cannot stop its workers: they would go on with an hour's fit for nobody."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def sentence(error: Exception) -> str:
    """An exception in one line; a ValueError speaks for itself."""
    text = " ".join(str(error).split())[:400] or "no message"
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


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
    waiting = list(tasks)
    known = {task.key for task in waiting}
    succeeded: set[str] = set()
    lost: set[str] = set()
    slow: dict[str, str] = {}
    staff: list[_Worker] = []
    try:
        while True:
            while orphan := next((t for t in waiting if t.needs in lost), None):
                waiting.remove(orphan)
                lost.add(orphan.key)
                yield Outcome(orphan, "skipped", message=f"{orphan.needs} did not succeed")
            for task in [t for t in waiting if t.family in slow]:
                waiting.remove(task)
                lost.add(task.key)
                yield Outcome(
                    task, "skipped", message=f"not started, since an earlier fit {slow[str(task.family)]}"
                )
            running = [w for w in staff if w.task is not None]
            ready = [t for t in waiting if t.needs is None or t.needs in succeeded or t.needs not in known]
            while ready and len(running) < workers:
                worker = next((w for w in staff if w.task is None), None)
                if worker is None:
                    worker = _Worker(context)
                    staff.append(worker)
                task = ready.pop(0)
                waiting.remove(task)
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
                (succeeded if outcome.status == "ok" else lost).add(outcome.task.key)
                yield outcome
            for worker in [w for w in staff if w.task is not None]:
                late = worker.task
                assert late is not None
                if late.seconds is not None and time.monotonic() - worker.started > late.seconds:
                    spent = time.monotonic() - worker.started
                    worker.kill()
                    staff.remove(worker)
                    lost.add(late.key)
                    message = f"did not finish within {late.seconds:.0f} s"
                    if late.family is not None:
                        slow[late.family] = message
                    yield Outcome(late, "timeout", None, message, spent)
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
