"""Every calibration: round trips, weights, symmetry; each beside scikit-learn or a twin written from its paper."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression

from metabalance.adjust import (
    CALIBRATIONS,
    BetaCalibration,
    Calibration,
    Calibrator,
    IsotonicCalibration,
    SigmoidCalibration,
    VectorScaling,
    get_calibration,
    read_calibration,
)

NAMES = sorted(CALIBRATIONS)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def drawn(seed, n, classes=3, scale=1.0, bias=0.0):
    """Log-probabilities and targets drawn from ``softmax(scale * log p + bias)``."""
    rng = np.random.default_rng(seed)
    z = np.log(softmax(1.5 * rng.normal(size=(n, classes))))
    true = softmax(scale * z + bias)
    y = (true.cumsum(1) < rng.random((n, 1))).sum(1)
    y[:classes] = range(classes)
    return z, y


class Scores(ClassifierMixin, BaseEstimator):
    """For scikit-learn: its input is the scores."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        return X[:, 0] if X.shape[1] == 1 else X

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.decision_function(X)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_text_and_back_is_exact(name, classes):
    z, y = drawn(0, 200, classes, scale=0.5)
    made = get_calibration(name).fit(z, y)
    again = read_calibration(json.loads(json.dumps(made.to_dict())))
    assert type(again) is type(made)
    assert isinstance(again, Calibration)
    assert again.to_dict() == made.to_dict()
    np.testing.assert_array_equal(again(z), made(z))
    np.testing.assert_allclose(made(z).sum(1), 1)
    assert made(z).min() >= 0


