"""Sharpness-aware minimisation: its limits, its radius, a twin in loops, and batch norm."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.optimize import SAM, perturbation, perturbed


def objective(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def batch(rows=32, features=5, classes=3, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(rows, features, generator=g, dtype=dtype), torch.randint(classes, (rows,), generator=g)


def network(seed=0, dtype=torch.float32, norm=False):
    torch.manual_seed(seed)
    layers = [nn.Linear(5, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.Tanh(), nn.Linear(8, 3)]
    return nn.Sequential(*layers).to(dtype)


def sgd(model, lr=0.1, momentum=0.9):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("make", [sgd, lambda m: torch.optim.AdamW(m.parameters(), lr=0.01)])
def test_radius_0_is_the_plain_step_bit_for_bit(make, adaptive):
    plain, sharp = network(norm=True), network(norm=True)
    one, two, step = make(plain), make(sharp), SAM(rho=0.0, adaptive=adaptive)
    for seed in range(4):
        one.zero_grad()
        loss = objective(plain, batch(seed=seed))
        loss.backward()
        one.step()
        assert torch.equal(step(sharp, batch(seed=seed), objective, two), loss)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, sharp.state_dict()[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_way_is_as_long_as_the_radius(dtype, scale):
    model = network(dtype=dtype)
    (objective(model, batch(dtype=dtype)) * scale).backward()
    grads = [p.grad for p in model.parameters()]
    epsilon = perturbation(list(model.parameters()), grads, rho=0.3)
    length = math.sqrt(sum(float(e.double().square().sum()) for e in epsilon))
    assert length == pytest.approx(0.3, rel=1e-6)
    # and it points where the gradient points
    assert all(torch.allclose(e / e.norm(), g / g.norm(), atol=1e-6) for e, g in zip(epsilon, grads))


def test_the_adaptive_way_is_as_long_as_the_radius_in_its_own_norm():
    model = network(dtype=torch.float64)
    objective(model, batch(dtype=torch.float64)).backward()
    params = list(model.parameters())
    epsilon = perturbation(params, [p.grad for p in params], rho=0.5, adaptive=True, eta=0.01)
    own = [e / (p.detach().abs() + 0.01) for e, p in zip(epsilon, params)]
    assert math.sqrt(sum(float(e.square().sum()) for e in own)) == pytest.approx(0.5)


def test_the_adaptive_rise_does_not_change_when_layers_are_rescaled():
    """Kwon et al.: the same function, written with other weights, is equally sharp; not so for SAM."""
    x, y = batch(dtype=torch.float64)
    rises = {}
    for adaptive in (False, True):
        rises[adaptive] = []
        for k in (1.0, 20.0):
            model = nn.Sequential(
                nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)
            ).double()
            g = torch.Generator().manual_seed(3)
            for p in model.parameters():
                p.data = torch.randn(p.shape, generator=g, dtype=torch.float64)
            model[0].weight.data *= k
            model[2].weight.data /= k
            before = objective(model, (x, y))
            before.backward()
            with perturbed(model.parameters(), 0.1, adaptive), torch.no_grad():
                rises[adaptive].append(float(objective(model, (x, y)) - before))
    assert rises[True][0] == pytest.approx(rises[True][1], rel=1e-9)
    assert abs(rises[False][0] - rises[False][1]) > 0.1 * rises[False][0]


def test_on_a_quadratic_the_gradient_is_that_of_the_paper():
    g = torch.Generator().manual_seed(0)
    a = torch.randn(4, 4, generator=g, dtype=torch.float64)
    hessian, w0 = a @ a.T, torch.randn(4, generator=g, dtype=torch.float64)
    model = nn.Module()
    model.w = nn.Parameter(w0.clone())
    loss = SAM(rho=0.3)(model, None, lambda m, _: m.w @ hessian @ m.w / 2, torch.optim.SGD([model.w], lr=1.0))
    slope = hessian @ w0
    expected = hessian @ (w0 + 0.3 * slope / slope.norm())
    torch.testing.assert_close(w0 - model.w.detach(), expected)
    torch.testing.assert_close(loss, w0 @ hessian @ w0 / 2)


def twin(model, data, rho, adaptive, lr):
    """SAM on a linear softmax model without autograd or torch's norms, one number at a time."""
    w = model.weight.tolist()
    x, y = data[0].tolist(), data[1].tolist()

    def gradient(w):
        g = [[0.0] * len(w[0]) for _ in w]
        for row, label in zip(x, y):
            z = [sum(a * b for a, b in zip(wc, row)) for wc in w]
            total = sum(math.exp(v) for v in z)
            for c in range(len(w)):
                error = math.exp(z[c]) / total - (c == label)
                for d in range(len(row)):
                    g[c][d] += error * row[d] / len(x)
        return g

    g = gradient(w)
    scale = [[abs(v) if adaptive else 1.0 for v in row] for row in w]
    norm = math.sqrt(sum((g[c][d] * scale[c][d]) ** 2 for c in range(len(w)) for d in range(len(w[0]))))
    up = [
        [w[c][d] + rho * scale[c][d] ** 2 * g[c][d] / norm for d in range(len(w[0]))] for c in range(len(w))
    ]
    g = gradient(up)
    return torch.tensor([[w[c][d] - lr * g[c][d] for d in range(len(w[0]))] for c in range(len(w))])


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_twin_written_from_the_paper(adaptive):
    torch.manual_seed(1)
    model = nn.Linear(5, 3, bias=False).double()
    data = batch(rows=7, dtype=torch.float64)
    expected = twin(model, data, 0.4, adaptive, lr=0.5)
    SAM(0.4, adaptive)(model, data, objective, torch.optim.SGD(model.parameters(), lr=0.5))
    torch.testing.assert_close(model.weight.detach().float(), expected)


