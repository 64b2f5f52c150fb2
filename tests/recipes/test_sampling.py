"""Recipes of sampling: part-way sampling reaches the ratio that is asked for and says its prior."""

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
