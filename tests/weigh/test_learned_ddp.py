"""Two processes with half the rows each make the updates of one process with all of them."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from metabalance.engine import Objective
from metabalance.weigh import LearnedWeights, LearningToReweight, MetaWeightNet

WORLD, UPDATES = 2, 3
SMALL = (0, 50_000)  # by forward mode, by double backward


def rows(update: int, rank: int, world: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(update)
    x = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (8,), generator=generator)
    return x[rank::world], y[rank::world]


def train(small: int, rank: int, world: int) -> list[Tensor]:
    from metabalance import bilevel

    bilevel.SMALL = small
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    weigher = MetaWeightNet(hidden=5).double()
    wrapped = nn.parallel.DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    meta = [rows(100 + update, rank, world) for update in range(UPDATES)]
    step = LearnedWeights(weigher, meta)
    objective = Objective(nn.CrossEntropyLoss(reduction="none"))
    for update in range(UPDATES):
        step(wrapped, rows(update, rank, world), objective, optimizer)
    moved = [p.detach().clone() for p in (*model.parameters(), *weigher.parameters())]
    LearningToReweight(meta)(wrapped, rows(0, rank, world), objective, optimizer)
    assert not torch.equal(moved[0], model[0].weight)
    return moved


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    torch.save([train(small, rank, WORLD) for small in SMALL], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch without gloo")
def test_two_processes_equal_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("metabalance.bilevel.SMALL", 0)  # put back afterwards
    torch.multiprocessing.spawn(work, args=(str(tmp_path),), nprocs=WORLD)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(WORLD)]
    for small, first, second in zip(SMALL, *ranks, strict=True):
        alone = train(small, 0, 1)
        for a, b, expected in zip(first, second, alone, strict=True):
            assert torch.equal(a, b)
            torch.testing.assert_close(a, expected, rtol=0, atol=1e-12)
