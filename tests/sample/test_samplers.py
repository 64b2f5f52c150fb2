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
from metabalance.sample import (
    ClassBalancedSampler,
    OverSampler,
    PowerSampler,
    ProgressiveSampler,
    ShuffleSampler,
    UnderSampler,
)
from metabalance.sample.base import MANY, IndexSampler, alias_table, draw_classes, rows_by_class, shuffled

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
    "ProgressiveSampler": lambda y, **kw: ProgressiveSampler(y, epochs=3, **kw),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def counts(indices, y=Y):
    return torch.bincount(y[torch.as_tensor(list(indices))], minlength=3).tolist()


def test_every_exported_sampler_is_here():
    exported = {
        name
        for name in sample.__all__
        if isinstance(getattr(sample, name), type) and issubclass(getattr(sample, name), IndexSampler)
    }
    assert {type(make(Y)).__name__ for make in MAKE.values()} == exported - {"IndexSampler"}


@every
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_classes_come_in_the_shares_that_are_named(make, epoch):
    sampler = make(Y)
    sampler.set_epoch(epoch)
    shares = sampler.shares()
    assert shares.dtype == torch.float64
    assert float(shares.sum()) == pytest.approx(1)
    seen = torch.zeros(3)
    for seed in range(200):
        sampler.seed = seed
        seen += torch.bincount(Y[sampler.indices()], minlength=3)
    n = float(seen.sum())
    spread = 4 * (shares * (1 - shares) / n).sqrt()
    assert ((seen / n - shares).abs() <= spread).all()


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


def test_progressive_goes_from_instance_to_class_balanced():
    sampler = ProgressiveSampler(Y, epochs=5)
    for t in range(7):
        sampler.set_epoch(t)
        part = min(t / 4, 1)
        twin = [(1 - part) * n / 77 + part / 3 for n in (60, 5, 12)]
        assert sampler.shares().tolist() == pytest.approx(twin)
    assert ProgressiveSampler(Y, epochs=1).shares().tolist() == pytest.approx([60 / 77, 5 / 77, 12 / 77])


def test_progressive_goes_on_where_it_was():
    sampler, again = ProgressiveSampler(Y, epochs=5), ProgressiveSampler(Y, epochs=5, seed=8)
    sampler.set_epoch(3)
    again.load_state_dict(sampler.state_dict())
    assert again.shares().tolist() == sampler.shares().tolist()
    assert list(again) == list(sampler)


def test_progressive_needs_an_epoch():
    with pytest.raises(ValueError, match="epochs must be at least 1, but 0"):
        ProgressiveSampler(Y, epochs=0)


@pytest.mark.parametrize("scale", [1, 1000, 70_000])  # sorted by one byte, by two, by comparisons
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_rows_by_class_twin(scale, dtype):
    y = (Y * scale).to(dtype)
    order, lengths = rows_by_class(y)
    expected = [i for c in sorted(set(y.tolist())) for i in range(77) if int(y[i]) == c]
    assert order.tolist() == expected
    assert lengths.tolist() == [60, 5, 12]
    members = ShuffleSampler(y).members
    assert [rows.tolist() for rows in members] == [
        torch.nonzero(y == c).flatten().tolist() for c in y.unique()
    ]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int16])
def test_labels_of_any_whole_dtype(dtype):
    y = (Y > 0).to(dtype)
    assert list(PowerSampler(y)) == list(PowerSampler((Y > 0).long()))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_alias_table_gives_back_the_shares(shares):
    total = sum(shares)
    if total < 1e-6:
        return
    cut, other = alias_table(torch.tensor(shares, dtype=torch.float64))
    back = [0.0] * len(shares)
    for k, (mine, giver) in enumerate(zip(cut.tolist(), other.tolist())):
        assert -1e-12 <= mine <= 1
        back[k] += mine / len(shares)
        back[giver] += (1 - mine) / len(shares)
    assert back == pytest.approx([s / total for s in shares], abs=1e-9)


def test_draws_with_a_share_of_zero_never_happen():
    order, lengths = rows_by_class(Y)
    shares = torch.tensor([0.5, 0.0, 0.5])
    drawn = draw_classes(order, lengths, shares, 10_000, torch.Generator().manual_seed(0))
    assert set(Y[drawn].tolist()) == {0, 2}


def test_rows_within_a_class_are_drawn_alike_at_the_edges_too():
    """The first and the last row of a class: where rounding would show."""
    y = torch.arange(7).repeat_interleave(torch.tensor([1, 2, 3, 5, 50, 100, 3]))
    order, lengths = rows_by_class(y)
    shares = torch.arange(1.0, 8.0)
    drawn = draw_classes(order, lengths, shares, 400_000, torch.Generator().manual_seed(0))
    seen = torch.bincount(drawn, minlength=len(y)).double()
    expected = 400_000 * (shares / shares.sum())[y] / lengths[y]
    chi2 = float(((seen - expected) ** 2 / expected).sum())
    assert abs(chi2 - len(y)) < 5 * math.sqrt(2 * len(y))


def test_a_large_shuffle_is_a_uniform_permutation():
    rows = torch.arange(MANY)
    order = shuffled(rows, torch.Generator().manual_seed(0))
    assert torch.equal(order.sort().values, rows)
    assert torch.equal(rows, torch.arange(MANY))  # the argument is left as it is
    # Where a row goes depends neither on its own place nor on its neighbour's.
    cells = torch.zeros(16, 16)
    cells.index_put_((rows // (MANY // 16), order // (MANY // 16)), torch.ones(MANY), accumulate=True)
    chi2 = float(((cells - MANY / 256) ** 2 / (MANY / 256)).sum())
    assert abs(chi2 - 225) < 5 * math.sqrt(2 * 225)
    steps = torch.bincount((order[1:] - order[:-1]).remainder(64), minlength=64).double()
    chi2 = float(((steps - (MANY - 1) / 64) ** 2 / (MANY / 64)).sum())
    assert abs(chi2 - 63) < 5 * math.sqrt(2 * 63)
    assert not torch.equal(order, shuffled(rows, torch.Generator().manual_seed(1)))


def test_more_rows_than_torch_can_draw_from():
    """WeightedRandomSampler ends at 2**24 rows."""
    size = (1 << 24) + 5
    y = torch.zeros(size, dtype=torch.uint8)
    y[-3:] = 1
    with pytest.raises(RuntimeError, match="2\\^24"):
        torch.multinomial(torch.ones(size), 1, replacement=True)
    drawn = PowerSampler(y, q=0.0).indices()
    assert len(drawn) == size
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) == size - 1
    rare = torch.bincount(drawn[drawn >= size - 3] - (size - 3)).double()
    assert ((rare - size / 6).abs() < 5 * math.sqrt(size / 6)).all()
    assert float((drawn >= 1 << 24).double().mean()) == pytest.approx(0.5, abs=0.001)
