"""Recipes: every one trains, knows the prior its scores are calibrated to, and gives the same steps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metabalance.engine import fit
from metabalance.optimize import PRESETS
from metabalance.recipes import RECIPES, Plan, Task, get_recipe, recipe_options, stream

torch.manual_seed(0)
N, MINORITY = 600, 60
TARGET = torch.tensor([0] * (N - MINORITY) + [1] * MINORITY)
INPUTS = torch.randn(N, 4) + 1.5 * TARGET[:, None]


def task(**changes):
    return Task(
        **{"inputs": INPUTS, "target": TARGET, "num_classes": 2, "batch_size": 64, "seed": 3} | changes
    )


IMAGES_ONLY = {"cutmix", "rotation_pretraining"}


@pytest.mark.parametrize("name", sorted(set(RECIPES) - IMAGES_ONLY))
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


@pytest.mark.parametrize("name", sorted(set(RECIPES) - IMAGES_ONLY))
def test_every_recipe_has_the_steps_of_one_natural_pass(name):
    assert len(RECIPES[name](task()).loader) == -(-N // 64)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - IMAGES_ONLY))
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
        "learning_to_reweight": [0.5, 0.5],
        "meta_weight_net": natural,
        "cmw_net": natural,
    }
    for name, prior in expected.items():
        np.testing.assert_allclose(RECIPES[name](task()).training_prior, prior, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(RECIPES["logit_adjustment"](task(), tau=0.0).training_prior, natural)


class Shares(torch.nn.Module):
    """Sees no input: all it can learn is the share of each class."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, inputs):
        return self.bias.expand(len(inputs), 2)


MAKES_ROWS = {"smote", "borderline_smote", "svm_smote", "adasyn", "smote_enn", "cluster_centroids"}


# Where no exact prior can be named, and why.
NO_EXACT_PRIOR = {
    "focal": "not a proper loss",
    "dice": "not a proper loss",
    "ldam": "not a proper loss",
    "ldam_drw": "not a proper loss",
    "drw": "changes during training, which is not run here",
    "progressive": "changes during training, which is not run here",
    "drs": "changes during training, which is not run here",
    "learning_to_reweight": "its weights are the step's, not the objective's",
    "srat": "needs features",
    "supcon": "needs features",
    "balanced_supcon": "needs features",
    "joint_ssl": "needs features",
    "moco_pretraining": "the first phase has no classes",
} | dict.fromkeys(IMAGES_ONLY, "a table")


@pytest.mark.parametrize("weighted", ["", "classes", "rows and classes"])
@pytest.mark.parametrize("name", sorted(set(RECIPES) - set(NO_EXACT_PRIOR)))
def test_a_model_without_inputs_learns_the_training_prior(name, weighted):
    if "rows" in weighted and name in MAKES_ROWS:
        pytest.skip("new rows have no weight")
    one = task()
    if "classes" in weighted:
        one = task(class_weight=torch.tensor([0.5, 2.0], dtype=torch.float64))
    if "rows" in weighted:
        weight = torch.rand(N, generator=torch.Generator().manual_seed(0)) + TARGET
        one = replace(one, weight=weight / weight.mean())
    plan, model = RECIPES[name](one), Shares()
    batches = []
    for epoch in range(10):
        plan.loader.set_epoch(epoch)
        batches += list(plan.loader)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        rows = sum(len(batch[1]) for batch in batches)
        loss = sum(plan.objective(model, batch) * len(batch[1]) for batch in batches) / rows
        loss.backward()
        return loss

    optimizer.step(closure)
    # Random draws of classes are the one thing that leaves more than rounding and unfinished passes.
    np.testing.assert_allclose(model.bias.softmax(0).detach(), plan.training_prior, atol=0.02)


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
    inner = torch.cat([batch[1] for batch in plan.step.inner_loader])
    assert inner.bincount().tolist() == [MINORITY, MINORITY]
    outer = torch.cat([batch[1] for batch in plan.loader])  # ten batches: one pass
    assert outer.bincount().tolist() == [N - MINORITY, MINORITY]
    np.testing.assert_allclose(plan.training_prior, [0.9, 0.1])


def test_a_meta_set_is_held_out_of_the_inner_stream():
    plan = RECIPES["metabalance"](task(inputs=torch.arange(float(N))[:, None]), meta_set=0.2)
    judged = {int(row) for batch in plan.loader for row in batch[0]}
    trained = {int(row) for batch in plan.step.inner_loader for row in batch[0]}
    assert len(judged) == 24  # 0.2 * 60 of each class
    assert TARGET[list(judged)].bincount().tolist() == [12, 12]
    assert judged | trained == set(range(N))
    assert not judged & trained
    np.testing.assert_allclose(plan.training_prior, [0.5, 0.5])


