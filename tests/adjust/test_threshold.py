"""Decisions: the search against trying everything, the edges of thresholds, and round trips."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, fbeta_score, recall_score

from metabalance.adjust import (
    Decision,
    Threshold,
    choose_class_multipliers,
    choose_decision,
    choose_threshold,
)

OBJECTIVES = {
    "f1": lambda y, d, w: f1_score(y, d, sample_weight=w),
    "f_beta": lambda y, d, w: fbeta_score(y, d, beta=2, sample_weight=w),
    "balanced_accuracy": lambda y, d, w: balanced_accuracy_score(y, d, sample_weight=w),
    "g_mean": lambda y, d, w: np.sqrt(
        recall_score(y, d, sample_weight=w) * recall_score(y, d, sample_weight=w, pos_label=0)
    ),
    "cost": lambda y, d, w: -np.average(np.array([[0, 1], [7, 0]])[y, d], weights=w),
}


def binary(seed, n=40, decimals=2):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.25).astype(int)
    y[:2] = 0, 1
    p = np.clip(rng.normal(0.3 + 0.3 * y, 0.25), 0, 1).round(decimals)
    return p, y, rng.random(n) + 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_search_equals_trying_every_threshold(name, decimals, seed):
    p, y, w = binary(seed, decimals=decimals)
    for weight in (None, w):
        chosen = choose_threshold(p, y, name, cost=(7, 1), sample_weight=weight, beta=2)
        tried = [OBJECTIVES[name](y, (p >= t).astype(int), weight) for t in [*np.unique(p), 2]]
        achieved = -chosen.achieved if name == "cost" else chosen.achieved
        assert achieved == pytest.approx(max(tried), abs=1e-12)
        assert achieved == pytest.approx(
            OBJECTIVES[name](y, (p >= chosen.value).astype(int), weight), abs=1e-12
        )


def test_the_threshold_lies_midway():
    assert choose_threshold([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1]).value == pytest.approx(0.4)
    assert choose_threshold([0.1, 0.2, 0.6, 0.9], [1, 1, 1, 0], "f1").value == pytest.approx(
        0.05
    )  # all positive
    assert choose_threshold([0.1, 0.2, 0.6, 0.9], [1, 0, 0, 0], "cost", cost=(1, 9)).value == pytest.approx(
        0.95
    )


def test_no_alarm_at_all_is_possible_even_when_a_score_is_1():
    t = choose_threshold([0.5, 1.0, 1.0], [1, 0, 0], "cost", cost=(1, 100))
    assert t.value > 1
    assert t.achieved == pytest.approx(1 / 3)
    assert (Decision("cost", t.achieved, threshold=t.value).decide([0.5, 1.0, 1.0]) == 0).all()


def test_neighbouring_floats_are_told_apart():
    low = 0.3
    high = np.nextafter(low, 1)
    t = choose_threshold([low, high], [0, 1])
    assert Decision("f1", 1, threshold=t.value).decide([low, high]).tolist() == [0, 1]
    assert choose_threshold([0.0, 0.0, 0.4], [1, 1, 0], "f1").value == 0  # everything, zeros included


def test_of_equally_good_thresholds_the_highest():
    # Balanced accuracy is 1/2 for "all" and for "none".
    assert choose_threshold([0.4, 0.4], [0, 1], "balanced_accuracy").value == pytest.approx(0.7)


def test_the_best_cost_threshold_of_calibrated_scores_is_the_bayes_one():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    y = (rng.random(200_000) < p).astype(int)
    assert choose_threshold(p, y, "cost", cost=(9, 1)).value == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("target", [[0, 0, 0], [1, 1, 1]])
def test_one_class_falls_back_and_says_so(target):
    for name in ("f1", "f_beta", "balanced_accuracy", "g_mean"):
        t = choose_threshold([0.1, 0.5, 0.9], target, name)
        assert t.value == 0.5
        assert np.isnan(t.achieved)
        assert "rows to choose on" in t.note
    t = choose_threshold([0.1, 0.5, 0.9], target, "cost", cost=(50, 1))
    assert t.value == pytest.approx(1 / 51)
    assert "least expected cost" in t.note
    matrix = [[-1, 2], [50, -5]]  # right answers pay
    assert choose_threshold([0.1, 0.5, 0.9], target, "cost", cost=matrix).value == pytest.approx(3 / 58)


def test_rows_of_weight_0_do_not_exist():
    t = choose_threshold([0.1, 0.5, 0.9], [0, 0, 1], sample_weight=[1, 1, 0])
    assert t.note.startswith("no positive rows")
    p, y, w = binary(7)
    w[::3] = 0
    w[:2] = 1
    kept = w > 0
    assert choose_threshold(p, y, sample_weight=w) == choose_threshold(
        p[kept], y[kept], sample_weight=w[kept]
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"objective": "f3"}, "use one of 'f1'"),
        ({"objective": "cost"}, "needs costs"),
        ({"objective": "cost", "cost": (0, 1)}, "must cost more"),
        ({"objective": "cost", "cost": [[0, 1]]}, r"\(2, 2\)"),
        ({"objective": "f_beta", "beta": 0}, "beta must be"),
        ({"sample_weight": [-1, 1]}, "not negative"),
    ],
)
def test_bad_settings_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        choose_threshold([0.1, 0.9], [0, 1], **options)


@pytest.mark.parametrize("p", [[0.1, np.nan], [0.1, 1.5], [[0.1, 0.9], [0.5, 0.5]]])
def test_unsound_probabilities_are_refused(p):
    with pytest.raises(ValueError, match="probabilities must"):
        choose_threshold(p, [0, 1])


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(0, 1), st.sampled_from([0.0, 1.0, 0.3])),
        max_size=12,
    ),
    st.sampled_from(sorted(OBJECTIVES)),
)
@settings(max_examples=150, deadline=None)
def test_any_small_data_give_a_usable_threshold(rows, name):
    p, y, w = (np.array([r[i] for r in rows]) for i in range(3))
    t = choose_threshold(p, y.astype(int), name, cost=(3, 1), sample_weight=w)
    assert isinstance(t, Threshold)
    assert 0 <= t.value <= np.nextafter(1, 2)
    assert np.isnan(t.achieved) == bool(t.note)


# ------------------------------------------------------------------------------------- many classes


def many(seed, n=400):
    """Calibrated probabilities of a long tail."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3)) + np.log([0.8, 0.15, 0.05])
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return p, (p.cumsum(1) < rng.random((n, 1))).sum(1)


