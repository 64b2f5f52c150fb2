"""Every recipe through the classifier, on a table and on images: probabilities come out, and the same ones again."""

import numpy as np
import pytest

from metabalance import MetaBalanceClassifier
from metabalance.recipes import RECIPES

rng = np.random.default_rng(0)
Y = np.arange(150) % 10 // 8 + np.arange(150) % 30 // 29  # 120, 25 and 5 rows
TABLE = (rng.normal(size=(150, 5)) + Y[:, None]).astype(np.float32)
IMAGES = np.clip(rng.random((150, 1, 8, 8)) * 0.6 + 0.2 * Y[:, None, None, None], 0, 1).astype(np.float32)
IMAGES_ONLY = {"cutmix": "images", "rotation_pretraining": "images"}
NEEDS_OPTIONS = {"curve_net": {}}


def fit(name, X):
    pytest.importorskip("kornia")
    model = MetaBalanceClassifier(
        name, recipe_options=NEEDS_OPTIONS.get(name), epochs=4, batch_size=64, hidden=(8,), random_state=0, min_positives=1,
        module=None if X.ndim == 2 else small_network,
    )  # fmt: skip
    return model.fit(X, Y, validation_data=(X[::2], Y[::2])).predict_proba(X)


def small_network(channels, classes):
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 8), nn.ReLU(),
        nn.Linear(8, classes),
    )  # fmt: skip


@pytest.mark.parametrize("X", [TABLE, IMAGES], ids=["table", "images"])
@pytest.mark.parametrize("name", RECIPES)
def test_probabilities_come_out_and_the_same_ones_again(name, X):
    if X.ndim == 2 and name in IMAGES_ONLY:
        with pytest.raises(ValueError, match=IMAGES_ONLY[name]):
            fit(name, X)
        return
    first = fit(name, X)
    assert first.shape == (150, 3)
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(first, fit(name, X))
