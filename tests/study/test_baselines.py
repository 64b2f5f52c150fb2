"""Baselines: they learn, come back from their stored form to the bit, and share the one resolver of weights."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from metabalance.study.baselines import FITTERS, Baseline, baseline_options
from metabalance.study.candidates import BASELINES


def data(classes=2, rows=600):
    X, y = make_classification(
        rows, n_features=6, n_informative=5, n_redundant=0, n_classes=classes, class_sep=2, random_state=0
    )
    return X.astype(np.float32), y


def test_the_names_are_those_of_the_candidates():
    assert tuple(FITTERS) == BASELINES


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", BASELINES)
def test_it_learns_and_comes_back_to_the_bit(name, classes):
    X, y = data(classes)
    model = FITTERS[name](X[:400], y[:400], (X[400:500], y[400:500]), 0)
    probabilities = model.predict_proba(X[500:])
    assert probabilities.shape == (100, classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (probabilities.argmax(axis=1) == y[500:]).mean() > 0.8
    again = Baseline(name, classes, model.tensors, model.files)
    np.testing.assert_array_equal(again.predict_proba(X[500:]), probabilities)


@pytest.mark.parametrize("name", BASELINES)
def test_without_validation_and_with_weights(name):
    X, y = data()
    plain, heavy = (FITTERS[name](X, y, None, 0, class_weight=w) for w in (None, [1.0, 20.0]))
    assert heavy.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()
    assert "class_weight" in baseline_options(name)


def test_logistic_equals_scikit_learn():
    for classes in (2, 3):
        X, y = data(classes)
        twin = LogisticRegression(max_iter=2000, random_state=0).fit(X, y)
        np.testing.assert_allclose(
            FITTERS["logistic"](X, y, None, 0).predict_proba(X), twin.predict_proba(X), atol=1e-6
        )
