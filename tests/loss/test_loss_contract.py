"""What holds for every loss that is exported."""

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from metabalance import loss as losses

MAKE = {
    "WeightedCrossEntropy": lambda counts, **kw: losses.WeightedCrossEntropy(1 / counts.clamp_min(1), **kw),
    "FocalLoss": lambda counts, **kw: losses.FocalLoss(2.0, **kw),
    "ClassBalancedLoss": lambda counts, **kw: losses.ClassBalancedLoss(counts, 0.999, gamma=0.5, **kw),
    "LogitAdjustedLoss": lambda counts, **kw: losses.LogitAdjustedLoss(counts, 1.5, **kw),
    "BalancedSoftmaxLoss": lambda counts, **kw: losses.BalancedSoftmaxLoss(counts, **kw),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())


def counts(classes):
    return torch.arange(classes, 0, -1, dtype=torch.float64) * 10


def batch(classes, rows=32, dtype=torch.float32, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=g, dtype=dtype)
    return logits.requires_grad_(), torch.randint(classes, (rows,), generator=g)


def test_every_exported_loss_is_here():
    assert set(MAKE) == set(losses.__all__)


@every
@pytest.mark.parametrize("classes", [2, 5, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_reductions_and_dtype(make, classes, dtype):
    logits, target = batch(classes, dtype=dtype)
    each = make(counts(classes), reduction="none")(logits, target)
    assert each.shape == (32,)
    assert each.dtype == dtype
    torch.testing.assert_close(make(counts(classes), reduction="sum")(logits, target), each.sum())
    # over the rows, never over the weights
    torch.testing.assert_close(make(counts(classes))(logits, target), each.sum() / 32)


@every
def test_losses_of_one_row_do_not_depend_on_the_others(make):
    logits, target = batch(4)
    loss = make(counts(4), reduction="none")
    torch.testing.assert_close(loss(logits, target)[:3], loss(logits[:3], target[:3]))


@every
def test_a_batch_of_one_class_keeps_its_weight(make):
    logits, _ = batch(4)
    target = torch.full((32,), 3)
    each = make(counts(4), reduction="none")(logits, target)
    torch.testing.assert_close(make(counts(4))(logits, target), each.mean())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_stay_finite(make, dtype, size):
    logits = (torch.eye(3, dtype=dtype) * size).requires_grad_()
    target = torch.tensor([0, 1, 0])
    value = make(counts(3))(logits, target)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@every
def test_an_absent_class_is_harmless(make):
    loss = make(torch.tensor([10.0, 0.0, 5.0]), reduction="none")
    logits, _ = batch(3, rows=6)
    target = torch.tensor([0, 1, 2, 0, 1, 2])  # absent in training, yet it may turn up later
    value = loss(logits, target)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(logits.grad).all()


@every
def test_gradient_reaches_every_logit_and_descends(make):
    logits, target = batch(4, dtype=torch.float64)
    loss = make(counts(4))
    value = loss(logits, target)
    value.backward()
    assert (logits.grad != 0).all()
    assert loss(logits.detach() - 0.01 * logits.grad, target) < value
    assert torch.autograd.gradcheck(lambda z: loss(z, target[:4]), logits.detach()[:4].requires_grad_())


@every
def test_state_dict_round_trip(make):
    logits, target = batch(3)
    old, new = make(counts(3)), make(torch.ones(3))
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(logits, target), old(logits, target))


@every
def test_vmap_over_batches_equals_a_loop(make):
    logits, target = batch(3, rows=12)
    loss = make(counts(3))
    many = torch.func.vmap(loss)(logits.view(4, 3, 3), target.view(4, 3))
    loop = torch.stack([loss(a, b) for a, b in zip(logits.view(4, 3, 3), target.view(4, 3))])
    torch.testing.assert_close(many, loop)


@every
def test_wrong_shapes_are_named(make):
    loss = make(counts(3))
    with pytest.raises(ValueError, match=r"logits must be \(B, C\).*\(3,\)"):
        loss(torch.zeros(3), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="C at least 2"):
        loss(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"target must be \(3,\).*\(2,\)"):
        loss(torch.zeros(3, 3), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="reduction='avg' is unknown"):
        make(counts(3), reduction="avg")


@pytest.mark.parametrize("name", sorted(set(MAKE) - {"FocalLoss"}))
def test_wrong_number_of_classes_is_named(name):
    with pytest.raises(ValueError, match="built for 3 classes, but the logits have 4"):
        MAKE[name](counts(3))(torch.zeros(2, 4), torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("name", ["ClassBalancedLoss", "LogitAdjustedLoss", "BalancedSoftmaxLoss"])
@pytest.mark.parametrize("bad", [[], [0, 0], [-1, 2], [float("nan"), 1]])
def test_impossible_counts_are_refused(name, bad):
    with pytest.raises(ValueError, match="class counts must be finite"):
        getattr(losses, name)(bad)


@every
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(2, 6), st.floats(0.01, 100))
def test_finite_and_not_negative_for_any_logits(make, seed, rows, classes, scale):
    logits, target = batch(classes, rows, seed=seed)
    value = make(counts(classes), reduction="none")(logits * scale, target)
    assert torch.isfinite(value).all()
    assert (value >= -1e-6).all()


@pytest.mark.parametrize(
    "loss",
    [
        losses.WeightedCrossEntropy(),
        losses.WeightedCrossEntropy([1.0, 1.0, 1.0]),
        losses.FocalLoss(0.0),
        losses.ClassBalancedLoss([7, 7, 7]),
        losses.ClassBalancedLoss([9, 5, 1], beta=0.0),
        losses.LogitAdjustedLoss([7, 7, 7]),
        losses.LogitAdjustedLoss([9, 5, 1], tau=0.0),
        losses.BalancedSoftmaxLoss([7, 7, 7]),
    ],
    ids=repr,
)
def test_balanced_counts_or_a_knob_at_zero_give_cross_entropy(loss):
    logits, target = batch(3)
    torch.testing.assert_close(loss(logits, target), F.cross_entropy(logits, target))


@every
def test_mixed_labels_are_averages_over_their_classes(make):
    logits, target = batch(5, dtype=torch.float64)
    other = target.roll(1)
    share = torch.rand(32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one, two = F.one_hot(target, 5).double(), F.one_hot(other, 5).double()
    mixed = share[:, None] * one + (1 - share[:, None]) * two
    loss = make(counts(5), reduction="none")
    expected = share * loss(logits, target) + (1 - share) * loss(logits, other)
    torch.testing.assert_close(loss(logits, mixed), expected)
    torch.testing.assert_close(loss(logits, one), loss(logits, target))
    spread = torch.full((32, 5), 0.2, dtype=torch.float64)
    all_classes = [loss(logits, torch.full((32,), c)) for c in range(5)]
    torch.testing.assert_close(loss(logits, spread), torch.stack(all_classes).mean(0))
