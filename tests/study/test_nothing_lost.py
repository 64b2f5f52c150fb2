"""Killed at any moment, a run goes on to the bits of an uninterrupted one; what can be seen is whole, old or new.

Each command runs in a process of its own. The exact moments are those before and after each sync, rename and
removal; a file killed before its sync is half written.
"""

import contextlib
import io
import itertools
import json
import multiprocessing
import os
import resource
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metabalance.data.errors import DataError
from metabalance.study.artifact import read_artifact
from metabalance.study.store import RunStore, locked
from metabalance.study.unfinished import working_folder

TIMES = {"seconds", "training_seconds", "created", "command", "of"}
FIT = ["--target", "y", "--epochs", "3", "--batch-size", "64"]
COMPARE = [*FIT, "--recipes", "erm,logistic", "--folds", "2", "--seeds", "1", "--workers", "1"]
GRID, PHASES = "focal(gamma=0.5|2)", "two_phase"

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["metabalance.estimator", "metabalance.study.fit_command", "metabalance.study.report", "metabalance.study.jobs",
     "metabalance.study.train", "metabalance.study.summary", "metabalance.cli", "matplotlib.pyplot", "lightning_fabric",
     "sklearn.linear_model"]
)  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    y = rng.random(160) < 0.2
    frame = pd.DataFrame(rng.normal(size=(160, 3)) + y[:, None], columns=list("abc"))
    frame["kind"] = np.where(frame["a"] > 0, "left", "right")
    frame["y"] = np.where(y, "bad", "good")
    path = tmp_path_factory.mktemp("data") / "table.csv"
    frame.to_csv(path, index=False)
    return path


# ------------------------------------------------------------------------------------- a process of its own


def _serial(tasks, **_):
    from metabalance.study.workers import Outcome

    for task in tasks:
        yield Outcome(task, "ok", task.function(*task.arguments))


def _count_moments(moment, counted):
    """Kills this process at the moment of that number; -1 only counts them."""
    from metabalance.study import artifact

    numbers = itertools.count()

    def here(descriptor=None):
        number = next(numbers)
        counted.write_text(str(number + 1))
        if number == moment:
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(real, halves=False):
        def call(*arguments, **options):
            here(arguments[0] if halves else None)
            done = real(*arguments, **options)
            here()
            return done

        return call

    os.fsync, os.replace = watched(os.fsync, halves=True), watched(os.replace)
    os.unlink, os.rmdir = watched(os.unlink), watched(os.rmdir)
    artifact.exchange = watched(artifact.exchange)


def _run(arguments, said, moment=None, often=True, serial=True, most=None, a_day_back=False):
    os.setsid()
    import torch

    from metabalance import run
    from metabalance.cli import app
    from metabalance.study import engines, fitting, unfinished

    torch.set_num_threads(1)
    if often:
        fitting.CHECKPOINT_SECONDS, run.CHECKPOINT_SHARE, unfinished.SECONDS_BETWEEN = 1e-9, 1e9, 0.0
    if serial:
        engines.run_tasks = _serial
    if a_day_back:
        real = time.time
        time.time = lambda: real() - 86_400
    if most is not None:  # the disk is full: a file can grow no further
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    if moment is not None:
        _count_moments(moment, said.with_suffix(".moments"))
    words, status = io.StringIO(), 0
    with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
        try:
            app([str(a) for a in arguments])
        except SystemExit as end:
            status = end.code
    if most is None:
        said.write_text(words.getvalue())
    os._exit(status or 0)


def start(arguments, said, **how):
    process = processes.Process(target=_run, args=(arguments, said), kwargs=how)
    process.start()
    return process


def run(arguments, folder, **how):
    """Exit status and what was said."""
    said = folder / "said.txt"
    said.unlink(missing_ok=True)
    process = start(arguments, said, **how)
    process.join()
    return process.exitcode, " ".join(said.read_text().split()) if said.exists() else ""


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # no group of its own yet
            os.kill(process.pid, signal.SIGKILL)
    process.join()


