"""Two real processes: the shard comes from torch.distributed, and the class shares are right on each."""

import datetime

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from metabalance.sample import ClassBalancedSampler, OverSampler, PowerSampler, ShuffleSampler, UnderSampler

Y = torch.tensor([0] * 601 + [1] * 63 + [2] * 8)


def _samplers():
    return [ShuffleSampler(Y), ClassBalancedSampler(Y), OverSampler(Y), UnderSampler(Y), PowerSampler(Y)]


def _worker(rank, address):
    before = _samplers()  # built before the processes know of each other
    limit = datetime.timedelta(seconds=60)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=limit)
    try:
        for early, late in zip(before, _samplers()):
            mine = late.indices()
            assert torch.equal(early.indices(), mine)
            both = [torch.empty_like(mine) for _ in range(2)]
            dist.all_gather(both, mine)
            alone = type(late)(Y, rank=0, world_size=1).indices()
            drawn, limit_ = (torch.bincount(i, minlength=len(Y)) for i in (torch.cat(both), alone))
            assert (drawn <= limit_).all()
            assert 0 <= len(alone) - 2 * len(mine) < 2 * late.block
            shares = torch.bincount(Y[mine], minlength=3) / len(mine)
            expected = torch.bincount(Y[alone], minlength=3) / len(alone)
            tolerance = 0.0 if isinstance(late, ClassBalancedSampler) else 0.17
            assert ((shares - expected).abs() <= tolerance + 1e-6).all(), (type(late), shares, expected)
    finally:
        dist.destroy_process_group()


def test_two_processes(tmp_path):
    mp.spawn(_worker, args=(f"file://{tmp_path}/store",), nprocs=2)
