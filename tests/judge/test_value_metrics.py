"""Metrics of a continuous target by region: identities, invariances, a naive twin, and what is undefined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score

from metabalance.judge import (
    REGRESSION_METRICS,
    VALUE_METRICS,
    balanced_mae,
    get_value_metric,
    make_regions,
    shot_errors,
    undefined_reason,
    value_metrics,
)

CORRELATIONS = ("r2", "pearson", "spearman")


def data(seed=0, rows=400, targets=1):
    rng = np.random.default_rng(seed)
    train = rng.gamma(1.5, 2.0, (2000, targets))
    y = rng.gamma(1.5, 2.0, (rows, targets))
    p = 0.7 * y + rng.normal(size=y.shape)
    return p, y, [make_regions(train[:, t]) for t in range(targets)]


def test_over_all_rows_they_are_the_plain_metrics():
    p, y, regions = data()
    found = value_metrics(p, y, regions)
    for name in ("mae", "rmse", *CORRELATIONS):
        assert found[name] == pytest.approx(REGRESSION_METRICS[name](p[:, 0], y[:, 0]))
    assert found["mae"] == pytest.approx(mean_absolute_error(y, p))
    assert found["r2"] == pytest.approx(r2_score(y, p))
    assert found["spearman"] == pytest.approx(stats.spearmanr(p[:, 0], y[:, 0]).statistic)
    assert found["gm"] == pytest.approx(stats.gmean(np.abs(p - y)[:, 0]))


def test_a_region_is_its_rows_alone():
    p, y, regions = data(1)
    found, group = value_metrics(p, y, regions), regions[0].of(y[:, 0])
    for name in ("many", "medium", "few"):
        inside = group == name
        assert inside.any()
        assert found[f"mae@{name}"] == pytest.approx(np.abs(p - y)[inside].mean())
        assert found[f"pearson@{name}"] == pytest.approx(stats.pearsonr(p[inside, 0], y[inside, 0]).statistic)


def test_regions_agree_with_shot_errors_where_bins_are_whole_numbers():
    rng = np.random.default_rng(3)
    train, y = rng.poisson(4, 3000).astype(float), rng.poisson(6, 500).astype(float)
    p = y + rng.normal(size=500)
    regions = make_regions(train, bin_width=1.0)
    assert regions.rule == "density"
    found, known = value_metrics(p, y, regions, ["mae"]), shot_errors(p, y, train)
    assert [found[k] for k in ("mae", "mae@many", "mae@medium", "mae@few")] == pytest.approx(
        [known[k] for k in ("all", "many", "medium", "few")]
    )


def test_balanced_error_in_loops_and_at_its_limits():
    p, y, regions = data(4)
    index, error = regions[0].index(y[:, 0]), np.abs(p - y)[:, 0]
    loops = np.mean([np.mean([e for e, i in zip(error, index) if i == k]) for k in set(index)])
    assert value_metrics(p, y, regions)["bmae"] == pytest.approx(loops)
    one = make_regions(y[:, 0], num_bins=1)
    found = value_metrics(p, y, one)
    assert found["bmae"] == pytest.approx(found["mae"])
    whole = np.round(y[:, 0])
    own = make_regions(whole, bin_width=1.0)
    assert value_metrics(p[:, 0], whole, own)["bmae"] == pytest.approx(balanced_mae(p[:, 0], whole))


@given(st.integers(0, 50), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_does_not_matter_and_a_weight_of_k_is_k_rows(seed, targets):
    p, y, regions = data(seed, 60, targets)
    rng = np.random.default_rng(seed)
    order, k = rng.permutation(60), rng.integers(0, 3, 60)
    found = value_metrics(p, y, regions)
    assert value_metrics(p[order], y[order], regions) == pytest.approx(found, nan_ok=True)
    weighted = value_metrics(p, y, regions, sample_weight=k)
    assert value_metrics(np.repeat(p, k, 0), np.repeat(y, k, 0), regions) == pytest.approx(
        weighted, nan_ok=True
    )


@pytest.mark.parametrize("factor", [1e-12, 3.0, 1e12])
def test_errors_follow_the_unit_and_correlations_do_not(factor):
    p, y, _ = data(5)
    p[0] = y[0]  # an exact hit counts as the same fraction of the spread in every unit
    train = np.random.default_rng(5).gamma(1.5, 2.0, 2000)
    a = value_metrics(p, y, make_regions(train))
    b = value_metrics(p * factor, y * factor, make_regions(train * factor))
    for key, value in a.items():
        scaled = value if key.split("@")[0] in CORRELATIONS else value * factor
        assert b[key] == pytest.approx(scaled, rel=1e-6)


def test_several_targets_are_averaged_in_their_own_spread():
    p, y, regions = data(6, targets=2)
    found = value_metrics(p, y, regions, target_names=["depth", "age"])
    first, second = (value_metrics(p[:, t], y[:, t], regions[t]) for t in (0, 1))
    for key in first:
        assert found[f"{key}[depth]"] == pytest.approx(first[key])
        assert found[f"{key}[age]"] == pytest.approx(second[key])
        unit = (1, 1) if key.split("@")[0] in CORRELATIONS else (regions[0].scale, regions[1].scale)
        assert found[key] == pytest.approx((first[key] / unit[0] + second[key] / unit[1]) / 2)
    assert "mae[1]" in value_metrics(p, y, regions)
    assert "mae[1]" not in value_metrics(p[:, :1], y[:, :1], regions[:1])


def test_a_perfect_prediction_and_the_mean():
    _, y, regions = data(7)
    perfect = value_metrics(y, y, regions)
    assert perfect["mae"] == perfect["bmae@few"] == 0
    assert perfect["r2"] == 1
    assert perfect["gm"] == pytest.approx(1e-10 * regions[0].scale)
    assert value_metrics(np.full_like(y, y.mean()), y, regions)["r2"] == pytest.approx(0)


def test_what_has_no_value_is_nan_and_says_why():
    _, _, regions = data(8)
    found = value_metrics([1.0, 2.0], [1.5, 1.5], regions)
    assert np.isnan([found["r2"], found["mae@few"], found["spearman"]]).all()
    assert found["mae"] == 0.5
    few, r2 = get_value_metric("mae@few"), get_value_metric("r2")
    assert undefined_reason(few, [1.0], [1.5], regions=regions) == "no row lies in the region 'few'"
    assert undefined_reason(r2, [1.0, 2.0], [1.5, 1.5], regions=regions) == "the target is constant"
    assert undefined_reason(r2, [1.0, 2.0], [1.5, 1.6], regions=regions) is None
    assert np.isnan(list(value_metrics([], [], regions).values())).all()
    two = [regions[0], regions[0]]
    lack = undefined_reason(get_value_metric("r2"), [[1, 1], [2, 2.0]], [[1, 1], [2, 1.0]], regions=two)
    assert lack == "of 2, the target is constant"


def test_names():
    p, y, regions = data(9)
    assert list(value_metrics(p, y, regions, ["mae@few"])) == ["mae@few"]
    assert len(value_metrics(p, y, regions)) == 4 * len(VALUE_METRICS)
    metric = get_value_metric(" MAE@few[a @ b] ")
    assert (metric.name, metric.title) == ("mae@few[a @ b]", "Mean absolute error, few of a @ b")
    assert not metric.greater_is_better
    assert get_value_metric("spearman@many").greater_is_better
    assert metric.kind == "regression"


@pytest.mark.parametrize("name", ["accuracy", "mae@rare", "mae@", "", "f1@few", "mae[", "@few"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="unknown for a continuous target"):
        get_value_metric(name)


def test_bad_input_is_refused():
    p, y, regions = data(10)
    for wrong, words in (
        ((p[:5], y, regions), "have shapes"),
        ((p, y, regions * 2), "as many regions"),
        ((np.where(p > 1, np.nan, p), y, regions), "finite"),
        ((p, y, regions, ["nothing"]), "unknown"),
        ((p, y, regions, "mae"), "names must be several"),
    ):
        with pytest.raises(ValueError, match=words):
            value_metrics(*wrong)
    with pytest.raises(ValueError, match="not negative"):
        value_metrics(p, y, regions, sample_weight=-np.ones(400))
    with pytest.raises(ValueError, match="different names"):
        value_metrics(p, y, regions, target_names=["a", "b"])
    with pytest.raises(ValueError, match="no target 'b'"):
        value_metrics(p, y, regions, ["mae[b]"], target_names=["a"])


@given(
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)), min_size=1, max_size=30),
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30),
)
@settings(deadline=None, max_examples=60)
def test_any_numbers_give_numbers_or_nan(rows, train):
    p, y = np.array(rows).T
    for key, value in value_metrics(p, y, make_regions(train)).items():
        base = key.split("@")[0]
        assert np.isnan(value) or (
            0 <= value < np.inf if base in ("mae", "rmse", "gm", "bmae") else -np.inf < value <= 1
        )