# --------------------------------------------------------------------------------- all that is not a time


def timeless(value):
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def model_bits(folder):
    manifest, tensors, files = read_artifact(folder)
    files = {n: timeless(json.loads(b)) if n.endswith(".json") else b for n, b in files.items()}
    return timeless(manifest), {n: (t.dtype.str, t.shape, t.tobytes()) for n, t in tensors.items()}, files


def fit_bits(folder):
    found = {}
    for path in sorted((folder / "fits").glob("*.npz")):
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            found[path.name] = timeless(json.loads(str(file["record"]))), file["outputs"].tobytes()
    return found


def run_bits(folder):
    table = pd.read_parquet(folder / "results.parquet")
    rows = table.drop(columns=[c for c in table if "seconds" in c]).to_json()
    told = [timeless(json.loads((folder / name).read_bytes())) for name in ("advice.json", "figures.json")]
    assert (folder / "report.html").read_text().rstrip().endswith("</html>")
    return fit_bits(folder), rows, told, json.loads((folder / "run.json").read_bytes())


def spread(total, number):
    return sorted({round(i) for i in np.linspace(0, total - 1, number)})


# ------------------------------------------------------------------------------------------------------- fit


@pytest.fixture(scope="module")
def whole(table, tmp_path_factory):
    """Uninterrupted fits: their bits, and the moments they have."""
    found = {}
    for recipe in (GRID, PHASES):
        folder = tmp_path_factory.mktemp("whole")
        status, said = run(
            ["fit", table, *FIT, "--recipe", recipe, "--out", folder / "model"], folder, moment=-1
        )
        assert status == 0, said
        assert sorted(p.name for p in folder.iterdir()) == ["model", "said.moments", "said.txt"]
        found[recipe] = (
            model_bits(folder / "model"),
            int((folder / "said.moments").read_text()),
            folder / "model",
        )
    return found


@pytest.mark.parametrize(
    ("recipe", "number"), [(GRID, 3), (PHASES, 2), pytest.param(GRID, 12, marks=pytest.mark.slow)]
)
def test_fit_killed_at_exact_moments(recipe, number, table, whole, tmp_path):
    bits, total, _ = whole[recipe]
    other = model_bits(whole[PHASES if recipe == GRID else GRID][2])
    gone_on = 0
    for moment in spread(total, number):
        folder = tmp_path / str(moment)
        shutil.copytree(whole[PHASES if recipe == GRID else GRID][2], folder / "model")  # the old one
        command = ["fit", table, *FIT, "--recipe", recipe, "--out", folder / "model", "--overwrite"]
        assert run(command, folder, moment=moment)[0] == -signal.SIGKILL
        assert model_bits(folder / "model") in (bits, other)
        status, said = run(command, folder)
        assert status == 0, said
        gone_on += "going on" in said
        assert model_bits(folder / "model") == bits
        assert {p.name for p in folder.iterdir()} <= {"model", "said.moments", "said.txt"}
    assert gone_on >= number // 2


def test_a_fit_killed_after_its_model_was_saved_says_so(table, whole, tmp_path):
    bits, total, _ = whole[PHASES]
    command = ["fit", table, *FIT, "--recipe", PHASES, "--out", tmp_path / "model"]
    assert run(command, tmp_path, moment=total - 2)[0] == -signal.SIGKILL
    assert working_folder(tmp_path / "model").exists()
    status, said = run(command, tmp_path)
    assert (status, "saved before" in said) == (0, True)
    assert model_bits(tmp_path / "model") == bits
    assert not working_folder(tmp_path / "model").exists()
    # The same fit again has nothing to do; any other is refused. Neither touches the model.
    status, said = run(command, tmp_path)
    assert (status, "saved before" in said) == (0, True)
    status, said = run([*command, "--seed", "1"], tmp_path)
    assert (status, "exists" in said) == (2, True)
    assert model_bits(tmp_path / "model") == bits


