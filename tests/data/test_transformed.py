"""Batches changed on the way: reproducible, resumable, weights and indices following the rows."""

import torch

from metabalance.data.augment import Corrupt, TwoViews
from metabalance.data.batches import BatchLoader
from metabalance.data.transformed import Transformed
from metabalance.sample import ShuffleSampler

X, Y = torch.arange(40.0).reshape(20, 2), torch.arange(20) % 2


def jitter(inputs, target, generator):
    return inputs + torch.rand(inputs.shape, generator=generator), target


def loader(seed=0, transform=jitter, *extra):
    return Transformed(BatchLoader((X, Y, *extra), 6, ShuffleSampler(Y, seed=1)), transform, seed)


def collect(batches):
    return torch.cat([inputs for inputs, *_ in batches])


def test_an_epoch_follows_from_the_seed_alone():
    first, again, other = (loader(seed) for seed in (0, 0, 1))
    assert torch.equal(collect(first), collect(again))
    assert not torch.equal(collect(first), collect(other))


def test_epochs_and_batches_draw_anew():
    one = loader()
    before = collect(one)
    one.set_epoch(1)
    assert not torch.equal(before.sort(0).values, collect(one).sort(0).values)
    noise = collect(Transformed(BatchLoader((torch.zeros(20, 2), Y), 6), jitter, 0))
    assert len(noise.unique()) == 40


def test_resuming_gives_the_very_next_batch():
    whole = list(loader())
    one = loader()
    iterator = iter(one)
    next(iterator)
    next(iterator)
    state = one.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert len(rest) == len(whole) - 2 == len(loader()) - 2
    for a, b in zip(rest, whole[2:]):
        assert torch.equal(a[0], b[0])


def test_weights_and_indices_follow_the_rows_into_every_view():
    weight, index = torch.rand(20), torch.arange(20)
    for inputs, target, w, i in loader(0, TwoViews(Corrupt(0.0)), weight, index):
        assert len(inputs) == len(target) == len(w) == len(i) == 2 * (len(i) // 2)
        assert torch.equal(inputs, X[i])
        assert torch.equal(w, weight[i])
        assert torch.equal(target, Y[i])
