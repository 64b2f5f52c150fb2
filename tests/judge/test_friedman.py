"""Mean ranks: scipy's test, the tabled quantiles, and bars that join exactly what cannot be told apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metabalance.judge import Ranking, critical_difference


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(3, 6), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_the_p_value_is_scipys(seed, d, m, decimals):
    values = np.random.default_rng(seed).normal(size=(d, m)).round(decimals)
    ranks = stats.rankdata(-values, axis=1)
    if (ranks == ranks[:, :1]).all():
        return  # all tied: scipy divides by 0
    result = critical_difference(values)
    assert result.p_value == pytest.approx(stats.friedmanchisquare(*values.T).pvalue, abs=1e-12)
    assert result.ranks == pytest.approx(sorted(ranks.mean(0)))
    assert critical_difference(-values, greater_is_better=False) == result


@pytest.mark.parametrize(("m", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_uses_demsars_table(m, q):
    values = np.random.default_rng(0).normal(size=(14, m))
    result = critical_difference(values)
    assert result.critical_difference == pytest.approx(q * np.sqrt(m * (m + 1) / (6 * 14)), abs=0.001)


def test_demsars_example_of_four_trees_on_fourteen_sets():
    result = critical_difference(np.random.default_rng(0).normal(size=(14, 4)))
    assert round(result.critical_difference, 2) == 1.25


def test_bars_join_what_cannot_be_told_apart():
    # 40 sets: a beats b by a hair each time, c and d trade places far below.
    rng = np.random.default_rng(0)
    low = rng.permuted(np.tile([0.2, 0.3], (40, 1)), axis=1)
    high = rng.permuted(np.tile([0.8, 0.9], (40, 1)), axis=1)
    result = critical_difference(np.hstack([low, high]), ["c", "d", "a", "b"])
    assert isinstance(result, Ranking)
    assert [set(g) for g in result.groups] == [{"a", "b"}, {"c", "d"}]
    assert result.p_value < 1e-6


def naive_groups(names, ranks, critical):
    runs = [
        set(range(i, j + 1))
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if ranks[j] - ranks[i] < critical
    ]
    longest = [r for r in runs if not any(r < other for other in runs)]
    return [tuple(names[k] for k in sorted(r)) for r in sorted(longest, key=min)]


@given(st.lists(st.floats(1, 6), min_size=2, max_size=7), st.floats(0.1, 4))
@settings(max_examples=200, deadline=None)
def test_bars_are_the_longest_runs(ranks, critical):
    from metabalance.judge.friedman import _groups

    ordered, names = np.sort(ranks), [str(k) for k in range(len(ranks))]
    # The same sum on both sides, or a rank that lies exactly the difference away falls on either.
    ordered = ordered.round(3)
    reach = [ordered[j] - ordered[i] for i in range(len(ranks)) for j in range(i)]
    if np.min(np.abs(np.abs(reach) - critical)) < 1e-9:
        return
    assert list(_groups(names, ordered, critical)) == naive_groups(names, ordered, critical)


def test_no_difference_at_all():
    result = critical_difference(np.ones((5, 3)))
    assert result.p_value == 1
    assert result.ranks == (2.0, 2.0, 2.0)
    assert result.groups == (("0", "1", "2"),)


def test_rows_with_holes_are_left_out_and_said():
    values = np.array([[0.9, 0.8], [np.nan, 0.5], [0.7, 0.6]])
    result = critical_difference(values)
    assert result.blocks == 2
    assert result.reason == "1 of 3 rows lack a value and were left out"


@pytest.mark.parametrize(
    ("values", "names", "said"),
    [
        ([0.1, 0.2], None, "at least two models"),
        ([[0.1], [0.2]], None, "at least two models"),
        ([[0.1, 0.2]], None, "it takes two"),
        ([[0.1, 0.2], [0.1, np.inf]], None, "1 of 2 rows"),
        ([[0.1, 0.2], [0.1, 0.3]], ["a", "a"], "different names"),
        ([[0.1, 0.2], [0.1, 0.3]], ["a"], "different names"),
    ],
)
def test_bad_tables_are_refused(values, names, said):
    with pytest.raises(ValueError, match=said):
        critical_difference(values, names)