def test_the_weights_come_back_to_the_bit_also_after_an_error():
    model = network()
    before = copy.deepcopy(model.state_dict())
    objective(model, batch()).backward()
    moved = []

    def interrupted():
        with perturbed(model.parameters(), 0.5):
            moved.append(not torch.equal(model[0].weight, before["0.weight"]))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert moved == [True]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_running_statistics_are_those_of_the_first_pass():
    model, reference = network(norm=True), network(norm=True)
    reference(batch()[0])  # one forward at w
    SAM(rho=2.0)(model, batch(), objective, sgd(model))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(model[1], name), getattr(reference[1], name))
    assert model[1].track_running_stats


def test_in_a_loop_of_ones_own_it_is_the_step():
    one, two = network(), network()
    a, b = sgd(one), sgd(two)
    SAM(rho=0.2)(one, batch(), objective, a)
    objective(two, batch()).backward()
    with perturbed(two.parameters(), rho=0.2):
        objective(two, batch()).backward()
    b.step()
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters()))


def test_frozen_and_unreached_parameters_stay():
    model = network()
    model[0].weight.requires_grad_(False)
    model.unused = nn.Parameter(torch.ones(2))
    before = copy.deepcopy(model.state_dict())
    SAM(rho=0.5)(model, batch(), lambda m, b: F.cross_entropy(m[2](m[1](m[0](b[0]))), b[1]), sgd(model))
    after = model.state_dict()
    assert torch.equal(after["0.weight"], before["0.weight"])
    assert torch.equal(after["unused"], before["unused"])
    assert not torch.equal(after["0.bias"], before["0.bias"])


def test_a_flat_place_is_left_alone():
    model = nn.Linear(2, 2)
    before = copy.deepcopy(model.state_dict())
    SAM(rho=1.0)(model, None, lambda m, _: 0.0 * m.weight.sum(), sgd(model))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_half_precision_weights():
    model = network().to(torch.bfloat16)
    x, y = batch()
    loss = SAM(rho=0.05)(model, (x.bfloat16(), y), objective, sgd(model))
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_compiled_models_give_the_same_step():
    one, two = network(norm=True), network(norm=True)
    SAM(rho=0.2)(one, batch(), objective, sgd(one))
    SAM(rho=0.2)(torch.compile(two, backend="eager"), batch(), objective, sgd(two))
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, two.state_dict()[name])


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_refusals(bad):
    with pytest.raises(ValueError, match=f"rho must be finite and not negative, but {bad} was given"):
        SAM(rho=bad)
    with pytest.raises(ValueError, match="eta must be finite"):
        SAM(eta=bad)
