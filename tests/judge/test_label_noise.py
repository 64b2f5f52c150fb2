"""Metrics under label errors: closed forms, the way back, choices; and a metric against the prior."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.adjust.prior import shift_prior
from metabalance.judge import (
    LabelErrors,
    PriorCurve,
    annotation_matrix,
    average_precision,
    confusion,
    confusion_table,
    corrected_confusion,
    corrected_metric,
    expected_under_noise,
    flip_labels,
    get_metric,
    label_errors,
    lexicographic_best,
    metric_against_prior,
    metric_of_table,
    noisy_auc,
    noisy_confusion,
    ranking_stability,
    roc_auc,
)
from metabalance.judge.reweighted import evaluator

PI = 492 / 284807
DECISION = (
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "f2",
    "g_mean",
    "balanced_accuracy",
    "mcc",
)
SHARES = st.floats(0.01, 0.99)
RATE = st.floats(0.0, 0.45)


def scored(seed=0, n=4000, share=0.1, gap=1.5):
    rng = np.random.default_rng(seed)
    y = (rng.uniform(size=n) < share).astype(int)
    z = rng.normal(size=n) + gap * y
    return 1 / (1 + np.exp(-z)), y


# -------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(
    ("rates", "noise", "expected"),
    [  # the card's table: accuracy, precision, recall, G-mean, F1, MCC
        ((1, 0), (0.2, 0), (0.9997, 0.800, 1, 0.9998, 0.889, 0.894)),
        ((1, 0), (0, 0.001), (0.9990, 1, 0.634, 0.796, 0.776, 0.796)),
        ((0.8, 0.001), (0, 0), (0.9987, 0.581, 0.800, 0.894, 0.673, 0.681)),
        ((0.8, 0.001), (0.2, 0.001), (0.9975, 0.465, 0.465, 0.681, 0.465, 0.464)),
        ((0.9, 0.01), (0, 0), (0.9898, 0.135, 0.900, 0.944, 0.234, 0.346)),
    ],
)
def test_the_cards_table(rates, noise, expected):
    table = noisy_confusion(confusion_table(PI, *rates), noise)
    names = ("accuracy", "precision", "recall", "g_mean", "f1", "mcc")
    for name, value in zip(names, expected):
        assert metric_of_table(name, table) == pytest.approx(value, abs=5.1e-4), name


def test_never_alerting_is_accurate_and_finds_nothing():
    table = noisy_confusion(confusion_table(PI, 0, 0), (0.3, 0.001))
    assert metric_of_table("accuracy", table) == pytest.approx(
        1 - label_errors(PI, (0.3, 0.001)).observed_prevalence
    )
    assert metric_of_table("accuracy", confusion_table(PI, 0, 0)) == pytest.approx(0.99827, abs=5e-6)
    assert (
        metric_of_table("f1", table) == metric_of_table("g_mean", table) == metric_of_table("mcc", table) == 0
    )
    assert math.isnan(metric_of_table("precision", table))


@settings(max_examples=150, deadline=None)
@given(SHARES, SHARES, SHARES, RATE, RATE)
def test_the_observed_table_is_the_cards_and_each_factor_is_one_of_the_labels(pi, t, f, alpha, gamma):
    table = confusion_table(pi, t, f)
    seen = noisy_confusion(table, (alpha, gamma))
    card = [
        [
            pi * (1 - t) * alpha + (1 - pi) * (1 - f) * (1 - gamma),
            pi * t * alpha + (1 - pi) * f * (1 - gamma),
        ],
        [
            pi * (1 - t) * (1 - alpha) + (1 - pi) * (1 - f) * gamma,
            pi * t * (1 - alpha) + (1 - pi) * f * gamma,
        ],
    ]
    np.testing.assert_allclose(seen, card, atol=1e-14)
    np.testing.assert_allclose(seen.sum(0), table.sum(0), atol=1e-14)  # predictions are free of noise
    errors = label_errors(pi, (alpha, gamma))
    assert isinstance(errors, LabelErrors)
    assert errors.observed_prevalence == pytest.approx(seen[1].sum())
    before, after = ({m: metric_of_table(m, x) for m in DECISION} for x in (table, seen))
    assert after["mcc"] == pytest.approx(before["mcc"] * errors.correlation, abs=1e-9)
    shrunk = errors.shrinkage * (before["balanced_accuracy"] - 0.5)
    assert after["balanced_accuracy"] - 0.5 == pytest.approx(shrunk, abs=1e-9)
    assert after["precision"] == pytest.approx(gamma + (1 - alpha - gamma) * before["precision"], abs=1e-9)
    a, b = errors.wrong_positives, errors.wrong_negatives
    assert after["recall"] == pytest.approx((1 - a) * t + a * f, abs=1e-9)
    assert after["specificity"] == pytest.approx((1 - b) * (1 - f) + b * (1 - t), abs=1e-9)
    labels = noisy_confusion([[1 - pi, 0], [0, pi]], (alpha, gamma))  # labels as predictions of the truth
    assert metric_of_table("mcc", labels) == pytest.approx(errors.correlation, abs=1e-9)
    np.testing.assert_allclose(corrected_confusion(seen, (alpha, gamma)), table, atol=1e-12)


def test_limits_of_one_kind_of_error():
    table = confusion_table(0.02, 0.7, 0.01)
    missed, alarmed = noisy_confusion(table, (0.3, 0)), noisy_confusion(table, (0, 0.02))
    assert metric_of_table("recall", missed) == pytest.approx(0.7)
    assert metric_of_table("precision", missed) == pytest.approx(0.7 * metric_of_table("precision", table))
    p = metric_of_table("precision", table)
    assert metric_of_table("precision", alarmed) == pytest.approx(p + 0.02 * (1 - p))
    # False alarms as frequent as positives halve the recall of any good model.
    assert metric_of_table("recall", noisy_confusion(confusion_table(PI, 1, 0), (0, PI))) == pytest.approx(
        0.5, abs=1e-3
    )
    np.testing.assert_array_equal(noisy_confusion(table, (0, 0)), table)


def test_a_chance_classifier_stays_one():
    table = noisy_confusion(confusion_table(0.05, 0.3, 0.3), (0.2, 0.1))
    assert metric_of_table("mcc", table) == pytest.approx(0, abs=1e-12)
    assert metric_of_table("balanced_accuracy", table) == pytest.approx(0.5)
    assert metric_of_table("f1", confusion_table(0.05, 0.3, 0.3)) == pytest.approx(2 * 0.05 * 0.3 / 0.35)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "f1", "mcc", "brier"])
def test_the_expected_metric_is_the_mean_over_flipped_labels(metric):
    s, y = scored(n=20_000)
    rates = (0.25, 0.01)
    drawn = [get_metric(metric)(s, flip_labels(y, rates, seed=seed)[0]) for seed in range(40)]
    expected = expected_under_noise(metric, s, y, rates)
    assert np.mean(drawn) == pytest.approx(expected, abs=4 * np.std(drawn) / np.sqrt(40) + 2e-4)
    assert expected_under_noise(metric, s, y, (0, 0)) == pytest.approx(get_metric(metric)(s, y))


def test_the_area_shrinks_by_its_closed_form():
    s, y = scored(1)
    for rates in ((0.2, 0.0), (0.0, 0.05), (0.3, 0.1), (0.6, 0.5)):
        expected = noisy_auc(roc_auc(s, y), y.mean(), rates)
        assert expected_under_noise("roc_auc", s, y, rates) == pytest.approx(expected, abs=1e-12)


def test_three_classes():
    matrix = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])
    table = np.array([[800.0, 20, 30], [5, 90, 5], [2, 8, 40]])
    seen = noisy_confusion(table, matrix)
    naive = [[sum(matrix[i, k] * table[i, j] for i in range(3)) for j in range(3)] for k in range(3)]
    np.testing.assert_allclose(seen, naive)
    np.testing.assert_allclose(corrected_confusion(seen, matrix), table)
    y, prediction = (x.ravel() for x in np.indices((3, 3)))
    y, prediction = np.repeat(y, table.astype(int).ravel()), np.repeat(prediction, table.astype(int).ravel())
    given = [confusion(prediction, flip_labels(y, matrix, seed=seed)[0]) for seed in range(200)]
    np.testing.assert_allclose(np.mean(given, axis=0), seen, atol=2.0)
    many = np.repeat(np.arange(len(y)), 100)
    y, prediction = y[many], prediction[many]
    labels, _ = flip_labels(y, matrix)
    found = corrected_metric("balanced_accuracy", prediction, labels, matrix, n_boot=0)
    assert found.value == pytest.approx(metric_of_table("balanced_accuracy", table), abs=0.02)


# ----------------------------------------------------------------------------------------------- flipping


def test_flipped_labels_have_the_rates_and_say_which_are_wrong():
    y = np.repeat([0, 1], [60_000, 20_000])
    labels, wrong = flip_labels(y, {"miss": 0.3, "false_alarm": 0.02}, seed=1)
    assert ((labels != y) == wrong).all()
    assert wrong[y == 1].mean() == pytest.approx(0.3, abs=0.01)
    assert wrong[y == 0].mean() == pytest.approx(0.02, abs=0.002)
    assert (labels == flip_labels(y, (0.3, 0.02), seed=1)[0]).all()
    assert (labels != flip_labels(y, (0.3, 0.02), seed=2)[0]).any()
    assert not flip_labels(y, (0, 0))[1].any()
    assert flip_labels(y, (1, 1))[1].all()


def test_errors_on_hard_rows_keep_the_rate_and_break_the_closed_forms():
    s, y = scored(2, n=30_000)
    _, plain = flip_labels(y, (0.3, 0.0), seed=0)
    labels, tilted = flip_labels(y, (0.3, 0.0), seed=0, tilt=1.2 - s)  # those with low scores are missed
    assert tilted[y == 1].mean() == pytest.approx(plain[y == 1].mean(), abs=0.03)
    assert s[tilted].mean() < s[plain].mean() - 0.05
    # Misses among low scores flatter: the area on such labels exceeds even the true one.
    assert roc_auc(s, labels) > roc_auc(s, y) + 0.005
    assert noisy_auc(roc_auc(s, y), y.mean(), (0.3, 0.0)) < roc_auc(s, y)


def test_bad_rates_and_targets_are_named():
    for rates, message in (
        ((0.1, 1.2), "are shares"),
        ([[0.5, 0.4], [0, 1]], "each row of the matrix summing to 1"),
        ([0.1, 0.1, 0.1], r"\(miss, false_alarm\) or a matrix"),
        ({"misses": 0.1}, "holds 'misses'; its names are 'miss'"),
    ):
        with pytest.raises(ValueError, match=message):
            annotation_matrix(rates)
    with pytest.raises(ValueError, match="class indices from 0 to 1"):
        flip_labels([0, 2], (0.1, 0.1))
    with pytest.raises(ValueError, match="use a flatter tilt"):
        flip_labels([1, 1], (0.6, 0), tilt=[0, 2])
    with pytest.raises(ValueError, match="tilt must be"):
        flip_labels([1, 1], (0.6, 0), tilt=[0])
    with pytest.raises(ValueError, match="rates are for 2 classes"):
        noisy_confusion(np.eye(3), (0.1, 0.1))
    with pytest.raises(ValueError, match="judges scores"):
        metric_of_table("roc_auc", np.eye(2))
    with pytest.raises(ValueError, match="are shares, but"):
        confusion_table(1.2, 0.5, 0.5)
    with pytest.raises(ValueError, match="a prevalence between 0 and 1"):
        label_errors(0.0, (0.1, 0.1))
    assert math.isnan(label_errors(0.5, (1.0, 0.0)).correlation)  # "positive" is never said


# --------------------------------------------------------------------------------------------- correction


@pytest.mark.parametrize("metric", [*DECISION, "roc_auc", "average_precision", "precision@200"])
def test_without_errors_nothing_is_corrected(metric):
    s, y = scored(3)
    found = corrected_metric(metric, s, y, (0.0, 0.0), n_boot=0)
    assert found.value == pytest.approx(get_metric(metric)(s, y), abs=1e-12)


@pytest.mark.parametrize("metric", [*DECISION, "roc_auc", "average_precision", "precision@200"])
def test_the_correction_is_unbiased_where_the_plain_value_is_far_off(metric):
    s, y = scored(4, n=8000)
    rates = (0.3, 0.02)
    truth = get_metric(metric)(s, y)
    plain, corrected = [], []
    for seed in range(30):
        labels, _ = flip_labels(y, rates, seed=seed)
        plain.append(get_metric(metric)(s, labels))
        corrected.append(corrected_metric(metric, s, labels, rates, n_boot=0).value)
    error = np.std(corrected) / np.sqrt(len(corrected))
    assert np.mean(corrected) == pytest.approx(truth, abs=4 * error)
    assert abs(np.mean(plain) - truth) > 4 * error


def test_the_corrected_area_is_the_closed_form_turned_round():
    s, y = scored(5)
    rates = (0.2, 0.03)
    labels, _ = flip_labels(y, rates)
    true_share = (labels.mean() - 0.03) / (1 - 0.2 - 0.03)
    found = corrected_metric("auc", s, labels, rates, n_boot=0).value
    assert noisy_auc(found, true_share, rates) == pytest.approx(roc_auc(s, labels), abs=1e-12)


def test_average_precision_of_few_rows_is_corrected_without_the_bias_of_own_terms():
    """Over all labels that could have been given to eight rows, exactly."""
    s, y = np.arange(8.0), np.array([0, 0, 1, 0, 0, 1, 0, 1])
    alpha, gamma = 0.2, 0.1
    numerator = 0.0
    for code in range(256):
        labels = np.array([code >> i & 1 for i in range(8)])
        chance = np.prod(
            np.where(y == 1, np.where(labels == 1, 1 - alpha, alpha), np.where(labels == 1, gamma, 1 - gamma))
        )
        delta = (labels - gamma) / (1 - alpha - gamma)
        if delta.sum() <= 1e-9:
            numerator += (
                chance
                * sum(  # what the value would be, times the corrected number of positives
                    delta[i] * (delta[i + 1 :].sum() + 1) / (8 - i) for i in range(8)
                )
            )
            continue
        found = corrected_metric("average_precision", s, labels, (alpha, gamma), n_boot=0)
        direct = sum(delta[i] * (delta[i + 1 :].sum() + 1) / (8 - i) for i in range(8))
        if math.isfinite(found.value):
            assert found.value == pytest.approx(np.clip(direct / delta.sum(), 0, 1), abs=1e-9)
        else:
            assert delta.sum() >= 8 or not 0 <= direct / delta.sum() <= 1
        numerator += chance * direct
    assert numerator / 3 == pytest.approx(average_precision(s, y), abs=1e-12)


def test_the_interval_covers_the_truth():
    rates, hits = (0.3, 0.01), 0
    for seed in range(40):
        s, y = scored(100 + seed, n=3000)
        labels, _ = flip_labels(y, rates, seed=seed)
        found = corrected_metric("recall", s, labels, rates, n_boot=200)
        truth = 1 - 0.0668072  # of all scores above one half: a normal deviate above -1.5
        hits += found.low <= truth <= found.high
    assert hits >= 34  # of 40 at 95 %


def test_few_distinct_scores_change_neither_the_value_nor_the_interval():
    s, y = scored(20, n=1500)
    s = s.round(1)
    labels, _ = flip_labels(y, (0.2, 0.02))
    for metric in ("average_precision", "roc_auc", "f1"):
        found = corrected_metric(metric, s, labels, (0.2, 0.02), n_boot=200)
        alone = corrected_metric(metric, s, labels, (0.2, 0.02), n_boot=0)
        rows = corrected_metric(metric, s, labels, (0.2, 0.02), n_boot=200, groups=np.arange(1500))
        assert found.value == pytest.approx(alone.value, abs=1e-9)
        assert found.low < found.value < found.high
        assert found.high - found.low == pytest.approx(rows.high - rows.low, rel=0.3)


def test_impossible_rates_give_no_value_and_say_what_would_be_possible():
    prediction = np.repeat([0, 1], [900, 100])
    labels = np.concatenate([np.repeat([0, 1], [890, 10]), np.repeat([0, 1], [40, 60])])
    found = corrected_metric("recall", prediction, labels, (0.1, 0.05))
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert "the corrected count of class 1 called 0 is -41.2, below 0" in found.reason
    assert "a false-alarm rate is at most 0.01111 here, a miss rate at most 0.4" in found.reason
    assert corrected_metric("recall", prediction, labels, (0.4, 0.0111)).value > 0  # just inside
    assert "positives is" in corrected_metric("roc_auc", prediction / 2, labels, (0.0, 0.2)).reason
    none = corrected_metric("roc_auc", [0.1, 0.2], [0, 0], (0.0, 0.0))
    assert math.isnan(none.value)
    assert "corrected count of positives" in none.reason
    with pytest.raises(ValueError, match=r"miss rate 0.6 and the false-alarm rate 0.4 sum to 1"):
        corrected_metric("recall", prediction, labels, (0.6, 0.4))
    with pytest.raises(ValueError, match="say nothing about the truth; no correction"):
        corrected_confusion(np.eye(3), np.full((3, 3), 1 / 3))
    with pytest.raises(ValueError, match="'brier' is not corrected"):
        corrected_metric("brier", [0.1, 0.2], [0, 1], (0.1, 0.1))
    with pytest.raises(ValueError, match="for two classes, but the rates are for 3"):
        corrected_metric("roc_auc", [0.1, 0.2], [0, 1], np.eye(3))
    with pytest.raises(ValueError, match="corrected from decisions"):
        corrected_metric(
            get_metric("expected_cost", cost=[[0, 1], [9, 0]]), [0.1, 0.2], [0, 1], (0.1, 0.1), n_boot=0
        )


def test_a_count_below_zero_by_chance_is_called_chance():
    prediction, labels = np.repeat([0, 1], [900, 100]), np.repeat([0, 1, 0, 1], [895, 5, 14, 86])
    found = corrected_metric(
        "precision", prediction, labels, (0.2, 0.001)
    )  # 20 of 100 would be expected to be missed
    assert math.isnan(found.value)
    assert "class 0 called 1 is -7.51, below 0, which chance does" in found.reason
    many = corrected_metric("precision", prediction.repeat(100), labels.repeat(100), (0.2, 0.001))
    assert "these rates do not fit the data" in many.reason


def test_resamples_that_contradict_the_rates_are_counted():
    prediction = np.repeat([0, 1], [900, 100])
    labels = np.concatenate([np.repeat([0, 1], [889, 11]), np.repeat([0, 1], [40, 60])])
    found = corrected_metric("recall", prediction, labels, (0.1, 0.012), n_boot=300)
    assert found.value > 0.98
    assert "there a corrected count is below 0" in found.reason


def test_expected_cost_of_decisions_is_corrected():
    prediction, y = np.array([0] * 900 + [1] * 100), np.array([0] * 880 + [1] * 20 + [0] * 30 + [1] * 70)
    metric = get_metric("expected_cost", cost=[[0, 1], [50, 0]])
    seen = [
        corrected_metric(
            metric, prediction, flip_labels(y, (0.2, 0.0), seed=i)[0], (0.2, 0.0), n_boot=0
        ).value
        for i in range(200)
    ]
    assert np.mean(seen) == pytest.approx(1.03, abs=0.03)


# ------------------------------------------------------------------------------------------------- choice


def pool(seed=0, n=300):
    rng = np.random.default_rng(seed)
    return [confusion_table(PI, t, f) for t, f in zip(rng.uniform(size=n), 10 ** rng.uniform(-5, -1, n))]


def test_noise_keeps_the_order_of_some_metrics_and_not_of_f1_and_g_mean():
    tau = ranking_stability(pool(), (0.3, 0.002), DECISION)
    assert tau["mcc"] == tau["balanced_accuracy"] == tau["precision"] == 1
    for name in ("f1", "g_mean", "recall", "accuracy"):
        assert 0.4 < tau[name] < 0.99, name
    assert set(ranking_stability(pool(), (0, 0), DECISION).values()) == {1.0}
    assert math.isnan(ranking_stability(pool(n=1), (0, 0), ["f1"])["f1"])


def test_g_mean_is_nearly_blind_to_false_alarms_at_this_prevalence():
    quiet, loud = confusion_table(PI, 0.9, 1e-4), confusion_table(PI, 0.9, 1e-2)
    for name, before, after in (("g_mean", 0.949, 0.944), ("precision", 0.94, 0.135), ("f1", 0.919, 0.234)):
        assert metric_of_table(name, quiet) == pytest.approx(before, abs=1e-3)
        assert metric_of_table(name, loud) == pytest.approx(after, abs=1e-3)


def test_g_mean_breaks_a_tie_of_f1():
    tables = {"quiet": confusion_table(PI, 0.369, 9.2e-5), "loud": confusion_table(PI, 0.942, 0.0029)}
    values = {k: {m: metric_of_table(m, t) for m in ("f1", "g_mean")} for k, t in tables.items()}
    assert values["quiet"]["f1"] == pytest.approx(values["loud"]["f1"], abs=2e-3)
    assert lexicographic_best(values) == "loud"
    assert lexicographic_best(values, ("g_mean", "f1"), tolerance=0.5) == max(
        values, key=lambda k: values[k]["f1"]
    )


def test_lexicographic_order():
    values = {"a": {"x": 0.9, "y": 0.1}, "b": {"x": 0.898, "y": 0.5}, "c": {"x": 0.5, "y": 0.9}}
    assert lexicographic_best(values, ("x", "y"), tolerance=0.01) == "b"
    assert lexicographic_best(values, ("x", "y"), tolerance=0.0) == "a"
    assert lexicographic_best(values, ("y",)) == "c"
    assert lexicographic_best(values | {"d": {"x": math.nan, "y": 1.0}}, ("x", "y"), tolerance=0.01) == "b"
    with pytest.raises(ValueError, match="it takes a model"):
        lexicographic_best({})


# --------------------------------------------------------------------------------------- against the prior

EVERY = (*DECISION, "roc_auc", "average_precision", "brier", "log_loss", "precision@300")


@pytest.mark.parametrize("metric", EVERY)
def test_weighting_is_what_copies_of_rows_would_do(metric):
    s, y = scored(6, n=1200, share=0.25)
    rows = np.concatenate([np.flatnonzero(y == 0).repeat(3), np.flatnonzero(y == 1)])
    copied = y[rows].mean()
    curve = metric_against_prior(s, y, metric, [y.mean(), copied], n_boot=0)
    assert isinstance(curve, PriorCurve)
    assert curve.value[0] == pytest.approx(get_metric(metric)(s, y), abs=1e-9)
    expected = get_metric(metric)(s[rows], y[rows])
    if metric != "precision@300":  # a budget counts rows, and copies are more of them
        assert curve.value[1] == pytest.approx(expected, abs=1e-9)


def test_the_area_does_not_move_and_average_precision_falls():
    s, y = scored(7)
    area = metric_against_prior(s, y, "roc_auc", n_boot=0)
    np.testing.assert_allclose(area.value, roc_auc(s, y), atol=1e-9)
    np.testing.assert_allclose(
        metric_against_prior(s, y, "recall", n_boot=0).value, get_metric("recall")(s, y)
    )
    precision = metric_against_prior(s, y, "average_precision", n_boot=0)
    assert (np.diff(precision.value) < 0).all()
    assert precision.ratios[0] == 1
    assert precision.ratios[-1] == pytest.approx(1000)
    recall, alarms = s[y == 1] > 0.5, s[y == 0] > 0.5
    p = metric_against_prior(s, y, "precision", [0.01], n_boot=0).value[0]
    assert p == pytest.approx(0.01 * recall.mean() / (0.01 * recall.mean() + 0.99 * alarms.mean()))


@pytest.mark.parametrize("metric", ["average_precision", "f1", "brier"])
def test_the_interval_is_that_of_drawing_rows_class_by_class(metric):
    s, y = scored(8, n=900)
    curve = metric_against_prior(s, y, metric, [0.5, 0.02], n_boot=150, seed=3)
    rng, drawn = np.random.default_rng(3), []
    for _ in range(150):
        rows = np.concatenate(
            [m[rng.integers(len(m), size=len(m))] for m in (np.flatnonzero(y == c) for c in (0, 1))]
        )
        a, b, values = s[rows], y[rows], []
        for prior in (0.5, 0.02):
            w = np.where(b == 1, prior / b.mean(), (1 - prior) / (1 - b.mean()))
            values.append(get_metric(metric)(a, b, w))
        drawn.append(values)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(curve.low, low, atol=1e-9)
    np.testing.assert_allclose(curve.high, high, atol=1e-9)
    assert (curve.low <= curve.value).all()
    assert (curve.value <= curve.high).all()


def test_drawn_test_sets_agree_with_weights_and_are_less_sure():
    s, y = scored(9, n=6000, share=0.2)
    priors = [0.5, 0.05, 0.01]
    exact = metric_against_prior(s, y, "average_precision", priors, n_boot=150)
    drawn = metric_against_prior(s, y, "average_precision", priors, how="resample", n_boot=150)
    np.testing.assert_allclose(drawn.value, exact.value, atol=0.03)
    assert drawn.high[2] - drawn.low[2] > exact.high[2] - exact.low[2]
    n_neg = int((y == 0).sum())
    assert drawn.rows[2] == pytest.approx(n_neg / 0.99, abs=2)
    assert drawn.rows[0] == 2 * y.sum()


def test_told_of_the_prior_probabilities_move():
    s, y = scored(10, n=3000, share=0.3)
    priors = [0.5, 0.05]
    told = metric_against_prior(s, y, "log_loss", priors, shift=True, n_boot=0)
    blind = metric_against_prior(s, y, "log_loss", priors, n_boot=0)
    by_hand = metric_against_prior(s, y, "log_loss", priors, shift=shift_prior, n_boot=0)
    np.testing.assert_allclose(told.value, by_hand.value)
    assert told.value[1] < blind.value[1]
    assert told.shifted
    assert not blind.shifted
    same = metric_against_prior(s, y, "f1", [y.mean()], shift=True, n_boot=0)
    assert same.value[0] == pytest.approx(get_metric("f1")(s, y))
    p = shift_prior(np.stack([1 - s, s], 1), [1 - y.mean(), y.mean()], [0.95, 0.05])
    weight = np.where(y == 1, 0.05 / y.mean(), 0.95 / (1 - y.mean()))
    moved = metric_against_prior(s, y, "f1", [0.05], shift=True, n_boot=0).value[0]
    assert moved == pytest.approx(get_metric("f1")(p, y, weight))


def test_more_classes_take_a_share_for_each():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    p = rng.dirichlet([1, 1, 1], 600) * 0.5 + 0.5 * np.eye(3)[y] * rng.uniform(size=(600, 1))
    p /= p.sum(1, keepdims=True)
    prior = np.array([0.7, 0.2, 0.1])
    curve = metric_against_prior(p, y, "f1", [prior], n_boot=20)
    weight = (prior / np.bincount(y) * len(y))[y]
    assert curve.value[0] == pytest.approx(get_metric("f1")(p, y, weight))
    assert curve.ratios[0] == pytest.approx(7)
    ranked = metric_against_prior(p, y, "average_precision", [prior], n_boot=0)
    assert ranked.value[0] == pytest.approx(average_precision(p, y, weight))
    with pytest.raises(ValueError, match="the priors of 3 classes have no default"):
        metric_against_prior(p, y, "f1")


def test_one_pass_over_weights_serves_all_priors():
    s, y = scored(13, n=400)
    priors = np.array([[0.5, 0.5], [0.99, 0.01]])
    w = np.random.default_rng(0).integers(0, 3, 400)
    for name in ("average_precision", "recall", "brier"):
        values = evaluator(get_metric(name), [s, s], y, priors, False)(w)
        share = np.array([w[y == c].sum() for c in (0, 1)]) / w.sum()
        expected = [get_metric(name)(s, y, w * (prior / share)[y]) for prior in priors]
        np.testing.assert_allclose(values, expected, atol=1e-12)
    assert np.isnan(evaluator(get_metric("average_precision"), [s, s], y, priors, False)(w * (1 - y))).all()


def test_costs_are_weighed_at_each_prior():
    s, y = scored(11, n=800)
    metric = get_metric("expected_cost", cost=[[0, 1], [30, 0]])
    curve = metric_against_prior(s, y, metric, [0.2], n_boot=0)
    share = y.mean()
    assert curve.value[0] == pytest.approx(metric(s, y, np.where(y == 1, 0.2 / share, 0.8 / (1 - share))))


def test_a_curve_is_ready_for_json_and_says_what_it_lacks():
    s, y = scored(12, n=300)
    curve = metric_against_prior(s, y, "precision", [0.0, 0.5, 1.0], n_boot=30)
    record = json.loads(json.dumps(curve.as_dict()))
    assert record["value"][0] is None
    assert record["value"][2] == pytest.approx(1.0)
    assert record["metric"] == "precision"
    assert len(record["priors"]) == 3
    ones = metric_against_prior([0.2, 0.3, 0.9], [0, 1, 0], "roc_auc", [0.5], n_boot=10)
    assert np.isfinite(ones.value).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"priors": [1.2]}, "priors are shares"),
        ({"priors": [[0.5, 0.2]]}, "summing to 1"),
        ({"how": "guess"}, "how='guess' is unknown"),
        ({"how": "resample", "sample_weight": [1, 1, 1]}, "use how='reweight'"),
        ({"target": [0, 0, 0]}, "class 1 has no rows"),
        ({"target": [0, 1]}, "target must be class indices"),
        ({"scores": [0.1, 2.0, 0.3], "shift": True}, "must be probabilities"),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    given = {"scores": [0.1, 0.2, 0.3], "target": [0, 0, 1], "metric": "f1", "n_boot": 0} | change
    with pytest.raises(ValueError, match=message):
        metric_against_prior(**given)
