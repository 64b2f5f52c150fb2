"""Supervised contrastive losses: limits, loops straight from the papers, values worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from metabalance.represent import BalancedSupConLoss, NTXentLoss, SeparationLoss, SupConLoss
from metabalance.represent.balanced_supcon import balanced_supcon_losses
from metabalance.represent.supcon import supcon_losses


def batch(rows=14, dim=5, classes=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, dim, generator=g, dtype=torch.float64)
    return features, torch.randint(classes, (rows,), generator=g)


def unit(vector):
    return [x / math.sqrt(sum(x * x for x in vector)) for x in vector]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def supcon_twin(features, target, temperature):
    """Khosla et al., equation 2, anchor by anchor."""
    z = [unit(row) for row in features.tolist()]
    values = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if target[p] == target[i]]
        if not positives:
            continue
        bottom = sum(math.exp(dot(z[i], z[a]) / temperature) for a in others)
        logs = [math.log(math.exp(dot(z[i], z[p]) / temperature) / bottom) for p in positives]
        values.append(-sum(logs) / len(positives))
    return sum(values) / len(values)


def balanced_twin(features, target, classes, temperature, prototypes=None):
    """Zhu et al.: for each class its mean exponential, the anchor left out of its own class."""
    z = [unit(row) for row in features.tolist()]
    centres = None if prototypes is None else [unit(row) for row in prototypes.tolist()]
    values = []
    for i in range(len(z)):
        bottom, positives = 0.0, []
        for c in range(classes):
            members = [z[k] for k in range(len(z)) if k != i and target[k] == c]
            if centres is not None:
                members.append(centres[c])
            if c == target[i]:
                positives = members
            if members:
                bottom += sum(math.exp(dot(z[i], m) / temperature) for m in members) / len(members)
        if positives:
            logs = [dot(z[i], p) / temperature - math.log(bottom) for p in positives]
            values.append(-sum(logs) / len(positives))
    return sum(values) / len(values)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("classes", [2, 4, 12])  # of twelve classes some have a single row
def test_supcon_equals_the_loop(temperature, classes):
    features, target = batch(classes=classes)
    expected = supcon_twin(features, target, temperature)
    assert SupConLoss(temperature)(features, target).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("classes", [2, 4, 12])
def test_balanced_supcon_equals_the_loop(classes, learned):
    features, target = batch(classes=classes)
    loss = BalancedSupConLoss(classes, 5 if learned else None, temperature=0.2).double()
    expected = balanced_twin(features, target, classes, 0.2, loss.prototypes)
    assert loss(features, target).item() == pytest.approx(expected, rel=1e-9)


def test_equal_features_give_the_logarithm_of_the_others_whatever_the_labels():
    for target in ([0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1]):
        for loss in (SupConLoss(), SeparationLoss(), SupConLoss(normalize=False)):
            assert loss(torch.ones(6, 3), torch.tensor(target)).item() == pytest.approx(math.log(5), rel=1e-5)


def test_balanced_supcon_of_equal_features_is_the_logarithm_of_the_classes():
    # Each class counts once, however many rows it has: supcon would say log 9 for both.
    loss = BalancedSupConLoss(3, 4)
    with torch.no_grad():
        loss.prototypes.fill_(1.0)
    for target in ([0] * 8 + [1, 2], [0] * 4 + [1] * 3 + [2] * 3):
        assert loss(torch.ones(10, 4), torch.tensor(target)).item() == pytest.approx(math.log(3), rel=1e-5)


def test_copies_of_a_rival_class_do_not_push_harder():
    features, _ = batch(rows=4)
    target = torch.tensor([0, 0, 1, 1])
    many, labels = features[[0, 1, 2, 3, 2, 3, 2, 3]], torch.tensor([0, 0, 1, 1, 1, 1, 1, 1])

    z, zm = F.normalize(features, dim=1), F.normalize(many, dim=1)
    few, _ = balanced_supcon_losses(z, target, 2, 0.1, anchors=2)
    repeated, _ = balanced_supcon_losses(zm, labels, 2, 0.1, anchors=2)
    torch.testing.assert_close(few, repeated)
    assert (supcon_losses(zm, labels, 0.1)[0][:2] > supcon_losses(z, target, 0.1)[0][:2]).all()


@pytest.mark.parametrize("rows", [3, 10])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_bounds_with_one_positive_each(rows, temperature):
    features, _ = batch(rows=2 * rows)
    value = SupConLoss(temperature)(features, torch.arange(rows).repeat(2))
    others = 2 * rows - 2
    assert (
        math.log1p(others * math.exp(-2 / temperature))
        <= value
        <= math.log1p(others * math.exp(2 / temperature))
    )
    # and the lower bound is reached by opposite poles, for two pairs
    poles = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64).repeat(2, 1)
    best = SupConLoss(temperature)(poles, torch.tensor([0, 1, 0, 1]))
    assert best.item() == pytest.approx(math.log1p(2 * math.exp(-2 / temperature)), rel=1e-9)


def test_lonely_anchors():
    features, _ = batch(rows=5)
    target = torch.tensor([0, 0, 1, 2, 3])
    skipped, counted = SupConLoss()(features, target), SupConLoss(count_lonely=True)(features, target)
    torch.testing.assert_close(counted, skipped * 2 / 5)
    alone = features.clone().requires_grad_()
    value = SupConLoss()(alone, torch.arange(5))
    value.backward()
    assert value == 0
    assert (alone.grad == 0).all()
    prototypes = BalancedSupConLoss(5, 5).double()
    assert prototypes(features, torch.arange(5)) > 0  # a prototype is company


def test_large_features_without_normalising():
    features = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)) * 1e4
    features.requires_grad_()
    value = SupConLoss(normalize=False)(features, torch.arange(4).repeat(2))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()


def test_scale_of_the_features_does_not_matter_when_normalised():
    features, target = batch()
    for loss in (SupConLoss(), BalancedSupConLoss(4, 5).double(), NTXentLoss()):
        if isinstance(loss, NTXentLoss):
            target = torch.arange(7).repeat(2)
        torch.testing.assert_close(loss(features * 37, target), loss(features, target))


def test_nt_xent_is_supcon_with_every_example_a_class_of_its_own():
    features, _ = batch()
    value = NTXentLoss(0.3)(features, torch.zeros(14, dtype=torch.long))
    torch.testing.assert_close(value, SupConLoss(0.3)(features, torch.arange(7).repeat(2)))
    assert value.item() == pytest.approx(supcon_twin(features, torch.arange(7).repeat(2), 0.3))


def test_separation_is_supcon_at_another_temperature():
    features, target = batch()
    assert SeparationLoss().temperature == 0.1
    assert torch.equal(SeparationLoss()(features, target), SupConLoss(0.1)(features, target))


def test_a_step_brings_a_class_together():
    features, target = batch(rows=40)
    z = features.requires_grad_()
    optimizer = torch.optim.SGD([z], lr=1.0)
    for _ in range(50):
        optimizer.zero_grad()
        SupConLoss(0.5)(z, target).backward()
        optimizer.step()
    similarity = F.normalize(z.detach(), dim=1) @ F.normalize(z.detach(), dim=1).T
    same = target[:, None] == target
    assert similarity[same].mean() > similarity[~same].mean() + 0.5


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("make", [SupConLoss, NTXentLoss, lambda t: BalancedSupConLoss(2, temperature=t)])
def test_impossible_temperatures_are_refused(make, temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
        make(temperature)


def test_other_refusals():
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        BalancedSupConLoss(1)
    with pytest.raises(ValueError, match="prototypes have 5 dimensions, but the features have 3"):
        BalancedSupConLoss(2, 5)(torch.zeros(2, 3), torch.tensor([0, 1]))
    for features, target in ((torch.zeros(3, 2), [0, 1, 0]), (torch.zeros(4, 2), [0, 1, 1, 1])):
        with pytest.raises(ValueError, match="are not two stacked views"):
            NTXentLoss()(features, torch.tensor(target))
