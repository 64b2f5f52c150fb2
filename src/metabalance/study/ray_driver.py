"""The process in which Ray lives: joins or starts a cluster, hands out tasks, and tells the run what became of them."""

import contextlib
import os
import platform
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.study.ray_engine import Kept, Shared
from metabalance.study.workers import Agenda, Outcome, Task, answer, default_workers, out_of_time

__all__ = ["serve"]

RETRIES = 3
SAME_BITS = ("torch", "numpy", "scipy", "scikit-learn", "pandas")


class Refused(Exception):
    """The cluster cannot be used; the message is a sentence for the user."""


def serve(pipe: Connection, address: str | None, workers: int | None, gpus: float) -> None:
    """Runs the tasks that come through the pipe; leaves when the other end is closed."""
    # Ctrl-C is for the run, which closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _be_quiet(private=address is None)
    import ray

    with contextlib.suppress(EOFError, OSError):  # the run is gone
        try:
            try:
                _join(ray, address, workers, gpus)
                shared, tasks = pipe.recv()
                pipe.send(("started", None))
                _Driver(ray, pipe, shared, tasks, address, workers, gpus).run()
                pipe.send(("done", None))
            except Refused as error:
                pipe.send(("refused", str(error)))
            except ray.exceptions.RayError as error:
                pipe.send(("lost", str(error)))
        finally:
            ray.shutdown()


def _be_quiet(private: bool) -> None:
    """Ray writes to both streams from many threads, and may ask the world for its usage."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if private and "RAY_AUTH_MODE" not in os.environ:  # nobody else of this machine may join
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)


def _join(ray: Any, address: str | None, workers: int | None, gpus: float) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    try:
        if address is None:
            # A fit that alone takes all memory would be tried for ever.
            limits = {"task_oom_retries": RETRIES}
            ray.init(
                address="local", num_cpus=workers or default_workers(), include_dashboard=False,
                _system_config=limits, **quiet,
            )  # fmt: skip
        else:
            ray.init(address=address, **quiet)
    except Exception as error:
        raise Refused(_why_not(address, error)) from error
    if gpus and ray.cluster_resources().get("GPU", 0) < gpus:
        has = ray.cluster_resources().get("GPU", 0)
        raise Refused(
            f"--gpus-per-fit {gpus:g}, but Ray has {has:g} GPUs; start a machine with one, or leave the option out"
        )


def _why_not(address: str | None, error: Exception) -> str:
    text = " ".join(str(error).split())
    if address is None:
        return f"Ray could not be started ({text[:300]})"
    if "Version mismatch" in text:
        import ray

        mine = f"Ray {ray.__version__} and Python {platform.python_version()}"
        return (
            f"the Ray cluster at {address} has other versions than this environment, {mine} ({text[:300]}); "
            "use the same on all machines"
        )
    if isinstance(error, ConnectionError) and address == "auto":
        return (
            "--address auto found no Ray on this machine; start one with ray start --head, or name host:port"
        )
    return (
        f"the Ray cluster at {address} cannot be joined ({text[:200]}); this machine has to belong to it, "
        f"see ray start --address={address}, and RAY_AUTH_MODE=token has to be set here if the cluster asks for a token"
    )


@cache
def versions() -> dict[str, str]:
    """Whatever may change a bit of a result."""
    found = {"metabalance": __version__, "python": platform.python_version()}
    for name in SAME_BITS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def work(
    expected: dict[str, str],
    clock: Any,
    key: str,
    see_gpus: bool,
    function: Callable[..., Any],
    *arguments: Any,
) -> tuple[tuple[str, str, float], Any]:
    """What a worker of the cluster does: status, message and seconds, and apart from them the value."""
    mine = versions()
    other = next((name for name in expected if mine.get(name) != expected[name]), None)
    if other is not None:
        message = f"{other} {expected[other]} here and {mine.get(other, 'none')} on {platform.node()}"
        return ("versions", message, 0.0), None
    if clock is not None:
        clock.begin.remote(key)
    if not see_gpus:  # or those of a machine would be shared by as many fits as it has cores
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    started = time.monotonic()
    status, value, message = answer(function, arguments)
    return (status, message, time.monotonic() - started), value


class Clock:
    """When tasks began, in the time of one machine: a task may wait long on the cluster before it runs."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}

    def begin(self, key: str) -> None:
        """Called by a task; a second try begins anew."""
        self.began[key] = time.monotonic()

    def ages(self) -> dict[str, float]:
        """Seconds since each began."""
        now = time.monotonic()
        return {key: now - began for key, began in self.began.items()}


