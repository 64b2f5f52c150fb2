"""Conformal sets: coverage proved by enumeration, measured by simulation, and beside MAPIE where definitions meet."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.adjust import ConformalSets, class_coverage, conformal_quantile
from metabalance.adjust.clusters import clustered_quantiles


def drawn(seed, n, prior=(0.8, 0.15, 0.05)):
    rng = np.random.default_rng(seed)
    size = len(prior)
    y = rng.choice(size, n, p=prior)
    y[:size] = range(size)
    p = np.asarray(prior) * rng.dirichlet(np.ones(size), size=n) + 0.3 * np.eye(size)[y] * rng.random((n, 1))
    return p / p.sum(1, keepdims=True), y


@pytest.mark.parametrize("n", [1, 3, 9, 10, 19, 40, 99])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.25, 0.5])
def test_of_n_plus_1_exchangeable_rows_exactly_the_promised_number_is_covered(n, alpha):
    # Every row in turn is the new one: that is the whole proof, and it leaves nothing to chance.
    s = np.random.default_rng(n).permutation(n + 1).astype(float)
    covered = sum(s[i] <= conformal_quantile(np.delete(s, i), alpha) for i in range(n + 1))
    promised = int(np.ceil((n + 1) * (1 - alpha) - 1e-9))
    assert covered == promised
    assert covered / (n + 1) >= 1 - alpha - 1e-12


def test_round_numbers_are_not_rounded_up():
    # In floats, (9 + 1) * (1 - 0.1) and others exceed the whole number they stand for.
    for n, alpha, rank in [(9, 0.1, 9), (99, 0.05, 95), (19, 0.3, 14), (49, 0.02, 49), (9, 0.4, 6)]:
        assert conformal_quantile(np.arange(1, n + 1), alpha) == rank
    assert conformal_quantile(np.arange(8), 0.1) == np.inf
    assert conformal_quantile([], 0.5) == np.inf


@pytest.mark.parametrize("score", ["lac", "aps"])
@pytest.mark.parametrize("by", ["class", "marginal"])
def test_coverage_by_simulation(by, score):
    alpha, held, total = 0.2, np.zeros(3), np.zeros(3)
    for seed in range(60):
        p, y = drawn(seed, 400)
        sets = ConformalSets(alpha, by, score).fit(p[:200], y[:200])(p[200:])
        hit = sets[np.arange(200), y[200:]]
        held += np.bincount(y[200:], hit, 3)
        total += np.bincount(y[200:], minlength=3)
    coverage, noise = held / total, 3.5 * np.sqrt(alpha * (1 - alpha) / total) + 0.01
    if by == "class":
        assert (coverage >= 1 - alpha - noise).all()
        assert (coverage <= 1 - alpha + 1 / (200 * np.array([0.8, 0.15, 0.05]) + 1) + noise).all()
    else:
        assert abs(held.sum() / total.sum() - (1 - alpha)) < 0.02
    if by == "marginal" and score == "lac":
        assert coverage[2] < 1 - alpha - 0.1  # the rare class pays for the average


def test_the_marginal_form_is_mapies():
    from mapie.classification import SplitConformalClassifier
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    y = rng.choice(3, 900, p=[0.7, 0.2, 0.1])
    X = rng.normal(size=(900, 2)) + 1.5 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    model = LogisticRegression().fit(X[:300], y[:300])
    theirs = SplitConformalClassifier(model, confidence_level=0.9, conformity_score="lac", prefit=True)
    theirs.conformalize(X[300:600], y[300:600])
    expected = theirs.predict_set(X[600:])[1][:, :, 0]
    ours = ConformalSets(0.1, "marginal").fit(model.predict_proba(X[300:600]), y[300:600])
    np.testing.assert_array_equal(ours(model.predict_proba(X[600:])), expected)


def test_aps_adds_up_from_the_most_probable_class():
    p = np.array([[0.5, 0.3, 0.2]])
    made = ConformalSets(0.5, "marginal", "aps").fit(np.tile(p, (3, 1)), [1, 1, 1])
    assert made.quantiles_[0] == pytest.approx(0.8)
    assert made(p).tolist() == [[True, True, False]]
    assert made([[0.2, 0.3, 0.5]]).tolist() == [[False, True, True]]


def test_a_class_of_too_few_rows_is_in_every_set_and_that_is_told():
    p, y = drawn(0, 300)
    few = (y != 2) | (np.cumsum(y == 2) <= 8)
    made = ConformalSets(0.1).fit(p[few], y[few])
    assert made.quantiles_[2] == np.inf
    assert made(p)[:, 2].all()
    assert "fewer than 9 rows stand behind them: classes [2]" in made.notes_[0]
    enough = ConformalSets(0.15).fit(p[few], y[few])
    assert np.isfinite(enough.quantiles_).all()
    assert enough.notes_ == ()


@pytest.mark.parametrize("by", ["class", "marginal", "cluster"])
def test_text_and_back_is_exact(by):
    p, y = drawn(1, 60)
    made = ConformalSets(0.1, by, seed=3).fit(p, y)
    again = ConformalSets.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again.to_dict() == made.to_dict()
    np.testing.assert_array_equal(again(p), made(p))


def test_coverage_of_each_class_and_of_none():
    coverage = class_coverage([[True, True, False], [False, True, True]], [0, 0])
    assert coverage[0] == 0.5
    assert np.isnan(coverage[1:]).all()


def test_clusters_keep_the_promise_on_average_and_tell_easy_classes_from_hard_ones():
    easy, alpha, held = np.arange(100) < 50, 0.1, []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        y = np.repeat(np.arange(100), 60)
        scores = rng.random(6000) * np.where(easy[y], 0.1, 1)
        quantiles, notes = clustered_quantiles(scores, y, 100, alpha, seed)
        assert "clusters of classes" in notes[0]
        held.append(np.minimum(quantiles / np.where(easy, 0.1, 1), 1))  # the true coverage of each class
    assert np.mean(held) == pytest.approx(1 - alpha, abs=0.015)
    # Of one class alone, 60 rows give a standard deviation of about .038.
    assert np.std(held) < 0.06
    one_for_all = np.minimum(conformal_quantile(scores, alpha) / np.where(easy, 0.1, 1), 1)
    assert one_for_all.min() < 0.85 < one_for_all.max()


def test_the_clusters_quantiles_come_from_rows_that_did_not_make_the_clusters():
    rng = np.random.default_rng(0)
    y, scores = np.repeat(np.arange(40), 50), rng.random(2000)
    share = 40 / (75 + 40)
    first = np.random.default_rng([5, 2306]).random(2000) < share
    quantiles, _ = clustered_quantiles(scores, y, 40, 0.1, seed=5)
    assert np.isin(quantiles[np.isfinite(quantiles)], scores[~first]).all()


def test_few_rows_leave_one_quantile_for_all():
    p, y = drawn(2, 60)
    made = ConformalSets(0.1, "cluster").fit(p, y)
    assert "one quantile serves all" in made.notes_[0]
    np.testing.assert_array_equal(made.quantiles_, ConformalSets(0.1, "marginal").fit(p, y).quantiles_)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConformalSets(0), "alpha"),
        (lambda: ConformalSets(by="group"), "by must be"),
        (lambda: ConformalSets(score="raps"), "score"),
        (lambda: ConformalSets().fit([[2.0, 1.0]], [0]), "softmax"),
        (lambda: ConformalSets().fit([[0.5, 0.5]], [2]), "target"),
        (lambda: ConformalSets().fit([[0.5, 0.5]], [1])([[0.2, 0.3, 0.5]]), "2 classes, but 3"),
        (lambda: class_coverage([True], [0]), "sets must be"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(0, 40), st.integers(2, 5), st.sampled_from([0.01, 0.1, 0.5, 0.99]),
    st.sampled_from(["class", "cluster", "marginal"]), st.sampled_from(["lac", "aps"]),
)  # fmt: skip
def test_any_rows_give_sets(seed, rows, classes, alpha, by, score):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.3), size=rows).round(1)
    p = np.where(p.sum(1, keepdims=True) > 0, p / np.maximum(p.sum(1, keepdims=True), 1e-9), 1 / classes)
    y = rng.integers(classes, size=rows)
    made = ConformalSets(alpha, by, score).fit(p, y)
    assert made(p).shape == (rows, classes)
    if by == "class" and rows:
        covered = class_coverage(made(p), y)
        assert (covered[np.isfinite(covered)] >= 1 - alpha - 1e-9).all()  # on the rows themselves always
