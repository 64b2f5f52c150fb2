"""A run killed anywhere goes on to the same bits."""

import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from metabalance import checkpoint
from metabalance.data.batches import BatchLoader
from metabalance.data.cycle import Cycle
from metabalance.engine import Objective, fit, plain_step
from metabalance.sample import OverSampler, ShuffleSampler

EPOCHS, STEPS = 4, 24  # of 6 batches


class Killed(Exception):
    """Stands for the end of the process."""


class Jitter(Dataset):
    """Draws from all three global generators."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        noise = torch.randn(()) + np.random.normal() + random.gauss(0, 1)  # noqa: NPY002
        return self.x[i] + 0.1 * noise.float(), self.y[i]


class Step:
    """Takes a step of its own every other time, with a state."""

    def __init__(self, die_after):
        self.die_after, self.calls, self.seen, self.previous = die_after, 0, 0, torch.zeros(())

    def __call__(self, model, batch, objective, optimizer):
        if self.calls == self.die_after:
            raise Killed
        self.calls += 1
        self.seen += 1
        loss = plain_step(model, batch, lambda m, b: objective(m, b) * (1 + self.seen % 2), optimizer)
        self.previous = loss
        return loss + 0.1 * self.previous

    def state_dict(self):
        return {"seen": self.seen, "previous": self.previous}

    def load_state_dict(self, state):
        self.seen, self.previous = state["seen"], state["previous"]


class Difficulty(nn.Module):
    """A loss that follows the validation recalls."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.ones(2))

    def update(self, *, recall, **_):
        self.weight.mul_(1.1 - recall)

    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target, self.weight, reduction="none")


