"""Intervals of predicted values: they hold what they promise, by predicted region, and come back from JSON exactly."""

import json

import numpy as np
import pytest

from metabalance.adjust import ConformalIntervals
from metabalance.judge.regions import make_regions
from metabalance.study.values.intervals import LEVEL, LEVELS, ValueIntervals, fit_intervals


def rows(n, seed):
    """Skewed targets, predictions whose error grows with them."""
    rng = np.random.default_rng(seed)
    y = rng.exponential(size=(n, 2)) * [1.0, 1e6]
    return y * (1 + 0.3 * rng.normal(size=y.shape)), y


REGIONS = tuple(make_regions(column) for column in rows(4000, 0)[1].T)


def test_one_group_is_the_plain_method():
    prediction, y = rows(40, 1)
    made = fit_intervals(prediction, None, y, REGIONS)
    low, high = ConformalIntervals(0.1).fit(prediction[:, 1], y[:, 1])(prediction[:, 1])
    np.testing.assert_array_equal(made(prediction, None, REGIONS)[:, 1], np.column_stack([low, high]))
    assert made.levels == (0.5, 0.8, 0.9, 0.95)  # 0.99 would need 99 rows
    assert len(set(made.margins(1).values())) == 1


def test_they_hold_their_level_in_every_predicted_region():
    prediction, y = rows(4000, 1)
    made = fit_intervals(prediction, None, y, REGIONS)
    assert made.levels == LEVELS
    fresh, truth = rows(20_000, 2)
    for level in LEVELS:
        ends = made(fresh, None, REGIONS, level)
        held = (ends[..., 0] <= truth) & (truth <= ends[..., 1])
        for i in range(2):
            region = REGIONS[i].of(fresh[:, i])
            for name in ("many", "medium", "few"):
                rows_of = region == name
                slack = 4 * np.sqrt(level * (1 - level) / min(rows_of.sum(), 60))
                assert abs(held[rows_of, i].mean() - level) < slack, (level, i, name)
    margins = made.margins(0)
    assert margins["few"] > 2 * margins["many"]  # what one margin for all would hide
    assert made.known(None) == LEVEL


def test_a_region_of_few_rows_is_pooled_with_its_neighbour():
    prediction, y = rows(4000, 1)
    region = REGIONS[0].of(prediction[:, 0])
    for kept, pooled in (
        ({"many": 300, "medium": 200, "few": 10}, ({"few", "medium"}, {"many"})),
        ({"many": 10, "medium": 200, "few": 60}, ({"few"}, {"medium", "many"})),
        ({"many": 0, "medium": 60, "few": 60}, ({"few"}, {"medium", "many"})),
        ({"many": 20, "medium": 20, "few": 20}, ({"few", "medium", "many"},)),
        ({"many": 400, "medium": 0, "few": 0}, ({"few", "medium", "many"},)),
    ):
        chosen = np.concatenate([np.flatnonzero(region == name)[:n] for name, n in kept.items()])
        made = fit_intervals(prediction[chosen, :1], None, y[chosen, :1], REGIONS[:1])
        groups = made.groups[0.9][0]
        found = {frozenset(r for r in groups if groups[r] == g) for g in groups.values()}
        assert found == set(map(frozenset, pooled)), kept
        assert np.isfinite(made(prediction[:, :1], None, REGIONS[:1])).all()


def test_quantiles_of_the_model_are_corrected():
    prediction, y = rows(2000, 1)
    spread = np.abs(prediction) * [[0.3], [0.3]][0]
    limits = np.stack([prediction - spread, prediction + spread], axis=2)
    made = fit_intervals(prediction, limits, y, REGIONS)
    ends = made(prediction, limits, REGIONS, 0.8)
    held = ((ends[..., 0] <= y) & (y <= ends[..., 1])).mean(axis=0)
    np.testing.assert_allclose(held, 0.8, atol=0.01)
    width = ends[..., 1] - ends[..., 0]
    large = prediction[:, 0] > np.median(prediction[:, 0])
    assert width[large, 0].mean() > 1.5 * width[~large, 0].mean()


def test_json_brings_them_back_exactly():
    prediction, y = rows(500, 1)
    made = fit_intervals(prediction, None, y, REGIONS)
    again = ValueIntervals.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False)))
    for level in made.levels:
        np.testing.assert_array_equal(
            again(prediction, None, REGIONS, level), made(prediction, None, REGIONS, level)
        )
    with pytest.raises(ValueError, match=r"at the levels 0.5, 0.8, .* but 0.7 was asked for"):
        made(prediction, None, REGIONS, 0.7)


def test_nine_rows_are_the_least():
    prediction, y = rows(9, 1)
    assert fit_intervals(prediction, None, y, REGIONS).levels == (0.5, 0.8, 0.9)
    assert fit_intervals(prediction[:8], None, y[:8], REGIONS) is None
    assert fit_intervals(prediction[:0], None, y[:0], REGIONS) is None
    stored = ConformalIntervals(0.5).fit([1.0], [2.0], ["a"]).to_dict()
    assert stored == {"alpha": 0.5, "margins": [["a", 1.0]]}
    none = ConformalIntervals(0.1).fit([1.0], [2.0])
    assert ConformalIntervals.from_dict(none.to_dict()).margins_ == {0: np.inf}
