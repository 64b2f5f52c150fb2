"""Baselines of a continuous target: they learn, in any unit, and come back from their stored form to the bit."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from metabalance.study.values.baselines import (
    VALUE_FITTERS,
    ValueBaseline,
    standard_unit,
    value_baseline_options,
)

LEARNERS = ("ridge", "lightgbm", "xgboost")


def data(rows=600, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 5)).astype(np.float32)
    y = np.column_stack([X[:, 0] - 2 * X[:, 1], 3 * X[:, 2] + X[:, 3]]) + 0.1 * rng.normal(size=(rows, 2))
    return X, y


def fitted(name, y, X, **options):
    return VALUE_FITTERS[name](X[:400], y[:400], (X[400:500], y[400:500]), 0, **options)


@pytest.mark.parametrize("name", VALUE_FITTERS)
def test_it_learns_and_comes_back_to_the_bit(name):
    X, y = data()
    model = fitted(name, y, X)
    prediction = model.predict(X[500:])
    assert prediction.shape == (100, 2)
    assert prediction.dtype == np.float64
    left = ((prediction - y[500:]) ** 2).mean(0) / y.var(0)
    assert (left < 0.2).all() if name in LEARNERS else (left > 0.5).all()
    again = ValueBaseline(name, 2, model.tensors, model.files)
    np.testing.assert_array_equal(again.predict(X[500:]), prediction)
    assert all(type(content) is bytes for content in model.files.values())
    assert model.limits(X) is None


def test_the_mean_is_the_mean_and_ridge_without_end_too():
    X, y = data()
    constant = VALUE_FITTERS["dummy"](X, y, None, 0).predict(X[:3])
    np.testing.assert_allclose(constant, np.tile(y.mean(0), (3, 1)), rtol=1e-12)
    np.testing.assert_allclose(
        fitted("ridge", y, X, alpha=1e15).predict(X[:1])[0], y[:400].mean(0), rtol=1e-6
    )


def test_ridge_equals_scikit_learn():
    X, y = data()
    twin = Ridge(alpha=3.0).fit(X.astype(np.float64), y)
    model = VALUE_FITTERS["ridge"](X, y, None, 0, alpha=3.0)
    np.testing.assert_allclose(model.predict(X), twin.predict(X.astype(np.float64)), rtol=1e-9)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(("unit", "offset"), [(1e-12, 0.0), (1e12, -1e13), (1e300, 0.0), (1e-3, 1e6)])
def test_the_unit_of_the_target_does_not_matter(name, unit, offset):
    X, y = data()
    brief = {} if name == "ridge" else {"n_estimators": 20}
    plain = fitted(name, y, X, **brief).predict(X[500:])
    scaled = (fitted(name, y * unit + offset, X, **brief).predict(X[500:]) - offset) / unit
    np.testing.assert_allclose(scaled, plain, atol=2e-3 if name == "ridge" or offset == 0 else 0.5)
    if offset == 0:
        np.testing.assert_allclose(scaled, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", VALUE_FITTERS)
@pytest.mark.parametrize("value", [0.0, 7.0, -1e12, 1e-300])
def test_a_constant_target_is_predicted_exactly(name, value):
    X, _ = data(100)
    y = np.full((100, 1), value)
    prediction = VALUE_FITTERS[name](X, y, (X, y), 0).predict(X)
    np.testing.assert_allclose(prediction, y, rtol=1e-12)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_trees_stop_early_and_choose_their_loss(name):
    X, y = data()
    noise = np.random.default_rng(1).normal(size=y.shape)
    short, long = fitted(name, noise, X), VALUE_FITTERS[name](X[:400], noise[:400], None, 0)
    assert sum(map(len, short.files.values())) < sum(map(len, long.files.values())) / 3
    skewed = np.exp(2 * noise[:, :1])
    free = {"min_data_in_leaf": 400} if name == "lightgbm" else {"max_depth": 1, "min_child_weight": 1e9}
    middle = [
        fitted(name, skewed, X, loss=loss, **free).predict(X).mean() for loss in ("squared", "absolute")
    ]
    assert middle[1] < middle[0] / 2  # a median below a mean
    with pytest.raises(ValueError, match="loss must be one of squared, absolute, huber, but 'cubic'"):
        fitted(name, y, X, loss="cubic")
    assert value_baseline_options(name)["loss"] == "squared"


def test_images_are_rows_of_pixels():
    X, y = data()
    images = X[:, :4].reshape(-1, 1, 2, 2)
    for name in VALUE_FITTERS:
        brief = {"n_estimators": 5} if "boost" in name or "gbm" in name else {}
        flat, shaped = (fitted(name, y, given, **brief).predict(given) for given in (X[:, :4], images))
        np.testing.assert_array_equal(flat, shaped)


def test_the_unit_of_one_value_and_of_none_that_differ():
    mean, scale = standard_unit(np.array([[3.0, 0.0], [3.0, 5e-324]]))
    assert mean.tolist() == [3.0, 0.0]
    assert scale.tolist()[0] == 1.0
    assert (scale > 0).all()
    with pytest.raises(ValueError, match="alpha of ridge must be above 0"):
        VALUE_FITTERS["ridge"](*data(), None, 0, alpha=0.0)
