"""Deferred re-weighting and re-sampling: nothing before the start, the paper's weights after it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.loss import ClassBalancedLoss, FocalLoss, LogitAdjustedLoss
from metabalance.optimize import DeferredReweighting, DeferredSampler
from metabalance.optimize.deferred import deferred_weights
from metabalance.sample import ClassBalancedSampler, ShuffleSampler

COUNTS = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]  # CIFAR-10-LT, imbalance 100


def batch(classes=10, rows=64, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return torch.randn(rows, classes, generator=g, dtype=dtype), torch.randint(classes, (rows,), generator=g)


def inner():
    return nn.CrossEntropyLoss(reduction="none")


LOSSES = [
    inner,
    lambda: FocalLoss(2.0, reduction="none"),
    lambda: LogitAdjustedLoss(COUNTS, reduction="none"),
]


@pytest.mark.parametrize("make", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_before_the_start_it_is_the_loss_itself_bit_for_bit(make, dtype):
    loss = DeferredReweighting(make(), COUNTS, start_epoch=3, reduction="none")
    logits, target = batch(dtype=dtype)
    for epoch in (0, 1):
        assert torch.equal(loss(logits, target), make()(logits, target))
        loss.update(epoch=epoch)
    assert torch.equal(loss(logits, target), make()(logits, target))
    loss.update(epoch=2)
    assert not torch.equal(loss(logits, target), make()(logits, target))


@pytest.mark.parametrize("make", LOSSES)
def test_a_twin_of_what_follows(make):
    beta = 0.9999
    effective = [(1 - beta**n) / (1 - beta) for n in COUNTS]
    total = sum(1 / e for e in effective)
    w = [len(COUNTS) / (e * total) for e in effective]
    logits, target = batch()
    each = make()(logits, target).tolist()
    expected = sum(w[y] * value for y, value in zip(target.tolist(), each)) / len(target)
    assert float(DeferredReweighting(make(), COUNTS, 0)(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_the_weights_of_the_card():
    w = deferred_weights(COUNTS)
    assert float(w[0]) == pytest.approx(0.051, abs=5e-4)
    assert float(w[-1]) == pytest.approx(3.99, abs=5e-3)
    assert float(w.sum()) == pytest.approx(10)


@pytest.mark.parametrize(("beta", "ratio"), [(0.99, 2.53), (0.999, 20.36), (0.9999, 78.9), (1.0, 100)])
def test_ratios_of_the_card(beta, ratio):
    w = deferred_weights([5000, 50], beta)
    assert float(w[1] / w[0]) == pytest.approx(ratio, rel=2e-3)


def test_limits():
    torch.testing.assert_close(deferred_weights([9, 5, 1], 0.0), torch.ones(3))
    torch.testing.assert_close(deferred_weights([7, 7, 7]), torch.ones(3))
    torch.testing.assert_close(deferred_weights([9, 0, 3], 1.0), torch.tensor([0.5, 0.0, 1.5]))
    logits, target = batch(3)
    loss = DeferredReweighting(inner(), [7, 7, 7], 0)
    torch.testing.assert_close(loss(logits, target), F.cross_entropy(logits, target))


def test_it_is_the_class_balanced_loss_once_it_has_started():
    logits, target = batch()
    torch.testing.assert_close(
        DeferredReweighting(inner(), COUNTS, 0)(logits, target), ClassBalancedLoss(COUNTS)(logits, target)
    )


def test_a_batch_of_one_class_keeps_its_weight():
    logits, _ = batch()
    target = torch.full((64,), 9)
    loss = DeferredReweighting(inner(), COUNTS, 0)
    torch.testing.assert_close(loss(logits, target), loss.weight[9] * F.cross_entropy(logits, target))


def test_soft_targets_take_the_weights_of_their_classes():
    logits, y = batch()
    loss = DeferredReweighting(inner(), COUNTS, 0, reduction="none")
    hard = F.one_hot(y, 10).float()
    torch.testing.assert_close(loss(logits, hard), loss(logits, y))
    other = y.roll(1)
    mixed = 0.3 * hard + 0.7 * F.one_hot(other, 10).float()  # as in Remix-DRW: each label with its own weight
    torch.testing.assert_close(
        loss(logits, mixed), 0.3 * loss(logits, y) + 0.7 * loss(logits, other), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_reductions_and_gradient(reduction):
    logits, target = batch()
    logits.requires_grad_()
    value = DeferredReweighting(inner(), COUNTS, 0, reduction=reduction)(logits, target)
    each = DeferredReweighting(inner(), COUNTS, 0, reduction="none")(logits, target)
    torch.testing.assert_close(value, {"none": each, "mean": each.mean(), "sum": each.sum()}[reduction])
    value.sum().backward()
    assert (logits.grad != 0).all()


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_stay_finite(size):
    logits = (torch.eye(3) * size).requires_grad_()
    DeferredReweighting(inner(), [9, 0, 3], 0)(logits, torch.tensor([0, 1, 0])).backward()
    assert torch.isfinite(logits.grad).all()


def test_the_switch_is_in_the_state():
    old, new = (DeferredReweighting(inner(), COUNTS, 2) for _ in range(2))
    old.update(epoch=1)
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(*batch()), old(*batch()))
    assert torch.equal(new.current, new.weight)


def test_what_is_told_reaches_the_inner_loss():
    told = []

    class Inner(nn.Module):
        def forward(self, logits, target):
            return F.cross_entropy(logits, target, reduction="none")

        def update(self, **report):
            told.append(report)

    DeferredReweighting(Inner(), COUNTS, 2).update(epoch=0, loss=1.0)
    assert told == [{"epoch": 0, "loss": 1.0}]


def test_many_classes_and_compile():
    counts = torch.arange(1000, 0, -1)
    loss = DeferredReweighting(inner(), counts, 0)
    logits, target = batch(1000)
    torch.testing.assert_close(torch.compile(loss, backend="eager")(logits, target), loss(logits, target))


def test_refusals():
    with pytest.raises(ValueError, match="reduction='none', not 'mean'"):
        DeferredReweighting(nn.CrossEntropyLoss(), COUNTS, 1)
    with pytest.raises(ValueError, match="start_epoch must be at least 0, but -1"):
        DeferredReweighting(inner(), COUNTS, -1)
    with pytest.raises(ValueError, match="beta must lie between 0 and 1"):
        DeferredReweighting(inner(), COUNTS, 1, beta=2.0)
    with pytest.raises(ValueError, match="reduction='avg' is unknown"):
        DeferredReweighting(inner(), COUNTS, 1, reduction="avg")
    with pytest.raises(ValueError, match="start_epoch must be at least 0"):
        DeferredSampler([0], [0], -1)


TARGET = [0] * 90 + [1] * 10


def sampler(start):
    return DeferredSampler(ShuffleSampler(TARGET, seed=1), ClassBalancedSampler(TARGET, seed=1), start)


def test_resampling_starts_when_told():
    one = sampler(2)
    one.set_epoch(4)
    reference = ShuffleSampler(TARGET, seed=1)
    reference.set_epoch(4)
    one.update(epoch=0)
    assert list(one) == list(reference)
    assert len(one) == 100
    one.update(epoch=1)
    share = sum(row >= 90 for row in one) / len(one)
    assert share == 0.5
    two = sampler(2)
    two.load_state_dict(one.state_dict())
    assert list(two) == list(one)
    assert list(sampler(0)) == list(ClassBalancedSampler(TARGET, seed=1))
