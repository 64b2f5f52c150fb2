"""The step that trains a weigher: identities, finite differences, both published variants, exact resuming."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from weighing_toys import CrossEntropy, batch, gaussians, mlp

from metabalance.weigh import LearnedWeights, MetaWeightNet, normalized
from metabalance.weigh.learned import NORMALIZE
from metabalance.weigh.meta_weight_net import PUBLISHED

OBJECTIVE = CrossEntropy()


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))

    def forward(self, losses: Tensor, target: Tensor, **_) -> Tensor:
        return self.value.expand(len(losses))


class Scaled(nn.Module):
    """Another weigher, times a constant."""

    def __init__(self, weigher: nn.Module, factor: float) -> None:
        super().__init__()
        self.weigher = weigher
        self.factor = factor

    def forward(self, losses: Tensor, target: Tensor, **extra) -> Tensor:
        return self.factor * self.weigher(losses, target, **extra)


def weigher(seed: int = 1) -> MetaWeightNet:
    torch.manual_seed(seed)
    return MetaWeightNet(hidden=5).double()


def gd(lr: float = 1.0):
    return lambda params: torch.optim.SGD(params, lr=lr)


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def train(step, model: nn.Module, batches, lr: float = 0.1) -> Tensor:
    optimizer = sgd(model, lr)
    for one in batches:
        step(model, one, OBJECTIVE, optimizer)
    return weights(model)


def plain(model: nn.Module, batches, factor: float = 1.0) -> Tensor:
    optimizer = sgd(model)
    for one in batches:
        optimizer.zero_grad()
        (factor * OBJECTIVE(model, one)).backward()
        optimizer.step()
    return weights(model)


# ------------------------------------------------------------------------------------------------- identities


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("normalize", NORMALIZE)
def test_a_constant_weight_is_plain_training(normalize: str, weighted: bool) -> None:
    batches = [batch(i, weighted=weighted) for i in range(3)]
    step = LearnedWeights(Constant(0.25), [batch(9)], normalize=normalize, optimizer=gd(0.0))
    factor = 0.25 if normalize == "none" else 1.0
    expected = plain(mlp(), batches, factor)
    torch.testing.assert_close(train(step, mlp(), batches), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("normalize", ["sum", "detached_sum"])
def test_normalised_weights_do_not_depend_on_the_scale_of_the_weigher(normalize: str) -> None:
    found = []
    for factor in (1.0, 7.0):
        net = weigher()
        # the gradient of the weigher itself is the same too, except where the sum is taken as a constant
        rate = 0.0 if normalize == "detached_sum" else 1.0
        step = LearnedWeights(Scaled(net, factor), [batch(9)], normalize=normalize, optimizer=gd(rate))
        found.append((train(step, mlp(), [batch(i) for i in range(3)]), weights(net)))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)


def test_a_batch_of_zero_weights_gives_no_gradient() -> None:
    assert normalized(torch.zeros(3), "sum").tolist() == [0, 0, 0]
    model = mlp()
    step = LearnedWeights(Constant(0.0), [batch(9)], normalize="sum", optimizer=gd(0.0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = weights(model)
    step(model, batch(0), OBJECTIVE, optimizer)
    assert torch.equal(weights(model), before)


def look_ahead_loss(model, net, one, meta, eta, normalize, detach, sum_at=None) -> Tensor:
    """L_meta(θ'(Θ)), straight from the paper; ``sum_at`` fixes the denominator."""
    params = dict(model.named_parameters())

    def losses(params, rows):
        return F.cross_entropy(functional_call(model, params, (rows[0],)), rows[1], reduction="none")

    each = losses(params, one)
    total, scale = 0.0, 0.0
    values = net(each.detach() if detach else each, one[1])
    for i in range(len(each)):
        total = total + values[i] * each[i]
        scale = scale + values[i]
    scale = len(each) if normalize == "none" else scale if sum_at is None else sum_at
    slope = torch.autograd.grad(total / scale, list(params.values()), create_graph=True)
    ahead = {n: p - eta * g for (n, p), g in zip(params.items(), slope)}
    return losses(ahead, meta).mean()


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("normalize", NORMALIZE)
def test_the_meta_gradient_by_finite_differences_and_double_backward(normalize: str, detach: bool) -> None:
    model, net, one, meta, eta = mlp(), weigher(), batch(0), batch(1), 0.7
    with torch.no_grad():
        fixed = net(OBJECTIVE.losses(model, one), one[1]).sum() if normalize == "detached_sum" else None

    def loss() -> Tensor:
        return look_ahead_loss(model, net, one, meta, eta, normalize, detach, fixed)

    expected = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss(), list(net.parameters()))])
    before = weights(net)
    step = LearnedWeights(net, [meta], inner_lr=eta, optimizer=gd(1.0), normalize=normalize, detach=detach)
    step(model, one, OBJECTIVE, sgd(mlp(), 0.0))
    actual = before - weights(net)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-13)
    assert actual.abs().max() > 1e-4

    nn.utils.vector_to_parameters(before, net.parameters())
    for i in (0, 6, 11, 15):
        ends = []
        for sign in (-1, 1):
            moved = before.clone()
            moved[i] += sign * 1e-5
            nn.utils.vector_to_parameters(moved, net.parameters())
            ends.append(loss().item())
        assert (ends[1] - ends[0]) / 2e-5 == pytest.approx(expected[i].item(), abs=1e-8)


