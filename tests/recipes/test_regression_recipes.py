"""Recipes for values: identities, units, several targets, awkward tables, and each on top of any other."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from metabalance import MetaBalanceRegressor
from metabalance.densities import bin_edges
from metabalance.engine import Objective, evaluate, fit
from metabalance.recipes import VALUE_RECIPES, ValueTask, get_recipe, recipe_options
from metabalance.recipes.regression.base import ErrorLoss, moments, on_top_of, value_plan, value_stream
from metabalance.recipes.regression.objectives import Smoothed, Viewed, smoothed, viewed, with_penalty
from metabalance.recipes.regression.weighing import density_weights, kernel_weights
from metabalance.reports import value_report
from metabalance.represent import FeatureDistributionSmoothing, RankSimLoss
from metabalance.weigh import label_density_weights

rng = np.random.default_rng(0)
X = rng.normal(size=(240, 4)).astype(np.float32)
Y = np.exp(X[:, :2] @ [0.8, 0.5] + 0.1 * rng.normal(size=240))
ONE_TARGET = {"fds", "lds_fds", "smogn", "smoter", "rare_over"}


def task(values=Y, **fields):
    return ValueTask.of(
        torch.from_numpy(X), values, **{"batch_size": 40, "seed": 3, "epochs": 4, "feature_dim": 8} | fields
    )


def network(outputs=1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))


def trained(plan, epochs=3, outputs=1):
    """Parameters after training."""
    model = network(outputs)
    if plan.prepare is not None:
        plan.prepare(model)
    parameters = [*model.parameters(), *plan.objective.parameters()]
    fit(
        model, plan.loader, objective=plan.objective, optimizer=torch.optim.SGD(parameters, lr=0.05), step=plan.step,
        parts=plan.parts, epochs=epochs,
    )  # fmt: skip
    if plan.finish is not None:
        plan.finish(model)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# ------------------------------------------------------------------------------------------------ the task


def test_a_task_is_standardised_and_binned_in_the_users_unit():
    one = task(bin_width=0.5)
    np.testing.assert_allclose([one.target.mean(), one.target.std(correction=0)], [0, 1], atol=1e-12)
    np.testing.assert_allclose(one.mean + one.scale * one.target[:, 0], Y)
    np.testing.assert_allclose(one.edges[0] * one.scale + one.mean, bin_edges(Y, 0.5))
    np.testing.assert_allclose(one.bin_width, 0.5 / one.scale)
    assert one.standard(0.5) == pytest.approx(one.bin_width)
    two = task(np.column_stack([Y, 7 * Y]))
    assert two.standard(0.5) == 0.5
    np.testing.assert_allclose(two.bin_width, task().bin_width * 2**0.5)


def test_a_weighted_task_is_that_of_copies():
    weight = rng.integers(1, 4, 240)
    one = task(weight=torch.as_tensor(weight))
    rows = np.arange(240).repeat(weight)
    many = ValueTask.of(torch.from_numpy(X[rows]), Y[rows])
    np.testing.assert_allclose([one.mean, one.scale], [many.mean, many.scale])
    assert one.weight.mean() == pytest.approx(1)
    for weights in (
        partial(density_weights, reweight="inverse"),
        partial(density_weights, kernel="triang"),
        kernel_weights,
    ):
        np.testing.assert_allclose(
            weights(one).repeat_interleave(torch.as_tensor(weight)), weights(many), rtol=1e-6
        )


def test_moments_are_numpys_and_know_no_overflow():
    y = rng.normal(size=(50, 2)) * [1e-3, 1e3]
    weight = rng.random(50)
    mean, scale = moments(torch.from_numpy(y), torch.from_numpy(weight))
    np.testing.assert_allclose(mean, np.average(y, axis=0, weights=weight))
    np.testing.assert_allclose(scale**2, np.average((y - mean.numpy()) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(
        moments(torch.from_numpy(y * 1e300))[1] / 1e300, moments(torch.from_numpy(y))[1]
    )


def test_the_natural_stream_shows_every_row_once():
    seen = torch.cat([target for _, target in value_stream(task())])
    torch.testing.assert_close(seen.sort(0).values, task().target.float().sort(0).values)


def test_density_weights_are_those_of_the_part_and_average_over_targets():
    one = task(bin_width=0.25)
    np.testing.assert_allclose(density_weights(one), label_density_weights(Y, 0.25), rtol=1e-12)
    both = task(np.column_stack([Y, -X[:, 0]]))
    np.testing.assert_allclose(
        density_weights(both), (density_weights(task()) + density_weights(task(-X[:, 0]))) / 2, rtol=1e-12
    )
    for weights in (density_weights(both), kernel_weights(both), kernel_weights(one)):
        assert float(weights.mean()) == pytest.approx(1)


# ------------------------------------------------------------------------------------------------ identities

IDENTITIES = {
    "lds without weights": ("lds", {"reweight": "none"}, "erm", {}),
    "conr with coefficient 0": ("conr", {"coefficient": 0.0}, "erm", {}),
    "conr with coefficient 0 on lds": ("conr", {"coefficient": 0.0, "base": "lds"}, "lds", {}),
    "ranksim with coefficient 0": ("ranksim", {"coefficient": 0.0}, "erm", {}),
    "fds that never starts": ("fds", {"start": 99}, "erm", {}),
    "lds_fds is fds on lds": ("lds_fds", {}, "fds", {"base": "lds"}),
    "focal_r with gamma 0": ("focal_r", {"gamma": 0.0}, "l1", {}),
    "a weight of the root": ("lds", {"kernel_size": 1}, "sqrt_inverse_density", {}),
    "a weight of the inverse": ("lds", {"kernel_size": 1, "reweight": "inverse"}, "inverse_density", {}),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities_bit_for_bit(name):
    left, options, right, others = IDENTITIES[name]
    a, b = (trained(get_recipe(r, "values")(task(), **o)) for r, o in ((left, options), (right, others)))
    assert torch.equal(a, b)


def test_near_identities():
    plain = trained(VALUE_RECIPES["erm"](task()))
    flat = trained(VALUE_RECIPES["dense_weight"](task(), alpha=0.0))
    torch.testing.assert_close(flat, plain)
    # Half a squared error below delta, and an ordinary squared error is twice that.
    half = VALUE_RECIPES["huber"](task(), delta=1e9)
    batch = next(iter(half.loader))
    model = network()
    torch.testing.assert_close(
        2 * half.objective(model, batch), VALUE_RECIPES["erm"](task()).objective(model, batch)
    )
    # A kernel of one bin smooths nothing.
    still = trained(VALUE_RECIPES["fds"](task(), kernel_size=1))
    torch.testing.assert_close(still, plain, rtol=1e-3, atol=1e-4)
    # A natural outer stream and no look-ahead: plain training on other batches, of the same size.
    meta = VALUE_RECIPES["metabalance"](task(), inner_lr=0.0, power=0.0)
    assert bool(torch.isfinite(trained(meta)).all())


@pytest.mark.parametrize("option", ["fds", "conr", "ranksim"])
def test_what_acts_changes_the_network(option):
    assert not torch.equal(trained(VALUE_RECIPES[option](task())), trained(VALUE_RECIPES["erm"](task())))


def test_smoothing_is_for_training_and_leaves_no_hook():
    plan = VALUE_RECIPES["fds"](task())
    model = network()
    fit(model, plan.loader, objective=plan.objective, optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
        parts=plan.parts, epochs=2)  # fmt: skip
    assert plan.objective.smoothing.updates == 2
    assert not model[2]._forward_pre_hooks
    one = task()
    before = model(one.inputs)
    report = evaluate(model, [(one.inputs, one.target)], report=value_report)
    np.testing.assert_allclose(report["loss"], (before - one.target).square().mean().item(), rtol=1e-5)


def test_penalties_and_views_see_features_as_they_are_and_the_head_smoothed_ones():
    seen = []

    class Spy(nn.Module):
        def forward(self, features, target):
            seen.append(features)
            return features.sum() * 0

    one = task()
    smoothing = FeatureDistributionSmoothing(8, 50)
    plan = smoothed(value_plan(one), smoothing, one.edges[0])
    with_penalty(plan.objective, Spy(), 1.0)
    model, batch = network(), next(iter(plan.loader))
    first = plan.objective(model, batch)
    plan.objective.update()
    second = plan.objective(model, batch)
    torch.testing.assert_close(seen[1], model[:2](batch[0]))
    assert not torch.equal(first, second)
    torch.testing.assert_close(smoothing.mean.sum(0) > 0, model[:2](batch[0]).sum(0) > 0)


def test_whole_numbers_keep_their_bins_in_single_precision():
    ages = rng.integers(0, 100, 240).astype(float)
    one = task(ages, bin_width=1.0)
    around = Smoothed(nn.Identity(), FeatureDistributionSmoothing(8, len(one.edges[0]) - 1), one.edges[0])
    place = torch.searchsorted(around.edges, one.target[:, 0].float(), right=True) - 1
    assert torch.equal(place, one.bins[0])


def test_the_views_are_two_noisy_copies_below_the_rows():
    plan = VALUE_RECIPES["conr"](task(), strength=0.1)
    assert isinstance(plan.objective, Viewed)
    inputs, target = next(iter(plan.loader))
    rows, first, second = inputs.chunk(3)
    plain, _ = next(iter(VALUE_RECIPES["erm"](task()).loader))
    assert torch.equal(rows, plain)
    assert 0 < (first - rows).abs().mean() < 0.2
    assert not torch.equal(first, second)
    assert torch.equal(*target.chunk(3)[:2])
    near = next(iter(VALUE_RECIPES["conr"](task(), views="near_mix", strength=0.0).loader))[0]
    assert torch.equal(near.chunk(3)[1], plain)
    given = viewed(value_plan(task()), nn.Identity(), 1.0, lambda x, y, g: (-x, y), seed=0)
    assert torch.equal(next(iter(given.loader))[0].chunk(3)[2], -plain)


def test_closed_form_of_balanced_mse():
    """Ren et al.'s task: y ~ N(5, 0.5), x = y + noise of 1: least squares learns slope 0.2, GAI recovers 1."""
    generator = np.random.default_rng(0)
    y = generator.normal(5, 0.5, 20_000)
    x = (y + generator.normal(size=20_000))[:, None]

    def slope(recipe, **options):
        model = MetaBalanceRegressor(
            recipe, recipe_options=options, module=lambda i, o: nn.Sequential(nn.Linear(i, o)),
            validation_fraction=0, batch_size=20_000, epochs=30, lr=0.05, weight_decay=0.0, schedule="cosine", random_state=0,
        ).fit(x, y)  # fmt: skip
        a, b = model.predict(np.array([[4.0], [6.0]]))
        return (b - a) / 2, (a + b) / 2

    plain = slope("erm")
    assert plain[0] == pytest.approx(0.2, abs=0.02)
    found = slope("balanced_mse", variant="gai", noise=1.0, components=1)
    assert found[0] == pytest.approx(1.0, abs=0.06)
    assert found[1] == pytest.approx(5.0, abs=0.05)