def start(kind, path, die_after=-1, every=1, epochs=EPOCHS):
    """Everything anew, as a new process would; global generators differ each time."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(90, 4, generator=g)
    y = (x[:, 0] > 0.8).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    loaders = {
        "batches": lambda: BatchLoader((x, y), 15, ShuffleSampler(y)),
        "over": lambda: BatchLoader((x, y), 26, OverSampler(y)),
        "cycle": lambda: Cycle(BatchLoader((x, y), 20, ShuffleSampler(y)), 6),  # five a pass
        "dataloader": lambda: DataLoader(Jitter(x, y), 15, shuffle=True),
        "generator": lambda: DataLoader(
            Jitter(x, y), 15, shuffle=True, generator=torch.Generator().manual_seed(3)
        ),
        "sampler": lambda: DataLoader(Jitter(x, y), 15, sampler=ShuffleSampler(y)),
    }
    loader = loaders[kind]()
    assert len(loader) == 6
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    loss, step = Difficulty(), Step(die_after)
    history = fit(
        model,
        loader,
        objective=Objective(loss),
        optimizer=optimizer,
        step=step,
        parts=[loss],
        scheduler=torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, STEPS),
        scheduler_interval="step",
        epochs=epochs,
        validation=[(x, y)],
        checkpoint=path,
        checkpoint_every=every,
    )
    return model, loss, step, optimizer, history


def same(first, second):
    (model_a, loss_a, step_a, opt_a, history_a), (model_b, loss_b, step_b, opt_b, history_b) = first, second
    for a, b in [(model_a, model_b), (loss_a, loss_b)]:
        assert all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))
    moments = [[s["exp_avg_sq"] for s in opt.state.values()] for opt in (opt_a, opt_b)]
    assert all(torch.equal(p, q) for p, q in zip(*moments))
    assert step_a.seen == step_b.seen
    assert history_a.epochs == history_b.epochs
    assert history_a.best_epoch == history_b.best_epoch


def seed(number):
    # torch's follows from the fixed seed of the initial weights
    np.random.seed(number)  # noqa: NPY002
    random.seed(number)


KINDS = ["batches", "over", "cycle", "dataloader", "generator", "sampler"]


@pytest.fixture(scope="module", params=KINDS)
def uninterrupted(request):
    seed(7)
    return request.param, start(request.param, None, every=None)


@pytest.mark.parametrize("every", [1, 4, None])
def test_interrupted_runs_end_with_the_same_bits(uninterrupted, tmp_path, every):
    kind, whole = uninterrupted
    for die_after in (0, 1, 6, 7, 23):
        path = tmp_path / f"{die_after}.pt"
        seed(7)
        with pytest.raises(Killed):
            start(kind, path, die_after, every)
        resumable = path.exists()
        assert resumable == (die_after >= (every or 6))
        # If nothing was written yet, the run starts anew; else the generators' own states must not matter.
        seed(99 if resumable else 7)
        same(start(kind, path, -1, every), whole)


def test_killed_again_and_again(uninterrupted, tmp_path):
    kind, whole = uninterrupted
    seed(7)
    for _ in range(7):
        with pytest.raises(Killed):
            start(kind, tmp_path / "run.pt", die_after=3)
    same(start(kind, tmp_path / "run.pt", die_after=4), whole)  # the last 3 of 24 steps


def test_a_finished_run_is_only_loaded_and_may_be_extended(tmp_path):
    path = tmp_path / "run.pt"
    whole = start("batches", path)
    same(start("batches", path, die_after=0), whole)
    longer = fit_plain(path=tmp_path / "other.pt", epochs=2)
    assert len(longer[1].epochs) == 2
    more = fit_plain(path=tmp_path / "other.pt", epochs=5)
    assert same_weights(more[0], fit_plain(path=None, epochs=5)[0])


def fit_plain(path, epochs=3, classes=2, rows=40, parts=(), **options):
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(rows, 3, generator=g), torch.arange(rows) % 2
    torch.manual_seed(0)
    model = nn.Linear(3, classes)
    history = fit(
        model,
        BatchLoader((x, y), 10, ShuffleSampler(y)),
        objective=Objective(nn.CrossEntropyLoss()),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        parts=parts,
        epochs=epochs,
        checkpoint=path,
        **options,
    )
    return model, history


def same_weights(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))


class Remembering:
    """A step with a state that only it understands."""

    def __call__(self, *slots):
        return plain_step(*slots)

    def state_dict(self):
        return {"mine": 1}

    def load_state_dict(self, state):
        if "mine" not in state:
            raise ValueError("not mine")


class Forgetful(Remembering):
    def state_dict(self):
        return {}


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [(Remembering(), plain_step, "another step"), (Forgetful(), Remembering(), "not mine")],
)
def test_the_state_of_another_step_is_named(tmp_path, first, second, reason):
    fit_plain(tmp_path / "run.pt", step=first)
    with pytest.raises(ValueError, match=rf"run\.pt was written by another run \({reason}\)"):
        fit_plain(tmp_path / "run.pt", step=second)


def test_early_stopping_stays_stopped(tmp_path):
    held = [(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))]
    options = {"validation": held, "monitor": lambda p, t: 0.0, "patience": 2}
    model, history = fit_plain(tmp_path / "run.pt", epochs=50, **options)
    assert (history.stopped, len(history.epochs)) == ("early", 3)
    again, second = fit_plain(tmp_path / "run.pt", epochs=50, **options)
    assert (second.stopped, len(second.epochs)) == ("early", 3)
    assert same_weights(model, again)


def test_a_run_out_of_time_goes_on(tmp_path):
    path = tmp_path / "deep" / "run.pt"
    _, history = fit_plain(path, deadline=0.0)
    assert (history.stopped, history.epochs) == ("deadline", [])
    model, history = fit_plain(path)
    assert (history.stopped, len(history.epochs)) == ("finished", 3)
    assert same_weights(model, fit_plain(None)[0])


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign", "pickle", "flipped"])
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / "run.pt"
    fit_plain(path)
    whole = path.read_bytes()
    if damage == "foreign":
        torch.save({"state_dict": {}}, path)
    else:
        middle = len(whole) // 2
        content = {
            "truncated": whole[:middle],
            "empty": b"",
            "text": b"epoch,loss\n0,0.7\n",
            "pickle": b"cos\nsystem\n(S'exit 1'\ntR.",
            "flipped": b"\x00" * 64 + whole[64:],
        }
        path.write_bytes(content[damage])
    with pytest.raises(ValueError, match=r"run\.pt .*delete it to start anew, or name another file"):
        fit_plain(path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"classes": 3}, "size mismatch|Error\\(s\\) in loading"),
        ({"rows": 80}, "another number of batches"),
        ({"parts": [nn.BatchNorm1d(3)]}, "other parts"),
        ({"step": Remembering()}, "another step"),
    ],
)
def test_another_runs_file_is_named(tmp_path, options, reason):
    fit_plain(tmp_path / "run.pt")
    with pytest.raises(ValueError, match=rf"run\.pt was written by another run \(.*({reason})"):
        fit_plain(tmp_path / "run.pt", **options)


def test_a_state_that_cannot_be_read_back_is_refused_at_once(tmp_path):
    class Part:
        def state_dict(self):
            return {"loader": object}

        def load_state_dict(self, state):
            raise AssertionError

    with pytest.raises(ValueError, match="holds more than tensors, numbers, text"):
        fit_plain(tmp_path / "run.pt", parts=[Part()])
    assert not (tmp_path / "run.pt").exists()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    checkpoint.save(path, {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, {"a": 2})
    assert checkpoint.load(path) == {"a": 1}


def test_a_file_of_torch_save_is_refused_unopened(tmp_path):
    """What earlier releases wrote was a pickle, if a restricted one."""
    torch.save({"format": "metabalance-fit-1", "content": {}}, tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"a pickle, which is never opened.*; delete it to start anew"):
        checkpoint.load(tmp_path / "run.pt")


def test_nothing_is_written_through_a_link_beside_the_checkpoint(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run.pt.part").symlink_to(tmp_path / "precious")
    checkpoint.save(tmp_path / "run.pt", {"a": 1}, verify=True)
    assert (tmp_path / "precious").read_text() == "mine"
    assert checkpoint.load(tmp_path / "run.pt") == {"a": 1}


def test_random_states_come_back():
    own = torch.Generator().manual_seed(1)
    state = checkpoint.random_state([own], torch.device("cpu"))

    def draw():
        return (
            torch.rand(3).tolist(),
            np.random.rand(3).tolist(),  # noqa: NPY002
            random.random(),
            torch.rand(2, generator=own).tolist(),
        )

    first = draw()
    assert draw() != first
    checkpoint.set_random_state(state, [own], torch.device("cpu"))
    assert draw() == first


SCRIPT = """
    import os, random, signal, sys, time
    import torch
    from torch import nn
    from metabalance.data.batches import BatchLoader
    from metabalance.engine import Objective, fit, plain_step
    from metabalance.sample import ClassBalancedSampler
    import lightning_fabric

    folder, seed = sys.argv[1], int(sys.argv[2])

    def train(name, every):
        def step(*args):
            time.sleep(0.01)
            return plain_step(*args)

        g = torch.Generator().manual_seed(0)
        x = torch.randn(200, 5, generator=g)
        y = (x[:, 0] > 1).long()
        torch.manual_seed(0)
        hidden = nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3)
        model = nn.Sequential(*hidden, nn.Linear(16, 2))
        fit(
            model,
            BatchLoader((x, y), 32, ClassBalancedSampler(y)),
            objective=Objective(nn.CrossEntropyLoss()),
            optimizer=torch.optim.AdamW(model.parameters()),
            step=step,
            epochs=7,
            validation=[(x, y)],
            checkpoint=f"{folder}/{name}.pt",
            checkpoint_every=every,
        )
        torch.save(model.state_dict(), f"{folder}/{name}-weights.pt")

    def child(name, every):
        pid = os.fork()  # importing torch takes longer than the training
        if not pid:
            train(name, every)
            os._exit(0)
        return pid

    assert os.waitpid(child("whole", None), 0)[1] == 0
    def written():  # when the checkpoint was last replaced
        path = f"{folder}/killed.pt"
        return os.stat(path).st_mtime_ns if os.path.exists(path) else 0

    delays = random.Random(seed)
    kills, parts = 0, 0
    while kills < 6:
        before, pid = written(), child("killed", 2)
        # The blow follows the child's progress, not the clock: machines differ, and so does their load.
        ended = 0
        while kills and written() == before and not ended:
            ended, status = os.waitpid(pid, os.WNOHANG)
            time.sleep(0.001)
        if not ended:
            time.sleep(delays.uniform(0, 0.03))
            ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert status == 0
            break
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):  # it had just finished
            break
        kills += 1
        parts += os.path.exists(f"{folder}/killed.pt.part")
    assert os.waitpid(child("killed", 2), 0)[1] == 0  # the last one may finish
    print(kills, parts)
"""


def test_killed_by_the_system(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), str(tmp_path), "1"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    assert int(out.stdout.split()[0]) >= 3, out.stdout
    whole, killed = (torch.load(tmp_path / f"{name}-weights.pt") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
