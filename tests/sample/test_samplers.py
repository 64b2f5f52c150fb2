"""What holds for every sampler, then each against its paper."""

import json
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch.utils.data import DataLoader, TensorDataset

from metabalance import sample
from metabalance.sample import ClassBalancedSampler, OverSampler, PowerSampler, ShuffleSampler, UnderSampler

Y = torch.tensor([0] * 60 + [2] * 12 + [1] * 5)[
    torch.randperm(77, generator=torch.Generator().manual_seed(0))
]

MAKE = {
    "ShuffleSampler": ShuffleSampler,
    "rotation": ClassBalancedSampler,
    "rotation, published": lambda y, **kw: ClassBalancedSampler(y, reshuffle=False, **kw),
    "random": lambda y, **kw: ClassBalancedSampler(y, mode="random", **kw),
    "OverSampler": OverSampler,
    "OverSampler, partial": lambda y, **kw: OverSampler(y, ratio=0.5, **kw),
    "UnderSampler": UnderSampler,
    "PowerSampler": PowerSampler,
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def counts(indices, y=Y):
    return torch.bincount(y[torch.as_tensor(list(indices))], minlength=3).tolist()


def test_every_exported_sampler_is_here():
    made = {type(make(Y)).__name__ for make in MAKE.values()}
    other = {"IndexSampler", "RESAMPLERS", "Resampled", "resample"}
    assert made == set(sample.__all__) - other


@every
def test_length_indices_and_iteration_agree(make):
    sampler = make(Y)
    assert len(list(sampler)) == len(sampler) == len(sampler.indices()) == sampler.size
    assert list(sampler) == sampler.indices().tolist()


@every
def test_an_epoch_depends_only_on_seed_and_epoch(make):
    a, b = make(Y, seed=5), make(Y, seed=5)
    a.set_epoch(3)
    list(a)
    torch.manual_seed(1)
    list(a)
    b.set_epoch(3)
    assert list(a) == list(b)
    c = make(Y)
    c.load_state_dict(a.state_dict())
    assert list(c) == list(a)


@every
def test_it_leaves_the_global_generators_alone(make):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    list(make(Y))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize("name", sorted(set(MAKE) - {"rotation, published"}))
def test_epochs_and_seeds_differ(name):
    sampler = MAKE[name](Y)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(MAKE[name](Y, seed=1)) != list(sampler)  # seed + epoch would make these two equal


@every
@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_shards_are_equal_parts_of_one_draw(make, world_size):
    whole = make(Y, seed=2, rank=0, world_size=1)
    shards = [make(Y, seed=2, rank=rank, world_size=world_size) for rank in range(world_size)]
    parts = [list(shard) for shard in shards]
    assert {len(part) for part in parts} == {len(shards[0])}
    together = torch.bincount(torch.tensor([row for part in parts for row in part]), minlength=77)
    alone = torch.bincount(whole.indices(), minlength=77)
    assert (together <= alone).all()  # no draw goes to two ranks
    assert len(whole) - sum(map(len, parts)) < world_size * whole.block


@every
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_rank_sees_every_class(make, world_size):
    for rank in range(world_size):
        seen = [0, 0, 0]
        for epoch in range(5):
            shard = make(Y, seed=3, rank=rank, world_size=world_size)
            shard.set_epoch(epoch)
            seen = [a + b for a, b in zip(seen, counts(shard))]
        assert min(seen) > 0


@pytest.mark.parametrize("name", ["ShuffleSampler", "UnderSampler"])
def test_without_repeats_no_row_goes_to_two_ranks(name):
    shards = [set(MAKE[name](Y, rank=rank, world_size=3)) for rank in range(3)]
    assert sum(map(len, shards)) == len(set().union(*shards)) == MAKE[name](Y).size // 3 * 3


@every
def test_state_dict_is_json_and_brings_back_the_epoch(make):
    sampler, again = make(Y, seed=2), make(Y, seed=9)
    sampler.set_epoch(6)
    again.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert (again.seed, again.epoch) == (2, 6)
    assert list(again) == list(sampler)


@every
def test_works_as_the_sampler_of_a_data_loader(make):
    data = TensorDataset(torch.arange(77.0), Y)
    seen = torch.cat([rows for rows, _ in DataLoader(data, batch_size=10, sampler=make(Y))])
    assert seen.long().tolist() == list(make(Y))


@every
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 100))
def test_any_labels(make, labels, seed):
    sampler = make(np.array(labels), seed=seed)
    indices = sampler.indices()
    assert len(indices) == len(sampler) > 0
    assert 0 <= int(indices.min()) <= int(indices.max()) < len(labels)


@every
@pytest.mark.parametrize("bad", [[], [-1, 0], [0.5, 1.0]])
def test_bad_labels(make, bad):
    with pytest.raises(ValueError, match="class indices from 0"):
        make(np.array(bad))


@every
@pytest.mark.parametrize("shard", [{"rank": 2, "world_size": 2}, {"rank": 0}, {"rank": -1, "world_size": 2}])
def test_bad_shards(make, shard):
    with pytest.raises(ValueError, match="do not fit"):
        make(Y, **shard)


def test_negative_seed():
    with pytest.raises(ValueError, match="seed must not be negative, but -1"):
        ShuffleSampler(Y, seed=-1)


def test_shuffle_is_a_permutation():
    assert sorted(ShuffleSampler(Y)) == list(range(77))


@pytest.mark.parametrize("reshuffle", [True, False])
def test_rotation_is_strict_and_covers_every_row(reshuffle):
    sampler = ClassBalancedSampler(Y, reshuffle=reshuffle)
    draws = sampler.indices()
    assert len(draws) == 3 * 60
    assert Y[draws].view(60, 3).eq(torch.tensor([0, 1, 2])).all()
    assert set(draws.tolist()) == set(range(77))


