"""The pool: order, needs, failures, time limits, death, deadline, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time

import psutil

from metabalance.study.workers import Agenda, Outcome, Task, run_tasks


def square(x):
    return x * x


def fail():
    raise ValueError("three words  only\nhere")


def crash():
    raise RuntimeError("boom")


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def outcomes(tasks, **options):
    return {o.task.key: o for o in run_tasks(tasks, **{"workers": 2} | options)}


def test_an_agenda_keeps_order_needs_and_slow_families():
    first, second, late = (
        Task("first", square),
        Task("second", square, family="f"),
        Task("late", square, needs="first"),
    )
    agenda = Agenda(
        [late, first, second, Task("third", square, family="f"), Task("orphan", square, needs="late")]
    )
    assert (agenda.start(), agenda.start()) == (first, second)
    agenda.ended(Outcome(first, "ok"))
    assert agenda.start() is late
    agenda.ended(Outcome(second, "timeout", message="was slow"))
    agenda.ended(Outcome(late, "failed"))
    skipped = {o.task.key: o.message for o in agenda.skipped()}
    assert skipped == {
        "orphan": "late did not succeed",
        "third": "not started, since an earlier fit was slow",
    }
    assert agenda.start() is None


def test_values_come_back():
    found = outcomes([Task(str(i), square, (i,)) for i in range(7)])
    assert {k: o.value for k, o in found.items()} == {str(i): i * i for i in range(7)}
    assert {o.status for o in found.values()} == {"ok"}


def test_an_error_is_one_sentence_and_costs_one_task():
    found = outcomes([Task("a", fail), Task("b", crash), Task("c", square, (3,))], workers=1)
    assert (found["a"].status, found["a"].message) == ("failed", "three words only here")
    assert (found["b"].status, found["b"].message) == ("failed", "RuntimeError: boom")
    assert found["c"].value == 9


def test_needs_are_met_first_and_a_failed_need_skips():
    order = [
        o.task.key
        for o in run_tasks(
            [Task("late", square, (1,), needs="first"), Task("first", sleep, (0.2,))], workers=2
        )
    ]
    assert order == ["first", "late"]
    found = outcomes(
        [
            Task("bad", fail),
            Task("child", square, (1,), needs="bad"),
            Task("grandchild", square, (1,), needs="child"),
        ]
    )
    assert found["child"].status == found["grandchild"].status == "skipped"


def test_a_task_over_its_time_is_stopped_and_the_rest_goes_on():
    started = time.monotonic()
    found = outcomes(
        [Task("slow", sleep, (60,), seconds=0.5), *(Task(str(i), square, (i,)) for i in range(4))]
    )
    assert found["slow"].status == "timeout"
    assert all(found[str(i)].status == "ok" for i in range(4))
    assert time.monotonic() - started < 30


def test_after_one_timeout_the_rest_of_the_family_is_not_started():
    tasks = [Task(f"slow{i}", sleep, (60,), seconds=0.5, family="slow") for i in range(4)]
    found = outcomes([*tasks, Task("other", square, (2,), family="quick")], workers=1)
    assert [found[f"slow{i}"].status for i in range(4)] == ["timeout", "skipped", "skipped", "skipped"]
    assert "did not finish within" in found["slow3"].message
    assert found["other"].value == 4


def test_a_process_that_dies_costs_one_task():
    found = outcomes([Task("dead", die), Task("alive", square, (2,))], workers=1)
    assert found["dead"].status == "died"
    assert "-9" in found["dead"].message
    assert found["alive"].value == 4


def test_the_deadline_stops_everything_and_leaves_no_process():
    started = time.monotonic()
    found = outcomes([Task(str(i), sleep, (30,)) for i in range(4)], deadline=started + 1)
    assert found == {}
    assert time.monotonic() - started < 20
    workers = [
        p
        for p in psutil.Process().children(recursive=True)
        if "forkserver" in " ".join(p.cmdline()) and p.children()
    ]
    assert workers == []


def test_an_outcome_names_its_task_and_its_time():
    (outcome,) = run_tasks([Task("nap", sleep, (0.2,))], workers=1)
    assert isinstance(outcome, Outcome)
    assert outcome.task.key == "nap"
    assert 0.15 < outcome.seconds < 30


def test_workers_leave_with_a_parent_that_was_killed(tmp_path):
    (tmp_path / "job.py").write_text(
        "import os, pathlib, time\n"
        "def announce(path):\n"
        "    pathlib.Path(path + '.part').write_text(str(os.getpid()))\n"
        "    os.rename(path + '.part', path)\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "parent.py").write_text(
        "from job import announce\n"
        "from metabalance.study.workers import Task, run_tasks\n"
        "if __name__ == '__main__':\n"
        f"    list(run_tasks([Task('a', announce, ({str(tmp_path / 'pid')!r},))], workers=1))\n"
    )
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")])
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    worker = psutil.Process(int((tmp_path / "pid").read_text()))
    parent.kill()
    parent.wait()
    assert psutil.wait_procs([worker], timeout=10)[1] == []
