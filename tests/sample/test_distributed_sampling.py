"""Two real processes: the shard comes from torch.distributed, and what each sampler promises holds on both.

Every sampler: no draw goes to two ranks, the ranks together see what one process would, classes come in the
shares that ``shares()`` names on each rank, every epoch is drawn anew, and a sampler that takes over the state goes
on with the same draws. Without repeats (shuffling, under-sampling) no row goes to two ranks within an epoch.
With repeats (over-sampling, rotation) a row goes to two ranks only as two of its copies; with replacement
(power, progressive, random) as two draws.
"""

import datetime
import inspect

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from metabalance import sample

Y = torch.tensor([0] * 601 + [1] * 63 + [2] * 8)
OPTIONS = {
    "ProgressiveSampler": [{"epochs": 3}],
    "ClassBalancedSampler": [{}, {"mode": "random"}, {"reshuffle": False}],
    "OverSampler": [{}, {"ratio": 0.3}],
    "UnderSampler": [{}, {"ratio": 0.3}],
}
DEALT = ("ShuffleSampler", "UnderSampler")
EXPORTED = [
    value
    for name in sample.__all__
    if inspect.isclass(value := getattr(sample, name))
    and issubclass(value, sample.IndexSampler)
    and value is not sample.IndexSampler
]


def _samplers(**shard):
    return [make(Y, **options, **shard) for make in EXPORTED for options in OPTIONS.get(make.__name__, [{}])]


def _gather(mine):
    both = [torch.empty_like(mine) for _ in range(2)]
    dist.all_gather(both, mine)
    return both


def _worker(rank, address):
    before = _samplers()  # built before the processes know of each other
    limit = datetime.timedelta(seconds=60)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=limit)
    try:
        for early, late, alone in zip(before, _samplers(), _samplers(rank=0, world_size=1)):
            passes = []
            for epoch in range(3):
                for sampler in (early, late, alone):
                    sampler.set_epoch(epoch)
                mine, whole = late.indices(), alone.indices()
                assert torch.equal(early.indices(), mine)
                assert len(mine) == len(late)
                _check(late, mine, whole, _gather(mine))
                passes.append(mine)
            fixed = getattr(late, "reshuffle", True) is False
            assert torch.equal(passes[0], passes[1]) == fixed, "an epoch is drawn anew"
            assert torch.equal(passes[1], passes[2]) == fixed
            early.set_epoch(0)
            early.load_state_dict(late.state_dict())
            assert torch.equal(early.indices(), passes[-1]), "it goes on where it was"
    finally:
        dist.destroy_process_group()


def _check(sampler, mine, whole, both):
    name = type(sampler).__name__
    drawn, limit = (torch.bincount(rows, minlength=len(Y)) for rows in (torch.cat(both), whole))
    assert (drawn <= limit).all(), f"{name}: a draw went to two ranks"
    assert 0 <= len(whole) - 2 * len(mine) < 2 * sampler.block
    if name in DEALT:
        assert len(set(torch.cat(both).tolist())) == 2 * len(mine), f"{name}: a row went to two ranks"
    shares = torch.bincount(Y[mine], minlength=3) / len(mine)
    if sampler.block > 1:
        assert torch.equal(shares, torch.full((3,), 1 / 3)), "whole turns: exact on each rank"
    expected = sampler.shares()
    spread = 5 * (expected * (1 - expected) / len(mine)).sqrt()
    assert ((shares - expected).abs() <= spread + 1e-6).all(), (name, shares, expected)


def test_two_processes(tmp_path):
    mp.spawn(_worker, args=(f"file://{tmp_path}/store",), nprocs=2)