def test_rotation_repeats_rows_evenly():
    seen = torch.bincount(ClassBalancedSampler(Y).indices(), minlength=77)
    assert seen[Y == 0].tolist() == [1] * 60
    assert seen[Y == 1].tolist() == [12] * 5
    assert seen[Y == 2].tolist() == [5] * 12


def test_published_rotation_twin():
    """Each class's rows in the order of the data, then random repeats; the same in each epoch."""
    sampler = ClassBalancedSampler(Y, reshuffle=False, seed=4)
    columns = sampler.indices().view(60, 3)
    for c, n in enumerate([60, 5, 12]):
        rows = [i for i in range(77) if Y[i] == c]
        assert columns[:n, c].tolist() == rows
        assert set(columns[n:, c].tolist()) <= set(rows)
    first = list(sampler)
    sampler.set_epoch(9)
    assert list(sampler) == first


def test_rotation_gives_every_rank_every_class():
    for world_size in (2, 3):
        for rank in range(world_size):
            shard = ClassBalancedSampler(Y, rank=rank, world_size=world_size)
            assert len(set(counts(shard))) == 1


def test_rotation_batches_hold_each_class_alike():
    y = torch.arange(10).repeat_interleave(torch.arange(1, 11))
    for batch in ClassBalancedSampler(y).indices()[:90].view(3, 30):
        assert torch.bincount(y[batch]).tolist() == [3] * 10


def test_random_mode_is_balanced_on_average():
    y = torch.tensor([0] * 5000 + [1] * 50)
    drawn = counts(ClassBalancedSampler(y, mode="random"), y)
    assert abs(drawn[0] - 5000) < 4 * math.sqrt(10_000 / 4)


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode='turns' is unknown"):
        ClassBalancedSampler(Y, mode="turns")


@pytest.mark.parametrize(
    ("ratio", "expected"), [(1.0, [60, 60, 60]), (0.5, [60, 30, 30]), (0.1, [60, 6, 12])]
)
def test_over_sampling_counts(ratio, expected):
    assert counts(OverSampler(Y, ratio=ratio)) == expected


def test_over_sampling_keeps_every_row_and_repeats_evenly():
    seen = torch.bincount(OverSampler(Y, ratio=0.7).indices(), minlength=77)  # 42 of each small class
    for c, n in [(0, 60), (1, 5), (2, 12)]:
        times = seen[c == Y]
        assert int(times.min()) == max(1, 42 // n)
        assert int(times.max()) - int(times.min()) <= 1


def test_over_sampling_by_a_whole_factor_is_a_class_weight():
    y = torch.tensor([0] * 12 + [1] * 3)
    x = torch.randn(15, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    draws = OverSampler(y).indices()
    weight = torch.where(y == 1, 4.0, 1.0)
    torch.testing.assert_close(x[draws].sum(0), (weight[:, None] * x).sum(0))


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, [5, 5, 5]), (0.5, [10, 5, 10]), (0.1, [50, 5, 12])])
def test_under_sampling_counts(ratio, expected):
    assert counts(UnderSampler(Y, ratio=ratio)) == expected


def test_under_sampling_never_repeats_and_in_time_sees_all():
    sampler, seen = UnderSampler(Y), set()
    for epoch in range(120):
        sampler.set_epoch(epoch)
        rows = list(sampler)
        assert len(set(rows)) == len(rows)
        seen |= set(rows)
    assert seen == set(range(77))


@pytest.mark.parametrize("make", [OverSampler, UnderSampler])
def test_equal_classes_or_a_tiny_ratio_leave_the_data_as_they_are(make):
    y = [0, 0, 1, 1]
    assert sorted(make(y)) == [0, 1, 2, 3]
    assert sorted(make(Y, ratio=1e-6)) == list(range(77))


@pytest.mark.parametrize("make", [OverSampler, UnderSampler])
@pytest.mark.parametrize("ratio", [0.0, -1.0, 1.5, float("nan")])
def test_bad_ratio(make, ratio):
    with pytest.raises(ValueError, match="ratio must lie above 0 and up to 1"):
        make(Y, ratio=ratio)


@pytest.mark.parametrize("q", [1.0, 0.5, 0.0, -1.0])
def test_power_shares_twin(q):
    powers = [n**q for n in (60, 5, 12)]
    shares = PowerSampler(Y, q=q).shares()
    assert shares.tolist() == pytest.approx([p / sum(powers) for p in powers])


def test_power_draws_follow_the_shares_and_are_uniform_within_a_class():
    y = torch.tensor([0] * 900 + [1] * 100)
    sampler = PowerSampler(y, q=0.5)
    seen = torch.zeros(1000)
    for epoch in range(200):
        sampler.set_epoch(epoch)
        seen += torch.bincount(sampler.indices(), minlength=1000)
    share = float(seen[y == 1].sum() / seen.sum())
    assert abs(share - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 200_000)
    expected = 200_000 * 0.25 / 100
    chi2 = float(((seen[y == 1] - expected) ** 2 / expected).sum())
    assert chi2 < 99 + 5 * math.sqrt(2 * 99)


def test_power_is_stable_for_huge_powers():
    assert PowerSampler(Y, q=500.0).shares().tolist() == pytest.approx([1, 0, 0])


def test_power_q_not_finite():
    with pytest.raises(ValueError, match="q must be a finite number, but nan"):
        PowerSampler(Y, q=float("nan"))


def test_a_class_without_rows_has_no_turn():
    y = torch.tensor([0, 0, 0, 2])
    assert y[ClassBalancedSampler(y).indices()].tolist() == [0, 2] * 3
