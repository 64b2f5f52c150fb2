"""A continuous target: what it may hold, how it is told from classes, how rows are dealt by it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.data.checks import check_features
from metabalance.data.errors import DataError
from metabalance.data.value_checks import check_value_table
from metabalance.data.values import Values, encode_values, strata, target_kind


def test_values_keep_their_numbers_and_names():
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, -1.0, 2.0]})
    found = encode_values(frame)
    assert found.names == ("a", "b")
    np.testing.assert_array_equal(found.table, frame.to_numpy(float))
    assert encode_values(frame["b"]).table.shape == (3, 1)
    assert encode_values(pd.Series([1e-12, 2e-12, 5e-12], name="y")).table.max() == 5e-12
    assert encode_values(pd.Series([1e12, -2e12], name="y")).table.min() == -2e12


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a", "b"], "no numbers"),
        ([True, False], "no numbers"),
        ([1.0, np.nan, 2.0], "missing or infinite in 1 of 3 rows \\(first in row 2\\)"),
        ([1.0, np.inf], "missing or infinite"),
        ([3.0, 3.0], "is 3 in every row"),
        ([1e300, -1.7e308, 1.7e308], "too far"),
        ([1e9, 1e9 + 1e-6], "too close|too far"),
        ([], "empty"),
    ],
)
def test_a_bad_target_is_told_in_one_sentence(values, said):
    with pytest.raises(DataError, match=said) as caught:
        encode_values(pd.Series(values, name="y", dtype=None if len(values) else float))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"] * 20, "classes"),
        ([True, False] * 20, "classes"),
        ([0, 1] * 50, "classes"),
        ([3, 4, 5, 6, 7, 8] * 30, "classes"),
        (list(range(21)) * 5, "either"),
        (list(range(100)), "values"),
        (list(range(1001)) * 5, "values"),
        (list(range(1000)) * 5, "either"),
        ((np.arange(100) / 8).tolist(), "values"),
        ([0.5, 1.5] * 30, "classes"),
    ],
)
def test_a_target_tells_its_kind_or_has_to_be_asked(values, kind):
    assert target_kind(pd.Series(values)) == kind


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=400), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_strata_are_spans_of_the_target(values, most):
    y = np.array(values, dtype=float)
    found = strata(y[:, None], most)
    assert set(found) == set(range(found.max() + 1))
    assert found.max() < max(1, min(most, len(y) // 20))
    order = np.argsort(y, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    for value in np.unique(y):
        assert len(set(found[y == value])) == 1


def test_strata_of_different_values_are_equally_large():
    rows = np.bincount(strata(np.random.default_rng(0).normal(size=(1000, 1))))
    assert len(rows) == 50
    assert set(rows) == {20}


def test_a_column_that_orders_the_rows_as_the_target_does_is_suspected():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=200), "x": rng.normal(size=200)})
    frame["disguise"], frame["noisy"] = -np.exp(frame["y"]), frame["y"] + rng.normal(size=200)
    frame = pd.concat([frame, frame.iloc[:5]], ignore_index=True)
    found = {f.code: f for f in check_value_table(frame, encode_values(frame["y"]))}
    assert found["MB006"].columns == ("disguise",)
    assert "5 of 205 rows" in found["MB007"].message
    # A second target is no feature, and may be the first in disguise.
    both = check_value_table(frame, Values(frame[["y", "disguise"]].to_numpy(), ("y", "disguise")))
    assert "MB006" not in {f.code for f in both}


def test_features_are_checked_whatever_the_target_is():
    found, useful = check_features(pd.DataFrame({"k": [1, 1, 1], "x": [1.0, 2.0, 2.0]}))
    assert [f.code for f in found] == ["MB002"]
    assert list(useful.columns) == ["x"]
    assert check_features(pd.DataFrame({"k": [1, 1, 1]}))[1] is None
