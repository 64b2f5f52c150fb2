"""Costs from text and from files: what is read, and one clear sentence for what cannot be."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.adjust import choose_decision, parse_cost, read_cost_matrix


def test_costs_of_two_classes():
    assert parse_cost("fn=50,fp=1") == ((0, 1), (50, 0))
    assert parse_cost(" FP = 1.5 , fn=5e1, tp=-2, tn=0.5") == ((0.5, 1.5), (50, -2))
    assert parse_cost("fn=50,fp=1", positive=0) == ((0, 50), (1, 0))


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6))
@settings(max_examples=50, deadline=None)
def test_written_costs_are_read_exactly(fn, fp):
    assert parse_cost(f"fn={fn!r},fp={fp!r}") == ((0, fp), (fn, 0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not a cost"),
        ("fn=50", "lacks a cost"),
        ("fn=50,fp", "'fp' is not a cost"),
        ("fn=50;fp=1", "is not a cost"),
        ("fn=fifty,fp=1", "'fn=fifty' is not a cost"),
        ("fn=nan,fp=1", "is not a cost"),
        ("fn=inf,fp=1", "is not a cost"),
        ("fn=50,fp=1,fp=2", "fp is given twice"),
        ("fn=50,fp=1,xx=3", "'xx=3' is not a cost"),
        ("fn=0,fp=1", "must cost more than the right answer"),
        ("fn=50,fp=1,tn=1", "must cost more than the right answer"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(text, said):
    with pytest.raises(ValueError, match=said) as error:
        parse_cost(text)
    assert "\n" not in str(error.value)


@given(st.text(max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        cost = parse_cost(text)
    except ValueError:
        return
    assert np.isfinite(cost).all()


LISTS = [[0, 1, 2], [10, 0, 3], [50, 4.5, 0]]
NAMES = {"a": {"b": 1, "c": 2}, "b": {"a": 10, "c": 3}, "c": {"a": 50, "b": 4.5, "c": 0}}


@pytest.mark.parametrize("given_", [LISTS, NAMES])
def test_matrices_are_read(tmp_path, given_):
    path = tmp_path / "cost.json"
    path.write_text(json.dumps(given_), encoding="utf-8")
    matrix = read_cost_matrix(path, ["a", "b", "c"])
    assert matrix == ((0, 1, 2), (10, 0, 3), (50, 4.5, 0))
    probs = np.array([[0.9, 0.05, 0.05]])
    assert choose_decision(probs, [0], "cost", cost=matrix).decide(probs).tolist() == [
        1
    ]  # 1.125 < 2.65, 1.95


def test_numeric_labels_are_matched_as_text(tmp_path):
    path = tmp_path / "cost.json"
    path.write_text('{"7": {"3": 5}, "3": {"7": 1}}')
    assert read_cost_matrix(path, [3, 7]) == ((0, 1), (5, 0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[[0, 1], [2, 0]]", "3 x 3 pairs"),
        ('[[0, 1, 2], [3, 0, "x"], [1, 1, 0]]', "3 x 3 pairs"),
        ('{"a": {"b": 1}}', "3 x 3 pairs"),
        ('{"a": {"z": 1}}', "names the class 'z'"),
        ('{"z": {"a": 1}}', "names the class 'z'"),
        ("3", "3 x 3 pairs"),
        ("[[0, 1, 2], [3, 0], [1, 1, 0]]", "3 x 3 pairs"),
    ],
)
def test_unsound_files_are_refused(tmp_path, text, said):
    path = tmp_path / "cost.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_cost_matrix(path, ["a", "b", "c"])
