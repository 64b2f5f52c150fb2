"""Information by neighbours: scikit-learn's estimates, pair by pair, and choices that laziness does not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.utils.estimator_checks import parametrize_with_checks

from metabalance.systems.materials import (
    Columns,
    NMIRelevanceRedundancy,
    mutual_information,
    normalized_mutual_information,
    redundancy_offset,
    redundancy_power,
)
from metabalance.systems.materials.selection import distinct_columns


def correlated(rows=300, columns=12, seed=0):
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(rows, 4))
    X = latent @ rng.normal(size=(4, columns)) + 0.3 * rng.normal(size=(rows, columns))
    return X, latent[:, 0] + 0.5 * latent[:, 1] ** 2


# Without ties the noise decides nothing, and the estimates agree to rounding.
@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_values_agree_with_scikit_learn_to_rounding(k, scale):
    X, y = correlated()
    X[:, 0] = 100 + X[:, 0]
    expected = mutual_info_regression(X * scale, y, n_neighbors=k, random_state=0)
    columns = Columns(X * scale, n_neighbors=k, random_state=7)
    found, own = columns.about_value(y)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert own == pytest.approx(
        mutual_info_regression(y[:, None], y, n_neighbors=k, random_state=0)[0], abs=1e-12
    )
    expected = [
        mutual_info_regression(X[:, [f]], X[:, f], n_neighbors=k, random_state=0)[0] for f in range(12)
    ]
    np.testing.assert_allclose(columns.entropies, expected, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_classes_agree_with_scikit_learn_to_rounding(k):
    X, y = correlated()
    # In small classes scikit-learn takes distances from products, and is itself exact to 1e-8 only.
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6, 0.8]))
    labels[5] = 9  # a class of one row
    found, own = Columns(X, n_neighbors=k, random_state=1).about_class(labels)
    np.testing.assert_allclose(
        found, mutual_info_classif(X, labels, n_neighbors=k, random_state=0), atol=1e-12
    )
    share = np.unique(labels, return_counts=True)[1] / len(labels)
    assert own == pytest.approx(-(share * np.log(share)).sum())
    assert mutual_information(X[:, 0], labels, n_neighbors=k, discrete_target=True) == pytest.approx(found[0])


# Ties are broken by noise: each draw gives another estimate, spread by about 0.01 around the same value.
def test_tied_values_agree_with_scikit_learn_within_the_noise():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, 2000).astype(float)
    y = x + rng.integers(0, 2, 2000)
    expected = np.mean([mutual_info_regression(x[:, None], y, random_state=s)[0] for s in range(4)])
    assert np.mean([mutual_information(x, y, random_state=s) for s in range(4)]) == pytest.approx(
        expected, abs=0.02
    )
    assert Columns(x[:, None], random_state=0).entropies[0] == pytest.approx(np.log(5), abs=0.05)


def test_closed_form_of_two_normal_columns():
    rng = np.random.default_rng(1)
    for rho in (0.0, 0.6, 0.95):
        x, y = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=4000).T
        assert mutual_information(x, y, random_state=0) == pytest.approx(-0.5 * np.log(1 - rho**2), abs=0.06)


def test_pairs_are_normalised_and_symmetric_and_threads_change_nothing():
    X, y = correlated(columns=9)
    matrix = normalized_mutual_information(X, random_state=0)
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1)
    twin = [
        [mutual_info_regression(X[:, [i]], X[:, j], random_state=0)[0] for i in range(9)] for j in range(9)
    ]
    own = np.diag(twin)
    np.testing.assert_allclose(matrix, 2 * np.array(twin) / (own[:, None] + own), atol=1e-12)
    np.testing.assert_array_equal(matrix, normalized_mutual_information(X, random_state=0, n_jobs=2))
    found = normalized_mutual_information(X, y, random_state=0)
    assert found.shape == (9,)
    np.testing.assert_allclose(Columns(X, random_state=0).between([0, 2], [1]), matrix[[0, 2]][:, [1]])


def naive_ranking(X, y, p, c):
    """The paper's words: all pairs by scikit-learn, then the greedy rule, no step saved."""
    F = X.shape[1]

    def info(a, b):
        return mutual_info_regression(a[:, None], b, random_state=0)[0]

    own = [info(X[:, f], X[:, f]) for f in range(F)]
    target = info(y, y)
    rel = [2 * info(X[:, f], y) / (own[f] + target) for f in range(F)]
    red = [[2 * info(X[:, f], X[:, s]) / (own[f] + own[s]) for s in range(F)] for f in range(F)]
    chosen = [int(np.argmax(rel))]
    while len(chosen) < F:
        n = len(chosen)
        worth = {
            f: min(rel[f] / (red[f][s] ** p(n) + c(n)) for s in chosen) for f in range(F) if f not in chosen
        }
        chosen.append(max(worth, key=worth.get))
    return chosen