def test_the_denominator_taken_as_a_constant_leaves_out_one_term() -> None:
    """full = detached - η · (-⟨∇L_w, ∇L_meta⟩ / Σv) · ∂Σv/∂Θ: the derivative of the scale alone."""
    grads = {}
    for normalize in ("sum", "detached_sum"):
        net = weigher()
        before = weights(net)
        step = LearnedWeights(net, [batch(1)], inner_lr=0.5, optimizer=gd(1.0), normalize=normalize)
        model = mlp()
        step(model, batch(0), OBJECTIVE, sgd(mlp(), 0.0))
        grads[normalize] = before - weights(net)
    model, net, one = mlp(), weigher(), batch(0)
    params = list(model.parameters())
    v = net(OBJECTIVE.losses(model, one).detach())
    slope = torch.autograd.grad((v.detach() * OBJECTIVE.losses(model, one)).sum() / v.sum().detach(), params)
    ahead = {n: (p - 0.5 * g).detach().requires_grad_() for (n, p), g in zip(model.named_parameters(), slope)}
    judged = F.cross_entropy(functional_call(model, ahead, (batch(1)[0],)), batch(1)[1])
    product = sum((a * b).sum() for a, b in zip(slope, torch.autograd.grad(judged, list(ahead.values()))))
    growth = torch.cat([g.reshape(-1) for g in torch.autograd.grad(v.sum(), list(net.parameters()))])
    term = 0.5 * product / v.sum() * growth
    torch.testing.assert_close(grads["sum"], grads["detached_sum"] + term.detach(), rtol=0, atol=1e-13)
    assert term.abs().max() > 1e-5


def test_the_user_s_weight_of_a_row_is_a_number_of_copies() -> None:
    """Un-normalised: a row of weight 2 moves weigher and network like two rows (of a batch twice the size)."""
    x, y = batch(0, rows=4)
    found = []
    for rows in ((x, y, torch.full((4,), 2.0).double()), (torch.cat([x, x]), torch.cat([y, y]))):
        net, model = weigher(), mlp()
        step = LearnedWeights(net, [batch(9)], optimizer=gd(1.0))
        factor = len(rows[1]) / 4
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1 * factor)  # the mean is over the rows
        step.inner_lr = 0.1 * factor
        step(model, rows, OBJECTIVE, optimizer)
        found.append((weights(net), weights(model)))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-13)


def test_meta_weights_count_in_the_judgement() -> None:
    x, y = batch(1, rows=4)
    found = []
    for meta in ((x, y, torch.tensor([4.0, 0, 0, 0]).double()), (x[:1], y[:1])):
        net = weigher()
        LearnedWeights(net, [meta], optimizer=gd(1.0))(mlp(), batch(0), OBJECTIVE, sgd(mlp()))
        found.append(weights(net))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-13)


# ------------------------------------------------------------------------------------- published variants


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_variants_against_a_loop_from_their_description(name: str) -> None:
    """Three iterations: clone, pseudo step, the weigher's optimizer, recompute, the real step."""
    settings = PUBLISHED[name]
    net, model = weigher(), mlp()
    step = LearnedWeights(net, [batch(20 + i) for i in range(3)], **settings)
    train(step, model, [batch(i) for i in range(3)])

    twin_net, twin = weigher(), mlp()
    own, optimizer = settings["optimizer"](list(twin_net.parameters())), sgd(twin)
    for i in range(3):
        normalize, detach = settings["normalize"], settings["detach"]
        own.zero_grad()
        look_ahead_loss(twin, twin_net, batch(i), batch(20 + i), 0.1, normalize, detach).backward()
        own.step()
        optimizer.zero_grad()
        each = OBJECTIVE.losses(twin, batch(i))
        with torch.no_grad():
            v = twin_net(each)
            v = v / v.sum() if normalize == "sum" else v / len(v)
        (v * each).sum().backward()
        optimizer.step()
    torch.testing.assert_close(weights(net), weights(twin_net), rtol=0, atol=1e-12)
    torch.testing.assert_close(weights(model), weights(twin), rtol=0, atol=1e-12)
    assert not torch.equal(weights(net), weights(weigher()))


# --------------------------------------------------------------------------------------- the step's slots


def test_before_start_epoch_steps_are_plain_and_draw_no_meta_batch() -> None:
    batches = [batch(i, weighted=True) for i in range(2)]
    step = LearnedWeights(weigher(), [], start_epoch=2)  # an empty meta loader would raise
    step.update(epoch=0, loss=1.0)
    torch.testing.assert_close(train(step, mlp(), batches), plain(mlp(), batches), rtol=0, atol=1e-14)
    step.update(epoch=1)
    with pytest.raises(ValueError, match="gives no batch"):
        train(step, mlp(), batches)


