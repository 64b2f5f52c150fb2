"""Two processes with half the look-aheads each make the update of one process with all of them."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.optimize import MetaBalance

CASES = [{"order": 1, "vectorize": False}, {"order": 2, "vectorize": False}, {"order": 2, "vectorize": True}]
UPDATES, M, WORLD = 3, 4, 2


class Net(nn.Module):
    """A layer for every look-ahead, and one that only those of the second process reach."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.spare, self.rare = (nn.Linear(4, 4).double() for _ in range(4))

    def forward(self, x: Tensor, rare: bool) -> Tensor:
        hidden = torch.tanh(self.first(x))
        return self.last(self.rare(hidden) if rare else hidden)


def cross_entropy(model, batch) -> Tensor:
    x, y = batch
    return F.cross_entropy(model(x, len(x) == 7), y)


def batch(update: int, look_ahead: int, side: int) -> tuple[Tensor, Tensor]:
    rows = 7 if look_ahead >= M // WORLD else 6  # the size sends it through the rare layer
    generator = torch.Generator().manual_seed(100 * update + 10 * look_ahead + side)
    x = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    return x, torch.randint(4, (rows,), generator=generator)


def train(settings: dict, rank: int, world: int) -> dict[str, Tensor]:
    model = Net()
    wrapped = nn.parallel.DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    trainer = MetaBalance(
        wrapped, cross_entropy, optimizer, inner_lr=0.3, leak=0.1, accumulate=M // world, **settings
    )
    for update in range(UPDATES):
        for i in range(rank * M // world, (rank + 1) * M // world):
            trainer.step(batch(update, i, 0), batch(update, i, 1))
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    torch.save([train(settings, rank, WORLD) for settings in CASES], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch without gloo")
def test_two_processes_equal_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(work, args=(str(tmp_path),), nprocs=WORLD)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(WORLD)]
    for settings, first, second in zip(CASES, *ranks, strict=True):
        alone = train(settings, 0, 1)
        for name, expected in alone.items():
            assert torch.equal(first[name], second[name])
            torch.testing.assert_close(first[name], expected, rtol=0, atol=1e-12)
        # Reached by no look-ahead: not even weight decay moves it.
        assert torch.equal(first["spare.weight"], Net().spare.weight)
        assert not torch.equal(first["rare.weight"], Net().rare.weight)
