"""Intervals of predicted values: both promises are kept, in every region, and come back from JSON exactly."""

import json
from itertools import pairwise

import numpy as np
import pytest

from metabalance.adjust import ConformalIntervals, conformal_quantile, interval_coverage, intervals_by_target
from metabalance.judge.regions import make_regions
from metabalance.study.values.intervals import (
    BY,
    LEVEL,
    LEVELS,
    Stretches,
    ValueIntervals,
    fit_intervals,
    thin_regions,
)


def rows(n, seed):
    """Skewed targets, predictions whose error grows with them."""
    rng = np.random.default_rng(seed)
    y = rng.exponential(size=(n, 2)) * [1.0, 1e6]
    return y * (1 + 0.3 * rng.normal(size=y.shape)), y


REGIONS = tuple(make_regions(column) for column in rows(4000, 0)[1].T)


@pytest.mark.parametrize("width", [None, 0.05, 7.0])
def test_stretches_are_the_regions(width):
    regions = make_regions(rows(4000, 0)[1][:, 0], bin_width=width)
    cut, e = Stretches.cut(regions), regions.edges
    near = np.concatenate([e, (e[1:] + e[:-1]) / 2, e + 1e-6, e - 1e-6, [-1e9, 1e9]])
    np.testing.assert_array_equal(cut.of(near), regions.of(near))
    assert len(cut.regions) == len(cut.starts) + 1
    assert all(a != b for a, b in pairwise(cut.regions))


def test_one_group_is_the_plain_method():
    prediction, y = rows(39, 1)
    prediction[:, 1] = y[:, 1].mean()  # one region only
    made = fit_intervals(prediction, None, y, REGIONS)
    low, high = ConformalIntervals(0.1).fit(prediction[:, 1], y[:, 1])(prediction[:, 1])
    np.testing.assert_array_equal(made(prediction, None)[:, 1], np.column_stack([low, high]))
    assert made.levels == (0.5, 0.8, 0.9, 0.95)  # 0.99 would need 99 rows
    assert len(set(made.margins["prediction", 0.9][1].values())) == 1


@pytest.mark.parametrize("by", BY)
def test_the_promise_is_kept_in_every_region(by):
    prediction, y = rows(4000, 1)
    made = fit_intervals(prediction, None, y, REGIONS)
    assert made.levels == LEVELS
    fresh, truth = rows(20_000, 2)
    for level in LEVELS:
        ends = made(fresh, None, level, by)
        for i in range(2):
            about = fresh if by == "prediction" else truth
            region = REGIONS[i].of(about[:, i])
            held = interval_coverage(*ends[:, i].T, truth[:, i], region)
            for name in ("many", "medium", "few"):
                slack = 4 * np.sqrt(level * (1 - level) / min((region == name).sum(), 60))
                assert held[name] > level - slack, (level, i, name)
                if by == "prediction":
                    assert held[name] < level + slack
    margins = made.margins[by, 0.9][0]
    assert margins["few"] > 2 * margins["many"]  # what one margin for all would hide


def test_rare_values_are_missed_by_prediction_and_held_by_target():
    """A model that draws rare values to the middle, as most do."""
    rng = np.random.default_rng(0)
    y = rng.exponential(size=(6000, 1))
    prediction = np.minimum(y, 2.5) + 0.2 * rng.normal(size=y.shape)
    regions = (make_regions(y[:2000, 0]),)
    made = fit_intervals(prediction[2000:4000], None, y[2000:4000], regions)
    truth, region = y[4000:, 0], regions[0].of(y[4000:, 0])
    held, width = {}, {}
    for by in BY:
        ends = made(prediction[4000:], None, by=by)[:, 0]
        held[by] = interval_coverage(*ends.T, truth, region)
        width[by] = (ends[:, 1] - ends[:, 0]).mean()
    assert held["prediction"]["all"] > 0.88
    assert held["prediction"]["few"] < 0.6
    assert min(held["target"].values()) > 0.85
    assert width["target"] > width["prediction"]