@pytest.mark.parametrize("objective", ["f1_macro", "balanced_accuracy"])
def test_multipliers_equal_trying_every_tau(objective):
    p, y = many(0)
    prior = np.bincount(y) / len(y)
    measure = {
        "f1_macro": lambda d: f1_score(y, d, average="macro"),
        "balanced_accuracy": lambda d: balanced_accuracy_score(y, d),
    }
    tried = {t: measure[objective]((p / prior**t).argmax(1)) for t in np.linspace(0, 1.5, 31)}
    chosen = choose_class_multipliers(p, y, objective)
    assert chosen.achieved == pytest.approx(max(tried.values()))
    assert chosen.achieved == pytest.approx(measure[objective](chosen.decide(p)))
    assert chosen.achieved > tried[0]


def test_the_bayes_rule_of_balanced_accuracy_is_found():
    p, y = many(1, n=100_000)
    chosen = choose_class_multipliers(p, y, "balanced_accuracy")
    m = np.array(chosen.multipliers) * np.bincount(y) / len(y)
    np.testing.assert_allclose(m / m[0], 1, rtol=0.35)  # tau near 1: multipliers near 1 / prior


def test_balanced_classes_need_no_multipliers():
    p, y = np.eye(3)[[0, 1, 2] * 5] * 0.7 + 0.1, np.array([0, 1, 2] * 5)
    assert choose_class_multipliers(p, y).multipliers == (1, 1, 1)


def test_least_expected_cost_needs_no_choice():
    cost = np.array([[0, 1, 1], [5, 0, 5], [40, 40, 0]])
    p, y = many(2)
    chosen = choose_decision(p, y, "cost", cost=cost)
    naive = [min(range(3), key=lambda k: sum(row[c] * cost[c, k] for c in range(3))) for row in p]
    np.testing.assert_array_equal(chosen.decide(p), naive)
    assert chosen.achieved == pytest.approx(np.mean([cost[t, k] for t, k in zip(y, naive)]))
    np.testing.assert_array_equal(
        choose_decision(p, y, "cost", cost=1 - np.eye(3)).decide(p), p.argmax(1)
    )  # equal mistakes


def test_absent_classes_are_said_and_do_not_win_every_row():
    p, y = many(3)
    rows = y != 2
    chosen = choose_class_multipliers(p[rows], y[rows])
    assert "[2]" in chosen.note
    assert (chosen.decide(p) != 2).mean() > 0.5
    alone = choose_class_multipliers(p, np.zeros(len(y), int))
    assert alone.multipliers == (1, 1, 1)
    assert "fewer than two classes" in alone.note
    assert np.isnan(choose_class_multipliers(p[:0], y[:0], "cost", cost=np.eye(3)).achieved)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"objective": "g_mean"}, "several classes"),
        ({"objective": "cost"}, "needs costs"),
        ({"prior": [1, 1]}, "each of the 3 classes"),
    ],
)
def test_bad_settings_for_classes_are_refused(options, said):
    p, y = many(4)
    with pytest.raises(ValueError, match=said):
        choose_class_multipliers(p, y, **options)


# -------------------------------------------------------------------------------------- one decision