@pytest.mark.parametrize("name", ["credit_card", "loan_default", "cifar"])
def test_presets_carry_the_published_settings(name):
    plan, preset = RECIPES["metabalance"](task(), preset=name, order=2), PRESETS[name]
    assert plan.epochs == preset.epochs
    group = plan.optimizer([torch.nn.Parameter(torch.zeros(1))]).param_groups[0]
    for setting in ("lr", "momentum", "nesterov", "weight_decay"):
        assert group[setting] == getattr(preset, setting)
    assert plan.step.inner_loader.batch_size == preset.inner_batch
    assert len(next(iter(plan.loader))[1]) == preset.outer_batch
    assert plan.step.settings == {
        "order": 2,
        "shared": True,
        **{setting: getattr(preset, setting) for setting in ("inner_lr", "accumulate", "leak")},
    }
    assert (plan.scheduler is not None) == (name == "cifar")


@pytest.mark.parametrize("option", [{"leak": 0.5}, {"inner": "smote"}, {"accumulate": 2}])
def test_an_option_that_a_preset_sets_is_refused(option):
    with pytest.raises(ValueError, match=f"'credit_card' sets {next(iter(option))} itself"):
        RECIPES["metabalance"](task(), preset="credit_card", **option)


def test_refusals():
    with pytest.raises(ValueError, match="did you mean metabalance"):
        get_recipe("metabalanc")
    with pytest.raises(ValueError, match="stream 'x' is unknown"):
        stream(task(), "x")
    with pytest.raises(ValueError, match="preset 'faces' is unknown for tables"):
        RECIPES["metabalance"](task(), preset="faces")
    with pytest.raises(ValueError, match="smote makes new rows, which have no sample_weight"):
        RECIPES["smote"](task(weight=torch.linspace(0.5, 1.5, N)))
    assert recipe_options("focal") == {"gamma": 2.0}


@pytest.mark.parametrize("strategy", ["smote", "near_miss", "all_knn"])
def test_whole_weights_are_copies_to_a_resampler(strategy):
    times = torch.arange(N) % 3 + 1
    weighted, _, _ = stream(task(weight=times / times.double().mean()), strategy)
    copied, _, _ = stream(
        task(inputs=INPUTS.repeat_interleave(times, 0), target=TARGET.repeat_interleave(times)), strategy
    )
    for a, b in zip(weighted.tensors, copied.tensors, strict=True):
        assert torch.equal(a, b)


def test_learned_weights_are_judged_on_balanced_rows_of_the_training_part():
    rows = task(inputs=torch.arange(float(N))[:, None], epochs=20)
    for name in ("learning_to_reweight", "meta_weight_net", "cmw_net"):
        plan = RECIPES[name](rows)
        passes = []
        for epoch in range(2):
            plan.step.meta_loader.set_epoch(epoch)
            passes.append(torch.cat([batch[1] for batch in plan.step.meta_loader]))
            assert passes[-1].bincount().tolist() == [MINORITY, MINORITY]
        seen = torch.cat([batch[0] for batch in plan.loader]).reshape(-1)
        assert sorted(seen.tolist()) == list(range(N))
        held = RECIPES[name](rows, meta_set=0.2)
        judged = {int(row) for batch in held.step.meta_loader for row in batch[0]}
        trained = {int(row) for batch in held.loader for row in batch[0]}
        assert TARGET[list(judged)].bincount().tolist() == [12, 12]
        assert judged | trained == set(range(N))
        assert not judged & trained


def test_learned_weights_start_when_they_are_told_to():
    plan = RECIPES["cmw_net"](task(epochs=20))
    assert (plan.step.start_epoch, plan.select_from) == (16, 0.8)
    assert plan.parts == (plan.step,)
    assert plan.step.normalize == "detached_sum"
    plan = RECIPES["meta_weight_net"](task(epochs=20), variant="noise", start=0.25)
    assert (plan.step.start_epoch, plan.select_from, plan.step.normalize) == (5, 0.25, "none")
    assert RECIPES["meta_weight_net"](task()).step.start_epoch == 0
    with pytest.raises(ValueError, match="variant='x' is unknown; use one of noise, imbalance"):
        RECIPES["meta_weight_net"](task(), variant="x")
    with pytest.raises(ValueError, match="start must lie from 0 to below 1, but 1 was given"):
        RECIPES["cmw_net"](task(), start=1)


def test_a_weight_network_is_the_seed_s_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    first, second, other = (
        RECIPES["cmw_net"](task(seed=seed)).step.weigher.hidden.weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
