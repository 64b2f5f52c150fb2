"""Losses of a continuous target: what all share, the cards' values, closed forms, and loops from the papers."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from metabalance.densities import bin_edges, smoothing_kernel
from metabalance.loss import (
    BMCLoss,
    BNILoss,
    FocalRLoss,
    GAILoss,
    PinballLoss,
    binned_prior,
    gaussian_prior,
)

P, Y = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.5, 1.0, 3.0])
WIDE = 2
MAKE = {
    "GAILoss": lambda t=1, **kw: GAILoss(
        [0.75, 0.25], [[1.0] * t, [3.0] * t], 0.5 * torch.eye(t).expand(2, t, t), **kw
    ),
    "BMCLoss": lambda t=1, **kw: BMCLoss(**kw),
    "BNILoss": lambda t=1, **kw: BNILoss([[float(b)] * t for b in range(4)], [0.1, 0.6, 0.2, 0.1], **kw),
    "FocalRLoss": lambda t=1, **kw: FocalRLoss(0.7, 1.5, **kw),
    "FocalRLoss tanh": lambda t=1, **kw: FocalRLoss(0.7, 0.5, "tanh", "mse", **kw),
}
BALANCED = ("GAILoss", "BMCLoss", "BNILoss")
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
balanced = pytest.mark.parametrize("name", BALANCED)


def batch(rows=12, width=None, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    shape = (rows,) if width is None else (rows, width)
    p, y = torch.randn(shape, generator=g, dtype=dtype), torch.randn(shape, generator=g, dtype=dtype)
    return p.requires_grad_(), y


@every
@pytest.mark.parametrize("width", [None, 1, WIDE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_reductions_and_dtype(make, width, dtype):
    p, y = batch(width=width, dtype=dtype)
    each = make(width or 1, reduction="none").to(dtype)(p, y)
    assert each.shape == (12,)
    assert each.dtype == dtype
    torch.testing.assert_close(make(width or 1, reduction="sum").to(dtype)(p, y), each.sum())
    torch.testing.assert_close(make(width or 1).to(dtype)(p, y), each.mean())


@every
@pytest.mark.parametrize("width", [None, WIDE])
def test_gradcheck_and_descent(make, width):
    loss = make(width or 1).double()
    p, y = batch(5, width)
    assert torch.autograd.gradcheck(lambda z: loss(z, y), p)
    value = loss(p, y)
    value.backward()
    assert (p.grad != 0).all()
    assert loss(p.detach() - 1e-3 * p.grad, y) < value


@every
def test_one_column_is_no_column(make):
    p, y = batch()
    torch.testing.assert_close(make().double()(p[:, None], y[:, None]), make().double()(p, y))


@every
def test_what_would_be_broadcast_is_refused(make):
    with pytest.raises(ValueError, match=r"same shape, \(B,\) or \(B, T\), but have \(4, 1\) and \(4,\)"):
        make()(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match="reduction='avg' is unknown"):
        make(reduction="avg")


@every
@pytest.mark.parametrize("size", [1e4, -1e4, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_and_exact_predictions_stay_finite(make, size, dtype):
    p = torch.full((3,), size, dtype=dtype, requires_grad=True)
    value = make().to(dtype)(p, torch.tensor([0.0, 1.0, 2.0], dtype=dtype))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(p.grad).all()


@every
def test_state_dict_compile_and_half_precision(make):
    p, y = batch(dtype=torch.float32)
    old, new = make(), make()
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(p, y), old(p, y))
    torch.testing.assert_close(torch.compile(old, backend="eager")(p, y), old(p, y))
    assert old(p.bfloat16(), y.bfloat16()).item() == pytest.approx(old(p, y).item(), rel=0.05, abs=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20), st.sampled_from(sorted(MAKE)), st.floats(0.01, 30))
def test_a_nan_is_seen_and_anything_else_is_finite(seed, rows, name, scale):
    p, y = batch(rows, dtype=torch.float32, seed=seed)
    loss = MAKE[name]()
    assert torch.isfinite(loss(p * scale, y))
    y[0] = float("nan")
    assert torch.isnan(loss(p * scale, y))


# ------------------------------------------------------------------------------------------------ balanced MSE


def test_published_values():
    assert float(MAKE["GAILoss"]().double()(P.double(), Y.double())) == pytest.approx(-0.745409, abs=1e-6)
    assert float(BMCLoss()(P.double(), Y.double())) == pytest.approx(1.441918, abs=1e-6)
    assert float(MAKE["BNILoss"]().double()(P.double(), Y.double())) == pytest.approx(-0.508085, abs=1e-6)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_in_loops(width):
    rng = np.random.default_rng(0)
    p, y, s = rng.normal(size=(6, width)), rng.normal(size=(6, width)), 0.8
    phi, m = np.array([0.2, 0.5, 0.3]), rng.normal(size=(3, width))
    root = rng.normal(size=(3, width, width))
    v = root @ root.transpose(0, 2, 1)

    def normal(x, mean, cov):
        d = x - mean
        return math.exp(-d @ np.linalg.solve(cov, d) / 2) / math.sqrt(np.linalg.det(2 * math.pi * cov))

    noise = s**2 * np.eye(width)
    gai = [
        -math.log(normal(b, a, noise))
        + math.log(sum(f * normal(a, c, w + noise) for f, c, w in zip(phi, m, v)))
        for a, b in zip(p, y)
    ]
    # Of the two normal densities the factors of 2 pi cancel.
    loss = GAILoss(phi, m, v, noise=s, reduction="none").double()
    for name, value in (("mean", m), ("covariance", v)):
        setattr(loss, name, torch.from_numpy(value))
    loss.noise = torch.tensor(s, dtype=torch.float64)
    loss.log_share = torch.from_numpy(np.log(phi))
    found = loss(torch.from_numpy(p), torch.from_numpy(y))
    np.testing.assert_allclose(found.numpy(), 2 * s**2 * np.array(gai), rtol=1e-9)

    def kernel(a, b):
        return math.exp(-((a - b) @ (a - b)) / (2 * s**2))

    bmc = [-math.log(kernel(a, b) / sum(kernel(a, c) for c in y)) for a, b in zip(p, y)]
    found = BMCLoss(noise=s, reduction="none")(torch.from_numpy(p), torch.from_numpy(y))
    np.testing.assert_allclose(found.numpy(), 2 * s**2 * np.array(bmc), rtol=1e-5)
    bni = [
        (a - b) @ (a - b) / (2 * s**2) + math.log(sum(f * kernel(a, c) for f, c in zip(phi, m)))
        for a, b in zip(p, y)
    ]
    found = BNILoss(m, phi, noise=s, reduction="none")(torch.from_numpy(p), torch.from_numpy(y))
    np.testing.assert_allclose(found.numpy(), 2 * s**2 * np.array(bni), rtol=1e-5)


def test_gradient_under_one_gaussian_and_its_limit():
    p, y = batch()
    loss = GAILoss([1.0], [0.5], [2.0], noise=2.0, reduction="sum").double()
    loss(p, y).backward()
    torch.testing.assert_close(p.grad, (2 * (p - y) - 2 * (p - 0.5) * 4 / (2 + 4)).detach())
    p.grad = None
    GAILoss([1.0], [0.5], [1e12], noise=2.0, reduction="sum").double()(p, y).backward()
    torch.testing.assert_close(p.grad, (2 * (p - y)).detach())


def test_limits_of_the_batch_form():
    p, y = batch()
    near = (p[:, None] - y).square().min(1).values
    small = BMCLoss(noise=1e-3, reduction="none")(p, y)
    torch.testing.assert_close(small, (p - y).square() - near, atol=1e-4, rtol=0)
    huge = BMCLoss(noise=1e4, reduction="sum")
    huge(p, y).backward()
    torch.testing.assert_close(p.grad, 2 * (y.mean() - y), atol=1e-4, rtol=0)
    assert huge(p, y).item() / (2e8 * 12) == pytest.approx(math.log(12), rel=1e-5)
    assert BMCLoss()(p[:1], y[:1]).item() == 0
    constant = BMCLoss(reduction="none")(p, torch.ones_like(y))
    torch.testing.assert_close(constant, torch.full_like(constant, 2 * math.log(12)))


def test_ordinary_least_squares_shrinks_and_the_true_prior_undoes_it():
    """The authors' own task, y ~ N(5, 1/4) and x = y - N(0, 1), its expectations by Gauss-Hermite quadrature."""
    node, mass = np.polynomial.hermite_e.hermegauss(40)
    y = torch.from_numpy(np.repeat(5 + 0.5 * node, 40))
    x = y - torch.from_numpy(np.tile(node, 40))
    w = torch.from_numpy(np.outer(mass, mass).ravel() / mass.sum() ** 2)
    loss = GAILoss([1.0], [5.0], [0.25], noise=1.0, reduction="none").double()

    def fitted(each):
        line = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([line], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14,
                                      line_search_fn="strong_wolfe")  # fmt: skip

        def closure():
            optimizer.zero_grad()
            value = (w * each(line[0] * x + line[1], y)).sum()
            value.backward()
            return value

        optimizer.step(closure)
        return line.detach()

    even = torch.linspace(0, 10, 100_001, dtype=torch.float64)
    ordinary = fitted(lambda p, t: (p - t).square())
    torch.testing.assert_close(ordinary, torch.tensor([0.2, 4.0]).double(), atol=1e-6, rtol=0)
    assert float((ordinary[0] * even + ordinary[1] - even).square().mean()) == pytest.approx(16 / 3, abs=1e-3)
    recovered = fitted(loss)
    torch.testing.assert_close(recovered, torch.tensor([1.0, 0.0]).double(), atol=1e-5, rtol=0)


