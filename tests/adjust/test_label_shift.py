"""Estimated priors: exact on whole populations, at rest without a shift, and honest where nothing can be known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from metabalance.adjust import PriorEstimate, estimate_prior_bbse, estimate_prior_em, shift_prior


def population(seed, classes, kinds=7):
    """All kinds of rows there are: what each is like in each class ``(kinds, C)``, columns summing to 1."""
    within = np.random.default_rng(seed).dirichlet(np.full(kinds, 0.7), size=classes).T
    return np.maximum(within, 1e-3) / np.maximum(within, 1e-3).sum(0)


def posterior(within, prior):
    joint = within * prior
    return joint / joint.sum(1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_em_is_exact_on_a_whole_population(classes, seed):
    rng = np.random.default_rng(seed + 50)
    within, source, target = population(seed, classes), *rng.dirichlet(np.ones(classes), size=2)
    found = estimate_prior_em(
        posterior(within, source), source, sample_weight=within @ target, n_boot=0, tol=1e-13
    )
    np.testing.assert_allclose(found.prior, target, atol=1e-6)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_bbse_is_exact_on_a_whole_population_also_when_uncalibrated(seed, hard):
    rng = np.random.default_rng(seed + 50)
    within, (source, target) = population(seed, 3, kinds=12), rng.dirichlet(np.ones(3), size=2)
    scores = posterior(within, np.ones(3) / 3) ** 2
    scores /= scores.sum(1, keepdims=True)  # overconfident, and for another prior
    kinds = len(within)
    found = estimate_prior_bbse(
        np.repeat(scores, 3, axis=0),
        np.tile([0, 1, 2], kinds),
        scores,
        val_weight=(within * source).reshape(-1),
        new_weight=within @ target,
        hard=hard,
        n_boot=0,
    )
    np.testing.assert_allclose(found.prior, target, atol=1e-9)
    assert found.condition_number >= 1
    assert found.method == ("bbse_hard" if hard else "bbse_soft")


@pytest.mark.parametrize("classes", [2, 4])
def test_no_shift_gives_the_same_prior(classes):
    within, source = population(3, classes), np.random.default_rng(1).dirichlet(np.ones(classes))
    probs, weight = posterior(within, source), within @ source
    np.testing.assert_allclose(
        estimate_prior_em(probs, source, sample_weight=weight, n_boot=0).prior, source, atol=1e-9
    )
    found = estimate_prior_bbse(
        np.repeat(probs, classes, axis=0), np.tile(np.arange(classes), len(within)), probs,
        val_weight=(within * source).reshape(-1), new_weight=weight, n_boot=0,
    )  # fmt: skip
    np.testing.assert_allclose(found.prior, source, atol=1e-9)


def drawn(seed, n, source, target, classes=3):
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, n, p=target)
    x = rng.normal(size=(n, 2)) + 1.5 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    density = np.exp(-((x[:, None] - 1.5 * np.array([[0, 0], [1, 0], [0, 1]])[:classes]) ** 2).sum(2) / 2)
    return posterior(density, np.asarray(source)), y


def test_em_rests_at_the_mean_of_the_shifted_probabilities_and_at_the_highest_likelihood():
    source = [0.7, 0.2, 0.1]
    p, _ = drawn(0, 800, source, [0.2, 0.3, 0.5])
    found = estimate_prior_em(p, source, n_boot=0, tol=1e-12)
    np.testing.assert_allclose(shift_prior(p, source, found.prior).mean(0), found.prior, atol=1e-8)

    def twin(z):
        q = np.exp(np.append(z, 0)) / np.exp(np.append(z, 0)).sum()
        return -sum(np.log(sum(q[c] * row[c] / source[c] for c in range(3))) for row in p)

    best = minimize(twin, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    q = np.exp(np.append(best.x, 0))
    np.testing.assert_allclose(found.prior, q / q.sum(), atol=1e-5)


def test_a_class_that_is_gone_has_share_0():
    p, _ = drawn(1, 2000, [1 / 3] * 3, [0.6, 0.4, 0.0])
    found = estimate_prior_em(p, [1, 1, 1], n_boot=0)
    assert found.prior[2] < 0.02
    assert found.prior.sum() == pytest.approx(1)


@pytest.mark.parametrize("method", ["em", "soft", "hard"])
def test_intervals_cover_the_true_share(method):
    source, target = [0.8, 0.2], [0.93, 0.07]
    hits = 0
    for seed in range(60):
        p, _ = drawn(seed, 300, source, target, classes=2)
        if method == "em":
            found = estimate_prior_em(p, source, n_boot=100, seed=seed)
        else:
            val, y = drawn(1000 + seed, 300, source, source, classes=2)
            found = estimate_prior_bbse(val, y, p, hard=method == "hard", n_boot=100, seed=seed)
        hits += found.low[1] <= target[1] <= found.high[1]
    assert hits >= 51  # 95 % of 60 is 57; below 51 has a probability of .004


def test_weights_are_copies():
    p, y = drawn(2, 90, [0.5, 0.3, 0.2], [0.2, 0.3, 0.5])
    w = np.random.default_rng(0).integers(0, 4, size=90)
    copies = np.repeat(np.arange(90), w)
    np.testing.assert_allclose(
        estimate_prior_em(p, [5, 3, 2], sample_weight=w, n_boot=0).prior,
        estimate_prior_em(p[copies], [5, 3, 2], n_boot=0).prior,
        atol=1e-8,
    )
    np.testing.assert_allclose(
        estimate_prior_bbse(p, y, p, val_weight=w, new_weight=w, n_boot=0).prior,
        estimate_prior_bbse(p[copies], y[copies], p[copies], n_boot=0).prior,
        atol=1e-9,
    )


def test_what_cannot_be_known_is_nan_with_a_reason():
    p, y = drawn(3, 100, [0.6, 0.4], [0.6, 0.4], classes=2)
    flat = np.full((100, 2), 0.5)
    found = estimate_prior_bbse(flat, y, flat)
    assert np.isnan(found.prior).all()
    assert "cannot be inverted" in found.note
    timid = p * [0.2, 0.2] + [0.8, 0.0]  # class 1 is never the most probable
    hard = estimate_prior_bbse(timid, y, timid, hard=True)
    assert np.isnan(hard.prior).all()
    assert "class 1 is never predicted" in hard.note
    assert np.isfinite(estimate_prior_bbse(timid, y, timid, n_boot=0).prior).all()
    assert "class 1 has no labelled rows" in estimate_prior_bbse(p, np.zeros(100, int), p).note
    assert "no rows" in estimate_prior_em(np.zeros((0, 2)), [0.5, 0.5]).note
    assert "no new rows" in estimate_prior_bbse(p, y, np.zeros((0, 2))).note
    same = estimate_prior_em(flat, [0.5, 0.5], n_boot=0)
    np.testing.assert_allclose(same.prior, 0.5)
    assert "say nothing" in same.note


def test_shares_below_0_are_told():
    val = [[1.0, 0.0]] * 8 + [[0.0, 1.0]] * 2 + [[0.0, 1.0]] * 5
    found = estimate_prior_bbse(val, [0] * 10 + [1] * 5, [[1.0, 0.0]] * 10, n_boot=0)
    assert found.prior.tolist() == [1, 0]
    assert "set to 0: classes [1]" in found.note


def test_text_and_missing_interval():
    found = estimate_prior_em([[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 4, [1, 1], n_boot=0)
    assert isinstance(found, PriorEstimate)
    assert str(found) == "em: 0.6250 [nan, nan], 0.3750 [nan, nan]"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimate_prior_em([[2.0, 1.0]], [1, 1]), "softmax"),
        (lambda: estimate_prior_em([[0.5, 0.5]], [1, 1, 1]), "3 shares"),
        (lambda: estimate_prior_em([[0.5, 0.5]], [1, 0]), "share 0"),
        (lambda: estimate_prior_em([[0.5, 0.5]], [1, 1], n_boot=-1), "n_boot"),
        (lambda: estimate_prior_em([[0.5, 0.5]], [1, 1], sample_weight=[-1]), "sample_weight"),
        (lambda: estimate_prior_bbse([[0.5, 0.5]], [2], [[0.5, 0.5]]), "target"),
        (lambda: estimate_prior_bbse([[0.5, 0.5]], [1], [[0.5, 0.2, 0.3]]), "classes"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 4), st.sampled_from([0.01, 1.0, 50.0]))
def test_any_probabilities_give_shares_or_nan(seed, rows, classes, sharpness):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, sharpness), size=rows)
    p = np.where(rng.random((rows, 1)) < 0.2, np.eye(classes)[rng.integers(classes, size=rows)], p)
    y = rng.integers(classes, size=rows)
    for found in (estimate_prior_em(p, np.ones(classes), n_boot=3), estimate_prior_bbse(p, y, p, n_boot=3)):
        if np.isfinite(found.prior).all():
            assert found.prior.sum() == pytest.approx(1)
            assert (found.prior >= 0).all()
        else:
            assert found.note
