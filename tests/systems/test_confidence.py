"""Confidence: the diagonal, the limits of a spread, the oracle below every ranking, distances to training rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.systems.materials import (
    RankedError,
    confidence_ranked_error,
    coverage_curve,
    knn_distance,
    miscalibration_area,
)

rng = np.random.default_rng(0)
MEAN = rng.normal(size=4000)
STD = rng.uniform(0.5, 2.0, 4000)
TARGET = MEAN + STD * rng.normal(size=4000)


def test_true_normal_errors_lie_on_the_diagonal_and_scaled_ones_off_it():
    nominal, observed = coverage_curve(MEAN, STD, TARGET)
    assert len(nominal) == 200
    assert np.abs(nominal - observed).max() < 0.03
    assert miscalibration_area(MEAN, STD, TARGET) < 0.01
    for t, sign in ((0.5, -1), (2.0, 1)):
        nominal, observed = coverage_curve(MEAN, t * STD, TARGET)
        assert (sign * (observed - nominal)[20:180] > 0).all()  # sure of itself: below
    # At nominal coverage 1 the interval is the line; the last step of 200 is all that keeps the limits from 1/2.
    assert miscalibration_area(MEAN, 1e-9 * STD, TARGET) == pytest.approx(0.5, abs=0.004)
    assert miscalibration_area(MEAN, 1e9 * STD, TARGET) == pytest.approx(0.5, abs=0.004)


def test_no_spread_covers_exact_hits_alone():
    _, observed = coverage_curve([1.0, 2.0], [0.0, 0.0], [1.0, 3.0], levels=3)
    assert observed.tolist() == [0.5, 0.5, 1.0]


def test_coverage_is_as_counted():
    nominal, observed = coverage_curve(MEAN[:50], STD[:50], TARGET[:50], levels=11)
    from scipy.stats import norm

    for q, o in list(zip(nominal, observed))[:-1]:
        low, high = norm.interval(q, MEAN[:50], STD[:50])
        assert o == pytest.approx(((low <= TARGET[:50]) & (TARGET[:50] <= high)).mean())


def test_the_oracle_is_below_every_ranking_and_random_stays_at_one():
    errors = np.abs(TARGET - MEAN)[:300]
    oracle = confidence_ranked_error(errors, errors, permutations=200)
    assert isinstance(oracle, RankedError)
    np.testing.assert_allclose(oracle.curve, oracle.oracle)
    assert oracle.skill == pytest.approx(1)
    for score in (STD[:300], rng.normal(size=300), -errors):
        found = confidence_ranked_error(errors, score, permutations=200)
        assert (found.curve >= found.oracle - 1e-12).all()
        assert found.random.mean() == pytest.approx(1)
        assert found.random[:200] == pytest.approx(np.ones(200), abs=0.02)
    assert confidence_ranked_error(errors, STD[:300]).ranked < 0.95
    assert confidence_ranked_error(errors, -errors).skill < -0.5


def test_curves_are_divided_by_the_mean_of_the_random_curve():
    errors = np.array([4.0, 1.0, 2.0, 9.0])
    found = confidence_ranked_error(errors, errors, permutations=3, random_state=5)
    draws = np.random.RandomState(5)
    random = np.mean(
        [[d[: n + 1].mean() for n in range(4)][::-1] for d in (draws.permutation(errors) for _ in range(3))],
        0,
    )
    np.testing.assert_allclose(found.random, random / random.mean())
    np.testing.assert_allclose(found.oracle, np.array([4.0, 7 / 3, 1.5, 1.0]) / random.mean())
    exact = confidence_ranked_error(errors, errors, permutations=0)
    np.testing.assert_allclose(exact.oracle, np.array([4.0, 7 / 3, 1.5, 1.0]) / 4)
    assert np.isnan(confidence_ranked_error([1.0, 1.0], [0.0, 1.0], permutations=0).skill)


def test_distance_is_small_beside_training_rows_and_scale_does_not_matter():
    train = rng.normal(size=(200, 1)) * [1.0, 1.0, 1.0, 1.0] + 0.1 * rng.normal(size=(200, 4))
    near, far = train[:20] + 0.001, train[:20] * [1.0, -1.0, 1.0, -1.0]
    d = knn_distance(train, np.concatenate([near, far]))
    assert d[:20].mean() < 0.1 * d[20:].mean()
    unit = np.array([1e-6, 1.0, 1e3, 1e6])
    np.testing.assert_allclose(knn_distance(train * unit, far * unit), knn_distance(train, far))
    z = (train - train.mean(0)) / train.std(0)
    q = (far[0] - train.mean(0)) / train.std(0)
    cosine = 1 - z @ q / np.linalg.norm(z, axis=1) / np.linalg.norm(q)
    assert knn_distance(train, far[:1])[0] == pytest.approx(np.sort(cosine)[:5].mean())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: coverage_curve([], [], []), "N at least 1"),
        (lambda: coverage_curve([0.0], [-1.0], [0.0]), "no std negative"),
        (lambda: coverage_curve([0.0], [1.0], [0.0], levels=1), "levels"),
        (lambda: confidence_ranked_error([0.0], [0.0]), "not all 0"),
        (lambda: confidence_ranked_error([1.0], [np.nan]), "finite"),
        (lambda: confidence_ranked_error([1.0], [1.0, 2.0]), "shapes"),
        (lambda: knn_distance([[0.0]], [[0.0]], k=2), "k=2 neighbours of 1"),
        (lambda: knn_distance([[0.0]], [[0.0, 1.0]], k=1), "same columns"),
    ],
)
def test_what_cannot_be_judged_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=8), st.integers(0, 10**6))
def test_any_errors_give_finite_curves(errors, seed):
    score = np.random.default_rng(seed).normal(size=len(errors))
    if not any(errors):
        return
    found = confidence_ranked_error(errors, score, permutations=2)
    assert np.isfinite([found.curve, found.oracle, found.random]).all()
    assert (np.diff(found.oracle) <= 1e-12).all()