def test_by_target_spans_all_values_that_pass():
    """A naive twin: every value of a fine grid is asked whether its own region's margin reaches it."""
    rng = np.random.default_rng(0)
    starts, margins = np.array([-1.0, 0.5, 2.0]), np.array([2.0, 0.3, 1.1, 0.2])
    grid = np.arange(-8, 8, 0.01) + 0.005
    place = np.searchsorted(starts, grid, side="right")
    low = rng.uniform(-3, 3, 60)
    high = low + rng.choice([0.0, 0.5], 60)
    found = np.array(intervals_by_target(low, high, starts, margins))
    for i in range(60):
        passing = grid[np.maximum(low[i] - grid, grid - high[i]) <= margins[place]]
        np.testing.assert_allclose(found[:, i], [passing.min(), passing.max()], atol=0.011)
    same = np.array(intervals_by_target(low, high, starts, np.full(4, 0.7)))
    np.testing.assert_allclose(same, [low - 0.7, high + 0.7])
    nothing = np.array(intervals_by_target([0.0], [1.0], [], [-0.7]))
    assert nothing.ravel().tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"starts \(M,\) and margins \(M \+ 1,\)"):
        intervals_by_target([0.0], [1.0], [1.0, 2.0], [0.0])


def test_a_region_of_few_rows_shares_the_margin_of_its_neighbour():
    prediction, y = rows(4000, 1)
    region = REGIONS[0].of(prediction[:, 0])
    for kept, pooled in (
        ({"many": 300, "medium": 200, "few": 8}, ({"few", "medium"}, {"many"})),
        ({"many": 300, "medium": 200, "few": 9}, ({"few"}, {"medium"}, {"many"})),
        ({"many": 8, "medium": 200, "few": 60}, ({"few"}, {"medium", "many"})),
        ({"many": 0, "medium": 60, "few": 60}, ({"few"}, {"medium", "many"})),
        ({"many": 5, "medium": 4, "few": 4}, ({"few", "medium", "many"},)),
        ({"many": 400, "medium": 0, "few": 0}, ({"few", "medium", "many"},)),
    ):
        chosen = np.concatenate([np.flatnonzero(region == name)[:n] for name, n in kept.items()])
        given, target = prediction[chosen, 0], y[chosen, 0]
        made = fit_intervals(given[:, None], None, target[:, None], REGIONS[:1])
        for names in pooled:
            members = np.isin(region[chosen], list(names))
            expected = conformal_quantile(abs(given - target)[members], 0.1)
            assert {made.margins["prediction", 0.9][0][name] for name in names} == {expected}, kept
        assert np.isfinite(made(prediction[:, :1], None)).all()
        assert thin_regions(given, REGIONS[0]) == [r for r in ("few", "medium", "many") if 0 < kept[r] < 9]


@pytest.mark.parametrize("by", BY)
def test_quantiles_of_the_model_are_corrected(by):
    prediction, y = rows(4000, 1)
    spread = np.abs(prediction) * 0.3
    limits = np.stack([prediction + spread, prediction - spread], axis=2)  # crossed: put in order
    made = fit_intervals(prediction, limits, y, REGIONS)
    ends = made(prediction, limits, 0.8, by)
    held = ((ends[..., 0] <= y) & (y <= ends[..., 1])).mean(axis=0)
    assert (held >= 0.8 - 1e-9).all()
    assert by == "target" or (held < 0.81).all()
    width = ends[..., 1] - ends[..., 0]
    large = prediction[:, 0] > np.median(prediction[:, 0])
    assert width[large, 0].mean() > 1.5 * width[~large, 0].mean()


def test_json_brings_them_back_exactly():
    prediction, y = rows(500, 1)
    made = fit_intervals(prediction, None, y, REGIONS)
    again = ValueIntervals.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False)))
    assert list(again.margins) == list(made.margins)
    for by, level in made.margins:
        np.testing.assert_array_equal(again(prediction, None, level, by), made(prediction, None, level, by))
    assert made.known(None, None) == ("prediction", LEVEL)
    with pytest.raises(ValueError, match=r"by target at the levels 0.5, 0.8, .* but 0.7 was asked for"):
        made(prediction, None, 0.7, "target")
    with pytest.raises(ValueError, match="by prediction or target, but 'class' was asked for"):
        made(prediction, None, 0.9, "class")
    for part, change in (
        ("stretches", [{"starts": [1.0], "regions": ["few"]}] * 2),
        ("stretches", [{"starts": [], "regions": ["few"]}]),
        ("stretches", [{"starts": [], "regions": ["other"]}] * 2),
        ("margins", []),
    ):
        with pytest.raises(ValueError, match="these have not"):
            ValueIntervals.from_dict(made.to_dict() | {part: change})


def test_nine_rows_are_the_least():
    prediction, y = rows(9, 1)
    assert fit_intervals(prediction, None, y, REGIONS).levels == (0.5, 0.8, 0.9)
    assert fit_intervals(prediction[:8], None, y[:8], REGIONS) is None
    assert fit_intervals(prediction[:0], None, y[:0], REGIONS) is None
