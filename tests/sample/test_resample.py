"""The eleven strategies: counts, geometry, and one clear sentence in place of each error below."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from imblearn import combine, over_sampling, under_sampling

from metabalance.sample import RESAMPLERS, Resampled, resample

ADDS = ("smote", "borderline_smote", "svm_smote", "adasyn", "random_over")
SELECTS = ("random_under", "near_miss", "all_knn")


@pytest.fixture
def table():
    """Three overlapping classes of 60, 25 and 12 rows."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 25, 12])
    X = rng.normal(size=(97, 2)) + np.array([[0, 0], [1.5, 0], [0, 1.5]])[y]
    order = rng.permutation(97)
    return X[order], y[order]


def test_the_eleven_of_the_grid():
    assert len(RESAMPLERS) == 11


@pytest.mark.parametrize("name", RESAMPLERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_strategy_on_three_classes(table, name, dtype):
    X, y = table
    X = X.astype(dtype)
    before = X.copy()
    out = resample(X, y, name, seed=1)
    assert isinstance(out, Resampled)
    assert out.X.dtype == dtype
    assert out.X.shape == (len(out.y), 2)
    assert set(np.unique(out.y)) == {0, 1, 2}
    assert out.note == ""
    np.testing.assert_array_equal(X, before)
    again = resample(X, y, name, seed=1, n_jobs=2)
    np.testing.assert_array_equal(out.X, again.X)
    np.testing.assert_array_equal(out.y, again.y)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("smote", over_sampling.SMOTE(random_state=3)),
        ("borderline_smote", over_sampling.BorderlineSMOTE(random_state=3)),
        ("svm_smote", over_sampling.SVMSMOTE(random_state=3)),
        ("adasyn", over_sampling.ADASYN(random_state=3)),
        ("random_over", over_sampling.RandomOverSampler(random_state=3)),
        ("cluster_centroids", under_sampling.ClusterCentroids(random_state=3)),
        ("random_under", under_sampling.RandomUnderSampler(random_state=3)),
        ("near_miss", under_sampling.NearMiss()),
        ("all_knn", under_sampling.AllKNN()),
        ("smote_enn", combine.SMOTEENN(random_state=3)),
    ],
)
def test_equals_the_defaults_of_imbalanced_learn(table, name, theirs):
    X, y = theirs.fit_resample(*table)
    out = resample(*table, name, seed=3)
    np.testing.assert_array_equal(out.X, X)
    np.testing.assert_array_equal(out.y, y)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("simple", [60, 25, 12]),
        ("smote", [60, 60, 60]),
        ("borderline_smote", [60, 60, 60]),
        ("random_over", [60, 60, 60]),
        ("random_under", [12, 12, 12]),
        ("near_miss", [12, 12, 12]),
        ("cluster_centroids", [12, 12, 12]),
    ],
)
def test_exact_counts(table, name, counts):
    assert np.bincount(resample(*table, name).y).tolist() == counts


def test_adasyn_counts_are_near(table):
    counts = np.bincount(resample(*table, "adasyn").y)
    assert counts[0] == 60
    assert (np.abs(counts - 60) <= 12).all()


@pytest.mark.parametrize("name", ADDS)
def test_growing_keeps_the_rows_and_starts_with_them(table, name):
    X, y = table
    out = resample(X, y, name)
    np.testing.assert_array_equal(out.X[:97], X)
    np.testing.assert_array_equal(out.y[:97], y)


@pytest.mark.parametrize("name", [*SELECTS, "random_over", "simple"])
def test_source_index_names_the_rows(table, name):
    X, y = table
    out = resample(X, y, name)
    np.testing.assert_array_equal(X[out.source_index], out.X)
    np.testing.assert_array_equal(y[out.source_index], out.y)


@pytest.mark.parametrize("name", sorted(set(RESAMPLERS) - {*SELECTS, "random_over", "simple"}))
def test_synthetic_rows_have_no_source(table, name):
    assert resample(*table, name).source_index is None


def test_smote_rows_lie_between_rows_of_their_class():
    X = np.array([[0.0, 0], [4, 8], [50, 50], [51, 50], [52, 50], [53, 51], [54, 50], [55, 50]])
    y = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    new = resample(X, y, "smote").X[8:]
    assert len(new) == 4
    np.testing.assert_allclose(new[:, 1], 2 * new[:, 0])  # all on the segment from (0, 0) to (4, 8)
    assert ((new >= 0) & (new <= [4, 8])).all()


