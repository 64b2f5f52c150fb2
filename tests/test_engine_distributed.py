"""Two processes of half the batch are one process of the whole."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from metabalance.data.batches import BatchLoader
from metabalance.engine import Objective, fit, plain_step
from metabalance.sample import ClassBalancedSampler, ShuffleSampler

SAMPLERS = {"shuffle": ShuffleSampler, "rotation": ClassBalancedSampler}


def train(fabric, batch_size, kind, path=None, die_after=None, out=None):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(96, 5, generator=g)
    y = (torch.arange(96) % 4 == 0).long()
    weight = torch.rand(96, generator=g)
    torch.manual_seed(0 if fabric is None else fabric.global_rank)  # DDP itself must make the ranks equal
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    calls = []

    def step(*args):
        calls.append(1)
        if len(calls) == die_after:
            raise KeyboardInterrupt
        return plain_step(*args)

    history = None
    try:
        history = fit(
            model,
            BatchLoader((x, y, weight / weight.mean()), batch_size, SAMPLERS[kind](y)),
            objective=Objective(nn.CrossEntropyLoss(reduction="none")),
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
            step=step,
            epochs=4,
            clip_norm=0.5,
            validation=[(x, y)],
            fabric=fabric,
            checkpoint=path,
            checkpoint_every=None if path is None else 1,
        )
    except KeyboardInterrupt:
        assert die_after
    state = {name: value.clone() for name, value in model.state_dict().items()}
    if out is not None:
        torch.save({"weights": state, "epochs": history and history.epochs}, f"{out}-{fabric.global_rank}.pt")
    return state, history


def worker(fabric, folder):
    for kind in SAMPLERS:
        train(fabric, 8, kind, out=f"{folder}/{kind}")
    train(fabric, 8, "shuffle", path=f"{folder}/run.ckpt", die_after=9)
    train(fabric, 8, "shuffle", path=f"{folder}/run.ckpt", out=f"{folder}/resumed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("ddp")
    # Forked processes would inherit this one's threads; spawned ones start clean.
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    fabric.launch(worker, str(path))
    return path


@pytest.mark.parametrize("kind", SAMPLERS)
def test_ranks_agree_and_equal_one_process(folder, kind):
    first, second = (torch.load(folder / f"{kind}-{rank}.pt") for rank in (0, 1))
    assert first["epochs"] == second["epochs"]
    alone, history = train(None, 16, kind)
    for name, value in alone.items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        torch.testing.assert_close(first["weights"][name], value, rtol=0, atol=1e-5)
    for key in ("loss", "train_loss"):
        expected = [row[key] for row in history.epochs]
        assert [row[key] for row in first["epochs"]] == pytest.approx(expected, abs=1e-5)


def test_both_ranks_resume(folder):
    for rank in (0, 1):
        whole, resumed = (torch.load(folder / f"{name}-{rank}.pt") for name in ("shuffle", "resumed"))
        assert all(torch.equal(whole["weights"][name], resumed["weights"][name]) for name in whole["weights"])
        assert whole["epochs"] == resumed["epochs"]


def test_a_checkpoint_of_two_processes_is_not_for_one(folder):
    with pytest.raises(ValueError, match="another number of batches or processes"):
        train(None, 16, "shuffle", path=folder / "run.ckpt")
