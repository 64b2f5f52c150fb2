"""Targets: encoding is a bijection on the labels, and what is no target says so."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance.data import DataError, Target, encode_target
from metabalance.data.target import MAX_CLASSES


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12).map(
        lambda labels: labels + ["a", "a", "b", "b"] * 6
    )
)
def test_labels_come_back_from_indices(labels):
    if 1 in Counter(labels).values():
        with pytest.raises(DataError, match="one row"):
            encode_target(pd.Series(labels))
        return
    target = encode_target(pd.Series(labels))
    assert [target.classes[i] for i in target.index] == labels
    assert target.classes == tuple(sorted(set(labels)))
    assert target.counts == tuple(labels.count(label) for label in target.classes)
    assert target.counts[target.positive] == min(target.counts)
    assert target.index.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0.0, 1.0, 1.0, 0.0], (0, 1)),
        ([0.5, 1.0, 1.0, 0.5], (0.5, 1)),
        ([True, False, True, False], (False, True)),
        (["b ", "a", "b", "a"], ("a", "b")),
        (pd.Categorical(["x", "y", "x", "y"], categories=["z", "y", "x"]), ("x", "y")),
        ([2, "a", 2, "a"], ("2", "a")),
        (np.array([-1, 1, 1, -1], dtype=np.int8), (-1, 1)),
        (pd.array([1, 2, 1, 2], dtype="Int64"), (1, 2)),
    ],
)
def test_classes_are_plain_sorted_and_fit_json(labels, classes):
    found = encode_target(pd.Series(labels)).classes
    assert found == classes
    assert [type(label) for label in found] == [type(label) for label in classes]
    assert json.loads(json.dumps(found)) == list(classes)


def test_a_pinned_target_that_cannot_be_changed():
    target = encode_target(["no", "yes", "no", "yes", "no"])
    assert isinstance(target, Target)
    assert target.index.tolist() == [0, 1, 0, 1, 0]
    assert (target.classes, target.counts, target.positive) == (("no", "yes"), (3, 2), 1)
    with pytest.raises(AttributeError):
        target.positive = 0


def test_the_positive_class_is_the_one_given_else_the_rarest_else_the_last():
    labels = pd.Series([1, 1, 1, 2, 2, 3, 3])
    assert encode_target(labels).positive == 2
    assert encode_target(labels, positive=1).positive == 0
    assert encode_target(labels, positive=" 2").positive == 1
    assert encode_target([1, 1, 0, 0, 0]).positive == 1
    with pytest.raises(DataError, match=r"'no' is not a class of the target 'y'; its classes are 1, 2, 3"):
        encode_target(labels.rename("y"), positive="no")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "is empty"),
        ([1, 1, 1], r"one class only \(1\)"),
        (["a", None, "b", None], r"missing or infinite in 2 of 4 rows \(first in row 2\)"),
        ([0.0, np.inf, 1.0, 1.0], "missing or infinite in 1 of 4 rows"),
        ([0, 0, 1, 1, 1, 2], r"a class of one row \(2\)"),
        (["a"] * 9 + ["b", "c"], r"2 classes of one row \('b', 'c'\)"),
        (np.arange(30), "30 different values in 30 rows and looks like a quantity"),
        (np.repeat(np.linspace(0, 1, 25), 9), "looks like a quantity"),
        ([f"row{i}" for i in range(30)], "looks like an identifier"),
        (np.repeat(np.arange(MAX_CLASSES + 1), 2), f"at most {MAX_CLASSES} are supported"),
    ],
)
def test_what_is_no_target_says_why(labels, message):
    with pytest.raises(DataError, match=message) as raised:
        encode_target(pd.Series(labels, name="y"))
    assert "the target 'y'" in str(raised.value)


def test_many_different_whole_numbers_may_be_classes():
    assert len(encode_target(np.repeat(np.arange(100), 3)).classes) == 100
