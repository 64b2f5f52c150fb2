"""A head fitted anew, and conformal intervals: closed forms, coverage, refusals."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from metabalance.adjust import ConformalIntervals, interval_coverage, refit_regressor
from metabalance.heads import features
from metabalance.weigh import label_density_weights


def network(targets=1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, targets))


def rows(n=80, targets=None, seed=0):
    g = torch.Generator().manual_seed(seed)
    shape = (n,) if targets is None else (n, targets)
    return torch.randn(n, 4, generator=g), torch.randn(shape, generator=g) * 3 + 7


@pytest.mark.parametrize("targets", [None, 3])
def test_the_head_is_scikit_learns_weighted_ridge_on_standardised_features(targets):
    model, (x, y) = network(targets or 1), rows(targets=targets)
    trunk = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith("2.")}
    z = features(model, x).detach()
    w = torch.rand(80, generator=torch.Generator().manual_seed(1)) + 0.1
    refit_regressor(model, z, y, w, ridge=0.05)
    centre = (w[:, None] * z).sum(0) / w.sum()
    scale = ((w[:, None] * (z - centre) ** 2).sum(0) / w.sum()).sqrt()
    u = ((z - centre) / scale).double().numpy()
    theirs = Ridge(alpha=0.05 * float(w.sum())).fit(u, y.double().numpy(), sample_weight=w.double().numpy())
    wanted = theirs.predict(u).reshape(80, -1)
    np.testing.assert_allclose(model(x).detach().numpy(), wanted, atol=1e-3)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in trunk.items())


def test_density_weights_bring_the_head_nearer_to_rare_values():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(np.r_[rng.normal(size=(300, 4)), rng.normal(size=(12, 4)) + 1]).float()
    y = torch.cat([x[:300, 0], 20 + x[300:, 0]])
    model = network()
    z = features(model, x).detach()
    refit_regressor(model, z, y)
    plain = float((model(x)[300:, 0] - y[300:]).abs().mean().detach())
    refit_regressor(model, z, y, label_density_weights(y, 1.0, reweight="inverse"))
    assert float((model(x)[300:, 0] - y[300:]).abs().mean().detach()) < plain - 1


def test_limits_of_the_head():
    model, (x, _) = network(), rows()
    z = features(model, x).detach()
    refit_regressor(model, z, torch.full((80,), 5.0))
    torch.testing.assert_close(model(x), torch.full((80, 1), 5.0))
    refit_regressor(model, z, x[:, 0], ridge=1e12)
    torch.testing.assert_close(model(x), x[:, 0].mean().expand(80, 1), atol=1e-4, rtol=0)
    constant = torch.cat([z[:, :5], torch.ones(80, 1)], 1)  # a dead unit is no division by zero
    assert torch.isfinite(refit_regressor(model, constant, x[:, 0]).weight).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((torch.zeros(3, 5), torch.zeros(3)), "maps 6 features to 1 targets"),
        ((torch.zeros(3, 6), torch.zeros(3, 2)), "maps 6 features to 1 targets"),
        ((torch.zeros(3, 6), torch.tensor([0.0, 1.0, float("nan")])), "must be finite"),
        ((torch.zeros(3, 6), torch.zeros(3), -torch.ones(3)), "weights not negative"),
        ((torch.zeros(3, 6), torch.zeros(3), None, 0.0), "ridge above 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        refit_regressor(network(), *arguments)


# -------------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("alpha", [0.1, 0.3])
@pytest.mark.parametrize("quantiles", [False, True])
def test_average_coverage_keeps_the_promise(alpha, quantiles):
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        x = rng.random(140)
        y = rng.normal(size=140) * (0.2 + x)
        p = np.c_[-0.5 * x, 0.7 * x] if quantiles else np.zeros(140)
        fitted = ConformalIntervals(alpha).fit(p[:99], y[:99])
        covered.append(interval_coverage(*fitted(p[99:]), y[99:])["all"])
    assert np.mean(covered) == pytest.approx(1 - alpha, abs=0.012)


def test_quantiles_that_are_too_wide_shrink_and_that_cross_are_sorted():
    y = np.linspace(-1, 1, 99)
    wide = np.tile([-9.0, 9.0], (99, 1))
    low, high = ConformalIntervals(0.1).fit(wide, y)(wide)
    assert high[0] < 1.01
    flipped = ConformalIntervals(0.1).fit(wide[:, ::-1], y)(wide[:, ::-1])
    np.testing.assert_array_equal(flipped[0], low)
    # Narrow ones elsewhere shrink to their middle, never beyond.
    low, high = ConformalIntervals(0.1).fit(wide, y)([[1.0, 2.0]])
    assert low[0] == high[0] == 1.5


def test_each_group_has_its_own_margin_and_one_unseen_or_small_has_no_limit():
    y = np.r_[np.full(50, 1.0), np.full(50, 8.0), 3.0]
    group = np.r_[["a"] * 50, ["b"] * 50, ["c"]]
    fitted = ConformalIntervals(0.1).fit(np.zeros(101), y, group)
    assert fitted.margins_ == {"a": 1.0, "b": 8.0, "c": np.inf}
    low, high = fitted([0.0, 0.0, 0.0, 0.0], ["a", "b", "c", "new"])
    assert high.tolist() == [1.0, 8.0, np.inf, np.inf]
    assert interval_coverage(low, high, [5.0, 5.0, 5.0, 5.0], ["m", "m", "f", "f"]) == {
        "all": 0.75,
        "m": 0.5,
        "f": 1.0,
    }
    assert np.isnan(interval_coverage([], [], [])["all"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ConformalIntervals(0.0), "alpha must lie between 0 and 1"),
        (lambda: ConformalIntervals().fit([1.0, np.nan], [1.0, 2.0]), "and finite"),
        (lambda: ConformalIntervals().fit(np.zeros((3, 3)), np.zeros(3)), r"two quantiles \(N, 2\)"),
        (lambda: ConformalIntervals().fit([1.0], [np.inf]), "without missing values"),
        (lambda: ConformalIntervals().fit([1.0], [1.0], ["a", "b"]), "groups must be"),
        (lambda: interval_coverage([1.0], [2.0], [1.0, 2.0]), r"low must be \(2,\)"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