# ------------------------------------------------------------------------------------------------ every recipe


def estimator(name, **settings):
    return MetaBalanceRegressor(
        name, **{"epochs": 3, "batch_size": 64, "hidden": (8,), "random_state": 0} | settings
    )


def skewed(name, y):
    """Options with which something is rare in any target."""
    if name not in ("smogn", "smoter", "rare_over"):
        return {}
    middle, high = float(np.median(y)), float(np.quantile(y, 0.9))
    return {"recipe_options": {"points": [(middle, 0.0), (high if high > middle else middle + 1, 1.0)]}}


@pytest.mark.parametrize("name", VALUE_RECIPES)
def test_predictions_follow_the_unit_of_the_target(name):
    a, b = 1e6, -3e5
    x = X.astype(np.float64)
    plain = estimator(name).fit(x, Y).predict(x)
    other = estimator(name).fit(x, a * Y + b).predict(x)
    np.testing.assert_allclose((other - b) / a, plain, rtol=1e-6)


UNITS = {
    "huber": ("delta", 0.5, 1), "conr": ("window", 0.3, 1), "balanced_mse": ("noise", 0.4, 1),
    "dense_weight": ("bandwidth", 0.2, 1), "focal_r": ("beta", 2.0, -1),
}  # fmt: skip


@pytest.mark.parametrize("name", UNITS)
def test_options_with_a_unit_follow_it(name):
    option, value, power = UNITS[name]
    x = X.astype(np.float64)
    plain = estimator(name, recipe_options={option: value}).fit(x, Y).predict(x)
    other = estimator(name, recipe_options={option: value * 1000.0**power}).fit(x, 1000 * Y).predict(x)
    np.testing.assert_allclose(other / 1000, plain, rtol=1e-6)
    default = estimator(name).fit(x, Y).predict(x)
    assert not np.allclose(plain, default, rtol=1e-6)