@balanced
def test_noise_is_learned_only_when_asked(name):
    p, y = batch()
    assert not list(MAKE[name]().parameters())
    loss = MAKE[name](learn_noise=True).double()
    assert [n for n, _ in loss.named_parameters()] == ["noise"]
    loss(p, y).backward()
    assert loss.noise.grad != 0
    assert p.grad is not None
    with pytest.raises(ValueError, match="noise must be finite and above 0"):
        MAKE[name](noise=0.0)


def test_priors_are_fitted_in_any_unit_and_to_any_target():
    rng = np.random.default_rng(0)
    y = np.r_[rng.normal(0, 1, 900), rng.normal(20, 2, 100)]
    for unit in (1e-12, 1.0, 1e12):
        share, mean, cov = gaussian_prior(y * unit, 2)
        order = mean[:, 0].argsort()
        np.testing.assert_allclose(share[order], [0.9, 0.1], atol=0.01)
        np.testing.assert_allclose(mean[order, 0] / unit, [0, 20], atol=0.7)
        np.testing.assert_allclose(cov[order, 0, 0] / unit**2, [1, 4], rtol=0.4)
    share, mean, cov = gaussian_prior(np.full(7, 3.0))
    assert (share.tolist(), mean.tolist(), cov.tolist()) == ([1.0], [[3.0]], [[[0.0]]])
    assert torch.isfinite(GAILoss(share, mean, cov)(P, Y))
    share, mean, cov = gaussian_prior(rng.normal(size=(200, 3)), 4)
    assert cov.shape == (4, 3, 3)
    p, t = batch(width=3)
    assert torch.isfinite(GAILoss(share, mean, cov).double()(p, t))
    assert len(gaussian_prior([1.0, 1.0, 2.0], 8)[0]) == 2