class _Driver:
    def __init__(
        self, ray: Any, pipe: Connection, shared: dict, tasks: list[Task], address: str | None,
        workers: int | None, gpus: float,
    ) -> None:  # fmt: skip
        self.ray, self.pipe, self.gpus = ray, pipe, gpus
        self.joined, self.workers = address is not None, workers
        self.agenda = Agenda(tasks)
        self.uses = Counter(a.key for t in tasks for a in t.arguments if isinstance(a, Kept))
        self.kept: dict[str, Any] = {}
        self.running: dict[Any, tuple[Task, Any]] = {}
        self.shared = {name: ray.put(_solid(make(*given))) for name, (make, given) in shared.items()}
        self.work = ray.remote(work)
        self.versions = ray.put(versions())
        self.clock: Any = None
        if any(task.seconds is not None for task in tasks):
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self.clock = ray.remote(Clock).options(num_cpus=0, scheduling_strategy=here).remote()

    def run(self) -> None:
        """Until nothing is left, or the run has closed the pipe."""
        looked = time.monotonic()
        while True:
            for outcome in self.agenda.skipped():
                self.tell(outcome)
            while len(self.running) < self.room() and (task := self.agenda.start()):
                self.submit(task)
            if not self.running:
                return
            ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=0.2)
            for head in ready:
                self.collect(head)
            if self.clock is not None and time.monotonic() - looked > 0.5:
                looked = time.monotonic()
                self.stop_late()
            if self.pipe.poll(0):  # nothing is ever sent: it was closed
                for head in self.running:
                    self.ray.cancel(head, force=True)
                return

    def room(self) -> int:
        """Tasks to hand out: more than can run, so that no worker waits and an autoscaler sees the demand."""
        if self.joined and self.workers is not None:
            return self.workers
        return 2 * max(int(self.ray.cluster_resources().get("CPU", 1)), 1)

    def submit(self, task: Task) -> None:
        arguments = [self.reference(a) for a in task.arguments]
        keeps = task.key in self.uses
        submitted = self.work.options(
            num_cpus=1, num_gpus=0 if keeps else self.gpus, num_returns=2, max_retries=RETRIES,
            retry_exceptions=False, name=task.key,
        )  # fmt: skip
        head, value = submitted.remote(
            self.versions, self.clock, task.key, bool(self.gpus), task.function, *arguments
        )
        self.running[head] = (task, value)
        if keeps:
            self.kept[task.key] = value

    def reference(self, argument: Any) -> Any:
        if isinstance(argument, Shared):
            return self.shared[argument.name]
        return self.kept[argument.key] if isinstance(argument, Kept) else argument

    def collect(self, head: Any) -> None:
        task, value = self.running[head]
        errors = self.ray.exceptions
        try:
            status, message, seconds = self.ray.get(head)
            if status == "versions":
                raise Refused(
                    f"the machines of the cluster differ: {message}; install the same on all of them"
                )
            wanted = status == "ok" and task.key not in self.uses
            outcome = Outcome(task, status, self.ray.get(value) if wanted else None, message, seconds)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
            memory = isinstance(error, errors.OutOfMemoryError)
            why = "ran out of memory" if memory else "ended (out of memory?)"
            outcome = Outcome(task, "died", None, f"its process {why}, and so did {RETRIES} more tries")
        except errors.RayTaskError as error:
            raise Refused(_no_worker(error)) from error
        self.end(head, outcome)

    def stop_late(self) -> None:
        """Ends what ran over its limit, and takes back what waits of a family that is slow."""
        try:
            ages = self.ray.get(self.clock.ages.remote(), timeout=10)
        except self.ray.exceptions.GetTimeoutError:  # a busy machine: ask again
            return
        for head, (task, _) in list(self.running.items()):
            age = ages.get(task.key)
            if age is None and task.family in self.agenda.slow:
                self.ray.cancel(head, force=True)
                self.end(head, self.agenda.too_slow(task))
            elif age is not None and task.seconds is not None and age > task.seconds:
                self.ray.cancel(head, force=True)
                self.end(head, out_of_time(task, age))

    def end(self, head: Any, outcome: Outcome) -> None:
        del self.running[head]
        self.agenda.ended(outcome)
        self.tell(outcome)

    def tell(self, outcome: Outcome) -> None:
        for argument in outcome.task.arguments:
            if isinstance(argument, Kept):
                self.uses[argument.key] -= 1
                if not self.uses[argument.key]:
                    self.kept.pop(argument.key, None)  # the last reference: Ray frees the arrays
        self.pipe.send(
            ("outcome", (outcome.task.key, outcome.status, outcome.value, outcome.message, outcome.seconds))
        )


def _solid(value: Any) -> Any:
    """Arrays mapped from a file as plain ones, which the object store holds without another copy."""
    if isinstance(value, tuple):
        return tuple(_solid(v) for v in value)
    return np.asarray(value) if isinstance(value, np.memmap) else value


def _no_worker(error: Exception) -> str:
    """A task could not even begin."""
    lines = str(error).strip().splitlines()
    last = lines[-1].strip() if lines else type(error).__name__
    if "No module named 'metabalance'" in str(error):
        last = "no metabalance there"
    return f"the workers of the cluster cannot run a fit ({last[:200]}); install metabalance {__version__} on all machines"
