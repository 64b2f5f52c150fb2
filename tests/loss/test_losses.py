"""Each loss against its paper: a twin in loops, the limits, and numbers from the published set-ups."""

import math

import pytest
import torch
import torch.nn.functional as F

from metabalance.loss import (
    BalancedSoftmaxLoss,
    ClassBalancedLoss,
    FocalLoss,
    LogitAdjustedLoss,
    WeightedCrossEntropy,
)

CIFAR10_LT = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(3)
    return torch.randn(20, 3, generator=g, dtype=torch.float64), torch.randint(3, (20,), generator=g)


def softmax(row):
    e = [math.exp(z) for z in row]
    return [v / sum(e) for v in e]


def test_weighted_twin(data):
    logits, target = data
    w = [0.5, 1.0, 4.0]
    twin = [-w[y] * math.log(softmax(z)[y]) for z, y in zip(logits.tolist(), target.tolist())]
    torch.testing.assert_close(WeightedCrossEntropy(w, "none")(logits, target).tolist(), twin)


def test_weights_do_not_cancel_in_a_batch_of_one_class(data):
    logits, _ = data
    target = torch.full((20,), 2)
    heavy = WeightedCrossEntropy([1.0, 1.0, 4.0])(logits, target)
    torch.testing.assert_close(heavy, 4 * F.cross_entropy(logits, target))