@pytest.mark.slow
def test_a_streamed_fit_goes_on_and_knows_its_files(table, tmp_path):
    data = tmp_path / "table.parquet"
    pd.read_csv(table).to_parquet(data, row_group_size=40)
    out = tmp_path / "model"
    command = ["fit", data, *FIT, "--stream", "--recipe", "metabalance", "--out", out]
    status, said = run(command, tmp_path, moment=-1)
    assert status == 0, said
    bits, total = model_bits(out), int((tmp_path / "said.moments").read_text())
    for moment in (total // 3, 2 * total // 3):
        shutil.rmtree(out)
        assert run(command, tmp_path, moment=moment)[0] == -signal.SIGKILL
        assert not out.exists()
        status, said = run(command, tmp_path)
        assert (status, "going on from epoch" in said) == (0, True), said
        assert model_bits(out) == bits
    shutil.rmtree(out)
    assert run(command, tmp_path, moment=total // 3)[0] == -signal.SIGKILL
    pd.read_csv(table).iloc[::-1].to_parquet(data, row_group_size=40)
    status, said = run(command, tmp_path)
    assert (status, "holds a run with another" in said, out.exists()) == (2, True, False), said


@pytest.fixture
def stopped(table, whole, tmp_path):
    """A fit killed with checkpoints on the disk, its table and its command."""
    data = tmp_path / "table.csv"
    shutil.copy(table, data)
    command = ["fit", data, *FIT, "--recipe", PHASES, "--out", tmp_path / "model"]
    assert run(command, tmp_path, moment=whole[PHASES][1] // 2)[0] == -signal.SIGKILL
    return data, command


def test_changed_data_and_options_are_refused_by_name(stopped, tmp_path):
    data, command = stopped
    frame = pd.read_csv(data)
    changed = frame.copy()
    changed.loc[3, "b"] += 1
    for other, said in (
        (changed, "values changed in column 'b'"),
        (frame.iloc[:-2], "160 rows before, 158 now"),
        (frame.rename(columns={"c": "d"}), "column 'c' is gone; column 'd' is new"),
        (frame.assign(y=frame["y"].where(frame.index != 5, "bad")), "values changed in the target"),
    ):
        other.to_csv(data, index=False)
        status, told = run(command, tmp_path)
        assert status == 2
        assert said in told
        assert "restore the data" in told
    frame.to_csv(data, index=False)
    status, told = run([*command, "--seed", "1", "--epochs", "4"], tmp_path)
    assert status == 2
    assert "another seed (0, now 1) and another network (epochs 3, now 4)" in told
    assert run(command, tmp_path)[0] == 0


def test_a_truncated_checkpoint_is_named(stopped, tmp_path):
    _, command = stopped
    for path in working_folder(tmp_path / "model").glob("checkpoint-*"):
        os.truncate(path, path.stat().st_size // 2)
    status, told = run(command, tmp_path)
    assert status == 2
    assert "checkpoint-0" in told
    assert "damaged" in told
    assert not (tmp_path / "model").exists()


def test_no_clock_is_trusted(stopped, whole, tmp_path):
    _, command = stopped
    for number, path in enumerate(working_folder(tmp_path / "model").iterdir()):
        os.utime(path, (number * 2e9, number * 2e9))
    assert run(command, tmp_path, a_day_back=True)[0] == 0
    bits, mine = whole[PHASES][0], model_bits(tmp_path / "model")
    assert bits == mine


def test_two_fits_of_one_goal(table, tmp_path):
    goal = tmp_path / "model"
    command = ["fit", table, *FIT, "--recipe", "erm", "--out", goal]
    working_folder(goal).mkdir()
    with locked(working_folder(goal)):
        status, told = run(command, tmp_path)
    assert status == 2
    assert "another process works in" in told
    shutil.rmtree(working_folder(goal), ignore_errors=True)
    pair = [start(command, tmp_path / f"{i}.txt", often=False) for i in range(2)]
    for process in pair:
        process.join()
    assert sorted(process.exitcode for process in pair) == [0, 2]
    read_artifact(goal)
    assert not working_folder(goal).exists()


def test_a_bad_recipe_leaves_no_folder(table, tmp_path):
    status, _ = run(["fit", table, *FIT, "--recipe", "focal(gamma=-1)", "--out", tmp_path / "m"], tmp_path)
    assert status == 2
    assert [p.name for p in tmp_path.iterdir()] == ["said.txt"]


# --------------------------------------------------------------------------------------------------- compare


@pytest.fixture(scope="module")
def compared(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    status, said = run(["compare", table, *COMPARE, "--out", folder / "run"], folder, moment=-1)
    assert status == 0, said
    total = int((folder / "said.moments").read_text())
    assert total > 6 * len(
        list((folder / "run" / "fits").iterdir())
    )  # the writing of results is among the moments
    return run_bits(folder / "run"), total, folder / "run"


@pytest.mark.parametrize("number", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_compare_killed_at_exact_moments(number, table, compared, tmp_path):
    bits, total, _ = compared
    for moment in spread(total, number):
        folder = tmp_path / str(moment)
        folder.mkdir()
        command = ["compare", table, *COMPARE, "--out", folder / "run"]
        assert run(command, folder, moment=moment)[0] == -signal.SIGKILL
        for name, stored in fit_bits(folder / "run").items():
            assert stored == bits[0][name]
        status, said = run(command, folder)
        assert status == 0, said
        assert run_bits(folder / "run") == bits
        assert not list((folder / "run").rglob(".*"))


def test_figures_of_another_moment_are_not_shown(compared, tmp_path):
    from metabalance.study.summary import read_results

    folder = tmp_path / "run"
    shutil.copytree(compared[2], folder)
    read_results(folder)
    path = folder / "advice.json"
    path.write_bytes(path.read_bytes().replace(b'"erm"', b'"mre"', 1))
    with pytest.raises(DataError, match="figures are those of another moment"):
        read_results(folder)


def test_compare_says_what_changed_in_the_data(table, compared, tmp_path):
    shutil.copytree(compared[2], tmp_path / "run")
    data = tmp_path / "table.csv"
    frame = pd.read_csv(table)
    frame.assign(extra=frame["a"] ** 2).to_csv(data, index=False)
    status, told = run(["compare", data, *COMPARE, "--out", tmp_path / "run"], tmp_path)
    assert status == 2
    assert "column 'extra' is new" in told


def test_a_run_of_an_earlier_release_goes_on(compared, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(compared[2], folder)
    protocol = json.loads((folder / "run.json").read_text())
    del protocol["data"]
    (folder / "run.json").write_text(json.dumps(protocol))
    RunStore(folder).open(protocol, {"rows": 160, "columns": {}})
    with pytest.raises(DataError, match="another data fingerprint"):
        RunStore(folder).open(protocol | {"data_fingerprint": "other"}, {"rows": 160, "columns": {}})


# ------------------------------------------------------------------------- full disks, read-only folders, twos


def test_a_full_disk_leaves_the_old_file_or_none(table, whole, compared, tmp_path):
    most = 100  # bytes, less than any of these files
    model, run_folder = whole[PHASES][2], compared[2]
    scored = tmp_path / "scored.csv"
    frame = pd.read_csv(table)
    frame.assign(score=np.linspace(0, 1, len(frame))).to_csv(scored, index=False)
    goals = {
        "predict.csv": ["predict", model, table, "--overwrite", "--out"],
        "report.html": ["report", run_folder, "--overwrite", "--out"],
        "model.onnx": ["export", model, "--overwrite", "--out"],
        "audit.json": ["audit", table, "--target", "y", "--json"],
        "judge.json": ["judge", scored, "--target", "y", "--score", "score", "--json"],
    }
    for name, command in goals.items():
        goal = tmp_path / name
        old = None if name == "predict.csv" else b"old"
        if old is not None:
            goal.write_bytes(old)
        status, _ = run([*command, goal], tmp_path, most=most)
        assert status == 2, name
        assert (goal.read_bytes() if goal.exists() else None) == old, name
        assert not list(tmp_path.glob(".*.tmp"))
    bits = model_bits(model)
    shutil.copytree(model, tmp_path / "model")
    command = ["fit", table, *FIT, "--recipe", "erm", "--out", tmp_path / "model", "--overwrite"]
    assert run(command, tmp_path, most=most)[0] == 2
    assert model_bits(tmp_path / "model") == bits
    assert run(["compare", table, *COMPARE, "--out", tmp_path / "run"], tmp_path, most=most)[0] == 2
    assert not list(tmp_path.glob("run/fits/*"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that even root cannot write to")
def test_a_read_only_folder_is_one_sentence(table, whole, tmp_path):
    for command in (
        ["fit", table, *FIT, "--recipe", "erm", "--out", "/proc/model"],
        ["compare", table, *COMPARE, "--out", "/proc/run"],
        ["predict", whole[PHASES][2], table, "--out", "/proc/scored.csv"],
    ):
        status, said = run(command, tmp_path)
        assert status == 2
        assert "cannot be written" in said


def test_two_predictions_into_one_file(table, whole, tmp_path):
    goal = tmp_path / "scored.csv"
    command = ["predict", whole[PHASES][2], table, "--out", goal, "--overwrite"]
    pair = [start(command, tmp_path / f"{i}.txt") for i in range(2)]
    for process in pair:
        process.join()
    assert [process.exitcode for process in pair] == [0, 0]
    assert len(pd.read_csv(goal)) == 160
    assert not list(tmp_path.glob(".*"))


# ------------------------------------------------------------------------------------------- random moments


def _until_killed(command, out, moments, bits_of, bits, how, tmp_path, check):
    """Kills the command so many times at random, and whenever it gets through, compares and starts anew."""
    rng = np.random.default_rng(5)
    started = time.monotonic()
    assert run(command, tmp_path, **how)[0] == 0
    length, kills, finished = time.monotonic() - started, 0, 0
    shutil.rmtree(out)
    while kills < moments:
        process = start(command, tmp_path / "said.txt", **how)
        process.join(rng.uniform(0, length))
        if process.exitcode is None:
            kill(process)
            kills += 1
            check(out)
        if process.exitcode != -signal.SIGKILL:
            assert process.exitcode == 0
            assert bits_of(out) == bits
            shutil.rmtree(out)
            finished += 1
    if not out.exists() or bits_of is run_bits:
        assert run(command, tmp_path, **how)[0] == 0
    assert bits_of(out) == bits
    return finished


@pytest.mark.slow
def test_fit_killed_at_a_hundred_random_moments(table, whole, tmp_path):
    bits, _, _ = whole[GRID]
    command = ["fit", table, *FIT, "--recipe", GRID, "--out", tmp_path / "model"]

    def whole_or_none(out):
        if out.exists():
            assert model_bits(out) == bits

    _until_killed(command, tmp_path / "model", 100, model_bits, bits, {}, tmp_path, whole_or_none)


@pytest.mark.slow
def test_compare_killed_at_a_hundred_random_moments(table, compared, tmp_path):
    bits, _, _ = compared

    def only_right_fits(out):
        for name, stored in fit_bits(out).items():
            assert stored == bits[0][name]

    how = {"serial": False}
    command = ["compare", table, *COMPARE, "--out", tmp_path / "run"]
    _until_killed(command, tmp_path / "run", 100, run_bits, bits, how, tmp_path, only_right_fits)
