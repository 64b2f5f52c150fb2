"""Recipes: every one trains, knows the prior its scores are calibrated to, and gives the same steps."""

import numpy as np
import pytest
import torch

from metabalance.engine import fit
from metabalance.recipes import RECIPES, Plan, Task, get_recipe, recipe_options, stream

torch.manual_seed(0)
N, MINORITY = 600, 60
TARGET = torch.tensor([0] * (N - MINORITY) + [1] * MINORITY)
INPUTS = torch.randn(N, 4) + 1.5 * TARGET[:, None]


def task(**changes):
    return Task(
        **{"inputs": INPUTS, "target": TARGET, "num_classes": 2, "batch_size": 64, "seed": 3} | changes
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_and_moves_every_parameter(name):
    plan = RECIPES[name](task())
    assert isinstance(plan, Plan)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    before = [p.detach().clone() for p in model.parameters()]
    fit(
        model,
        plan.loader,
        objective=plan.objective,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        step=plan.step,
        epochs=1,
    )
    assert all(
        bool(torch.isfinite(p).all()) and not torch.equal(p, b) for p, b in zip(model.parameters(), before)
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_the_steps_of_one_natural_pass(name):
    assert len(RECIPES[name](task()).loader) == -(-N // 64)


@pytest.mark.parametrize("name", RECIPES)
def test_the_training_prior_is_a_prior(name):
    prior = RECIPES[name](task()).training_prior
    assert prior.shape == (2,)
    np.testing.assert_allclose(prior.sum(), 1, atol=1e-12)


def test_the_natural_stream_shows_every_row_once():
    rows = task(inputs=torch.arange(float(N))[:, None])
    loader, _, _ = stream(rows, "natural")
    seen = torch.cat([batch[0] for batch in loader]).reshape(-1)
    assert sorted(seen.tolist()) == list(range(N))
    assert seen.tolist() != list(range(N))


def test_training_priors():
    natural = [0.9, 0.1]
    expected = {
        "erm": natural,
        "focal": natural,
        "oversample": [0.5, 0.5],
        "undersample": [0.5, 0.5],
        "balanced_batches": [0.5, 0.5],
        "smote": [0.5, 0.5],
        "class_weight": [0.5, 0.5],
        "logit_adjustment": [0.5, 0.5],
        "balanced_softmax": [0.5, 0.5],
        "metabalance": [0.5, 0.5],
        "square_root": [0.75, 0.25],
    }
    for name, prior in expected.items():
        np.testing.assert_allclose(RECIPES[name](task()).training_prior, prior, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(RECIPES["logit_adjustment"](task(), tau=0.0).training_prior, natural)


def test_class_weight_moves_the_prior_of_every_stream():
    doubled = task(class_weight=torch.tensor([1.0, 2.0], dtype=torch.float64))
    np.testing.assert_allclose(RECIPES["erm"](doubled).training_prior, [0.9 / 1.1, 0.2 / 1.1])
    np.testing.assert_allclose(RECIPES["oversample"](doubled).training_prior, [1 / 3, 2 / 3])
    np.testing.assert_allclose(RECIPES["logit_adjustment"](doubled).training_prior, [1 / 3, 2 / 3])


def test_class_weight_recipe_with_equal_weights_is_erm():
    losses = []
    for name, options in (("erm", {}), ("class_weight", {"weight": [1.0, 1.0]})):
        plan = RECIPES[name](task(), **options)
        model = torch.nn.Linear(4, 2)
        torch.nn.init.constant_(model.weight, 0.1)
        torch.nn.init.zeros_(model.bias)
        losses.append([plan.objective(model, batch).item() for batch in plan.loader])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_the_two_streams_of_metabalance_are_balanced_each_its_own_way():
    plan = RECIPES["metabalance"](task(), inner="random_under", outer="natural")
    loader, _, _ = stream(task(), "random_under")
    assert torch.cat([batch[1] for batch in loader]).float().mean() == 0.5
    np.testing.assert_allclose(plan.training_prior, [0.9, 0.1])


def test_a_meta_set_is_held_out_of_the_inner_stream():
    plan = RECIPES["metabalance"](task(), meta_set=0.2)
    meta = torch.cat([batch[1] for batch in plan.loader])
    assert set(meta.bincount().tolist())
    assert meta.bincount()[0] == meta.bincount()[1]


@pytest.mark.parametrize("preset", ["credit_card", "loan_default", "cifar"])
def test_presets_carry_the_published_settings(preset):
    plan = RECIPES["metabalance"](task(), preset=preset)
    assert plan.epochs in (100, 350)
    optimizer = plan.optimizer([torch.nn.Parameter(torch.zeros(1))])
    group = optimizer.param_groups[0]
    assert group["nesterov"]
    assert group["momentum"] == 0.9
    assert group["weight_decay"] == 5e-4


def test_refusals():
    with pytest.raises(ValueError, match="did you mean metabalance"):
        get_recipe("metabalanc")
    with pytest.raises(ValueError, match="stream 'x' is unknown"):
        stream(task(), "x")
    with pytest.raises(ValueError, match="preset 'faces' is unknown for tables"):
        RECIPES["metabalance"](task(), preset="faces")
    with pytest.raises(ValueError, match="smote makes new rows, which have no sample_weight"):
        RECIPES["smote"](task(weight=torch.ones(N)))
    assert recipe_options("focal") == {"gamma": 2.0}