@pytest.mark.parametrize("name", VALUE_RECIPES)
def test_every_recipe_of_two_targets(name):
    both = np.column_stack([Y, 100 * X[:, 0] ** 3])
    if name in ONE_TARGET:
        with pytest.raises(ValueError, match="works on one target, but there are 2"):
            estimator(name).fit(X, both)
    else:
        assert np.isfinite(estimator(name).fit(X, both).predict(X)).all()


AWKWARD = {
    "ties": np.where(np.arange(240) % 10 > 0, 1.0, np.round(Y) + 2),
    "few rows": Y[:12],
    "two values": (Y > 2).astype(float),
}


@pytest.mark.parametrize("kind", AWKWARD)
@pytest.mark.parametrize("name", VALUE_RECIPES)
def test_every_recipe_on_an_awkward_target(name, kind):
    y = AWKWARD[kind]
    model = estimator(name, epochs=2, **skewed(name, y)).fit(X[: len(y)], y)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("name", sorted(set(VALUE_RECIPES) - {"smogn", "smoter"}))
def test_every_recipe_takes_weights(name):
    weight = rng.random(240) + 0.1
    assert np.isfinite(estimator(name, epochs=2).fit(X, Y, sample_weight=weight).predict(X)).all()


def test_new_rows_have_no_weight_but_whole_ones_are_copies():
    with pytest.raises(ValueError, match="smogn makes new rows, which have no sample_weight"):
        estimator("smogn").fit(X, Y, sample_weight=rng.random(240) + 0.1)
    assert np.isfinite(estimator("smogn").fit(X, Y, sample_weight=rng.integers(1, 3, 240)).predict(X)).all()