@pytest.mark.parametrize("schedule", ["paper", "code"])
def test_the_lazy_choice_is_the_exhaustive_one(schedule):
    X, y = correlated(rows=200, columns=10)
    expected = naive_ranking(X, y, lambda n: redundancy_power(n, schedule), redundancy_offset)
    found = NMIRelevanceRedundancy(p_schedule=schedule, random_state=0).fit(X, y)
    assert found.selected_.tolist() == expected
    assert found.pairs_ <= 45
    few = NMIRelevanceRedundancy(3, p_schedule=schedule, random_state=0).fit(X, y)
    assert few.selected_.tolist() == expected[:3]
    assert few.ranking_[few.selected_].tolist() == [1, 2, 3]
    assert (np.delete(few.ranking_, few.selected_) == 4).all()


@pytest.mark.parametrize("late", [{"c": 1e12}, {"p": 0.0}])
def test_without_redundancy_the_order_is_relevance(late):
    X, y = correlated()
    found = NMIRelevanceRedundancy(random_state=0, **late).fit(X, y)
    assert found.selected_.tolist() == np.argsort(-found.scores_, kind="stable").tolist()


def test_a_near_copy_sinks_and_an_exact_copy_or_a_constant_changes_nothing():
    X, y = correlated()
    plain = NMIRelevanceRedundancy(5, random_state=0).fit(X, y)
    more = np.column_stack([X, X[:, 3], np.full(len(X), 7.0), -0.0 * X[:, 0]])
    assert (
        NMIRelevanceRedundancy(5, random_state=0).fit(more, y).selected_.tolist() == plain.selected_.tolist()
    )
    first = plain.selected_[0]
    near = np.column_stack([X, 1e-3 * X[:, first] + 4])
    sunk = NMIRelevanceRedundancy(random_state=0).fit(near, y)
    assert 12 not in sunk.selected_[:6]
    assert distinct_columns(np.array([[0.0, -0.0, 1.0], [1.0, 1.0, 1.0]])).tolist() == [0]


def test_schedules():
    assert redundancy_power(10) == pytest.approx(4.5 - 10**0.4)
    assert redundancy_power(10, "code") == pytest.approx(4.5 - 0.4 * 10**0.4)
    assert min(n for n in range(2000) if redundancy_power(n) == 0.1) == 41
    assert min(n for n in range(2000) if redundancy_power(n, "code") == 0.1) == 402
    assert redundancy_offset(10) == pytest.approx(1e-3)


def test_several_targets_take_turns():
    X, _ = correlated()
    both = NMIRelevanceRedundancy(4, random_state=0).fit(X, X[:, [2, 7]])
    assert both.selected_[:2].tolist() == [2, 7]
    assert both.scores_.shape == (12, 2)
    assert len(both.get_feature_names_out()) == both.transform(X).shape[1] == 4


def test_missing_values_are_a_value_and_little_information_is_dropped():
    X, y = correlated()
    X[:40, 1] = np.nan
    X[:, 2] = np.arange(300) < 3  # 0.05 nats
    X[:, 4] = np.nan
    found = NMIRelevanceRedundancy(random_state=0).fit(X, y)
    assert {2, 4}.isdisjoint(found.selected_)
    assert 1 in found.selected_
    assert found.scores_[4] == 0


def test_more_rows_than_max_samples_are_drawn_by_the_seed():
    X, y = correlated(rows=400)
    fits = [NMIRelevanceRedundancy(max_samples=100, random_state=s).fit(X, y).scores_ for s in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"p_schedule": "x"}, "p_schedule must be"), ({"task": "x"}, "task must be"),
        ({"n_features": 0}, "n_features must be"), ({"p": -1.0}, "p must not be negative"),
        ({"c": lambda n: -1.0}, "c must not be negative"), ({"drop_thr": 1e9}, "lower drop_thr"),
        ({"n_neighbors": 300}, "needs at least 301"),
    ],
)  # fmt: skip
def test_bad_options_are_refused_with_a_cure(options, says):
    with pytest.raises(ValueError, match=says):
        NMIRelevanceRedundancy(**options).fit(*correlated())


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 6),
    st.integers(1, 3),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e308, 1e-308]),
    st.integers(0, 5),
)
def test_any_columns_give_numbers_or_one_sentence(rows, columns, odd, k):
    X = np.random.default_rng(rows).normal(size=(rows, columns))
    X[:1] = odd
    if k < 1 or rows <= k or not np.isfinite(X).all():
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            normalized_mutual_information(X, n_neighbors=k, random_state=0)
    else:
        assert (normalized_mutual_information(X, n_neighbors=k, random_state=0) >= 0).all()


@parametrize_with_checks([NMIRelevanceRedundancy(n_neighbors=1, drop_thr=0.0)])
def test_scikit_learn_accepts_the_selector(estimator, check):
    check(estimator)
