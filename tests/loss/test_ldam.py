"""LDAM against its paper: a twin in loops, the limits, and the published margins."""

import math

import pytest
import torch
import torch.nn.functional as F

from metabalance.loss import CosineLinear, LDAMLoss

CIFAR10_LT = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(3)
    cosines = torch.rand(20, 3, generator=g, dtype=torch.float64) * 2 - 1
    return cosines, torch.randint(3, (20,), generator=g)


def test_twin(data):
    cosines, target = data
    counts, weight, twin = [70, 20, 10], [0.5, 1.0, 2.0], []
    for row, y in zip(cosines.tolist(), target.tolist()):
        margin = 0.5 * (min(counts) / counts[y]) ** 0.25
        e = [math.exp(30 * (z - margin if c == y else z)) for c, z in enumerate(row)]
        twin.append(-weight[y] * math.log(e[y] / sum(e)))
    ours = LDAMLoss(counts, weight=weight, reduction="none")(cosines, target)
    torch.testing.assert_close(ours, torch.tensor(twin, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_margins_of_cifar10_lt():
    margin = LDAMLoss(CIFAR10_LT).margin
    assert float(margin[0]) == pytest.approx(0.158, abs=5e-4)
    assert float(margin[-1]) == 0.5
    assert (margin.diff() > 0).all()


def test_no_margin_is_cross_entropy_of_scaled_cosines(data):
    cosines, target = data
    torch.testing.assert_close(
        LDAMLoss([70, 20, 10], max_margin=0.0)(cosines, target), F.cross_entropy(30 * cosines, target)
    )


def test_equal_counts_are_one_margin():
    assert LDAMLoss([7, 7, 7]).margin.tolist() == [0.5] * 3


def test_margins_cost(data):
    cosines, target = data
    ldam = LDAMLoss([70, 20, 10], scale=3.0, reduction="none")(cosines, target)
    assert (ldam > F.cross_entropy(3 * cosines, target, reduction="none")).all()


def test_a_class_without_examples_leaves_the_other_margins():
    with_empty, without = LDAMLoss([70, 0, 10]).margin, LDAMLoss([70, 10]).margin
    torch.testing.assert_close(with_empty[[0, 2]], without)
    assert with_empty[1] == 0.5


def test_a_scaled_head_and_a_scaled_margin_are_the_same_loss(data):
    _, target = data
    head, scaled = CosineLinear(4, 3), CosineLinear(4, 3, scale=30.0)
    scaled.load_state_dict(head.state_dict())
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        LDAMLoss([70, 20, 10], 0.5, 30.0)(head(features), target),
        LDAMLoss([70, 20, 10], 15.0, 1.0)(scaled(features), target),
    )


def test_deferred_weights_of_cifar10_lt():
    """What the authors' schedule multiplies each class by after its switch: 0.051 for the first, 3.99 for the last."""
    from metabalance.loss import ClassBalancedLoss

    weight = ClassBalancedLoss(CIFAR10_LT, beta=0.9999).weight
    cosines, target = torch.zeros(10, 10), torch.arange(10)
    plain = LDAMLoss(CIFAR10_LT, reduction="none")(cosines, target)
    ratio = LDAMLoss(CIFAR10_LT, weight=weight, reduction="none")(cosines, target) / plain
    assert float(ratio[0]) == pytest.approx(0.051, abs=5e-4)
    assert float(ratio[-1]) == pytest.approx(3.99, abs=5e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_margin": -0.1}, r"max_margin must be at least 0, but -0\.1"),
        ({"scale": 0.0}, r"scale must be above 0, but 0\.0"),
        ({"weight": [1.0, -1.0]}, "class weights must be finite and not negative"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        LDAMLoss([2, 1], **settings)


def test_weights_of_another_number_of_classes():
    with pytest.raises(ValueError, match="built for 3 classes, but the logits have 2"):
        LDAMLoss([2, 1], weight=[1.0, 1.0, 1.0])(torch.zeros(1, 2), torch.tensor([0]))


def test_cosines():
    torch.manual_seed(0)
    head = CosineLinear(5, 3)
    assert isinstance(head, torch.nn.Linear)
    assert head.bias is None
    torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(3))
    h = torch.randn(7, 5)
    torch.testing.assert_close(head(h), F.cosine_similarity(h[:, None], head.weight[None], dim=2))
    torch.testing.assert_close(head(10 * h), head(h))
    with torch.no_grad():
        head.weight.mul_(3)
    torch.testing.assert_close(head(h), F.cosine_similarity(h[:, None], head.weight[None], dim=2))
    assert head(torch.zeros(1, 5)).tolist() == [[0, 0, 0]]
    assert "scale=1.0" in repr(head)


def test_cosines_of_a_dtype():
    assert (
        CosineLinear(5, 3, dtype=torch.float64)(torch.ones(1, 5, dtype=torch.float64)).dtype == torch.float64
    )
