"""Post-hoc logit adjustment: its limits, the balanced Bayes rule, and the choice of tau."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score, f1_score

from metabalance.adjust import PosthocLogitAdjustment, shift_prior

PRIOR = np.array([0.7, 0.2, 0.1])


def long_tail(seed, n=600):
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=PRIOR)
    z = rng.normal(size=(n, 3)) + np.log(PRIOR)
    z[np.arange(n), y] += 1.5
    return z, y


def test_nothing_happens_at_tau_0_and_under_a_uniform_prior():
    z, _ = long_tail(0)
    np.testing.assert_array_equal(PosthocLogitAdjustment(PRIOR, tau=0)(z), z)
    uniform = PosthocLogitAdjustment(np.ones(3))(z)
    np.testing.assert_allclose(uniform - z, np.log(3))


def test_at_tau_1_it_is_a_shift_to_the_uniform_prior():
    z, _ = long_tail(1)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    out = np.exp(PosthocLogitAdjustment(PRIOR)(np.log(p)))
    np.testing.assert_allclose(out / out.sum(1, keepdims=True), shift_prior(p, PRIOR, np.ones(3)))


def test_counts_serve_as_priors():
    z, _ = long_tail(2)
    np.testing.assert_allclose(PosthocLogitAdjustment([70, 20, 10])(z), PosthocLogitAdjustment(PRIOR)(z))


def test_it_finds_the_balanced_bayes_rule_of_known_gaussians():
    x = np.linspace(-3, 5, 200)
    z = np.stack([norm.logpdf(x) + np.log(0.99), norm.logpdf(x, 2) + np.log(0.01)], 1)
    np.testing.assert_array_equal(PosthocLogitAdjustment([0.99, 0.01])(z).argmax(1), (x > 1).astype(int))


def test_a_larger_tau_never_predicts_the_rarest_class_less():
    z, _ = long_tail(3)
    shares = [(PosthocLogitAdjustment(PRIOR, tau)(z).argmax(1) == 2).mean() for tau in np.linspace(0, 2, 9)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_a_class_without_share_counts_like_the_rarest():
    out = PosthocLogitAdjustment([0.9, 0.1, 0.0])(np.zeros((1, 3)))
    np.testing.assert_allclose(out, [[-np.log(0.9), -np.log(0.1), -np.log(0.1)]])


@pytest.mark.parametrize("objective", ["balanced_accuracy", "f1_macro"])
def test_tau_is_the_best_of_the_grid_and_the_smallest_of_equals(objective):
    z, y = long_tail(4)
    measure = {
        "balanced_accuracy": balanced_accuracy_score,
        "f1_macro": lambda t, d: f1_score(t, d, average="macro"),
    }[objective]
    grid = np.linspace(0, 2, 21)
    values = [measure(y, (z - t * np.log(PRIOR)).argmax(1)) for t in grid]
    chosen = PosthocLogitAdjustment(PRIOR).fit_tau(z, y, objective, grid=grid)
    assert chosen.tau_ == grid[int(np.argmax(values))]
    assert chosen.tau == 1.0
    two = y < 2  # two classes are enough to choose by
    assert PosthocLogitAdjustment(PRIOR, 0.7).fit_tau(z[two], y[two], objective, grid=[0.2]).tau_ == 0.2
    flat = PosthocLogitAdjustment([1, 1, 1]).fit_tau(z, y)
    assert flat.tau_ == 0


def test_weights_are_repeated_rows():
    z, y = long_tail(5, n=100)
    w = np.random.default_rng(0).integers(0, 3, 100)
    one = PosthocLogitAdjustment(PRIOR).fit_tau(z, y, sample_weight=w)
    assert one.tau_ == PosthocLogitAdjustment(PRIOR).fit_tau(np.repeat(z, w, axis=0), np.repeat(y, w)).tau_


def test_one_class_or_no_rows_leave_tau():
    z, y = long_tail(6)
    assert PosthocLogitAdjustment(PRIOR, 0.7).fit_tau(z, np.zeros_like(y)).tau_ == 0.7
    assert PosthocLogitAdjustment(PRIOR, 0.7).fit_tau(z[:0], y[:0]).tau_ == 0.7


@pytest.mark.parametrize(
    ("z", "y", "said"),
    [
        ([[0.0, 1.0]], [0], r"\(N, 3\)"),
        ([[0.0, 1.0, np.nan], [0.0, 1.0, 2.0]], [0, 1], "without NaN"),
        ([[0.0, 1.0, 2.0]], [3], "from 0 to 2"),
    ],
)
def test_unsound_data_are_refused(z, y, said):
    with pytest.raises(ValueError, match=said):
        PosthocLogitAdjustment(PRIOR).fit_tau(z, y)(z)


@pytest.mark.parametrize("tau", [float("nan"), float("inf")])
def test_tau_is_finite(tau):
    with pytest.raises(ValueError, match=f"tau must be a finite number, but {tau} was given"):
        PosthocLogitAdjustment(PRIOR, tau)


def test_unknown_objectives_are_refused():
    with pytest.raises(ValueError, match="'balanced_accuracy' or 'f1_macro'"):
        PosthocLogitAdjustment(PRIOR).fit_tau(np.zeros((2, 3)), [0, 1], "accuracy")
