"""Recipes of sampling: part-way sampling reaches the ratio that is asked for and says its prior."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metabalance.estimator import MetaBalanceClassifier
from metabalance.recipes import RECIPES, Task

COUNTS = [90, 30, 6]
Y = np.repeat([0, 1, 2], COUNTS)
X = np.random.default_rng(0).normal(size=(len(Y), 4)) + Y[:, None]


def task(**more):
    return Task(
        torch.from_numpy(X).float(), torch.from_numpy(Y), num_classes=3, batch_size=16, seed=0, **more
    )


def epoch_counts(plan):
    """Rows of each class in one pass of the sampler."""
    loader = getattr(plan.loader.loader, "loader", plan.loader.loader)
    return np.bincount(Y[list(loader.sampler)], minlength=3)


@pytest.mark.parametrize(
    ("recipe", "ratio", "counts"),
    [
        ("oversample", 0.5, [90, 45, 45]),
        ("oversample", 0.1, [90, 30, 9]),
        ("oversample", 1.0, [90, 90, 90]),
        ("undersample", 0.5, [12, 12, 6]),
        ("undersample", 0.1, [60, 30, 6]),
        ("undersample", 1.0, [6, 6, 6]),
    ],
)
def test_part_way_sampling_draws_what_it_says_and_knows_its_prior(recipe, ratio, counts):
    plan = RECIPES[recipe](task(), ratio=ratio)
    assert epoch_counts(plan).tolist() == counts
    np.testing.assert_allclose(plan.training_prior, np.array(counts) / sum(counts))


def test_weights_of_rows_and_classes_stay_in_the_prior():
    weight = torch.ones(len(Y))
    weight[Y == 1] = 3.0
    factor = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)
    plan = RECIPES["oversample"](task(weight=weight / weight.mean(), class_weight=factor), ratio=0.5)
    expected = np.array([90 * 1.0, 45 * 3.0, 45 * 2.0])
    np.testing.assert_allclose(plan.training_prior, expected / expected.sum())


def test_batches_are_augmented_as_everywhere():
    def shifted(inputs, target, generator):
        return inputs + 100, target

    plan = RECIPES["undersample"](task(augment=shifted), ratio=0.5)
    assert next(iter(plan.loader))[0].min() > 50


@pytest.mark.parametrize("recipe", ["oversample", "undersample"])
def test_the_classifier_takes_the_ratio(recipe):
    model = MetaBalanceClassifier(recipe, recipe_options={"ratio": 0.3}, epochs=2, random_state=0).fit(X, Y)
    assert np.isfinite(model.predict_proba(X)).all()
    with pytest.raises(ValueError, match=r"ratio must lie above 0 and up to 1"):
        MetaBalanceClassifier(recipe, recipe_options={"ratio": 1.5}, epochs=1).fit(X, Y)


def rows_by_phase(name, **options):
    """The plans of a recipe, each phase made of a small network."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    plans = [RECIPES[name](task(), **options)]
    while plans[-1].then is not None:
        plans.append(plans[-1].then(model))
    return model, plans


def test_square_root_takes_other_powers():
    shares = [np.array(COUNTS, dtype=float) ** q for q in (0.5, 0.25)]
    for plan, share in zip((RECIPES["square_root"](task()), RECIPES["square_root"](task(), q=0.25)), shares):
        np.testing.assert_allclose(plan.training_prior, share / share.sum())


@pytest.mark.parametrize("batch_size", [16, 1000])  # a small table has several passes in an epoch
def test_progressive_ends_balanced_with_the_training(batch_size):
    one = replace(task(epochs=20), batch_size=batch_size)
    plan = RECIPES["progressive"](one)
    sampler = plan.loader.loader.sampler
    shares = []
    for _ in range(20):
        list(plan.loader)
        shares.append(sampler.shares().tolist())
    natural = np.array(COUNTS) / sum(COUNTS)
    np.testing.assert_allclose(shares[0], natural + (1 / 3 - natural) * shares_done(shares[0]), atol=1e-9)
    assert shares_done(shares[0]) < 0.1
    assert shares_done(shares[-1]) > 0.93
    assert np.isclose(shares_done(plan.training_prior), 0.9, atol=0.03)
    assert plan.select_from == 0.8


