"""Operating points: every count is that of the rows, and nothing that could be best is left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_curve

from metabalance.study.points import OperatingPoints, operating_points, thinned


def many(rows=30_000, seed=0, share=0.02):
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < share).astype(int)
    return 1 / (1 + np.exp(-(rng.normal(size=rows) + 2 * truth - 3))), truth


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6, allow_subnormal=False), st.integers(0, 1), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    )
)
def test_counts_are_those_of_the_rows(rows):
    scores, truth, weight = (np.array(column, dtype=float) for column in zip(*rows))
    points = operating_points(scores, truth, weight)
    assert points.exact
    assert len(points.score) == len(np.unique(scores)) + 1
    for i, threshold in enumerate(points.threshold):
        called = scores >= threshold
        assert (called == (scores >= points.score[i])).all(), "the written threshold decides the same"
        assert points.true[i] == (weight * truth)[called].sum()
        assert points.false[i] == (weight * (1 - truth))[called].sum()
    for asked in [*scores, 0.0, -1e7, 1e7]:
        i = points.at(asked)
        assert ((scores >= points.score[i]) == (scores >= asked)).all()


def test_curves_are_scikit_learns():
    scores, truth = many(300, share=0.2)
    curves = operating_points(scores, truth).curves()
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert curves["roc"] == [pytest.approx(fpr, abs=1e-6), pytest.approx(tpr, abs=1e-6)]
    precision, recall, _ = precision_recall_curve(truth, scores)
    x, y = curves["pr"]
    assert x[1:] == pytest.approx(recall[-2::-1], abs=1e-6)
    assert y[1:] == pytest.approx(precision[-2::-1], abs=1e-6)
    assert curves["gain"][1][-1] == 1
    assert curves["lift"][1][-1] == pytest.approx(1)


def test_net_benefit_is_the_formula_of_the_paper():
    scores, truth = many(500, share=0.2)
    x, y = operating_points(scores, truth).curves()["net_benefit"]
    for t, benefit in list(zip(x, y))[::37]:
        called = scores >= t
        expected = (called & (truth == 1)).mean() - (called & (truth == 0)).mean() * t / (1 - t)
        assert benefit == pytest.approx(expected, abs=1e-6)
    assert y[0] == pytest.approx(truth.mean(), abs=1e-6), "at zero, everybody is called"


def test_thinned_points_keep_the_best_for_any_costs_and_any_f():
    scores, truth = many()
    every, few = operating_points(scores, truth, most=10**6), operating_points(scores, truth)
    assert every.exact
    assert not few.exact
    assert len(few.score) <= 2_000
    for fn in (0.5, 1, 3, 20, 100, 1000):
        assert few.cost(fn=fn).min() == every.cost(fn=fn).min()
    assert np.nanmax(few.f1()) == np.nanmax(every.f1())
    assert (few.positives, few.negatives) == (every.positives, every.negatives)
    index = np.searchsorted(every.score, few.score)
    assert (every.true[index] == few.true).all()
    assert (every.false[index] == few.false).all()
    recall = np.sort(few.true) / few.positives
    assert np.diff(recall).max() < 0.01, "no hole in recall"


@pytest.mark.parametrize("truth", [np.zeros(50), np.ones(50)])
def test_one_class_has_no_curves(truth):
    points = operating_points(np.linspace(0, 1, 50), truth)
    assert points.curves() == {}
    assert points.positives + points.negatives == 50


def test_no_rows_and_ties():
    assert operating_points([], []).threshold.tolist() == [np.inf]
    points = operating_points([0.5] * 4, [0, 1, 0, 1])
    assert points.true.tolist() == [2, 0]
    assert points.threshold[0] == 0.5


def test_there_and_back():
    scores, truth = many(5_000)
    points = operating_points(scores, truth, most=100)
    again = OperatingPoints.from_dict(points.to_dict())
    for name in ("score", "threshold", "true", "false"):
        assert (getattr(points, name) == getattr(again, name)).all()
    assert all(isinstance(count, int) for count in points.to_dict()["true"]), "short in the page"


def test_a_thinned_curve_keeps_its_extremes():
    x = np.linspace(0, 1, 100_000)
    y = np.sin(40 * x)
    y[70_001] = 5.0
    a, b = thinned(x, y)
    assert len(a) < 1_000
    assert max(b) == 5.0
    assert (a[0], a[-1]) == (0.0, 1.0)
    assert np.abs(np.interp(x, a, b) - y)[:70_000].max() < 0.5
