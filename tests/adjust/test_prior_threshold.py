"""Thresholding: post-hoc logit adjustment in other words, and what it does to curves."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from metabalance.adjust import PosthocLogitAdjustment, prior_threshold, shift_prior

PRIOR = np.array([0.7, 0.2, 0.1])


def scores(n=500, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=PRIOR)
    z = rng.normal(size=(n, 3)) + np.log(PRIOR)
    z[np.arange(n), y] += 1
    p = np.exp(z)
    return p / p.sum(1, keepdims=True), y


def aucs(s, y):
    return [roc_auc_score(y == c, s[:, c]) for c in range(3)]


def test_a_twin_in_loops():
    p, _ = scores(n=20)
    expected = [[value / share for value, share in zip(row, PRIOR)] for row in p.tolist()]
    np.testing.assert_allclose(prior_threshold(p, PRIOR), expected)


def test_it_is_post_hoc_logit_adjustment_with_tau_1():
    p, _ = scores()
    other = PosthocLogitAdjustment(PRIOR, tau=1.0)(np.log(p))
    np.testing.assert_allclose(np.log(prior_threshold(p, PRIOR)), other)
    np.testing.assert_array_equal(prior_threshold(p, PRIOR).argmax(1), other.argmax(1))
    assert (prior_threshold(p, PRIOR).argmax(1) != p.argmax(1)).any()


def test_renormalised_it_is_a_shift_to_equal_shares():
    p, _ = scores()
    np.testing.assert_allclose(prior_threshold(p, PRIOR, renormalize=True), shift_prior(p, PRIOR, np.ones(3)))


def test_curves_stay_unless_rows_are_made_to_sum_to_1_again():
    p, y = scores()
    assert aucs(prior_threshold(p, PRIOR), y) == aucs(p, y)
    changed = np.abs(np.subtract(aucs(prior_threshold(p, PRIOR, renormalize=True), y), aucs(p, y)))
    assert changed.max() > 1e-3


def test_equal_shares_change_no_prediction():
    p, _ = scores()
    np.testing.assert_allclose(prior_threshold(p, [5, 5, 5]), 3 * p)


def test_it_finds_the_balanced_bayes_rule_of_known_gaussians():
    x = np.linspace(-3, 5, 200)
    joint = np.stack([0.99 * norm.pdf(x), 0.01 * norm.pdf(x, 2)], 1)
    label = prior_threshold(joint / joint.sum(1, keepdims=True), [0.99, 0.01]).argmax(1)
    np.testing.assert_array_equal(label, (x > 1).astype(int))


def test_a_class_without_share_counts_like_the_rarest():
    np.testing.assert_allclose(prior_threshold([[0.5, 0.25, 0.25]], [0.9, 0.1, 0.0]), [[5 / 9, 2.5, 2.5]])


def test_refusals():
    p, _ = scores(n=3)
    with pytest.raises(ValueError, match="the prior has 2 shares, but the scores have 3 columns"):
        prior_threshold(p, [0.5, 0.5])
    with pytest.raises(ValueError, match="sum to 1"):
        prior_threshold(p * 2 / 3, PRIOR)
