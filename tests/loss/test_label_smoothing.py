"""Smoothing by class, in both directions: torch's own where the classes are alike, else a twin."""

import math

import pytest
import torch
import torch.nn.functional as F

from metabalance.loss import ClassSmoothingLoss, LabelAwareSmoothingLoss


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(3)
    return torch.randn(20, 3, generator=g, dtype=torch.float64), torch.randint(3, (20,), generator=g)


def twin(logits, target, epsilon, received):
    out = []
    for row, y in zip(logits.tolist(), target.tolist()):
        total = sum(math.exp(z) for z in row)
        q = [epsilon[y] * u + (1 - epsilon[y]) * (c == y) for c, u in enumerate(received)]
        out.append(-sum(share * math.log(math.exp(z) / total) for share, z in zip(q, row)))
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize(
    ("spread", "received"), [("uniform", [1 / 3] * 3), ("inverse", [1 / 111, 10 / 111, 100 / 111])]
)
def test_class_smoothing_twin(data, spread, received):
    logits, target = data
    ours = ClassSmoothingLoss([1000, 100, 10], 0.1, 0.3, spread, reduction="none")(logits, target)
    torch.testing.assert_close(ours, twin(logits, target, [0.1, 0.2, 0.3], received), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "middle"),
    [
        ("concave", math.sin(math.pi / 6)),
        ("linear", 1 / 3),
        ("convex", 1 + math.sin(1.5 * math.pi + math.pi / 6)),
        ("exp", 1 / 27),
    ],
)
def test_label_aware_twin(data, shape, middle):
    logits, target = data
    loss = LabelAwareSmoothingLoss([100, 40, 10], 0.4, 0.1, shape, power=3.0, reduction="none")
    expected = twin(logits, target, [0.4, 0.1 + 0.3 * middle, 0.1], [1 / 3] * 3)
    torch.testing.assert_close(loss(logits, target), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", [ClassSmoothingLoss, LabelAwareSmoothingLoss])
def test_one_smoothing_for_all_is_torchs(data, make):
    logits, target = data
    expected = F.cross_entropy(logits, target, label_smoothing=0.2)
    torch.testing.assert_close(make([90, 9, 1], 0.2, 0.2)(logits, target), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(make([7, 7, 7], 0.2, 0.6)(logits, target), expected, rtol=1e-6, atol=1e-6)


def test_the_two_directions():
    rare_more, head_more = ClassSmoothingLoss([90, 9, 1]).epsilon, LabelAwareSmoothingLoss([90, 9, 1]).epsilon
    assert (rare_more.diff() > 0).all()
    assert (head_more.diff() < 0).all()
    torch.testing.assert_close(rare_more, torch.tensor([0.0, 0.1023, 0.2]), rtol=0, atol=1e-4)


def test_shapes_order_the_middle():
    concave, linear, convex = (
        LabelAwareSmoothingLoss([100, 50, 1], shape=shape).epsilon
        for shape in ("concave", "linear", "convex")
    )
    assert concave[1] > linear[1] > convex[1]
    assert concave[0] == linear[0] == convex[0]
    assert concave[2] == linear[2] == convex[2] == 0


def test_a_class_without_examples_is_smoothed_like_one_with_a_single_one():
    torch.testing.assert_close(ClassSmoothingLoss([90, 9, 0]).epsilon, ClassSmoothingLoss([90, 9, 1]).epsilon)
    assert LabelAwareSmoothingLoss([90, 9, 0]).epsilon[-1] == 0


@pytest.mark.parametrize("epsilon", [0.1, 0.3])
def test_the_minimisers_gap(epsilon):
    """Free logits settle log(1 + C(1 - e)/e) apart: the more smoothing, the smaller the gap."""
    z = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    loss = ClassSmoothingLoss([90, 9, 1], head=0.0, tail=epsilon)
    optimizer = torch.optim.LBFGS([z], max_iter=200, tolerance_grad=1e-12, tolerance_change=0)

    def closure():
        optimizer.zero_grad()
        value = loss(z, torch.tensor([2]))
        value.backward()
        return value

    optimizer.step(closure)
    expected = math.log(1 + 3 * (1 - epsilon) / epsilon)
    assert (z[0, 2] - z[0, 0]).item() == pytest.approx(expected, abs=1e-6)
    assert (z[0, 2] - z[0, 1]).item() == pytest.approx(expected, abs=1e-6)


def test_gradient_is_the_softmax_minus_the_smoothed_label(data):
    logits, target = data
    logits.requires_grad_()
    loss = ClassSmoothingLoss([1000, 100, 10], 0.1, 0.3, reduction="sum")
    loss(logits, target).backward()
    share = loss.epsilon.double()[target][:, None]
    q = (1 - share) * F.one_hot(target, 3) + share / 3
    torch.testing.assert_close(logits.grad, (logits.softmax(1) - q).detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", [ClassSmoothingLoss, LabelAwareSmoothingLoss])
@pytest.mark.parametrize("bad", [{"head": 1.0}, {"tail": -0.1}, {"head": float("nan")}])
def test_impossible_shares(make, bad):
    with pytest.raises(ValueError, match="head and tail must be at least 0 and below 1"):
        make([2, 1], **bad)


def test_refusals():
    with pytest.raises(ValueError, match="spread='prior' is unknown"):
        ClassSmoothingLoss([2, 1], spread="prior")
    with pytest.raises(ValueError, match="shape='flat' is unknown"):
        LabelAwareSmoothingLoss([2, 1], shape="flat")
    with pytest.raises(ValueError, match="power must be above 0"):
        LabelAwareSmoothingLoss([2, 1], shape="exp", power=0.0)