@pytest.mark.parametrize("objective", ["f1", "balanced_accuracy", "g_mean", "cost"])
def test_the_positive_class_may_be_either(objective):
    p, y, _ = binary(5, decimals=6)
    cost = np.array([[0, 2], [9, 0]])
    one = choose_decision(np.stack([1 - p, p], 1), y, objective, cost=cost)
    other = choose_decision(np.stack([p, 1 - p], 1), 1 - y, objective, positive=0, cost=cost[::-1, ::-1])
    assert one.threshold == other.threshold
    assert one.achieved == other.achieved
    np.testing.assert_array_equal(
        one.decide(np.stack([1 - p, p], 1)), 1 - other.decide(np.stack([p, 1 - p], 1))
    )
    t = choose_threshold(p, y, objective, cost=(9, 2))
    assert (t.value, t.achieved) == (one.threshold, one.achieved)


def test_f1_becomes_macro_beyond_two_classes():
    p, y = many(5)
    assert choose_decision(p, y, "f1") == choose_class_multipliers(p, y, "f1_macro")


@pytest.mark.parametrize(
    "decision",
    [
        Decision("f1", 0.7, threshold=0.1 + 0.2, positive=0, note="x"),
        Decision("f1", float("nan"), threshold=0.5),
        Decision("f1_macro", 1 / 3, multipliers=(1.0, 2.7, 0.1)),
        Decision("cost", 2.5, cost=((0.0, 1.0, 2.0), (3.0, 0.0, 1 / 3), (1.0, 1.0, 0.0))),
    ],
)
def test_json_keeps_every_bit(decision):
    text = json.dumps(decision.to_dict(), allow_nan=False)
    back = Decision.from_dict(json.loads(text))
    assert back.to_dict() == decision.to_dict()
    assert (back == decision) or np.isnan(decision.achieved)
    p = np.random.default_rng(0).dirichlet(np.ones(2 if decision.threshold else 3), 20)
    np.testing.assert_array_equal(back.decide(p), decision.decide(p))


def test_a_decision_has_one_rule_and_fits_its_classes():
    with pytest.raises(ValueError, match="one of threshold, multipliers and cost"):
        Decision("f1", 0.5)
    with pytest.raises(ValueError, match="one of threshold, multipliers and cost"):
        Decision("f1", 0.5, threshold=0.5, multipliers=(1.0, 1.0))
    with pytest.raises(ValueError, match="positive must be 0 or 1"):
        Decision("f1", 0.5, threshold=0.5, positive=2)
    with pytest.raises(ValueError, match="positive must be 0 or 1"):
        choose_decision([[0.5, 0.5]], [0], positive=2)
    for d in (
        Decision("f1", 0, threshold=0.5),
        Decision("f1", 0, multipliers=(1.0, 1.0)),
        Decision("cost", 0, cost=((0, 1), (1, 0))),
    ):
        with pytest.raises(ValueError, match="for 2 classes, but 3"):
            d.decide(np.full((1, 3), 1 / 3))
        with pytest.raises(ValueError, match="NaN"):
            d.decide([[np.nan, 1.0]])


@pytest.mark.parametrize("objective", ["f1_macro", "balanced_accuracy"])
@pytest.mark.parametrize("seed", range(4))
def test_a_multiplier_for_each_class_never_does_worse_and_rests_where_no_single_one_can_be_bettered(
    seed, objective
):
    rng = np.random.default_rng(seed)
    y = rng.choice(4, 120, p=[0.6, 0.25, 0.1, 0.05])
    y[:4] = range(4)
    p = rng.dirichlet([1.5, 1, 0.6, 0.4], size=120) + 0.6 * np.eye(4)[y]
    p /= p.sum(1, keepdims=True)
    w = rng.random(120) + 0.1
    one = choose_class_multipliers(p, y, objective, sample_weight=w)
    each = choose_class_multipliers(p, y, objective, sample_weight=w, per_class=True)
    assert each.achieved >= one.achieved - 1e-12

    def value(m):
        label = (p * m).argmax(1)
        if objective == "f1_macro":
            return f1_score(y, label, average="macro", sample_weight=w)
        return balanced_accuracy_score(y, label, sample_weight=w)

    m = np.array(each.multipliers)
    assert each.achieved == pytest.approx(value(m), abs=1e-12)
    for c in range(4):
        rest = np.where(np.arange(4) == c, -1, p * m).max(1) / p[:, c]
        for t in np.unique(rest):
            for nudge in (1 - 1e-9, 1 + 1e-9):
                assert value(np.where(np.arange(4) == c, t * nudge, m)) <= each.achieved + 1e-9


def test_a_multiplier_for_each_class_leaves_absent_classes_and_separated_ones_alone():
    p = np.array([[0.9, 0.05, 0.05], [0.1, 0.85, 0.05]] * 5)
    found = choose_class_multipliers(p, [0, 1] * 5, per_class=True)
    assert found.achieved == 1
    assert found.multipliers == choose_class_multipliers(p, [0, 1] * 5).multipliers
