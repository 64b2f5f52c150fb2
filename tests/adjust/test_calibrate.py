"""Calibration: what it recovers with many rows, and what it refrains from with few."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from metabalance.adjust import Calibrator, shift_prior


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def drawn(seed, n, classes=3, temperature=1.0, bias=0.0):
    """Log-probabilities whose calibrated form is known, and targets drawn from that form."""
    rng = np.random.default_rng(seed)
    z = np.log(softmax(1.5 * rng.normal(size=(n, classes))))
    true = softmax(z / temperature + bias)
    return z, (true.cumsum(1) < rng.random((n, 1))).sum(1), true


def test_many_rows_give_back_temperature_and_bias():
    bias = np.array([0.8, 0.0, -0.8])
    z, y, true = drawn(0, 40_000, temperature=2.0, bias=bias)
    c = Calibrator().fit(z, y)
    assert c.temperature_ == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(c.bias_, bias, atol=0.05)
    np.testing.assert_allclose(c(z), true, atol=0.02)


def test_a_shifted_prior_is_a_bias():
    z, y, _ = drawn(1, 20_000)
    wrong = np.log(shift_prior(softmax(z), [1, 1, 1], [6, 3, 1]))
    c = Calibrator().fit(wrong, y)
    assert c.temperature_ == pytest.approx(1, abs=0.05)
    expected = -np.log([6, 3, 1])
    np.testing.assert_allclose(c.bias_, expected - expected.mean(), atol=0.08)


def test_the_fit_is_the_minimum_of_the_penalised_likelihood():
    z, y, _ = drawn(2, 60, temperature=0.5, bias=np.array([0.5, 0, 0]))
    lam = 2.0

    def twin(theta):
        t, b = theta[0], np.append(theta[1:], -theta[1:].sum())
        p = softmax(z / np.exp(t) + b)
        return -sum(np.log(p[i, y[i]]) for i in range(60)) + lam / 2 * (t**2 + (b**2).sum())

    found = minimize(
        twin, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000}
    )
    c = Calibrator(shrinkage=lam).fit(z, y)
    assert np.log(c.temperature_) == pytest.approx(found.x[0], abs=1e-5)
    np.testing.assert_allclose(c.bias_[:2], found.x[1:], atol=1e-5)


def test_the_biases_make_mean_probabilities_meet_the_class_shares():
    # The condition for the best bias without penalty.
    z, y, _ = drawn(3, 500, temperature=3.0, bias=np.array([1.0, 0, 0]))
    p = Calibrator(shrinkage=0).fit(z, y)(z)
    np.testing.assert_allclose(p.mean(0), np.bincount(y) / 500, atol=1e-5)


def test_temperature_alone_keeps_every_ranking():
    z, y, _ = drawn(4, 300, temperature=3.0)
    c = Calibrator("temperature").fit(z, y)
    assert (c.bias_ == 0).all()
    assert c.temperature_ > 2
    np.testing.assert_array_equal(c(z).argsort(1), z.argsort(1))


def test_no_mode_and_one_class_leave_the_probabilities():
    z, y, _ = drawn(5, 50)
    for c in (
        Calibrator("none").fit(z, y),
        Calibrator().fit(z, np.zeros(50, int)),
        Calibrator().fit(z[:0], y[:0]),
    ):
        assert (c.temperature_, c.bias_.tolist()) == (1.0, [0.0, 0.0, 0.0])
        np.testing.assert_allclose(c(z), np.exp(z), rtol=1e-12)
    assert "fewer than two classes" in Calibrator().fit(z, np.zeros(50, int)).note_


def test_shrinkage_without_end_is_the_identity_and_it_vanishes_with_rows():
    z, y, _ = drawn(6, 2000, temperature=2.0)
    np.testing.assert_allclose(Calibrator(shrinkage=1e9).fit(z, y)(z), np.exp(z), atol=1e-5)
    free = Calibrator(shrinkage=0)
    gaps = [
        abs(Calibrator().fit(z[:n], y[:n]).temperature_ - free.fit(z[:n], y[:n]).temperature_)
        for n in (20, 200, 2000)
    ]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.01


@pytest.mark.parametrize("score", [0.001, 0.3, 0.999])
def test_three_positives_cannot_blow_it_up(score):
    # Separated or contradicted: the likelihood alone would go to infinity.
    p = np.append(np.full(300, 0.01), [score] * 3)
    z, y = np.log(np.stack([1 - p, p], 1)), np.append(np.zeros(300, int), np.ones(3, int))
    c = Calibrator().fit(z, y)
    assert 0.1 < c.temperature_ < 10
    assert abs(c.bias_).max() < 3
    assert 0.001 < c(z)[:, 1].mean() < 0.03


def test_weights_are_repeated_rows():
    z, y, _ = drawn(7, 80, temperature=2.0)
    w = np.random.default_rng(0).integers(0, 3, 80)
    a, b = Calibrator().fit(z, y, w), Calibrator().fit(np.repeat(z, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose([a.temperature_, *a.bias_], [b.temperature_, *b.bias_], atol=1e-6)


def test_the_order_of_the_classes_does_not_matter():
    z, y, _ = drawn(8, 100, bias=np.array([1.0, 0, -1]))
    order = np.array([2, 0, 1])
    a, b = Calibrator().fit(z, y), Calibrator().fit(z[:, order], order.argsort()[y])
    np.testing.assert_allclose(a.bias_[order], b.bias_, atol=1e-6)
    assert a.bias_.sum() == pytest.approx(0, abs=1e-12)


def test_calibration_helps_on_fresh_rows():
    bias = np.array([0.7, 0.0, -0.7])
    z, y, _ = drawn(9, 300, temperature=0.4, bias=bias)
    fresh, t, _ = drawn(10, 5000, temperature=0.4, bias=bias)

    def loss(p):
        return -np.log(p[np.arange(len(t)), t]).mean()

    assert loss(Calibrator().fit(z, y)(fresh)) < loss(np.exp(fresh)) - 0.05


def test_json_keeps_every_bit():
    z, y, _ = drawn(11, 100, temperature=2.0)
    c = Calibrator(shrinkage=0.7).fit(z, y)
    back = Calibrator.from_dict(json.loads(json.dumps(c.to_dict())))
    assert back.to_dict() == c.to_dict()
    np.testing.assert_array_equal(back(z), c(z))


def test_saturated_models_are_taken():
    z = np.array([[0.0, -np.inf], [-np.inf, 0.0], [0.0, -np.inf], [0.0, -69.0]] * 5)
    y = np.array([0, 1, 1, 0] * 5)  # some sure answers are wrong
    c = Calibrator().fit(z, y)
    assert c.temperature_ > 5
    p = c(z)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(1), 1)


@pytest.mark.parametrize(
    ("z", "y", "said"),
    [
        ([[np.nan, 0.0]], [0], "without NaN"),
        ([[0.0], [0.0]], [0, 0], "C at least 2"),
        ([[0.0, -1.0]], [2], "from 0 to 1"),
        ([[0.0, -1.0]], [0, 1], r"must be \(1,\)"),
        ([[0.0, -1.0]], [0.5], "encode the labels"),
    ],
)
def test_unsound_data_are_refused(z, y, said):
    with pytest.raises(ValueError, match=said):
        Calibrator().fit(z, y)


def test_unsound_settings_are_refused():
    with pytest.raises(ValueError, match="'bias_corrected', 'temperature', 'none'"):
        Calibrator("platt")
    with pytest.raises(ValueError, match="shrinkage must be"):
        Calibrator(shrinkage=-1)
    with pytest.raises(ValueError, match="not negative"):
        Calibrator().fit([[0.0, -1.0]], [0], [-1.0])
    with pytest.raises(ValueError, match="fitted on 2 classes"):
        Calibrator().fit([[0.0, -1.0], [0.0, -1.0]], [0, 1])(np.zeros((1, 3)))


@given(
    st.lists(
        st.tuples(st.sampled_from([-700.0, -5.0, -0.7, 0.0]), st.integers(0, 1), st.sampled_from([0.0, 1.0])),
        max_size=10,
    )
)
@settings(max_examples=80, deadline=None)
def test_any_small_data_give_finite_parameters(rows):
    p = np.array([[r[0], 0.0] for r in rows]).reshape(-1, 2)
    c = Calibrator().fit(p, np.array([r[1] for r in rows], dtype=int), np.array([r[2] for r in rows]))
    assert 0 < c.temperature_ < np.inf
    assert np.isfinite(c.bias_).all()
    assert np.isfinite(c(p)).all()