@pytest.mark.parametrize("name", NAMES)
def test_one_class_alone_leaves_the_probabilities(name):
    z, _ = drawn(1, 20)
    made = get_calibration(name).fit(z, np.ones(20, int))
    assert "fewer than two classes" in made.note_
    again = read_calibration(json.loads(json.dumps(made.to_dict())))
    for c in (made, again):
        np.testing.assert_allclose(c(z), np.exp(z), atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_copies_and_weight_0_is_no_row(name, classes):
    z, y = drawn(2, 80, classes, scale=0.5)
    w = np.random.default_rng(0).integers(0, 4, 80)
    copies = np.repeat(np.arange(80), w)
    np.testing.assert_allclose(
        get_calibration(name).fit(z, y, w)(z), get_calibration(name).fit(z[copies], y[copies])(z), atol=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_classes_does_not_matter(name):
    z, y = drawn(3, 300, 2, scale=0.4, bias=np.array([0.5, 0]))
    swapped = get_calibration(name).fit(z[:, ::-1], 1 - y)(z[:, ::-1])
    np.testing.assert_allclose(swapped[:, ::-1], get_calibration(name).fit(z, y)(z), atol=2e-4)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none"}))
def test_too_sure_a_model_is_helped(name):
    z, y = drawn(4, 4000, 3, scale=0.3)
    new_z, new_y = drawn(5, 4000, 3, scale=0.3)
    made = get_calibration(name).fit(z, y)
    rows = np.arange(4000)
    before, after = (-np.log(np.maximum(p[rows, new_y], 1e-6)).mean() for p in (np.exp(new_z), made(new_z)))
    assert after < before - 0.1


def test_isotonic_is_scikit_learns_for_two_and_for_three_classes():
    for classes in (2, 3):
        z, y = drawn(6, 500, classes, scale=0.5)
        new, _ = drawn(7, 300, classes)
        w = np.random.default_rng(1).random(500)
        p, q = np.exp(z), np.exp(new)
        theirs = CalibratedClassifierCV(
            FrozenEstimator(Scores().fit(p, y)), method="isotonic", ensemble=False
        )
        if classes == 2:
            curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p[:, 1], y, w)
            expected = np.stack([1 - curve.predict(q[:, 1]), curve.predict(q[:, 1])], axis=1)
        else:
            w = None
            expected = theirs.fit(p, y).predict_proba(q)
        np.testing.assert_allclose(IsotonicCalibration().fit(z, y, w)(new), expected, atol=1e-9)


def test_isotonic_stays_at_its_ends_and_keeps_a_row_that_no_class_wants():
    z = np.log([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    made = IsotonicCalibration().fit(z, [0, 1, 1])
    np.testing.assert_allclose(made(np.log([[0.99, 0.01], [0.01, 0.99]])), [[1, 0], [0, 1]])
    p = np.array([[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.2, 0.3, 0.5], [0.34, 0.33, 0.33]])
    lost = IsotonicCalibration().fit(np.log(p[:3]), [0, 1, 2])
    np.testing.assert_allclose(lost(np.log([[0.3, 0.3, 0.2]])).sum(), 1)
    low = np.log([[0.2, 0.2, 0.2]])
    np.testing.assert_allclose(lost(low).sum(), 1)


def test_sigmoid_is_scikit_learns_on_the_log_odds():
    z, y = drawn(8, 400, 2, scale=0.4, bias=np.array([0.7, 0]))
    odds = (z[:, 1] - z[:, 0])[:, None]
    theirs = CalibratedClassifierCV(FrozenEstimator(Scores().fit(odds, y)), method="sigmoid", ensemble=False)
    np.testing.assert_allclose(
        SigmoidCalibration().fit(z, y)(z), theirs.fit(odds, y).predict_proba(odds), atol=2e-5
    )


def test_sigmoid_stays_finite_on_separated_classes():
    z = np.log([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 3)
    p = SigmoidCalibration().fit(z, [0] * 5 + [1] * 3)(z)[:, 1]
    np.testing.assert_allclose(p, [1 / 7] * 5 + [4 / 5] * 3, atol=1e-6)  # Platt's targets


def test_beta_is_the_minimum_that_a_twin_finds_and_gives_back_true_curves():
    rng = np.random.default_rng(9)
    p = rng.beta(2, 3, 30_000)
    y = (rng.random(30_000) < expit(1.6 * np.log(p) - 0.5 * np.log(1 - p) + 0.7)).astype(int)
    z = np.log(np.stack([1 - p, p], 1))
    np.testing.assert_allclose(BetaCalibration().fit(z, y).curves_[0], [1.6, 0.5, 0.7], atol=0.15)
    p, y, z = p[:80], y[:80], z[:80]

    def twin(t):
        q = np.clip(expit(t[0] * np.log(p) - t[1] * np.log(1 - p) + t[2]), 1e-300, 1 - 1e-16)
        loss = -sum(np.log(q[i]) if y[i] else np.log1p(-q[i]) for i in range(80))
        return loss + ((t[0] - 1) ** 2 + (t[1] - 1) ** 2 + t[2] ** 2) / 2

    found = minimize(
        twin, [1, 1, 0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 5000}
    )
    np.testing.assert_allclose(BetaCalibration().fit(z, y).curves_[0], found.x, atol=1e-4)


def test_beta_never_turns_the_scores_round():
    z, y = drawn(10, 400, 2)
    curve = BetaCalibration().fit(z, 1 - y)  # the worse the surer
    assert (curve.curves_[0, :2] >= 0).all()
    order = z[:, 1].argsort()
    assert (np.diff(curve(z)[order, 1]) >= -1e-12).all()


def test_vector_scaling_gives_back_true_factors_and_its_minimum():
    scale, bias = np.array([1.5, 0.6, 1.0]), np.array([0.5, 0.0, -0.5])
    z, y = drawn(11, 60_000, 3, scale=scale, bias=bias)
    made = VectorScaling().fit(z, y)
    np.testing.assert_allclose(made.scale_, scale, atol=0.08)
    np.testing.assert_allclose(made.bias_, bias, atol=0.1)
    z, y = z[:60], y[:60]

    def twin(t):
        p = softmax(t[:3] * z + t[3:])
        return -sum(np.log(p[i, y[i]]) for i in range(60)) + ((t[:3] - 1) @ (t[:3] - 1) + t[3:] @ t[3:]) / 2

    found = minimize(twin, [1, 1, 1, 0, 0, 0.0], method="BFGS", options={"gtol": 1e-7})
    made = VectorScaling().fit(z, y)
    np.testing.assert_allclose([*made.scale_, *made.bias_], found.x, atol=1e-4)


def test_equal_factors_are_a_temperature():
    z, y = drawn(12, 5000, 2, scale=0.5)
    both = VectorScaling(shrinkage=0).fit(z, y)(z)
    # Of two classes, factors of log p and log(1 - p) bend as beta calibration does: the same family.
    np.testing.assert_allclose(both, BetaCalibration(shrinkage=0).fit(z, y)(z), atol=1e-4)
    np.testing.assert_allclose(both[:, 1], expit(0.5 * logit(np.exp(z[:, 1]))), atol=0.05)


def test_model_folders_of_old_are_read():
    old = {"mode": "bias_corrected", "shrinkage": 1.0, "temperature": 2.0, "bias": [0.5, -0.5], "note": ""}
    made = read_calibration(old)
    assert isinstance(made, Calibrator)
    np.testing.assert_allclose(made(np.log([[0.5, 0.5]])), softmax(np.array([[0.5, -0.5]])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_calibration("platt"), "unknown; use one of"),
        (lambda: read_calibration({"mode": "spline"}), "upgrade"),
        (lambda: BetaCalibration(shrinkage=-1), "shrinkage"),
        (lambda: VectorScaling(shrinkage=np.inf), "shrinkage"),
        (lambda: IsotonicCalibration().fit([[0.0, np.nan]], [1]), "NaN"),
        (lambda: SigmoidCalibration().fit([[0.0, 0.0]], [2]), "target"),
        (lambda: get_calibration("beta").fit([[0, -1], [-1, 0]], [0, 1])([[0, 0, 0]]), "2 classes, but 3"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 4), st.booleans())
def test_any_scores_give_probabilities(name, seed, rows, classes, extreme):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, classes)) * rng.choice([1e-6, 1, 100], size=(rows, 1))
    if extreme:
        z[rng.random(z.shape) < 0.3] = -np.inf
    y, w = rng.integers(classes, size=rows), rng.choice([0.0, 1e-6, 1.0, 1e4], rows)
    p = get_calibration(name).fit(z, y, w)(z)
    assert np.isfinite(p).all()
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(1), 1)
