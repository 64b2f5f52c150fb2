"""Tasks on a Ray cluster, from the side of the run: the same outcomes as from ``workers.run_tasks``.

Ray itself lives in a process of its own (``ray_driver``). A Ray that loses its cluster ends the process it is in, with no
exception to catch, and one that finds nobody at an address waits for minutes: neither may happen to a run.
"""

import contextlib
import multiprocessing
import socket
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metabalance.data.errors import DataError
from metabalance.study.workers import Outcome, Task

__all__ = ["Kept", "Shared", "check_address", "run_on_ray"]

START_SECONDS = 120.0
ANSWER_SECONDS = 5.0
LEAVE_SECONDS = 15.0


@dataclass(frozen=True)
class Kept:
    """An argument that stands for the value of another task, which stays on the cluster.

    Args:
        key: Of that task; its own value does not come back in its outcome.
    """

    key: str


@dataclass(frozen=True)
class Shared:
    """An argument that stands for a value put into the object store once.

    Args:
        name: In ``shared`` of :func:`run_on_ray`.
    """

    name: str


def check_address(address: str | None) -> None:
    """Refuses an address of another form, or one where nobody answers within five seconds.

    Raises:
        DataError: With what to do.
    """
    if address in (None, "auto"):
        return
    host, _, port = str(address).rpartition(":")
    if "://" in str(address) or not host or not port.isdigit():
        raise DataError(
            f"--address {address!r} is unknown; use auto or host:port, for instance 10.0.0.1:6379, on a machine of "
            "the cluster"
        )
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"no Ray cluster answers at {address} ({reason}); start one with ray start --head, or check the address"
        ) from error


def run_on_ray(
    tasks: Iterable[Task],
    *,
    shared: Mapping[str, tuple[Callable[..., Any], tuple]] | None = None,
    address: str | None = None,
    workers: int | None = None,
    gpus: float = 0.0,
    deadline: float | None = None,
) -> Generator[Outcome, None, None]:
    """Runs tasks on Ray and yields each outcome as it comes.

    As with :func:`~metabalance.study.workers.run_tasks`, tasks start in their order as soon as what they need has
    succeeded, and at ``deadline`` whatever runs is stopped and yields nothing. A task whose process or machine dies is
    tried again elsewhere, three times; an exception of its own is final.

    Args:
        tasks: Their arguments may be :class:`Kept` and :class:`Shared`.
        shared: For each name a function and its arguments, called on this machine; the value is put once.
        address: ``auto`` or ``host:port`` of a cluster this machine belongs to; None starts Ray here for these tasks.
        workers: Tasks at a time; None is one per core here, or whatever a joined cluster has.
        gpus: What each task asks for, those excepted whose value is kept.
        deadline: A value of ``time.monotonic()``.

    Raises:
        DataError: No cluster, one of other versions, or one that was lost on the way.
    """
    from metabalance.study.ray_driver import serve

    waiting = list(tasks)
    by_key = {task.key: task for task in waiting}
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    driver = context.Process(target=serve, args=(theirs, address, workers, gpus), daemon=True)
    driver.start()
    theirs.close()
    try:
        starting: float | None = time.monotonic() + START_SECONDS
        with contextlib.suppress(BrokenPipeError):  # found out below
            pipe.send((dict(shared or {}), waiting))
        while True:
            if deadline is not None and time.monotonic() > deadline:
                return
            if starting is not None and time.monotonic() > starting:
                where = (
                    "Ray did not start" if address is None else f"the Ray cluster at {address} did not answer"
                )
                raise DataError(f"{where} within {START_SECONDS:.0f} s; look at ray status, then run again")
            if not pipe.poll(0.2):
                continue
            try:
                kind, content = pipe.recv()
            except (EOFError, OSError):
                raise DataError(_lost(address)) from None
            if kind == "started":
                starting = None
            elif kind == "refused":
                raise DataError(content)
            elif kind == "lost":
                raise DataError(_lost(address))
            elif kind == "done":
                return
            else:
                key, status, value, message, seconds = content
                yield Outcome(by_key[key], status, value, message, seconds)
    finally:
        pipe.close()  # the driver notices, cancels what runs, and leaves
        driver.join(LEAVE_SECONDS)
        if driver.is_alive():
            driver.kill()
            driver.join()


def _lost(address: str | None) -> str:
    where = "to Ray" if address is None else f"to the Ray cluster at {address}"
    return f"the connection {where} was lost; finished fits are kept: run the same command again to go on"
