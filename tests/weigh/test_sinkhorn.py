"""Entropic transport: limits, marginals, both gradients against what they must be, and POT as a witness."""

import itertools
import math

import numpy as np
import pytest
import torch

from metabalance.weigh.sinkhorn import SinkhornOT, Transport, sinkhorn

DOUBLE = torch.float64


def problem(m=3, n=5, seed=0, dtype=DOUBLE):
    generator = torch.Generator().manual_seed(seed)
    cost = torch.rand(m, n, dtype=DOUBLE, generator=generator)
    mu = torch.randn(m, dtype=DOUBLE, generator=generator).softmax(0)
    nu = torch.randn(n, dtype=DOUBLE, generator=generator).softmax(0)
    return cost.to(dtype), mu.to(dtype), nu.to(dtype)


def exactly(cost, mu, nu, eps=0.1, **settings):
    return sinkhorn(cost, mu, nu, eps, max_iter=5000, tol=1e-13, **settings)


@pytest.mark.parametrize("eps", [0.05, 0.1, 1.0])
def test_the_plan_is_that_of_pot(eps):
    ot = pytest.importorskip("ot")
    cost, mu, nu = problem()
    theirs = ot.sinkhorn(
        mu.numpy(), nu.numpy(), cost.numpy(), eps, method="sinkhorn_log", stopThr=1e-13, numItermax=10_000
    )
    np.testing.assert_allclose(exactly(cost, mu, nu, eps).plan, theirs, atol=1e-10)


def test_a_small_eps_gives_unregularised_transport():
    ot = pytest.importorskip("ot")
    cost, mu, nu = problem()
    exact = float(ot.emd2(mu.numpy(), nu.numpy(), cost.numpy()))
    gaps = [
        sinkhorn(cost, mu, nu, eps, 100_000, 1e-9).cost.item() - exact for eps in (0.1, 0.03, 0.01, 0.003)
    ]
    assert all(a > b for a, b in itertools.pairwise(gaps))
    assert abs(gaps[-1]) < 1e-6


def test_a_large_eps_gives_the_product_of_the_masses():
    cost, mu, nu = problem()
    transport = sinkhorn(cost, mu, nu, eps=1e8)
    np.testing.assert_allclose(transport.plan, mu[:, None] * nu, atol=1e-8)
    np.testing.assert_allclose(transport.cost, mu @ cost @ nu, atol=1e-7)


def test_naive_twin():
    cost, mu, nu = (x.numpy() for x in problem())
    kernel = np.exp(-cost / 0.1)
    left, right = np.ones(3), np.ones(5)
    for _ in range(1000):
        for i in range(3):
            left[i] = mu[i] / sum(kernel[i, j] * right[j] for j in range(5))
        for j in range(5):
            right[j] = nu[j] / sum(kernel[i, j] * left[i] for i in range(3))
    plan = np.array([[left[i] * kernel[i, j] * right[j] for j in range(5)] for i in range(3)])
    transport = exactly(*problem())
    np.testing.assert_allclose(transport.plan, plan, atol=1e-12)
    np.testing.assert_allclose(transport.cost, sum((plan * cost).ravel()), atol=1e-12)
    divergence = sum((plan * np.log(plan / np.outer(mu, nu))).ravel())
    np.testing.assert_allclose(transport.value, sum((plan * cost).ravel()) + 0.1 * divergence, atol=1e-12)


def test_two_by_two_by_hand():
    # Equal masses and costs 0 and 1: π is logistic, 1/2 σ(1/ε) where nothing moves.
    cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=DOUBLE)
    half = torch.tensor([0.5, 0.5], dtype=DOUBLE)
    transport = exactly(cost, half, half, eps=0.5)
    np.testing.assert_allclose(transport.plan[0, 0], 0.5 / (1 + math.exp(-2)), atol=1e-12)
    np.testing.assert_allclose(transport.cost, 1 / (1 + math.exp(2)), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tol", [0.1, 1e-4])
def test_marginals(dtype, tol):
    cost, mu, nu = problem(10, 40, dtype=dtype)
    transport = sinkhorn(cost, mu, nu, eps=0.05, max_iter=5000, tol=tol)
    assert transport.plan.dtype == transport.cost.dtype == dtype
    torch.testing.assert_close(transport.plan.sum(0), nu, atol=1e-6, rtol=0)
    assert 0 < (transport.plan.sum(1) - mu).abs().sum() < tol


def test_a_constant_on_the_cost_moves_nothing_but_the_price():
    cost, mu, nu = problem()
    here, there = exactly(cost, mu, nu), exactly(cost + 7, mu, nu)
    torch.testing.assert_close(here.plan, there.plan)
    torch.testing.assert_close(here.cost + 7, there.cost)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e4, 1e-4, 1e12])