def test_every_other_step_leaves_the_weigher_alone() -> None:
    net = weigher()
    step, model = LearnedWeights(net, [batch(9)], every=2), mlp()
    optimizer, seen = sgd(model), [weights(net)]
    for i in range(4):
        step(model, batch(i), OBJECTIVE, optimizer)
        seen.append(weights(net))
    moved = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert moved == [True, False, True, False]


def test_the_look_ahead_follows_the_learning_rate() -> None:
    found = []
    for inner_lr, lr in ((None, 0.3), (0.3, 0.7)):
        net, model = weigher(), mlp()
        step = LearnedWeights(net, [batch(9)], inner_lr=inner_lr, optimizer=gd(1.0))
        step(model, batch(0), OBJECTIVE, sgd(model, lr))
        found.append(weights(net))
    assert torch.equal(*found)


def test_penalties_are_part_of_the_real_step() -> None:
    class Penalised(CrossEntropy):
        penalties = (1,)

        def forward(self, model, one):
            return super().forward(model, one) + model[0].weight.square().sum()

    model, twin = mlp(), mlp()
    step = LearnedWeights(Constant(0.5), [batch(9)], normalize="sum")
    step(model, batch(0), Penalised(), sgd(model))
    optimizer = sgd(twin)
    Penalised()(twin, batch(0)).backward()
    optimizer.step()
    torch.testing.assert_close(weights(model), weights(twin), rtol=0, atol=1e-14)


def test_row_numbers_reach_the_weigher() -> None:
    seen = []

    class PerRow(Constant):
        def forward(self, losses, target, index=None):
            seen.append(index)
            return super().forward(losses, target)

    index = torch.arange(8)
    one = (*batch(0, weighted=True), index)
    train(LearnedWeights(PerRow(0.5), [batch(9)]), mlp(), [one])
    assert all(torch.equal(rows, index) for rows in seen)
    assert len(seen) == 2


def test_a_network_and_a_weigher_of_different_precisions() -> None:
    torch.manual_seed(1)
    single, model = MetaWeightNet(hidden=5), mlp()
    step = LearnedWeights(single, [batch(9)], optimizer=gd(1.0))
    before = weights(single)
    train(step, model, [batch(0)])
    assert weights(single).dtype == torch.float32
    assert weights(model).dtype == torch.float64
    assert not torch.equal(weights(single), before)


def test_it_goes_on_to_the_same_bits() -> None:
    def fresh() -> LearnedWeights:
        return LearnedWeights(weigher(), [batch(20 + i) for i in range(3)], every=2)

    whole, model = fresh(), mlp()
    expected = train(whole, model, [batch(i) for i in range(6)], lr=0.1)

    first, model = fresh(), mlp()
    optimizer = sgd(model)
    for i in range(3):
        first(model, batch(i), OBJECTIVE, optimizer)
    saved = copy.deepcopy(first.state_dict())
    second = fresh()
    second.load_state_dict(saved)
    for i in range(3, 6):
        second(model, batch(i), OBJECTIVE, optimizer)
    assert torch.equal(weights(model), expected)
    assert torch.equal(weights(second.weigher), weights(whole.weigher))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"normalize": "mean"}, "normalize='mean' is unknown; use one of 'none'"),
        ({"every": 0}, "every at least 1"),
        ({"start_epoch": -1}, "start_epoch must not be negative"),
        ({"inner_lr": 0.0}, "inner_lr must be finite and above 0"),
    ],
)
def test_impossible_settings(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LearnedWeights(MetaWeightNet(), [], **setting)


def test_an_objective_without_losses_is_named() -> None:
    with pytest.raises(ValueError, match="need the loss of every example"):
        LearnedWeights(MetaWeightNet(), [])(mlp(), batch(0), lambda m, b: 0, sgd(mlp()))


# -------------------------------------------------------------------------------------- what it is for


def learnt(x: Tensor, y: Tensor, meta, weigher: nn.Module, steps: int) -> tuple[Tensor, nn.Module]:
    """Weights that were learnt at losses from small to large."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = LearnedWeights(weigher, [meta], optimizer=lambda p: torch.optim.Adam(p, lr=1e-2))
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        rows = torch.randint(len(y), (100,), generator=generator)
        step(model, (x[rows], y[rows]), OBJECTIVE, optimizer)
    with torch.no_grad():
        return weigher(torch.tensor([0.05, 0.5, 1.0, 2.0, 3.0]), torch.zeros(5, dtype=torch.long)), model


def test_under_imbalance_large_losses_count_more() -> None:
    torch.manual_seed(0)
    x, y = gaussians(2000, 20, seed=0)
    curve, _ = learnt(x, y, gaussians(40, 20, seed=1), MetaWeightNet(), steps=300)
    assert (curve.diff() >= 0).all()
    assert curve[-1] > 2 * curve[0]


def test_under_label_noise_large_losses_count_less() -> None:
    torch.manual_seed(0)
    x, y = gaussians(2000, 1000, seed=0, flip=0.3)
    curve, _ = learnt(x, y, gaussians(40, 20, seed=1), MetaWeightNet(), steps=300)
    assert (curve[1:].diff() < 0).all()
    assert curve[0] > 2 * curve[-1]
