"""Prior shift: identities, Bayes' rule on known densities, and real case-control data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from metabalance.adjust import sampling_prior, shift_binary, shift_log_prior, shift_prior

PRIORS = st.lists(st.floats(1e-6, 1), min_size=3, max_size=3)


def probabilities(seed, n=50, classes=3):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), n)


@given(PRIORS, st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_equal_priors_change_no_bit(prior, seed):
    p = probabilities(seed)
    np.testing.assert_array_equal(shift_prior(p, prior, prior), p)
    np.testing.assert_array_equal(shift_binary(p[:, 0], 0.3, 0.3), p[:, 0])


@given(PRIORS, PRIORS, PRIORS)
@settings(max_examples=60, deadline=None)
def test_shifts_chain_and_go_back(a, b, c):
    p = probabilities(1)
    there = shift_prior(p, a, b)
    np.testing.assert_allclose(there.sum(1), 1)
    np.testing.assert_allclose(shift_prior(there, b, a), p, atol=1e-9)
    np.testing.assert_allclose(shift_prior(there, b, c), shift_prior(p, a, c), atol=1e-9)


@given(PRIORS, PRIORS)
@settings(max_examples=60, deadline=None)
def test_the_formula_of_the_paper(a, b):
    p, out = probabilities(2, n=5), np.zeros((5, 3))
    for i in range(5):
        raw = [p[i, c] * (b[c] / sum(b)) / (a[c] / sum(a)) for c in range(3)]
        out[i] = np.array(raw) / sum(raw)
    np.testing.assert_allclose(shift_prior(p, a, b), out, rtol=1e-9)


def test_bayes_rule_on_known_densities():
    x = np.linspace(-4, 6, 101)

    def posterior(rate):
        joint = np.stack([(1 - rate) * norm.pdf(x), rate * norm.pdf(x, 2)], 1)
        return joint / joint.sum(1, keepdims=True)

    np.testing.assert_allclose(
        shift_prior(posterior(0.5), [1, 1], [0.998, 0.002]), posterior(0.002), rtol=1e-9
    )
    np.testing.assert_allclose(
        shift_binary(posterior(0.5)[:, 1], 0.5, 0.002), posterior(0.002)[:, 1], rtol=1e-9
    )


def test_log_space_keeps_what_probabilities_lose():
    z = np.array([[0.0, -2000.0], [-2000.0, 0.0]])
    np.testing.assert_allclose(shift_log_prior(z, [0.5, 0.5], [0.9, 0.1])[0], [0, -2000 - np.log(9)])


def test_a_uniform_target_divides_by_the_prior():
    p = probabilities(3)
    prior = np.array([0.7, 0.2, 0.1])
    np.testing.assert_array_equal(shift_prior(p, prior, np.ones(3)).argmax(1), (p / prior).argmax(1))


def test_impossible_classes():
    np.testing.assert_allclose(shift_prior([[0.5, 0.3, 0.2]], [1, 1, 1], [1, 1, 0]), [[0.625, 0.375, 0]])
    np.testing.assert_allclose(shift_prior([[0.5, 0.5, 0.0]], [1, 1, 0], [3, 1, 0]), [[0.75, 0.25, 0]])
    # All the mass on what cannot be: only the prior is left.
    np.testing.assert_allclose(shift_prior([[0.0, 0.0, 1.0]], [1, 1, 1], [3, 1, 0]), [[0.75, 0.25, 0]])
    with pytest.raises(ValueError, match="class 2 has share 0 in the source prior"):
        shift_prior([[0.5, 0.5, 0.0]], [1, 1, 0], [1, 1, 1])


def test_sure_answers_stay_sure():
    np.testing.assert_array_equal(shift_prior([[1.0, 0.0]], [0.5, 0.5], [0.1, 0.9]), [[1, 0]])


@pytest.mark.parametrize(
    ("p", "source", "target", "said"),
    [
        ([[0.5, np.nan]], [1, 1], [1, 2], "NaN"),
        ([[1.5, -0.5]], [1, 1], [1, 2], r"\[0, 1\]"),
        ([[0.5, 0.2]], [1, 1], [1, 2], "sum to 1"),
        ([0.5, 0.5], [1, 1], [1, 2], r"\(N, C\)"),
        ([[0.5, 0.5]], [1, 1, 1], [1, 2], "shapes"),
        ([[0.5, 0.5]], [0, 0], [1, 2], "not all 0"),
        ([[0.5, 0.5]], [1, -1], [1, 2], "not negative"),
    ],
)
def test_unsound_input_is_refused(p, source, target, said):
    with pytest.raises(ValueError, match=said):
        shift_prior(p, source, target)


def test_unsound_scores_are_refused():
    with pytest.raises(ValueError, match=r"\(N,\)"):
        shift_binary([[0.5, 0.5]], 0.5, 0.1)
    with pytest.raises(ValueError, match="NaN"):
        shift_log_prior([[0.0, np.nan]], [1, 1], [1, 2])


@given(PRIORS, PRIORS)
@settings(max_examples=60, deadline=None)
def test_sampling_and_its_inverse(prior, rate):
    sample = sampling_prior(prior, rate)
    assert sample.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        sampling_prior(sample, 1 / np.array(rate)), np.array(prior) / sum(prior), rtol=1e-9
    )


def test_counting_a_case_control_sample():
    # 284,315 normals at 27,483 / 284,315 and all 492 frauds.
    sample = sampling_prior([284_315, 492], [27_483 / 284_315, 1.0])
    assert sample[1] == pytest.approx(492 / 27_975)


@pytest.mark.parametrize("rate", [[1.0], [0.0, 1.0], [np.nan, 1.0]])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match="2 numbers above 0"):
        sampling_prior([0.9, 0.1], rate)


def test_a_case_control_model_is_calibrated_for_the_population_after_the_shift(real_data):
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    path = real_data / "creditcard-fraud-casecontrol" / "creditcard_casecontrol.csv.xz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    table = pd.read_csv(path)
    y = table["Class"].to_numpy(dtype=int)
    X = StandardScaler().fit_transform(table[[f"V{i}" for i in range(1, 29)]])
    Xa, Xb, ya, yb = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
    p = LogisticRegression(C=0.1, max_iter=300).fit(Xa, ya).predict_proba(Xb)
    population = np.array([284_315, 492]) / 284_807
    shifted = shift_prior(p, np.bincount(ya), population)[:, 1]
    # Each normal row stands for 284,315 / 27,483 of the population.
    weight = np.where(yb == 1, 1.0, 284_315 / 27_483)
    assert np.average(yb, weights=weight) == pytest.approx(0.001727, rel=0.02)
    assert np.average(shifted, weights=weight) == pytest.approx(0.001727, rel=0.2)
    assert np.average(p[:, 1], weights=weight) > 1.5 * 0.001727