@pytest.mark.parametrize("weight", [[-1.0, 1.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_impossible_weights(weight):
    for make in (WeightedCrossEntropy, lambda w: FocalLoss(alpha=w)):
        with pytest.raises(ValueError, match="class weights must be finite and not negative"):
            make(weight)


def test_the_given_weights_are_copied():
    weight = torch.ones(2)
    loss = WeightedCrossEntropy(weight)
    weight.zero_()
    assert loss.weight.tolist() == [1, 1]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_twin(data, gamma):
    logits, target = data
    alpha = [0.25, 0.5, 1.0]
    twin = []
    for z, y in zip(logits.tolist(), target.tolist()):
        p = softmax(z)[y]
        twin.append(-alpha[y] * (1 - p) ** gamma * math.log(p))
    torch.testing.assert_close(FocalLoss(gamma, alpha, reduction="none")(logits, target).tolist(), twin)


def test_focal_is_at_most_cross_entropy_by_the_modulator(data):
    logits, target = data
    ce = F.cross_entropy(logits, target, reduction="none")
    ratio = FocalLoss(2.0, reduction="none")(logits, target) / ce
    torch.testing.assert_close(ratio, (1 - torch.exp(-ce)) ** 2)


def test_focal_gradient_of_the_true_logit():
    z = torch.tensor([[0.3, -0.2]], dtype=torch.float64, requires_grad=True)
    FocalLoss(2.0)(z, torch.tensor([0])).backward()
    p = softmax([0.3, -0.2])[0]
    assert -z.grad[0, 0].item() == pytest.approx((1 - p) ** 2 * ((1 - p) - 2 * p * math.log(p)))


def test_focal_detached_modulator_keeps_the_value_and_scales_the_gradient():
    z = torch.tensor([[0.3, -0.2]], dtype=torch.float64, requires_grad=True)
    loss = FocalLoss(2.0, detach_modulator=True)(z, torch.tensor([0]))
    loss.backward()
    p = softmax([0.3, -0.2])[0]
    torch.testing.assert_close(loss, FocalLoss(2.0)(z, torch.tensor([0])))
    assert -z.grad[0, 0].item() == pytest.approx((1 - p) ** 2 * (1 - p))


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_focal_below_one_has_a_gradient_at_certainty(gamma):
    z = torch.tensor([[40.0, -40.0], [200.0, 0.0]], requires_grad=True)  # p rounds to 1
    FocalLoss(gamma)(z, torch.tensor([0, 0])).backward()
    assert torch.isfinite(z.grad).all()


def test_focal_far_from_the_truth_is_cross_entropy():
    # A published "stable" modulator gives 0 below a logit of about -88.
    z = torch.tensor([[-500.0, 0.0]])
    assert float(FocalLoss(2.0)(z, torch.tensor([0]))) == pytest.approx(500)


def test_focal_modulator_ignores_the_class_weights(data):
    logits, target = data
    plain = FocalLoss(2.0, reduction="none")(logits, target)
    torch.testing.assert_close(FocalLoss(2.0, [3.0] * 3, reduction="none")(logits, target), 3 * plain)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_sigmoid_focal_twin(data, gamma):
    logits, target = data
    alpha, twin = [0.25, 0.5, 1.0], []
    for row, y in zip(logits.tolist(), target.tolist()):
        value = 0.0
        for c, z in enumerate(row):
            p = 1 / (1 + math.exp(-z))
            q = p if c == y else 1 - p
            value -= (1 - q) ** gamma * math.log(q)
        twin.append(alpha[y] * value)
    ours = FocalLoss(gamma, alpha, activation="sigmoid", reduction="none")(logits, target)
    torch.testing.assert_close(ours.tolist(), twin)


def test_sigmoid_focal_of_gamma_zero_is_binary_cross_entropy(data):
    logits, target = data
    one_hot = F.one_hot(target, 3).double()
    expected = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="sum") / 20
    torch.testing.assert_close(FocalLoss(0.0, activation="sigmoid")(logits, target), expected)


def test_sigmoid_focal_starts_small_from_its_bias():
    """At p = 1/C for every class the many negatives no longer outweigh the positive."""
    at_zero, at_bias = torch.zeros(1, 100), torch.full((1, 100), -math.log(99))
    loss = FocalLoss(0.0, activation="sigmoid")
    assert float(loss(at_zero, torch.tensor([3]))) == pytest.approx(100 * math.log(2), rel=1e-5)
    expected = math.log(100) - 99 * math.log(0.99)
    assert float(loss(at_bias, torch.tensor([3]))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("make", [FocalLoss, lambda **kw: ClassBalancedLoss([2, 1], **kw)])
def test_an_unknown_activation(make):
    with pytest.raises(ValueError, match="activation='relu' is unknown; use 'softmax' or 'sigmoid'"):
        make(activation="relu")


@pytest.mark.parametrize("make", [lambda: FocalLoss(-1.0), lambda: ClassBalancedLoss([1, 2], gamma=-1.0)])
def test_negative_gamma(make):
    with pytest.raises(ValueError, match=r"gamma must be at least 0, but -1\.0"):
        make()


@pytest.mark.parametrize(("beta", "ratio"), [(0.99, 2.53), (0.999, 20.4), (0.9999, 78.9), (1.0, 100)])
def test_class_balanced_ratio_of_the_cards(beta, ratio):
    weight = ClassBalancedLoss([5000, 50], beta=beta).weight
    assert float(weight[1] / weight[0]) == pytest.approx(ratio, rel=5e-3)


def test_class_balanced_weights_of_cifar10_lt():
    weight = ClassBalancedLoss(CIFAR10_LT, beta=0.9999).weight
    assert float(weight.sum()) == pytest.approx(10)
    assert float(weight[0]) == pytest.approx(0.051, abs=5e-4)
    assert float(weight[-1]) == pytest.approx(3.99, abs=5e-3)


def test_class_balanced_twin(data):
    logits, target = data
    n, beta, gamma = [90, 30, 3], 0.99, 1.0
    w = [(1 - beta) / (1 - beta**k) for k in n]
    w = [3 * v / sum(w) for v in w]
    twin = []
    for z, y in zip(logits.tolist(), target.tolist()):
        p = softmax(z)[y]
        twin.append(w[y] * (1 - p) ** gamma * -math.log(p))
    ours = ClassBalancedLoss(n, beta, gamma, reduction="none")(logits, target)
    torch.testing.assert_close(ours, torch.tensor(twin, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("volume", "n"), [(10, 3), (100, 7), (1000, 500)])
def test_effective_number_is_what_random_covering_gives(volume, n):
    """Its recursion in the paper: a new example is new with the share of the volume not yet covered."""
    from metabalance.counts import effective_number

    covered = 0.0
    for _ in range(n):
        covered += 1 - covered / volume
    assert float(effective_number([n], (volume - 1) / volume)) == pytest.approx(covered)


def test_class_balanced_weights_sum_to_the_classes_and_beta_one_is_inverse_counts():
    for beta in (0.0, 0.9, 0.9999, 1.0):
        assert float(ClassBalancedLoss(CIFAR10_LT, beta=beta).weight.sum()) == pytest.approx(10)
    n = torch.tensor(CIFAR10_LT, dtype=torch.float64)
    torch.testing.assert_close(
        ClassBalancedLoss(CIFAR10_LT, beta=1.0).weight, (10 / n / (1 / n).sum()).float()
    )


def test_focal_is_larger_than_cross_entropy_in_slope_for_hard_examples_only():
    """At gamma 2 the pull on the true logit beats cross-entropy's below p of about 0.3."""
    for p, larger in ((0.05, True), (0.2, True), (0.35, False), (0.9, False)):
        slopes = []
        for loss in (FocalLoss(2.0), FocalLoss(0.0)):
            z = torch.tensor([[math.log(p / (1 - p)), 0.0]], dtype=torch.float64, requires_grad=True)
            loss(z, torch.tensor([0])).backward()
            slopes.append(-z.grad[0, 0].item())
        assert (slopes[0] > slopes[1]) == larger


def test_a_larger_tau_predicts_the_rarest_class_more_often():
    """On two known Gaussians the linear model's optimum: the boundary moves towards the frequent class."""
    g = torch.Generator().manual_seed(0)
    target = torch.tensor([0] * 900 + [1] * 100)
    x = torch.randn(1000, 1, generator=g, dtype=torch.float64) + 2.0 * target[:, None]
    shares, boundaries = [], []
    for tau in (0.0, 0.5, 1.0, 1.5):
        w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        loss = LogitAdjustedLoss([900, 100], tau)
        optimizer = torch.optim.LBFGS([w], max_iter=100, tolerance_grad=1e-12, tolerance_change=0)

        def closure(w=w, loss=loss, optimizer=optimizer):
            optimizer.zero_grad()
            value = loss(torch.cat([0 * x, w[0] * x + w[1]], 1), target)
            value.backward()
            return value

        optimizer.step(closure)
        shares.append((w[0] * x + w[1] > 0).double().mean().item())
        boundaries.append((-w[1] / w[0]).item())
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]
    assert boundaries[2] == pytest.approx(1.0, abs=0.1)  # tau 1: midway, the balanced optimum
    assert boundaries[0] == pytest.approx(1.0 + math.log(9) / 2, abs=0.1)


def test_class_balanced_saturates():
    torch.testing.assert_close(ClassBalancedLoss([10_000, 1_000], beta=0.9).weight, torch.ones(2))


def test_class_balanced_leaves_an_absent_class_out():
    loss = ClassBalancedLoss([10, 0, 1], beta=0.9)
    assert float(loss.weight[1]) == 0
    torch.testing.assert_close(loss.weight[[0, 2]], ClassBalancedLoss([10, 1], beta=0.9).weight)


@pytest.mark.parametrize("tau", [float("nan"), float("-inf")])
def test_logit_adjustment_by_a_finite_tau_only(tau):
    with pytest.raises(ValueError, match=f"tau must be a finite number, but {tau} was given"):
        LogitAdjustedLoss([70, 20, 10], tau)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logit_adjustment_twin(data, tau):
    logits, target = data
    prior = [0.7, 0.2, 0.1]
    twin = []
    for z, y in zip(logits.tolist(), target.tolist()):
        twin.append(-math.log(softmax([a + tau * math.log(p) for a, p in zip(z, prior)])[y]))
    ours = LogitAdjustedLoss([70, 20, 10], tau, "none")(logits, target)
    torch.testing.assert_close(ours, torch.tensor(twin, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_one_function_two_names_three_scales(data):
    logits, target = data
    value = BalancedSoftmaxLoss([70, 20, 10])(logits, target)
    torch.testing.assert_close(value, LogitAdjustedLoss([0.7, 0.2, 0.1])(logits, target))
    by_counts = F.cross_entropy(logits + torch.tensor([70.0, 20.0, 10.0], dtype=torch.float64).log(), target)
    torch.testing.assert_close(value, by_counts, rtol=1e-6, atol=1e-6)


def test_logit_adjusted_minimiser_is_balanced():
    """One input, labels 90 to 10: the loss is least at equal logits, cross-entropy at the prior's."""
    target = torch.tensor([0] * 90 + [1] * 10)

    def minimiser(loss):
        z = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([z], max_iter=100, tolerance_grad=1e-12, tolerance_change=0)

        def closure():
            optimizer.zero_grad()
            value = loss(z.expand(100, 2), target)
            value.backward()
            return value

        optimizer.step(closure)
        return (z[0] - z[1]).item()

    assert minimiser(WeightedCrossEntropy()) == pytest.approx(math.log(9), abs=1e-6)
    assert minimiser(LogitAdjustedLoss([90, 10])) == pytest.approx(0, abs=1e-6)


def test_logit_adjustment_treats_an_absent_class_as_seen_once():
    torch.testing.assert_close(
        LogitAdjustedLoss([8, 0, 1]).adjustment, LogitAdjustedLoss([8, 1, 1]).adjustment
    )
    torch.testing.assert_close(
        LogitAdjustedLoss([10, 0, 5]).adjustment, LogitAdjustedLoss([10, 1, 5]).adjustment
    )
    small = LogitAdjustedLoss([0.8, 0, 0.2]).adjustment  # fractions: no count of 1 that would beat them all
    torch.testing.assert_close(small, LogitAdjustedLoss([0.8, 0.2, 0.2]).adjustment)
