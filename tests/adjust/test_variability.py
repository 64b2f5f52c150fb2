"""Variability of thresholds: none where nothing can change, shrinking with rows, and failures counted."""

import numpy as np
import pytest

from metabalance.adjust import (
    ThresholdVariability,
    choose_constrained,
    choose_threshold,
    threshold_variability,
)
from metabalance.adjust.variability import stratified_folds


def f1(p, y, w):
    return choose_threshold(p, y, "f1", sample_weight=w).value


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 10 == 0).astype(int)
    return np.clip(rng.normal(0.3 + 0.3 * y, 0.15), 0, 1), y


def test_copies_of_two_rows_always_give_the_same_threshold():
    found = threshold_variability(f1, [0.2] * 20 + [0.8] * 20, [0] * 20 + [1] * 20)
    assert isinstance(found, ThresholdVariability)
    assert (found.low, found.high, found.failed) == (0.5, 0.5, 0)


def test_more_rows_move_it_less_and_the_interval_holds_the_limit():
    narrow = [threshold_variability(f1, *rows(n)) for n in (100, 10_000)]
    assert narrow[1].high - narrow[1].low < narrow[0].high - narrow[0].low
    truth = f1(*rows(1_000_000, seed=9), None)
    assert narrow[1].low <= truth <= narrow[1].high


def test_folds_choose_on_what_they_leave():
    p, y = rows(200)
    found = threshold_variability(f1, p, y, folds=4, seed=3)
    fold = stratified_folds(y, 4, seed=3)
    expected = [f1(p[fold != k], y[fold != k], None) for k in range(4)]
    np.testing.assert_array_equal(found.values, expected)


def test_folds_share_each_class_and_sizes():
    y = np.repeat([0, 1, 2], [50, 5, 3])
    fold = stratified_folds(y, 5, seed=0)
    assert np.ptp(np.bincount(fold, minlength=5)) <= 1
    for c in range(3):
        assert np.ptp(np.bincount(fold[y == c], minlength=5)) <= 1


def test_what_is_not_attainable_counts_as_failed():
    p, y = rows(100)

    def strict(p, y, w):
        found = choose_constrained(p, y, "recall@precision>=0.95", sample_weight=w)
        return found.value if found.attainable and found.achieved > 0.3 else np.nan

    found = threshold_variability(strict, p, y)
    assert 0 < found.failed < 1
    never = threshold_variability(lambda p, y, w: np.nan, p, y)
    assert never.failed == 1
    assert np.isnan([never.low, never.high]).all()


@pytest.mark.parametrize("options", [{"level": 1}, {"n_boot": 1}, {"folds": 1}])
def test_bad_settings_are_refused(options):
    with pytest.raises(ValueError, match="must lie"):
        threshold_variability(f1, [0.1, 0.9], [0, 1], **options)