BASES = sorted(set(VALUE_RECIPES) - {"metabalance"})


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("top", ["conr", "ranksim", "fds", "lds"])
def test_each_goes_on_top_of_every_other(top, base):
    if top == base:
        with pytest.raises(ValueError, match="cannot be the base"):
            get_recipe(top, "values")(task(), base=base)
        return
    plan = get_recipe(top, "values")(task(), base=base)
    assert bool(torch.isfinite(trained(plan, epochs=2)).all())
    if top == "conr" and base in (
        "fds",
        "lds_fds",
    ):  # the head's own pass is smoothed, that of the views is not
        assert isinstance(plan.objective.objective, Smoothed)
    if top == "fds" and base == "conr":
        assert isinstance(plan.objective, Viewed)
        assert isinstance(plan.objective.objective, Smoothed)


def test_bases_with_options_and_chains():
    full = partial(VALUE_RECIPES["fds"], base=partial(VALUE_RECIPES["ranksim"], base="lds"))
    plan = VALUE_RECIPES["conr"](task(), base=full)
    inner = plan.objective.objective.objective
    assert isinstance(inner, Objective)
    assert isinstance(inner.penalties[0], RankSimLoss)
    assert len(next(iter(plan.loader))) == 3  # weights
    assert bool(torch.isfinite(trained(plan)).all())
    assert on_top_of("erm", task(), "x").readout.kind == "value"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("conr", {"base": "metabalance"}, "takes two streams of its own"),
        ("conr", {"base": "nothing"}, "is unknown; use one of erm"),
        ("conr", {"views": "blur"}, "views='blur' is unknown"),
        ("conr", {"views": "augment"}, "rows of a table"),
        ("balanced_mse", {"variant": "x"}, "use one of gai, bmc, bni"),
        ("metabalance", {"power": 2.0}, "between 0 and 1"),
        ("lds", {"reweight": "x"}, "reweight='x' is unknown"),
        ("regressor_retraining", {"base": "quantile"}, "has other columns"),
        ("inverse_density", {"loss": "x"}, "loss='x' is unknown"),
        ("quantile", {"levels": (0.1, 0.9)}, "need the level 0.5"),
        ("huber", {"delta": 0.0}, "delta must be finite and above 0"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_recipe(name, "values")(task(), **options)


def test_smoothing_needs_a_last_layer_and_bni_one_target():
    with pytest.raises(ValueError, match="the network has none"):
        VALUE_RECIPES["fds"](task(feature_dim=None))
    with pytest.raises(ValueError, match="variant=bni works on one target"):
        VALUE_RECIPES["balanced_mse"](task(np.column_stack([Y, Y])), variant="bni")
    for variant in ("gai", "bni"):
        assert bool(
            torch.isfinite(
                trained(VALUE_RECIPES["balanced_mse"](task(), variant=variant, learn_noise=True))
            ).all()
        )


def test_errors_are_averaged_over_targets():
    p, y = torch.randn(5, 3), torch.randn(5, 3)
    torch.testing.assert_close(ErrorLoss("mse")(p, y), (p - y).square().mean(1))
    torch.testing.assert_close(ErrorLoss("l1")(p, y), (p - y).abs().mean(1))
    assert recipe_options("conr", "values")["base"] == "erm"


def test_the_judging_stream_of_metabalance_draws_bins_alike():
    one = task(num_bins=5)
    plan = VALUE_RECIPES["metabalance"](one, power=1.0)
    target = torch.cat([batch[1] for epoch in range(20) for batch in plan.loader])
    edges = one.edges[0]
    bins = torch.searchsorted(edges, target[:, 0].double(), right=True).clamp(1, 5) - 1
    share = bins.bincount(minlength=5) / len(bins)
    np.testing.assert_allclose(share[one.bins[0].unique()], 1 / len(one.bins[0].unique()), atol=0.04)
    sampler = plan.loader.loader.sampler
    np.testing.assert_allclose(sampler.shares().sum(), 1)


def test_the_network_after_retraining_has_the_weighted_optimum():
    one = task()
    plan = VALUE_RECIPES["regressor_retraining"](one, ridge=1e-9)
    model = network()
    plan.finish(model)
    z = model[:2](one.inputs).detach().double()
    residual = (model(one.inputs).double() - one.target)[:, 0].detach()
    weight = density_weights(one, reweight="inverse", kernel=None)
    np.testing.assert_allclose((weight * residual) @ z / len(z), 0, atol=1e-4)


def test_bins_of_whole_numbers_hold_one_each_as_the_regions_do():
    from metabalance.judge import make_regions

    years = np.repeat(np.arange(1.0, 30.0), 4)
    one = ValueTask.of(torch.zeros(len(years), 1), years)
    edges = (one.edges[0] * one.scale + one.mean).numpy()
    np.testing.assert_allclose(edges, make_regions(years).edges)
    assert torch.unique(one.bins[0], return_counts=True)[1].tolist() == [4] * 29
