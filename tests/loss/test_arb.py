"""ARB-Loss: one function with the balanced softmax, and the balance it is named for."""

import math

import pytest
import torch
import torch.nn.functional as F

from metabalance.loss import ARBLoss, BalancedSoftmaxLoss, LogitAdjustedLoss, attraction_repulsion

COUNTS = [500, 300, 120, 60, 20, 8, 3]  # those of the method card


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(3)
    return torch.randn(20, 4, generator=g, dtype=torch.float64), torch.randint(4, (20,), generator=g)


def twin(logits, target, counts):
    out = []
    for row, y in zip(logits.tolist(), target.tolist()):
        out.append(
            -math.log(math.exp(row[y]) / sum(n / counts[y] * math.exp(z) for n, z in zip(counts, row)))
        )
    return torch.tensor(out, dtype=torch.float64)


def test_twin_of_the_batch(data):
    logits, target = data
    counts = [target.tolist().count(c) for c in range(4)]
    torch.testing.assert_close(ARBLoss(reduction="none")(logits, target), twin(logits, target, counts))


def test_global_counts_are_the_balanced_softmax(data):
    logits, target = data
    ours = ARBLoss([70, 20, 10, 5], reduction="none")(logits, target)
    torch.testing.assert_close(ours, twin(logits, target, [70, 20, 10, 5]), rtol=1e-6, atol=1e-6)
    for same in (BalancedSoftmaxLoss([70, 20, 10, 5]), LogitAdjustedLoss([70, 20, 10, 5])):
        torch.testing.assert_close(ours.mean(), same(logits, target), rtol=0, atol=0)


def test_shifted_logits_and_scaled_counts_change_nothing(data):
    logits, target = data
    ours = ARBLoss([70, 20, 10, 5])(logits, target)
    torch.testing.assert_close(ARBLoss([7, 2, 1, 0.5])(logits + 100, target), ours, rtol=1e-6, atol=1e-6)


def test_a_balanced_batch_is_cross_entropy(data):
    logits, _ = data
    target = torch.arange(20) % 4
    torch.testing.assert_close(ARBLoss()(logits, target), F.cross_entropy(logits, target))


def test_an_absent_class_is_not_pushed(data):
    logits, target = data
    logits.requires_grad_()
    ARBLoss()(logits, target.clamp_max(2)).backward()
    assert (logits.grad[:, 3] == 0).all()
    assert (logits.grad[:, :3] != 0).all()


def test_a_batch_of_one_class_costs_and_teaches_nothing(data):
    logits, _ = data
    logits.requires_grad_()
    value = ARBLoss()(logits, torch.full((20,), 2))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_gradient_is_the_adjusted_softmax_minus_the_label(data):
    logits, target = data
    logits.requires_grad_()
    n = torch.tensor([70.0, 20.0, 10.0, 5.0], dtype=torch.float64)
    ARBLoss(n, reduction="sum")(logits, target).backward()
    p = (logits + n.log()).softmax(1) - F.one_hot(target, 4)
    torch.testing.assert_close(logits.grad, p.detach(), rtol=1e-6, atol=1e-6)


def test_mixed_labels_are_counted_as_the_unmixed_batch(data):
    logits, target = data
    target = target.clamp_max(2)  # class 3 is absent
    other = target.flip(0)
    shares = 0.3 * F.one_hot(target, 4) + 0.7 * F.one_hot(other, 4)
    counts = [target.tolist().count(c) for c in range(4)]
    expected = 0.3 * twin(logits, target, counts) + 0.7 * twin(logits, other, counts)
    torch.testing.assert_close(ARBLoss(reduction="none")(logits, shares), expected, rtol=1e-6, atol=1e-6)


def test_a_clamp_hides_the_gradient_beyond_it():
    for clamp, expected in ((30.0, 30.0), (None, 100.0)):
        logits = torch.tensor([[100.0, 0.0]], requires_grad=True)
        loss = ARBLoss([1, 1], clamp=clamp)(logits, torch.tensor([1]))
        loss.backward()
        assert loss.item() == pytest.approx(expected)
        assert (logits.grad[0, 0] == 0) == (clamp is not None)
    with pytest.raises(ValueError, match="clamp must be above 0"):
        ARBLoss(clamp=0.0)


def test_at_equal_logits_attraction_is_repulsion():
    target = torch.arange(7).repeat_interleave(torch.tensor(COUNTS))
    logits = torch.zeros(len(target), 7, dtype=torch.float64)
    n = torch.tensor(COUNTS, dtype=torch.float64)
    attraction, repulsion = attraction_repulsion(logits, target, COUNTS)
    torch.testing.assert_close(attraction, n * (1 - n / n.sum()))
    torch.testing.assert_close(repulsion, attraction)
    attraction, repulsion = attraction_repulsion(logits, target)  # cross-entropy
    ratio = attraction / repulsion
    torch.testing.assert_close(ratio, n * 6 / (n.sum() - n))
    assert ratio[0].item() == pytest.approx(5.87, abs=5e-3)
    assert ratio[-1].item() == pytest.approx(0.018, abs=5e-4)


def test_attraction_and_repulsion_twin(data):
    logits, target = data
    attraction, repulsion = [0.0] * 4, [0.0] * 4
    for row, y in zip(logits.tolist(), target.tolist()):
        e = [math.exp(z) for z in row]
        for k in range(4):
            if k == y:
                attraction[k] += 1 - e[k] / sum(e)
            else:
                repulsion[k] += e[k] / sum(e)
    ours = attraction_repulsion(logits, target)
    torch.testing.assert_close(ours[0].tolist(), attraction)
    torch.testing.assert_close(ours[1].tolist(), repulsion)


def test_the_rarest_class_is_pulled_harder_and_pushed_less_than_by_cross_entropy():
    target = torch.arange(7).repeat_interleave(torch.tensor(COUNTS))
    logits = 3 * torch.randn(len(target), 7, generator=torch.Generator().manual_seed(0))
    (ce_a, ce_r), (arb_a, arb_r) = (attraction_repulsion(logits, target, n) for n in (None, COUNTS))
    assert arb_a[-1] > ce_a[-1]
    assert arb_r[-1] < ce_r[-1]
    assert arb_a[0] < ce_a[0]  # and the other way round for the most frequent
    assert arb_r[0] > ce_r[0]


def test_a_linear_model_learns_what_post_hoc_adjustment_gives():
    """With a free bias and no decay the optimum is cross-entropy's, its bias less the logarithms of the counts."""
    g = torch.Generator().manual_seed(0)
    target = torch.arange(3).repeat_interleave(torch.tensor([120, 40, 15]))
    inputs = torch.randn(175, 2, generator=g, dtype=torch.float64) + F.one_hot(target, 3)[:, :2]
    counts = target.bincount()

    def optimum(loss):
        weights = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=300, tolerance_grad=1e-12, tolerance_change=0)

        def scores():
            return inputs @ weights[:2] + weights[2]

        def closure():
            optimizer.zero_grad()
            value = loss(scores(), target)
            value.backward()
            return value

        optimizer.step(closure)
        return scores().detach().log_softmax(1)

    adjusted = (optimum(torch.nn.CrossEntropyLoss()) - counts.double().log()).log_softmax(1)
    torch.testing.assert_close(optimum(ARBLoss()), adjusted, rtol=0, atol=1e-5)
