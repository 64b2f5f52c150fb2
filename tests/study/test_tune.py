"""The search of ordinary settings: it starts from plain training, keeps the best, and goes on where it stopped."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from metabalance import MetaBalanceClassifier
from metabalance.study.tune import Tuned, tune_simplified

pytest.importorskip("optuna")

rng = np.random.default_rng(0)
Y = (np.arange(300) % 6 == 0).astype(int)
X = (rng.normal(size=(300, 4)) + 0.7 * Y[:, None]).astype(np.float32)
SETTINGS = {"epochs": 2, "hidden": (8,), "min_positives": 5}


def test_the_first_trial_is_plain_training_and_the_best_is_kept():
    found = tune_simplified(X, Y, trials=3, **SETTINGS)
    assert isinstance(found, Tuned)
    assert len(found.trials) == 3
    fit, held = train_test_split(np.arange(300), test_size=0.2, stratify=Y, random_state=0)
    plain = MetaBalanceClassifier("erm", random_state=0, batch_size=128, **SETTINGS)
    plain.fit(X[fit], Y[fit], validation_data=(X[held], Y[held]))
    assert found.trials[0][1] == pytest.approx(plain.history_.best_value)
    assert found.value == max(value for _, value in found.trials)
    assert found.model.history_.best_value == found.value
    assert found.model.get_params()["recipe_options"] == found.options
    assert found.model.batch_size == found.settings["batch_size"]
    assert all(p["tail_smoothing"] >= p["smoothing"] for p, _ in found.trials)


def test_the_same_seed_finds_the_same():
    one, two = (tune_simplified(X, Y, trials=2, monitor="log_loss", **SETTINGS) for _ in range(2))
    assert one.trials == two.trials
    assert one.value == min(value for _, value in one.trials)


def test_a_stored_search_goes_on(tmp_path):
    storage = f"sqlite:///{tmp_path}/search.db"
    first = tune_simplified(X, Y, trials=1, storage=storage, **SETTINGS)
    both = tune_simplified(X, Y, trials=2, storage=storage, **SETTINGS)
    assert len(both.trials) == 2
    assert both.trials[0] == first.trials[0]
    assert tune_simplified(X, Y, trials=2, storage=storage, **SETTINGS).trials == both.trials


def test_refusals():
    with pytest.raises(ValueError, match="trials must be at least 1, but 0"):
        tune_simplified(X, Y, trials=0)
    with pytest.raises(ValueError, match="the search sets lr itself"):
        tune_simplified(X, Y, lr=0.1)
    with pytest.raises(ValueError, match="too few rows of a class are held out"):
        tune_simplified(X, Y, trials=1, epochs=1, hidden=(4,), min_positives=100)
