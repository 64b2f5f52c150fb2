"""Meta-Weight-Net and CMW-Net as functions: families, heads, and where they are each other."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from weighing_toys import CrossEntropy, batch, mlp

from metabalance import weigh
from metabalance.weigh import ClassAwareWeightNet, LearnedWeights, MetaWeightNet, class_families

COUNTS = [5000, 2320, 1077, 500, 232, 107, 50, 23, 10, 5]
WEIGHERS = {
    "MetaWeightNet": lambda counts=COUNTS, **kw: MetaWeightNet(**kw),
    "ClassAwareWeightNet": lambda counts=COUNTS, **kw: ClassAwareWeightNet(counts, **kw),
}
every = pytest.mark.parametrize("make", WEIGHERS.values(), ids=WEIGHERS.keys())


def rows(seed=0, classes=10, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return 5 * torch.rand(64, generator=g, dtype=dtype), torch.randint(classes, (64,), generator=g)


def test_every_exported_weigher_is_here():
    exported = {name for name in weigh.__all__ if isinstance(getattr(weigh, name), type)}
    assert set(WEIGHERS) <= exported


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_weights_lie_between_zero_and_one_in_the_dtype_of_the_losses(make, dtype):
    losses, target = rows()
    weights = make().to(dtype)(losses.to(dtype), target)
    assert weights.shape == (64,)
    assert weights.dtype == dtype
    assert bool(((weights > 0) & (weights < 1)).all())
    assert torch.isfinite(make()(losses * 1e4, target)).all()


@every
def test_a_zero_output_layer_gives_one_half(make):
    net = make()
    nn.init.zeros_(net.output.weight)
    nn.init.zeros_(net.output.bias)
    assert net(*rows()).eq(0.5).all()


@every
def test_a_gradient_reaches_every_parameter(make):
    net = make(hidden=20)
    net(*rows()).sum().backward()
    # a hidden unit that no loss switches on has none: losses are positive, biases may be too low
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())


@every
def test_state_dict_round_trip(make):
    old, new = make(), make()
    assert not torch.equal(old(*rows()), new(*rows()))
    new.load_state_dict(old.state_dict())
    assert torch.equal(old(*rows()), new(*rows()))


@every
def test_compiled_it_is_the_same(make):
    net = make()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*rows()), net(*rows()))


@every
def test_a_weight_depends_on_its_own_row_alone(make):
    losses, target = rows()
    net = make()
    torch.testing.assert_close(net(losses, target)[5:8], net(losses[5:8], target[5:8]))


@every
def test_hidden_must_be_positive(make):
    with pytest.raises(ValueError, match="hidden must be at least 1, but 0 was given"):
        make(hidden=0)


def test_meta_weight_net_by_hand():
    net = MetaWeightNet(hidden=2).double()
    with torch.no_grad():
        net.hidden.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        net.hidden.bias.copy_(torch.tensor([-1.0, 0.5]))
        net.output.weight.copy_(torch.tensor([[2.0, 4.0]]))
        net.output.bias.fill_(-1.0)
    # ℓ = 2: 2·1 + 4·0 - 1 = 1; ℓ = 0.25: 0 + 4·0.25 - 1 = 0
    expected = torch.tensor([1 / (1 + np.exp(-1.0)), 0.5])
    torch.testing.assert_close(net(torch.tensor([2.0, 0.25]).double()), expected)


def test_meta_weight_net_does_not_see_classes_and_cmw_net_does():
    losses = torch.ones(10)
    assert len(MetaWeightNet()(losses, torch.arange(10)).unique()) == 1
    net = ClassAwareWeightNet(COUNTS)
    by_family = net(losses, torch.arange(10))
    assert len(by_family.unique()) == 3
    for a, b in itertools.combinations(range(10), 2):
        assert (net.family[a] == net.family[b]) == (by_family[a] == by_family[b])


@pytest.mark.parametrize("settings", [{"num_families": 1}, {"counts": [50] * 10}])
def test_one_family_is_meta_weight_net(settings):
    """As a function and under training, bit by bit."""
    torch.manual_seed(0)
    one = ClassAwareWeightNet(**{"counts": COUNTS, "hidden": 7} | settings).double()
    torch.manual_seed(0)
    other = MetaWeightNet(hidden=7).double()
    found = []
    for net in (one, other):
        step, model = LearnedWeights(net, [batch(9)], normalize="detached_sum"), mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for i in range(3):
            step(model, batch(i), CrossEntropy(), optimizer)
        found.append([p.detach() for p in [*net.parameters(), *model.parameters()]])
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-14)


def test_cmw_net_against_a_loop():
    losses, target = rows(dtype=torch.float64)
    net = ClassAwareWeightNet(COUNTS, hidden=6).double().requires_grad_(False)
    expected = []
    for loss, y in zip(losses, target):
        hidden = [
            max(0.0, float(w) * float(loss) + float(b)) for w, b in zip(net.hidden.weight, net.hidden.bias)
        ]
        f = net.family[y]
        logit = sum(float(a) * h for a, h in zip(net.output.weight[f], hidden)) + float(net.output.bias[f])
        expected.append(1 / (1 + np.exp(-logit)))
    torch.testing.assert_close(net(losses, target), torch.tensor(expected, dtype=torch.float64))


def test_mixed_labels_get_the_mean_over_their_classes():
    losses, target = rows()
    net = ClassAwareWeightNet(COUNTS)
    hard = torch.nn.functional.one_hot(target, 10).float()
    torch.testing.assert_close(net(losses, hard), net(losses, target))
    mixed = 0.25 * hard + 0.75 * hard.flip(0)
    flipped = net(losses, target.flip(0))
    torch.testing.assert_close(net(losses, mixed), 0.25 * net(losses, target) + 0.75 * flipped)


# --------------------------------------------------------------------------------------------- families


def within(values, family):
    return sum(((values[family == f] - values[family == f].mean()) ** 2).sum() for f in np.unique(family))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_families_are_the_best_of_all_partitions(seed, k):
    counts = np.random.default_rng(seed).integers(1, 100, 7).astype(float)
    family = class_families(counts, k).numpy()
    best = min(
        within(counts, np.array(labels))
        for labels in itertools.product(range(k), repeat=7)
        if len(set(labels)) <= k
    )
    assert within(counts, family) == pytest.approx(best, abs=1e-8)


def test_families_equal_those_of_scikit_learn():
    from sklearn.cluster import KMeans

    for counts in (COUNTS, [500 * 0.01 ** (c / 99) for c in range(100)]):
        values = np.array(counts, dtype=float)[:, None]
        theirs = KMeans(3, n_init=50, random_state=0).fit(values)
        rank = theirs.cluster_centers_[:, 0].argsort().argsort()
        np.testing.assert_array_equal(class_families(counts), rank[theirs.labels_])


def test_families_are_ordered_by_size_wherever_the_classes_stand():
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    counts = torch.tensor(COUNTS, dtype=torch.float64)
    # by hand: squares within are 967 thousand for 5000 | 2320 1077 | the rest, 976 with 1077 in the rest
    assert class_families(counts).tolist() == [2, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert torch.equal(class_families(counts[order]), class_families(counts)[order])
    assert torch.equal(class_families(counts * 1e6), class_families(counts))


def test_logarithms_spread_the_small_classes():
    assert class_families(COUNTS, log_counts=True).bincount().tolist() == [3, 3, 4]
    assert class_families(COUNTS).bincount().tolist() == [7, 2, 1]


def test_few_sizes_few_families():
    assert class_families([7] * 4).tolist() == [0] * 4
    assert class_families([9, 9, 1, 1], 3).tolist() == [1, 1, 0, 0]
    assert class_families([100, 0, 10, 1]).tolist() == [2, 0, 1, 0]  # the absent class joins the smallest
    assert class_families(range(1, 1001)).bincount().tolist() == pytest.approx([333] * 3, abs=1)


@pytest.mark.parametrize("bad", [[], [0, 0], [-1, 2], [float("nan"), 1]])
def test_impossible_counts(bad):
    with pytest.raises(ValueError, match="class counts must be finite"):
        class_families(bad)
    with pytest.raises(ValueError, match="num_families must be at least 1, but 0 was given"):
        class_families([1, 2], 0)
