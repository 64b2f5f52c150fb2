"""Costs of rows: equal to a threshold where all are alike, the cheapest by brute force where they are not."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.adjust import Decision, choose_threshold, decide_by_row_cost, parse_cost_columns, row_costs


def test_equal_costs_are_a_threshold_and_a_matrix():
    rng = np.random.default_rng(0)
    p = rng.random(200)
    called = decide_by_row_cost(p, np.tile([19.0, 1.0], (200, 1)))
    np.testing.assert_array_equal(called, (p > 1 / 20).astype(int))
    matrix = np.array([[0, 1, 5], [2, 0, 1], [9, 3, 0.0]])
    probs = rng.dirichlet(np.ones(3), size=200)
    expected = Decision("cost", 0, cost=tuple(map(tuple, matrix))).decide(probs)
    np.testing.assert_array_equal(decide_by_row_cost(probs, np.tile(matrix, (200, 1, 1))), expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_no_other_labels_have_a_lower_expected_cost(classes):
    rng = np.random.default_rng(classes)
    p, cost = rng.dirichlet(np.ones(classes), size=4), rng.random((4, classes, classes))

    def expected(labels):
        return sum(p[i, t] * cost[i, t, labels[i]] for i in range(4) for t in range(classes))

    best = min(itertools.product(range(classes), repeat=4), key=expected)
    assert decide_by_row_cost(p, cost).tolist() == list(best)


def test_where_amounts_differ_a_decision_by_row_is_cheaper_than_any_threshold():
    rng = np.random.default_rng(1)
    amount, p = rng.lognormal(3, 1.5, 20_000), rng.beta(0.3, 6, 20_000)
    y = (rng.random(20_000) < p).astype(int)
    cost = row_costs(20_000, fn=amount, fp=5)
    rows = np.arange(20_000)
    by_row = cost[rows, y, decide_by_row_cost(p, cost)].mean()
    one = min(cost[rows, y, (p >= t).astype(int)].mean() for t in np.quantile(p, np.linspace(0, 1, 200)))
    assert by_row < 0.9 * one
    fixed = choose_threshold(p, y, "cost", cost=(amount.mean(), 5)).value
    assert by_row < 0.9 * cost[rows, y, (p >= fixed).astype(int)].mean()


def test_columns_are_read_by_name_or_number():
    assert parse_cost_columns("fn=amount,fp=5", ["amount"]) == {"fn": "amount", "fp": 5.0}
    assert parse_cost_columns("fn=lost, net,fp=call,tp=0.5", ["lost, net", "call"]) == {
        "fn": "lost, net", "fp": "call", "tp": 0.5,
    }  # fmt: skip
    assert parse_cost_columns("fn=7,fp=1", ["7"]) == {"fn": "7", "fp": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fn=amount", "lacks a cost"),
        ("fn=amount,fp=", "no cost"),
        ("amount", "no cost"),
        ("fn=price,fp=5", "neither a number nor a column"),
        ("fn=1,fn=2,fp=1", "twice"),
        ("fn=nan,fp=1", "neither"),
    ],
)
def test_other_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_cost_columns(text, ["amount"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: row_costs(3, fn=[1, 2], fp=1), "fn must be"),
        (lambda: row_costs(1, fn=np.inf, fp=1), "finite"),
        (lambda: decide_by_row_cost([0.5], [1.0]), "missed positive and a false alarm"),
        (lambda: decide_by_row_cost([[0.2, 0.3, 0.5]], [[1, 2]]), r"\(1, 3, 3\)"),
        (lambda: decide_by_row_cost([1.5], [[1, 2]]), "softmax"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6), st.sampled_from([0.0, 1e-9, 1.0, 1e12]))
def test_dearer_misses_never_call_fewer(seed, rows, factor):
    rng = np.random.default_rng(seed)
    p, fn, fp = rng.random(rows).round(1), rng.random(rows), rng.random(rows)
    before = decide_by_row_cost(p, np.stack([fn, fp], 1))
    after = decide_by_row_cost(p, np.stack([fn + factor, fp], 1))
    assert (after >= before).all()
