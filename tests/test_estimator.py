"""The estimator: scikit-learn's contract, weights, priors, persistence, mixed tables, resumption."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from metabalance import MetaBalanceClassifier
from metabalance.networks import MLP
from metabalance.recipes import RECIPES

X, Y = make_classification(700, n_features=6, n_informative=4, weights=[0.9], class_sep=1.5, random_state=0)


def quick(recipe="erm", **settings):
    return MetaBalanceClassifier(recipe, **{"epochs": 5, "random_state": 0} | settings)


@parametrize_with_checks([MetaBalanceClassifier(epochs=12)])
def test_scikit_learn_checks_with_no_expected_failure(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [MetaBalanceClassifier(), MetaBalanceClassifier("erm"), MetaBalanceClassifier("oversample")]
)
def test_scikit_learn_checks_at_default_settings(estimator, check):
    check(estimator)


@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - {"rotation_pretraining", "cutmix"}))  # for images
def test_every_recipe_through_the_estimator(recipe):
    # Two epochs of a tenth of the rate would leave two_phase's scores between the balanced prior and the natural one.
    model = quick(recipe, epochs=12 if recipe == "two_phase" else 5).fit(X, Y)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
    assert (probabilities.argmax(axis=1) == Y).mean() > 0.85
    np.testing.assert_array_equal(model.predict(X), clone(model).fit(X, Y).predict(X))


@pytest.mark.parametrize(
    "recipe", ["oversample", "class_weight", "logit_adjustment", "undersample", "metabalance"]
)
def test_probabilities_are_corrected_to_the_source_prior(recipe):
    model = quick(recipe, epochs=20).fit(X, Y)
    share = Y.mean()
    corrected, raw = (
        model.predict_proba(X)[:, 1].mean(),
        model.predict_proba(X, prior="training")[:, 1].mean(),
    )
    assert abs(corrected - share) < abs(raw - share)
    assert abs(corrected - share) < 0.05
    np.testing.assert_allclose(
        model.predict_proba(X, prior=model.training_prior_), model.predict_proba(X, prior="training")
    )


def test_weights_are_true_loss_weights():
    rng = np.random.default_rng(0)
    x, y = X[:200], Y[:200]
    weight = rng.integers(0, 4, 200)
    weighted = quick(epochs=10).fit(x, y, sample_weight=weight)
    repeated = quick(epochs=10).fit(x.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_array_equal(weighted.predict_proba(x), repeated.predict_proba(x))


def test_class_weight_equals_the_same_sample_weight():
    given = quick(class_weight={0: 1.0, 1: 5.0}, batch_size=1000, prior="training").fit(X, Y)
    rows = np.where(Y == 1, 5.0, 1.0)
    by_row = quick(batch_size=1000, prior="training").fit(X, Y, sample_weight=rows)
    np.testing.assert_allclose(given.predict_proba(X), by_row.predict_proba(X), atol=1e-9)


def test_class_weights_move_decisions_and_leave_probabilities_at_the_source_prior():
    plain, heavy = (quick(epochs=20, class_weight=w).fit(X, Y) for w in (None, {1: 30.0}))
    assert (heavy.predict(X) == 1).mean() > (plain.predict(X) == 1).mean() + 0.02
    assert abs(heavy.predict_proba(X)[:, 1].mean() - Y.mean()) < 0.05


def test_a_copy_by_pickle_predicts_the_same():
    model = quick("metabalance").fit(X, Y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), model.predict_proba(X))


def test_pipelines_cross_validation_and_routing():
    pipeline = make_pipeline(StandardScaler(), quick("oversample", preprocess=None))
    assert cross_val_score(pipeline, X, Y, cv=3, scoring="roc_auc").mean() > 0.9
    weight = np.where(Y == 1, 20.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, quick(prior="training").set_fit_request(sample_weight=True))
        heavy, plain = (
            routed.fit(X, Y, sample_weight=w).predict_proba(X)[:, 1].mean() for w in (weight, np.ones(len(Y)))
        )
    assert heavy > plain + 0.05


def test_labels_of_any_kind_and_many_classes():
    labels = np.array(["many", "some", "few"])[np.digitize(X[:, 0], [0.8, 1.6])]
    model = quick("metabalance", epochs=20).fit(X, labels)
    assert model.classes_.tolist() == ["few", "many", "some"]
    assert set(model.predict(X)) <= {"few", "many", "some"}
    assert model.predict_proba(X).shape == (len(X), 3)


def test_mixed_tables_keep_their_columns():
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "yes", "no"), "c": X[:, 2] > 0})
    frame.loc[::9, "a"] = np.nan
    model = quick(epochs=10).fit(frame, Y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(frame).shape == (len(frame), 2)
    polars = pytest.importorskip("polars")
    np.testing.assert_array_equal(model.predict_proba(polars.from_pandas(frame)), model.predict_proba(frame))


def test_own_networks_are_used_and_never_changed():
    torch.manual_seed(0)
    network = MLP(6, 2, hidden=(8,))
    before = [p.clone() for p in network.parameters()]
    quick(module=network).fit(X.astype(np.float32), Y)
    assert all(torch.equal(p, b) for p, b in zip(network.parameters(), before))
    made = quick(module=lambda d, c: torch.nn.Linear(d, c)).fit(X, Y)
    assert isinstance(made.module_, torch.nn.Linear)


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    quick(dropout=0.5).fit(X, Y)
    assert torch.equal(torch.rand(3), expected)


def test_training_killed_goes_on_to_the_same_bits(tmp_path):
    whole = quick("metabalance", epochs=6, checkpoint=str(tmp_path / "whole.pt")).fit(X, Y)
    part = quick("metabalance", epochs=6, checkpoint=str(tmp_path / "part.pt"), max_seconds=1e-9).fit(X, Y)
    assert part.history_.stopped == "deadline"
    resumed = quick("metabalance", epochs=6, checkpoint=str(tmp_path / "part.pt")).fit(X, Y)
    np.testing.assert_array_equal(whole.predict_proba(X), resumed.predict_proba(X))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"recipe": "metabalanse"}, "did you mean metabalance"),
        ({"epochs": 0}, "epochs must be a whole number above 0"),
        ({"lr": "fast"}, "lr must be a number above 0"),
        ({"optimizer": "adamm"}, "optimizer='adamm' is unknown"),
        ({"schedule": "linear"}, "schedule='linear' is unknown"),
        ({"class_weight": "heavy"}, "class_weight='heavy' is unknown"),
        ({"class_weight": {"x": 1.0}}, "not among the classes"),
        ({"monitor": "app"}, "metric"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie"),
        ({"recipe_options": {"gamma": 1}}, "no option 'gamma'"),
    ],
)
def test_bad_settings_are_one_sentence(settings, said):
    with pytest.raises((ValueError, KeyError), match=said) as caught:
        quick(**settings).fit(X, Y)
    assert "\n" not in str(caught.value)


def test_bad_data():
    with pytest.raises(ValueError, match="one class only"):
        quick().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="at least one non-zero"):
        quick().fit(X, Y, sample_weight=np.zeros(len(Y)))
    with pytest.raises(ValueError, match="must not be negative"):
        quick().fit(X, Y, sample_weight=-np.ones(len(Y)))
    with pytest.raises(ValueError, match="label 7, which y does not"):
        quick().fit(X, Y, validation_data=(X[:3], [0, 1, 7]))


@pytest.mark.parametrize("recipe", ["smote", "adasyn", "svm_smote", "all_knn", "metabalance"])
def test_small_tables_and_their_copies_work_with_every_resampler(recipe):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)) + np.arange(60)[:, None] // 40
    y = (np.arange(60) >= 45).astype(int)
    options = {"outer": "smote"} if recipe == "metabalance" else {}
    for rows in (np.arange(60), np.arange(60).repeat(2), np.r_[np.arange(60), 3, 3, 50]):
        model = quick(recipe, recipe_options=options, validation_fraction=0.0).fit(x[rows], y[rows])
        assert np.isfinite(model.predict_proba(x)).all()
