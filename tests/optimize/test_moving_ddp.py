"""Two processes with half of each batch make the steps of one process with all of it."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from metabalance.engine import Objective
from metabalance.optimize import SAM, AdversarialStep, AsymmetricSAM, PGDAttack

WORLD, COUNTS = 2, [20, 10, 2]
STEPS = [
    SAM(0.3),
    SAM(0.3, adaptive=True),
    AsymmetricSAM(COUNTS, 0.3),
    AsymmetricSAM(COUNTS, 0.1, "per_class_radius"),
    AdversarialStep(PGDAttack(0.2, steps=3, random_start=False), SAM(0.1)),
]


def batch(i: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(i)
    return torch.randn(16, 4, generator=g, dtype=torch.float64), torch.randint(3, (16,), generator=g)


def train(step, rank: int, world: int) -> Tensor:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    wrapped = nn.parallel.DistributedDataParallel(model) if world > 1 else model
    objective = Objective(nn.CrossEntropyLoss(reduction="none"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    for i in range(3):
        x, y = batch(i)
        step(wrapped, (x[rank::world], y[rank::world]), objective, optimizer)
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    torch.save([train(step, rank, WORLD) for step in STEPS], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch without gloo")
def test_two_processes_equal_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(work, args=(str(tmp_path),), nprocs=WORLD)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(WORLD)]
    for step, first, second in zip(STEPS, *ranks, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first, train(step, 0, 1), rtol=0, atol=1e-7)
