"""Imbalance profiles: the published counts, and the identities that Buda et al. state."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from metabalance.data.imbalance import (
    linear,
    linear_counts,
    long_tail,
    long_tail_counts,
    one_vs_rest,
    step,
    step_counts,
    take_counts,
)

Y = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 100))


@pytest.mark.parametrize(
    ("classes", "n_max", "ratio", "counts"),
    [
        (10, 5000, 100, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (10, 5000, 1000, [5000, 2320, 1077, 500, 232, 107, 50, 23, 10, 5]),
        (10, 5000, 1, [5000] * 10),
    ],
)
def test_published_long_tails(classes, n_max, ratio, counts):
    assert long_tail_counts(classes, n_max, ratio) == counts


@pytest.mark.parametrize(
    ("classes", "n_max", "ratio", "total"),
    [(10, 5000, 100, 12_406), (100, 500, 100, 10_847), (10, 5000, 50, 13_996)],
)
def test_published_totals(classes, n_max, ratio, total):
    assert sum(long_tail_counts(classes, n_max, ratio)) == total


def test_step_examples_of_the_study():
    assert step_counts(10, 5000, 10, 0.5) == [5000] * 5 + [500] * 5
    assert sum(step_counts(10, 5000, 10, 0.5)) == 27_500
    assert step_counts(10, 5000, 2, 0.9) == [5000] + [2500] * 9
    assert sum(step_counts(10, 5000, 2, 0.9)) == 27_500


@given(st.integers(1, 30), st.integers(1, 100), st.integers(1, 50))
def test_linear_and_half_step_hold_equally_many(half, n_min, ratio):
    classes, n_max = 2 * half, n_min * ratio
    total = half * (n_max + n_min)
    assert sum(step_counts(classes, n_max, ratio)) == total
    exact = [n_max - i * (n_max - n_min) / (classes - 1) for i in range(classes)]
    assert sum(exact) == pytest.approx(total)
    counts = linear_counts(classes, n_max, ratio)
    assert all(0 <= e - c + 1e-5 < 1 + 1e-5 for e, c in zip(exact, counts))
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("profile", [long_tail, linear, step])
def test_rows_follow_the_counts_and_the_seed(profile):
    rows = profile(Y, ratio=10)
    counts = np.bincount(Y[rows])
    assert counts.max() == 100
    assert counts.min() == 10
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, profile(Y, ratio=10))
    assert not np.array_equal(rows, profile(Y, ratio=10, seed=1))
    assert len(profile(Y, ratio=1)) == 1000  # balanced: everything stays


@pytest.mark.parametrize("profile", [long_tail, linear, step])
def test_order_says_who_is_large(profile):
    straight = np.bincount(Y[profile(Y, 10, n_max=50)])
    reverse = np.bincount(Y[profile(Y, 10, n_max=50, order=range(9, -1, -1))])
    np.testing.assert_array_equal(straight[::-1], reverse)


def test_larger_ratios_take_subsets():
    assert set(long_tail(Y, 100)) < set(long_tail(Y, 10)) < set(long_tail(Y, 1))


def test_severe_setting():
    rows = one_vs_rest(Y, majority=3, n_minority=5)
    assert np.bincount(Y[rows]).tolist() == [5, 5, 5, 100, 5, 5, 5, 5, 5, 5]
    assert np.bincount(Y[one_vs_rest(Y, 3, n_majority=40, n_minority=1)])[3] == 40


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 99), st.data())
def test_take_counts_takes_exactly(labels, seed, data):
    have = np.bincount(labels)
    counts = {c: data.draw(st.integers(0, int(n))) for c, n in enumerate(have)}
    rows = take_counts(labels, counts, seed)
    assert len(set(rows.tolist())) == len(rows)
    np.testing.assert_array_equal(
        np.bincount(np.array(labels)[rows], minlength=len(have)), list(counts.values())
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: long_tail(Y, 10, n_max=101), "101 rows of class 0 were asked for, but it has 100"),
        (lambda: long_tail(Y, 0.5), "ratio of at least 1"),
        (lambda: long_tail(Y, float("nan")), "ratio of at least 1"),
        (lambda: step(Y, 10, minority=1.5), "minority is a share"),
        (lambda: linear(Y, 10, order=[0, 1]), "order must name each class from 0 to 9 once"),
        (lambda: linear(np.array([0.5]), 10), "integers from 0"),
        (lambda: linear([], 10), "not empty"),
        (lambda: step_counts(1, 10, 2), "at least 2 classes"),
        (lambda: one_vs_rest(Y, majority=10), "majority=10 is not among the classes"),
        (lambda: one_vs_rest(Y, 0, n_minority=500), "500 rows of class 1 were asked for"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
