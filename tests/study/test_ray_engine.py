"""Fits on a real Ray: the bits of the local engine, deaths retried, a lost cluster survived, bad addresses in a sentence."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.datasets import make_classification

from metabalance.data.errors import DataError
from metabalance.study.candidates import parse_candidates
from metabalance.study.compare import Plan, run_comparison
from metabalance.study.engines import ENGINES, Engine, EngineChoice, LocalEngine, RayEngine, open_engine
from metabalance.study.load import make_table
from metabalance.study.ray_driver import serve, versions
from metabalance.study.ray_engine import Kept, Shared, check_address, run_on_ray
from metabalance.study.summary import summarise
from metabalance.study.workers import Task, run_tasks

pytest.importorskip("ray")
BIN = Path(sys.executable).parent


class Cluster:
    """A Ray of two cores on a port of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.address = folder, f"127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [
            str(BIN / "ray"), "start", "--head", f"--port={self.port}", "--num-cpus=2",
            "--include-dashboard=false", f"--temp-dir={self.folder}", "--object-store-memory=200000000",
        ]  # fmt: skip
        before = {p.pid for p in psutil.process_iter()}
        subprocess.run(
            command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.processes = [
            p for p in psutil.process_iter(["cmdline"])
            if p.pid not in before and str(self.folder) in " ".join(p.info["cmdline"] or [])
        ]  # fmt: skip

    def stop(self) -> None:
        """Not ray stop, which ends every Ray of the machine."""
        for process in self.processes:
            for member in [process, *_children(process)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
        psutil.wait_procs(self.processes, timeout=10)


def _children(process):
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module", autouse=True)
def token():
    """Of these tests alone: nobody else may join their cluster, and no token of the user's is touched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield


@pytest.fixture(scope="module")
def cluster(token):
    # Not in pytest's folder: the path of a socket may be 107 characters long.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    made = Cluster(folder)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def outcomes(cluster, tasks, **options):
    return {o.task.key: o for o in run_on_ray(tasks, address=cluster.address, **options)}


def square(x):
    return x * x


def total(*arrays):
    return float(sum(a.sum() for a in arrays))


def writable(array):
    return array.flags.writeable


def fail():
    raise ValueError("three words  only\nhere")


def crash():
    raise RuntimeError("boom")


def fail_and_count(path):
    with Path(path).open("a") as file:
        file.write("x")
    raise ValueError("no luck")


def die_at_first(path):
    if not Path(path).exists():
        Path(path).write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return int(Path(path).read_text()), os.getpid()


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def environment(_):
    import torch

    return torch.get_num_threads(), os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.slow
def test_both_engines_agree_on_what_becomes_of_tasks(cluster):
    tasks = [
        Task("a", square, (2,)),
        Task("b", fail),
        Task("c", square, (1,), needs="b"),
        Task("d", square, (1,), needs="a"),
    ]
    here = {o.task.key: (o.status, o.value, o.message) for o in run_tasks(tasks, workers=1)}
    assert {k: (o.status, o.value, o.message) for k, o in outcomes(cluster, tasks).items()} == here


@pytest.mark.slow
def test_values_errors_deaths_and_what_is_kept(cluster, tmp_path):
    """One run for all: joining a cluster takes seconds."""
    tasks = [
        Task("zeros", np.arange, (1_000_000.0,)),
        Task("dies", die_at_first, (str(tmp_path / "pid"),)),
        Task("sum", total, (Kept("zeros"), Shared("ones")), needs="zeros"),
        Task("again", total, (Kept("zeros"),), needs="zeros"),
        Task("writable", writable, (Shared("ones"),)),
        *(Task(str(i), square, (i,)) for i in range(5)),
        Task("bad", fail),
        Task("worse", crash),
        Task("fails", fail_and_count, (str(tmp_path / "count"),)),
        Task("child", square, (1,), needs="bad"),
        *(Task(f"slow{i}", sleep, (60,), seconds=0.5, family="slow") for i in range(6)),
        Task("other", square, (2,), seconds=120, family="quick"),
    ]
    found = outcomes(cluster, tasks, shared={"ones": (np.ones, (10,))})
    assert [found[str(i)].value for i in range(5)] == [0, 1, 4, 9, 16]
    assert found["sum"].value == 1e6 * (1e6 - 1) / 2 + 10
    assert found["again"].value == 1e6 * (1e6 - 1) / 2
    assert (found["zeros"].status, found["zeros"].value) == ("ok", None)
    assert found["writable"].value is False  # one copy, shared by all
    assert (found["bad"].status, found["bad"].message) == ("failed", "three words only here")
    assert (found["worse"].status, found["worse"].message) == ("failed", "RuntimeError: boom")
    assert (found["child"].status, found["child"].message) == ("skipped", "bad did not succeed")
    first, second = found["dies"].value
    assert first != second  # another process tried again
    assert (found["fails"].status, (tmp_path / "count").read_text()) == ("failed", "x")  # and only once
    statuses = [found[f"slow{i}"].status for i in range(6)]
    assert 1 <= statuses.count("timeout") <= 2  # those that ran; the rest was taken back
    assert statuses.count("skipped") == 6 - statuses.count("timeout")
    assert "did not finish within 0 s" in found["slow5"].message
    assert found["other"].value == 4


@pytest.mark.slow
def test_the_deadline_stops_everything(cluster):
    started = time.monotonic()
    assert outcomes(cluster, [Task("a", sleep, (600,))], deadline=started + 15) == {}
    assert time.monotonic() - started < 60


def frame(rows=300):
    X, y = make_classification(rows, n_features=5, weights=[0.85], class_sep=1.5, random_state=0)
    table = pd.DataFrame(X, columns=list("abcde"))
    table["kind"] = np.where(X[:, 0] > 0, "left", "right")
    table["y"] = np.where(y == 1, "bad", "good")
    return table


def plan(engine, recipes="erm,smote,logistic", **options):
    defaults = {"folds": 2, "seeds": 1, "network": {"epochs": 2, "batch_size": 64}, "workers": 2}
    return Plan(tuple(parse_candidates(recipes)), engine=engine, **defaults | options)


def bits(run):
    """Everything stored but the seconds."""
    found = {}
    for split in run.splits:
        for candidate in run.candidates:
            fit = run.store.load(candidate.label, split.seed, split.fold)
            probabilities = fit.pop("outputs").tobytes()
            del fit["seconds"]
            (fit["training"] or {}).pop("seconds", None)
            found[candidate.label, split.seed, split.fold] = (probabilities, repr(fit))
    return found


def without_seconds(result):
    for recipe in result["recipes"]:
        recipe.pop("seconds")
    return result["recipes"]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    table = make_table(frame(), "y", name="made")
    return run_comparison(table, plan(EngineChoice()), tmp_path_factory.mktemp("local"))


def test_a_comparison_on_ray_is_the_local_one_bit_for_bit(cluster, local, tmp_path):
    on_ray = EngineChoice("ray", cluster.address)
    run = run_comparison(local.table, plan(on_ray), tmp_path / "run")
    assert run.complete
    assert run.failures == {}
    assert bits(run) == bits(local)
    assert repr(without_seconds(summarise(run))) == repr(without_seconds(summarise(local)))
    assert not (tmp_path / "run" / "scratch").exists()


@pytest.mark.slow
def test_a_run_begun_on_one_engine_goes_on_with_the_other(cluster, local, tmp_path):
    on_ray = EngineChoice("ray", cluster.address)
    run_comparison(local.table, plan(EngineChoice(), "erm"), tmp_path / "run")
    seen = []
    run = run_comparison(local.table, plan(on_ray), tmp_path / "run", seen.append)
    assert (seen[0].status, seen[0].done) == ("stored", 2)
    assert bits(run) == bits(local)


@pytest.mark.slow
def test_a_recipe_that_fails_and_a_store_that_is_full_are_told_as_before(cluster, local, tmp_path):
    on_ray = EngineChoice("ray", cluster.address)
    run = run_comparison(local.table, plan(on_ray, "erm,smote(k=100000)"), tmp_path / "failing")
    assert {key[0] for key in run.failures} <= {"smote(k=100000)"}
    folder = tmp_path / "full"
    folder.mkdir()
    from metabalance.study.store import RunStore

    RunStore(folder).open(plan(on_ray).protocol(local.table))
    (folder / "fits").write_text("no folder")
    with pytest.raises(DataError, match="cannot be written"):
        run_comparison(local.table, plan(on_ray), folder)
    assert not (folder / "scratch").exists()


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (EngineChoice("spark"), "'spark' is unknown; use local or ray"),
        (EngineChoice("local", "auto"), "--address is for Ray; add --engine ray"),
        (EngineChoice("local", None, 1), "--gpus-per-fit is for Ray"),
        (EngineChoice("ray", None, 1.5), "no share of a GPU"),
        (EngineChoice("ray", "ray://somewhere:1"), "use auto or host:port"),
        (EngineChoice("ray", "somewhere"), "use auto or host:port"),
        (EngineChoice("ray", "127.0.0.1:1"), "no Ray cluster answers at 127.0.0.1:1"),
        (EngineChoice("ray", "no-such-host.invalid:1"), "no Ray cluster answers"),
        (EngineChoice("ray", "127.0.0.1:99999"), "no Ray cluster answers"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_read(choice, words):
    with pytest.raises(DataError, match=words):
        choice.check()


def test_no_ray_is_a_sentence(monkeypatch):
    monkeypatch.setattr("metabalance.study.engines.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'metabalance\[cluster\]'"):
        EngineChoice("ray").check()


@pytest.mark.slow
def test_more_gpus_than_there_are_is_a_sentence(cluster):
    with pytest.raises(DataError, match="Ray has 0 GPUs"):
        list(run_on_ray([Task("a", square, (1,))], address=cluster.address, gpus=0.5))


def test_other_versions_are_a_sentence():
    from metabalance.study import ray_driver

    status, message, _ = ray_driver.work(versions() | {"torch": "1"}, None, "a", False, square, 2)[0]
    assert status == "versions"
    assert message.startswith("torch 1 here and")
    mismatch = RuntimeError("Version mismatch: The cluster was started with: Ray: 1.0 Python: 3.8")
    assert "has other versions than this environment" in ray_driver._why_not("a:1", mismatch)


def test_the_engines_make_their_tasks(tmp_path):
    local = open_engine(EngineChoice(), 1, tmp_path, tmp_path / "table.feather")
    on_ray = open_engine(EngineChoice("ray"), 1, tmp_path, tmp_path / "table.feather")
    assert (type(local), type(on_ray)) == (LocalEngine, RayEngine)
    assert ENGINES == ("local", "ray")
    for engine in (local, on_ray):
        assert engine.prepare(0, 1, {}).key == "prepare/0/1"
    assert Engine.__doc__
    assert callable(serve)
    check_address("auto")


@pytest.mark.slow
def test_ray_started_here_is_gone_afterwards(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    before = {p.pid for p in psutil.process_iter()}
    found = {
        o.task.key: o.value
        for o in run_on_ray([Task("a", square, (3,)), Task("env", environment, (0,))], workers=1)
    }
    assert found["a"] == 9
    assert found["env"][1] == ""
    time.sleep(2)
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before and "ray" in p.name()]
    assert left == []


@pytest.mark.slow
def test_a_worker_killed_mid_run_changes_no_bit(cluster, local, tmp_path):
    on_ray = EngineChoice("ray", cluster.address)
    killed = []

    def kill_one(progress):
        if progress.status == "ok" and not killed:
            fitting = [
                p
                for parent in cluster.processes
                for p in _children(parent)
                if " ".join(p.cmdline()).startswith(("ray::erm/", "ray::smote/", "ray::logistic/"))
            ]
            for process in fitting[:1]:
                process.kill()
                killed.append(process.pid)

    run = run_comparison(local.table, plan(on_ray), tmp_path / "run", kill_one)
    assert killed
    assert bits(run) == bits(local)


@pytest.mark.slow
def test_a_head_that_is_lost_ends_in_a_sentence_and_the_run_goes_on(local, tmp_path):
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        head = Cluster(Path(folder))
        on_ray = EngineChoice("ray", head.address)

        def cut(progress):
            if progress.status == "ok":
                head.stop()

        try:
            with pytest.raises(DataError, match="finished fits are kept: run the same command again"):
                run_comparison(local.table, plan(on_ray), tmp_path / "run", cut)
            kept = len(list((tmp_path / "run" / "fits").glob("*.npz")))
            assert 1 <= kept < 6
            head.start()
            seen = []
            run = run_comparison(local.table, plan(on_ray), tmp_path / "run", seen.append)
        finally:
            head.stop()
    assert seen[0].done == kept
    assert bits(run) == bits(local)