def test_bins_of_a_prior():
    centre, share = binned_prior([0.5, 0.6, 3.2], bin_edges([0.0, 4.0], 1.0))
    assert centre.tolist() == [0.5, 3.5]
    assert share.tolist() == pytest.approx([2 / 3, 1 / 3])
    centre, share = binned_prior([0.5, 0.6, 3.2], bin_edges([0.0, 4.0], 1.0), smoothing_kernel("triang", 3))
    assert centre.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert float(share.sum()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: GAILoss([-1.0, 2.0], [0.0, 1.0], [1.0, 1.0]), "a mixture needs"),
        (lambda: GAILoss([1.0], [0.0], [-1.0]), "a mixture needs"),
        (lambda: BNILoss([0.0, 1.0], [0.0, 0.0]), "bins need finite centres"),
        (lambda: BNILoss([float("nan")], [1.0]), "bins need finite centres"),
        (lambda: BNILoss([0.0], [1.0])(torch.zeros(3, 2), torch.zeros(3, 2)), "the prior has 1 targets"),
        (lambda: gaussian_prior([1.0, float("nan")]), "missing or infinite"),
        (lambda: gaussian_prior([1.0], 0), "components must be at least 1"),
        (lambda: binned_prior([float("inf")], torch.tensor([0.0, 1.0])), "missing or infinite"),
        (lambda: FocalRLoss(beta=0.0), "beta must be above 0"),
        (lambda: FocalRLoss(gamma=-1.0), "gamma at least 0"),
        (lambda: FocalRLoss(activation="relu"), "activation must be"),
        (lambda: FocalRLoss(base="huber"), "base 'l1' or 'mse'"),
        (lambda: PinballLoss((0.9, 0.1)), "increase"),
        (lambda: PinballLoss((0.0, 0.5)), "between 0 and 1"),
        (lambda: PinballLoss((0.5,))(torch.zeros(3), torch.zeros(3)), r"prediction must be \(B, 1\)"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# ----------------------------------------------------------------------------------------- Focal-R and pinball


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("base", ["l1", "mse"])
def test_focal_r_in_loops_and_at_its_limits(activation, base):
    p, y = batch()
    loss = FocalRLoss(0.3, 2.0, activation, base, reduction="none")
    wanted = []
    for a, b in zip(p.tolist(), y.tolist()):
        e = abs(a - b)
        m = 2 / (1 + math.exp(-0.3 * e)) - 1 if activation == "sigmoid" else math.tanh(0.3 * e)
        wanted.append(m**2 * (e if base == "l1" else e * e))
    torch.testing.assert_close(loss(p, y), torch.tensor(wanted).double())
    plain = F.l1_loss if base == "l1" else F.mse_loss
    torch.testing.assert_close(FocalRLoss(0.3, 0.0, activation, base)(p, y), plain(p, y))
    torch.testing.assert_close(FocalRLoss(1e9, 1.0, activation, base)(p, y), plain(p, y))
    wide_p, wide_y = batch(width=3)
    torch.testing.assert_close(FocalRLoss(0.3, 0.0, activation, base)(wide_p, wide_y), plain(wide_p, wide_y))


def test_pinball_is_half_the_absolute_error_at_the_median_and_finds_quantiles():
    p, y = batch()
    torch.testing.assert_close(PinballLoss((0.5,))(p[:, None], y), F.l1_loss(p, y) / 2)
    values = torch.arange(101.0)
    grid = torch.arange(101.0)
    loss = PinballLoss((0.1, 0.9), reduction="none")
    costs = torch.stack([loss(torch.full((101, 2), float(g)), values) for g in grid])
    assert costs.shape == (101, 101)
    one = PinballLoss((0.9,))
    best = min(grid.tolist(), key=lambda g: float(one(torch.full((101, 1), g), values)))
    assert best == 90
    wide = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: PinballLoss((0.1, 0.9)).double()(z, y[:4]), wide)
    naive = np.mean(
        [
            [max(q * (b - a), (q - 1) * (b - a)) for a, q in zip(row, (0.1, 0.9))]
            for row, b in zip(wide.tolist(), y[:4].tolist())
        ]
    )
    assert PinballLoss((0.1, 0.9)).double()(wide, y[:4]).item() == pytest.approx(naive)