def test_seed_matters_where_chance_does(table):
    for name in ("smote", "random_over", "random_under", "adasyn"):
        assert not np.array_equal(resample(*table, name, 0).X, resample(*table, name, 1).X)


def test_none_is_simple(table):
    X, y = table
    for name in (None, "none", "simple"):
        assert resample(X, y, name).X is X


@pytest.mark.parametrize("name", ["smote", "borderline_smote", "svm_smote", "adasyn", "smote_enn"])
def test_few_rows_mean_fewer_neighbours_and_a_note(name):
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(size=(40, 2)), rng.normal(0.3, 1.0, size=(3, 2))])
    y = np.repeat([0, 1], [40, 3])
    out = resample(X, y, name)
    assert "looked at 2 neighbours instead of 5, since the smallest class it grows has 3 rows" in out.note


def test_near_miss_with_one_row():
    X, y = np.arange(20.0).reshape(10, 2), np.array([0] * 9 + [1])
    out = resample(X, y, "near_miss")
    assert np.bincount(out.y).tolist() == [1, 1]
    assert "looked at 1 neighbour instead of 3" in out.note


@pytest.mark.parametrize("name", ["smote", "borderline_smote", "svm_smote", "adasyn", "smote_enn"])
def test_a_class_of_one_row_is_refused(name):
    X, y = np.arange(20.0).reshape(10, 2), np.array([0] * 9 + [1])
    with pytest.raises(ValueError, match=f"{name} mixes rows of one class.*1 row; use 'random_over'"):
        resample(X, y, name)


def test_adasyn_on_separated_classes():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(40, 2)), rng.normal(100, 1, size=(10, 2))])
    with pytest.raises(ValueError, match=r"adasyn found no row to synthesise from.*use 'smote'"):
        resample(X, np.repeat([0, 1], [40, 10]), "adasyn")


def test_svm_smote_on_noise():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = np.zeros(300, dtype=int)
    y[[3, 77]] = 1
    with pytest.raises(ValueError, match="svm_smote takes every support vector of a small class for noise"):
        resample(X, y, "svm_smote")


def test_a_class_cleaned_away_is_refused():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1))
    X[50:] = X[:10] + 1e-9  # ten rows, each on top of one of class 0
    y = np.repeat([0, 1], [50, 10])
    assert set(resample(X, y, "all_knn").y) == {0, 1}  # the smallest class is never cleaned, a middle one is
    y = np.repeat([0, 1, 2], [50, 7, 3])
    with pytest.raises(ValueError, match="all_knn would remove every row of class 1"):
        resample(X, y, "all_knn")


@pytest.mark.parametrize("name", sorted(set(RESAMPLERS) - {"simple"}))
def test_bad_tables(table, name):
    X, y = table
    with pytest.raises(ValueError, match="at least two classes, but y holds 1"):
        resample(X, np.zeros(97, dtype=int), name)
    X = X.copy()
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="missing or infinite; fill them"):
        resample(X, y, name)
    with pytest.raises(ValueError, match=r"X must be \(N, D\) and y \(N,\)"):
        resample(X[:, 0], y, name)


def test_unknown_name(table):
    with pytest.raises(ValueError, match="strategy='smoth' is unknown; use one of simple, smote,"):
        resample(*table, "smoth")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(RESAMPLERS)),
    st.integers(0, 1000),
    st.lists(st.integers(1, 12), min_size=2, max_size=4),
)
def test_a_result_or_one_clear_sentence(name, seed, counts):
    """Small classes, few rows: either a table with all classes, or a ValueError that names the strategy."""
    y = np.repeat(np.arange(len(counts)), counts)
    X = np.random.default_rng(seed).normal(size=(len(y), 2)) + y[:, None]
    try:
        out = resample(X, y, name, seed)
    except ValueError as error:
        message = str(error)
        assert message.startswith(name)
        assert "; use " in message
        assert "\n" not in message
    else:
        assert set(out.y) == set(y)
        assert np.isfinite(out.X).all()