def test_any_size_of_costs_is_finite(dtype, scale):
    cost, mu, nu = problem(dtype=dtype)
    cost, nu = (scale * cost).requires_grad_(), nu.requires_grad_()
    for unroll in (False, True):
        transport = sinkhorn(cost, mu, nu, eps=0.1, unroll=unroll)
        gradients = torch.autograd.grad(transport.cost + transport.value, (cost, nu))
        assert all(bool(torch.isfinite(x).all()) for x in (*gradients, transport.plan, transport.value))


def slopes(function, x, step=1e-5):
    """Central differences, one entry after the other."""
    found = torch.zeros_like(x)
    for i in range(x.numel()):
        moved = torch.zeros_like(x).view(-1)
        moved[i] = step
        moved = moved.view_as(x)
        found.view(-1)[i] = (function(x + moved) - function(x - moved)) / (2 * step)
    return found


@pytest.mark.parametrize("output", ["cost", "value"])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_gradients_are_finite_differences(output, shape):
    cost, mu, nu = problem(*shape)
    logits_mu, logits_nu = mu.log(), nu.log()
    functions = [
        (lambda c: getattr(exactly(c, mu, nu), output), cost),
        (lambda v: getattr(exactly(cost, mu, v.softmax(0)), output), logits_nu),
        (lambda v: getattr(exactly(cost, v.softmax(0), nu), output), logits_mu),
    ]
    for function, at in functions:
        x = at.clone().requires_grad_()
        (found,) = torch.autograd.grad(function(x), x)
        torch.testing.assert_close(found, slopes(function, at), atol=1e-8, rtol=1e-6)


def test_the_unrolled_gradient_is_the_implicit_one_at_convergence():
    cost, mu, nu = problem()
    nu.requires_grad_()
    found = [torch.autograd.grad(exactly(cost, mu, nu, unroll=u).cost, nu)[0] for u in (False, True)]
    found = [g - g.mean() for g in found]  # masses always sum to one: a constant has no effect
    torch.testing.assert_close(found[0], found[1])


def test_the_gradient_of_the_value_is_the_dual_potential():
    cost, mu, nu = problem()
    nu.requires_grad_()
    transport = exactly(cost, mu, nu)
    by_nu, by_cost = torch.autograd.grad(transport.value, nu)[0], transport.plan
    assert torch.equal(by_nu, transport.g)
    torch.testing.assert_close(
        by_cost.detach(),
        (mu[:, None] * nu * ((transport.f[:, None] + transport.g - cost) / 0.1).exp()).detach(),
    )


def test_a_mass_of_zero_is_allowed_and_keeps_a_gradient():
    cost, mu, _ = problem()
    nu = torch.tensor([0.5, 0.5, 0.0, 0.0, 0.0], dtype=DOUBLE, requires_grad=True)
    transport = exactly(cost, mu, nu)
    assert transport.plan[:, 2:].sum() == 0
    (slope,) = torch.autograd.grad(transport.cost, nu)
    direction = torch.tensor([-1.0, 0, 1, 0, 0], dtype=DOUBLE)
    ahead = exactly(cost, mu, nu.detach() + 1e-6 * direction).cost
    torch.testing.assert_close(slope @ direction, (ahead - transport.cost.detach()) / 1e-6, atol=1e-5, rtol=0)


def test_the_published_rule_stops_early():
    """A change of the potentials below 0.1, summed: a few iterations, and marginals that are off."""
    cost, mu, nu = problem(10, 16)
    published = sinkhorn(cost, mu, nu, 0.1, 200, 0.1, stop="potential", unroll=True)
    strict = sinkhorn(cost, mu, nu, 0.1)
    assert 2 <= published.iterations <= 11
    assert published.iterations < strict.iterations
    assert (published.plan.sum(1) - mu).abs().max() > 10 * (strict.plan.sum(1) - mu).abs().max()


def test_it_takes_no_more_than_max_iter():
    assert sinkhorn(*problem(), eps=1e-3, max_iter=7, tol=0.0).iterations == 7


def test_the_module_is_the_function():
    cost, mu, nu = problem()
    for objective in ("cost", "value"):
        expected = getattr(sinkhorn(cost, mu, nu, 0.2), objective)
        assert torch.equal(SinkhornOT(0.2, objective=objective)(cost, mu, nu), expected)
    assert isinstance(sinkhorn(cost, mu, nu), Transport)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": 0.0}, "eps must be finite and above 0"),
        ({"max_iter": 0}, "max_iter must be at least 1"),
        ({"tol": -1.0}, "tol must be at least 0"),
        ({"stop": "x"}, "stop='x' is unknown"),
    ],
)
def test_settings_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        SinkhornOT(**change)
    with pytest.raises(ValueError, match=message):
        sinkhorn(*problem(), **change)


def test_other_refusals():
    cost, mu, nu = problem()
    with pytest.raises(ValueError, match=r"cost must be \(M, N\)"):
        sinkhorn(cost.T, mu, nu)
    with pytest.raises(ValueError, match="masses must not be negative"):
        sinkhorn(cost, mu, -nu)
    with pytest.raises(ValueError, match="objective='x' is unknown"):
        SinkhornOT(objective="x")
