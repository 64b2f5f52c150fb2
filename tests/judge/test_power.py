"""How many positives: each formula against simulation, and its limits."""

import math

import numpy as np
import pytest
from scipy import stats

from metabalance.judge import f_beta, get_metric, positives_needed, positives_to_tell, wilson_interval
from metabalance.judge.power import _NEEDED

RATES = ("recall", "precision")


@pytest.mark.parametrize("metric", RATES)
def test_a_rate_needs_what_wilsons_interval_needs(metric):
    m = positives_needed(metric, 0.75, 0.1)
    widths = [(w.high - w.low) / 2 for w in (wilson_interval(0.75 * n, n) for n in (m - 1, m))]
    assert widths[1] <= 0.1 < widths[0]


def test_specificity_counts_negatives_and_accuracy_all_rows():
    rows = positives_needed("recall", 0.9, 0.01)
    assert positives_needed("specificity", 0.9, 0.01, prevalence=0.1) == math.ceil(rows / 9)
    assert positives_needed("accuracy", 0.9, 0.01, prevalence=0.1) == math.ceil(rows / 10)


def test_hanley_and_mcneils_variance_is_that_of_two_exponentials():
    # Their Q1 and Q2 hold for exponential scores: area 0.8 where the positives' rate is a quarter.
    rng, m, n = np.random.default_rng(0), 60, 120
    areas = []
    for _ in range(3000):
        ranks = stats.rankdata(np.concatenate([rng.exponential(4, m), rng.exponential(1, n)]))[:m]
        areas.append((ranks.sum() - m * (m + 1) / 2) / (m * n))
    assert np.mean(areas) == pytest.approx(0.8, abs=0.003)
    assert _NEEDED["roc_auc"](m, 0.8, n / m, 1.0) == pytest.approx(np.std(areas), rel=0.05)


def test_more_negatives_help_up_to_a_limit():
    needed = [positives_needed("auc", 0.9, 0.03, prevalence=p) for p in (0.9, 0.5, 0.1, 0.001)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == pytest.approx(positives_needed("auc", 0.9, 0.03), abs=1)


def test_f1s_standard_error_by_simulation():
    # Precision and recall both 0.6: 60 of 100 found, and 40 false alarms, on average.
    rng, values = np.random.default_rng(0), []
    for _ in range(4000):
        hits, alarms = rng.binomial(100, 0.6), rng.poisson(40)
        values.append(2 * hits / (100 + hits + alarms))
    assert _NEEDED["f1"](100, 0.6, math.inf, 1.0) == pytest.approx(np.std(values), rel=0.04)
    labels, y = [1] * 6 + [0] * 4 + [1] * 4, [1] * 10 + [0] * 4
    assert f_beta(labels, y) == pytest.approx(0.6)  # that is what such counts give


@pytest.mark.parametrize(("name", "recall"), [("balanced_accuracy", 0.6), ("g_mean", 0.64)])
def test_metrics_of_both_classes_are_safe(name, recall):
    rng = np.random.default_rng(0)
    found = rng.binomial(200, recall, 5000) / 200
    values = (1 + found) / 2 if name == "balanced_accuracy" else np.sqrt(found)
    stated = _NEEDED[name](200, float(values.mean()), math.inf, 1.0)
    assert 0.97 * values.std() <= stated < 1.1 * values.std()


def test_average_precision_is_safe_for_two_normals():
    rng, y, metric = np.random.default_rng(0), np.repeat([1, 0], [100, 2000]), get_metric("average_precision")
    values = [metric(rng.normal(size=len(y)) + 2.5 * y, y) for _ in range(300)]
    stated = _NEEDED["average_precision"](100, float(np.mean(values)), math.inf, 1.0)
    assert 0.95 * np.std(values) < stated < 1.4 * np.std(values)


@pytest.mark.parametrize("metric", sorted(_NEEDED))
def test_half_the_width_takes_about_four_times_the_positives(metric):
    few, many = (positives_needed(metric, 0.8, w, prevalence=0.3) for w in (0.02, 0.01))
    assert many == pytest.approx(4 * few, rel=0.1)


def test_the_answer_is_at_least_one():
    assert positives_needed("recall", 0.5, 0.9) == 1


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("mcc", 0.5, 0.1), {}, "no formula for 'mcc'"),
        (("recal", 0.5, 0.1), {}, "did you mean 'recall'"),
        (("recall", 1.0, 0.1), {}, "value must lie"),
        (("recall", 0.5, 0.0), {}, "half_width must be above 0"),
        (("recall", 0.5, math.nan), {}, "half_width must be above 0"),
        (("recall", 0.5, 1e-9), {}, "ask for less"),
        (("recall", 0.5, 0.1), {"level": 95}, "level must lie"),
        (("specificity", 0.5, 0.1), {}, "give prevalence"),
        (("auc", 0.5, 0.1), {"prevalence": 1.0}, "prevalence must lie"),
    ],
)
def test_bad_plans_are_refused(arguments, options, said):
    with pytest.raises(ValueError, match=said):
        positives_needed(*arguments, **options)


def test_the_promised_power_is_reached():
    # A difference of 0.5 with standard error 0.5 at 4 positives: one unit of spread to a positive.
    m = positives_to_tell(0.5, 0.5, 4)
    assert m == math.ceil(4 * (1.959964 + 0.841621) ** 2)
    z = 0.5 / (1 / math.sqrt(m))
    assert stats.norm.sf(1.959964 - z) == pytest.approx(0.8, abs=0.01)


def test_more_comparisons_ask_for_more_and_no_difference_for_all():
    assert positives_to_tell(0.1, 0.1, 50, comparisons=5) > positives_to_tell(0.1, 0.1, 50)
    assert positives_to_tell(0.0, 0.1, 50) == math.inf
    assert positives_to_tell(-0.1, 0.1, 50) == positives_to_tell(0.1, 0.1, 50)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((0.1, 0.0, 5), {}),
        ((0.1, 0.1, 0), {}),
        ((0.1, 0.1, 5), {"power": 1.0}),
        ((0.1, 0.1, 5), {"level": 0}),
    ],
)
def test_bad_tests_are_refused(arguments, options):
    with pytest.raises(ValueError, match="must"):
        positives_to_tell(*arguments, **options)
