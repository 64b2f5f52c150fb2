"""Abstention: Chow's rule against brute force, curves against loops, and floors that a rare class keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.adjust import ABSTAINED, SelectiveRule, choose_selection, decide_or_abstain, risk_coverage


def drawn(seed, n=2000, share=0.1):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)
    x = rng.normal(size=n) + 1.3 * y
    odds = share / (1 - share) * np.exp(1.3 * x - 1.3**2 / 2)
    p = odds / (1 + odds)
    return np.stack([1 - p, p], axis=1), y


def test_chows_rule_is_a_threshold_on_the_highest_probability():
    p, _ = drawn(0)
    label = decide_or_abstain(p, 0.2)
    np.testing.assert_array_equal(label != ABSTAINED, p.max(1) >= 0.8)
    assert (label[label != ABSTAINED] == p.argmax(1)[label != ABSTAINED]).all()
    assert (decide_or_abstain(p, 0.5) == p.argmax(1)).all()
    assert (decide_or_abstain(p, 0.0)[p.max(1) < 1] == ABSTAINED).all()


def test_chows_rule_has_the_lowest_expected_cost_of_the_three_choices():
    p, _ = drawn(1, n=200)
    cost = np.array([[0, 1], [20, 0]])
    label = decide_or_abstain(p, 0.4, cost)
    for row, chosen in zip(p, label):
        options = {0: row[1] * 20, 1: row[0] * 1, ABSTAINED: 0.4}
        assert options[int(chosen)] == pytest.approx(min(options.values()))
    assert set(label) == {0, 1, ABSTAINED}


def test_the_curve_equals_a_loop_and_ends_at_the_risk_of_all():
    rng = np.random.default_rng(2)
    s, loss, w = rng.random(80).round(1), rng.integers(0, 2, 80), rng.random(80)
    coverage, risk = risk_coverage(s, loss, w)
    for k, t in enumerate(np.unique(s)[::-1]):
        kept = s >= t
        assert coverage[k] == pytest.approx(w[kept].sum() / w.sum())
        assert risk[k] == pytest.approx(np.average(loss[kept], weights=w[kept]))
    assert coverage[-1] == pytest.approx(1)
    assert risk[-1] == pytest.approx(np.average(loss, weights=w))
    assert risk_coverage([], [])[0].shape == (0,)


def test_without_a_floor_the_rule_is_confidence_and_the_rare_class_pays():
    p, y = drawn(3)
    rule = choose_selection(p, y, coverage=0.8)
    assert rule.lift == (0, 0)
    assert rule.coverage == pytest.approx(0.8, abs=0.001)
    np.testing.assert_array_equal(rule.decide(p) != ABSTAINED, p.max(1) >= rule.threshold)
    assert rule.class_coverage[1] < 0.45 < 0.8 < rule.class_coverage[0]


@pytest.mark.parametrize("floor", [0.5, 0.7, 0.8])
def test_a_floor_is_kept_on_its_rows_and_nearly_on_new_ones(floor):
    p, y = drawn(4)
    rule = choose_selection(p, y, coverage=0.8, floor=floor)
    assert min(rule.class_coverage) >= floor - 1e-12
    assert rule.coverage >= 0.8
    assert rule.coverage < 0.9
    new, truth = drawn(5, n=20_000)
    kept = rule.decide(new) != ABSTAINED
    assert kept[truth == 1].mean() > floor - 0.08


def test_no_rule_that_keeps_both_shares_is_right_more_often():
    # On distinct rows, against every subset of the same size.
    from itertools import combinations

    rng = np.random.default_rng(6)
    p1 = rng.random(10)
    p, y = np.stack([1 - p1, p1], 1), (rng.random(10) < p1).astype(int)
    y[:2] = 0, 1
    rule = choose_selection(p, y, coverage=0.5, floor=0.4)
    kept = rule.decide(p) != ABSTAINED
    expected = p.max(1)[kept].sum()
    best = max(
        p.max(1)[list(s)].sum()
        for s in combinations(range(10), int(kept.sum()))
        if all(np.isin(np.flatnonzero(y == c), s).mean() >= 0.4 for c in (0, 1))
    )
    # The rule sees probabilities and not labels, so that a chosen few may beat it on these ten, but not by much.
    assert expected >= best - 0.6


def test_several_classes_and_absent_ones():
    rng = np.random.default_rng(7)
    y = rng.choice(3, 900, p=[0.8, 0.15, 0.05])
    p = rng.dirichlet([3, 1, 0.5], size=900) + 0.4 * np.eye(3)[y]
    p = np.column_stack([p / p.sum(1, keepdims=True), np.zeros(900)])
    rule = choose_selection(p, y, coverage=0.7, floor=0.6)
    assert isinstance(rule, SelectiveRule)
    assert np.nanmin(rule.class_coverage) >= 0.6
    assert np.isnan(rule.class_coverage[3])


def test_ties_are_decided_together_and_that_is_told():
    p, y = np.array([[1.0, 0.0]] * 4 + [[0.9, 0.1]] * 6), np.array([0] * 4 + [1] * 6)
    rule = choose_selection(p, y, coverage=0.5, floor=0.2)
    assert rule.class_coverage[1] == 1
    assert "instead of 50.0%" in rule.note


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decide_or_abstain([[0.5, 0.5]], -1), "rejection_cost"),
        (lambda: decide_or_abstain([[0.5, 0.5]], 0.1, [[1]]), "cost must be"),
        (lambda: risk_coverage([np.nan], [0]), "NaN"),
        (lambda: choose_selection([[0.5, 0.5]], [0], coverage=0.5, floor=0.6), "floor"),
        (lambda: choose_selection(np.zeros((0, 2)), np.zeros(0, int)), "no rows"),
        (lambda: choose_selection([[0.5, 0.5]], [0]).decide([[0.2, 0.3, 0.5]]), "2 classes, but 3"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(2, 4), st.floats(0.05, 1), st.floats(0, 1))
def test_any_rows_give_a_rule_that_covers_enough(seed, rows, classes, coverage, part):
    rng = np.random.default_rng(seed)
    p = np.eye(classes)[rng.integers(classes, size=rows)] * 0.8 + 0.2 / classes
    y = rng.integers(classes, size=rows)
    rule = choose_selection(p, y, coverage, coverage * part)
    assert (rule.decide(p) != ABSTAINED).mean() >= coverage - 1e-9
    assert np.nanmin(rule.class_coverage) >= coverage * part - 1e-9