def shares_done(shares):
    natural = COUNTS[0] / sum(COUNTS)
    return (natural - float(shares[0])) / (natural - 1 / 3)


@pytest.mark.parametrize("name", ["mixup", "remix"])
def test_mixed_labels_carry_the_weights_of_their_rows(name):
    weight = torch.linspace(0.5, 1.5, len(Y))
    plain, weighted = RECIPES[name](task()), RECIPES[name](task(weight=weight))
    seen = torch.zeros(2, 3)
    for k, plan in enumerate((plain, weighted)):
        for batch in plan.loader.loader:  # one pass
            assert len(batch) == 2
            seen[k] += batch[1].sum(0)
    if name == "mixup":
        expected = [float(weight[c == Y].sum()) for c in range(3)]
        np.testing.assert_allclose(seen[1], expected, rtol=1e-4)
        np.testing.assert_allclose(seen[0], COUNTS, rtol=1e-4)
    else:
        assert seen[0, 2] > COUNTS[2] * 1.1
        assert seen[0, 0] < COUNTS[0]


@pytest.mark.parametrize(
    ("alpha", "kappa", "tau"), [(1.0, 3.0, 0.5), (0.4, 2.0, 0.9), (2.0, 10.0, 0.3), (1.0, 3.0, 0.0)]
)
def test_the_prior_of_remix_is_the_average_label(alpha, kappa, tau):
    plan = RECIPES["remix"](task(), alpha=alpha, kappa=kappa, tau=tau)
    label = torch.zeros(3, dtype=torch.float64)
    for _ in range(100):
        for _, target in plan.loader:
            label += target.double().sum(0)
    np.testing.assert_allclose(label / label.sum(), plan.training_prior, atol=0.008)


def test_mixed_batches_are_the_seed_s_and_go_on_after_a_pause():
    first, again = (RECIPES["mixup"](task()) for _ in range(2))
    batches = list(first.loader)
    state = None
    for k, batch in enumerate(again.loader):
        assert torch.equal(batch[0], batches[k][0])
        if k == 2:
            state = again.loader.state_dict()
            break
    resumed = RECIPES["mixup"](task())
    resumed.loader.load_state_dict(state)
    assert torch.equal(next(iter(resumed.loader))[0], batches[3][0])


def test_cutmix_on_images_and_only_there():
    images = torch.rand(len(Y), 1, 8, 8)
    plan = RECIPES["cutmix"](Task(images, torch.from_numpy(Y), num_classes=3, batch_size=16), probability=1.0)
    inputs, target = next(iter(plan.loader))
    assert inputs.shape == (16, 1, 8, 8)
    assert ((target > 0) & (target < 1)).any()
    with pytest.raises(ValueError, match="cutmix pastes patches of images, and this is a table; use mixup"):
        RECIPES["cutmix"](task())


def test_m2m_trains_plainly_and_then_translates_with_a_frozen_copy():
    model, (plain, late) = rows_by_phase("m2m", gamma=0.5, defer=0.75)
    assert (plain.share, late.share, late.lr_scale) == (0.75, 0.25, 0.1)
    np.testing.assert_allclose(plain.training_prior, np.array(COUNTS) / sum(COUNTS))
    np.testing.assert_allclose(late.training_prior, [1 / 3] * 3)
    transform = late.step.transform
    assert transform.generator is not model
    assert all(not p.requires_grad for p in transform.generator.parameters())
    assert (transform.gamma, transform.clip, transform.counts.tolist()) == (0.5, None, COUNTS)
    with torch.no_grad():
        model[2].weight.zero_()
    assert float(transform.generator[2].weight.detach().abs().sum()) > 0
    with pytest.raises(ValueError, match="defer must lie between 0 and 1, but 1 was given"):
        RECIPES["m2m"](task(), defer=1)
