"""Regression errors: identities between them, naive twins, and groups that training counts alone decide."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from metabalance import judge
from metabalance.judge import REGRESSION_METRICS, get_metric, undefined_reason

ERRORS = ("mae", "rmse", "gm", "bmae")


def data(seed, n=100):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 8, n).astype(float)
    return y + rng.normal(size=n), y, rng.random(n) + 0.1


@pytest.mark.parametrize("seed", range(3))
def test_geometric_absolute_and_squared_errors_are_in_order(seed):
    p, y, w = data(seed)
    assert judge.geometric_mean_error(p, y, w) <= judge.mae(p, y, w) <= judge.rmse(p, y, w)
    same = np.full(100, 2.0)
    for name in ERRORS:
        assert REGRESSION_METRICS[name](y + same, y, w) == pytest.approx(2)


def test_errors_in_loops():
    p, y, w = data(3)
    e = [abs(a - b) for a, b in zip(p, y)]
    assert judge.mae(p, y, w) == pytest.approx(sum(w * e) / w.sum())
    assert judge.geometric_mean_error(p, y) == pytest.approx(np.prod(e) ** (1 / 100))
    by_value = [np.mean([d for d, v in zip(e, y) if v == value]) for value in set(y)]
    assert judge.balanced_mae(p, y) == pytest.approx(np.mean(by_value))


def test_balanced_error_is_the_plain_one_when_all_values_are_equally_frequent():
    y = np.repeat(np.arange(5.0), 4)
    p = y + np.random.default_rng(0).normal(size=20)
    assert judge.balanced_mae(p, y) == pytest.approx(judge.mae(p, y))
    assert judge.balanced_mae(p, y, bin_width=10) == pytest.approx(judge.mae(p, y))  # one bin holds all
    assert judge.balanced_mae([0.0, 1.0, 0.0], [0.1, 0.3, 0.31], bin_width=0.1) == pytest.approx(
        (0.1 + 0.505) / 2
    )


def test_an_exact_hit_counts_as_the_stated_smallest_error():
    assert judge.geometric_mean_error([1.0, 3.0], [1.0, 2.0], eps=1e-4) == pytest.approx(1e-2)
    assert judge.geometric_mean_error([1.0, 3.0], [1.0, 2.0], eps=0) == 0
    assert judge.geometric_mean_error([1.0, 3.0], [1.0, 2.0], [0, 1], eps=0) == 1
    with pytest.raises(ValueError, match="eps must not be negative"):
        judge.geometric_mean_error([1.0], [1.0], eps=-1)


def test_groups_are_those_of_the_training_counts_and_average_to_the_whole():
    train = np.repeat([0.0, 1.0, 2.0, 3.0], [200, 101, 100, 19])
    y = np.array([0.0, 1.0, 2.0, 3.0, 7.0, 3.4])
    p = y + np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    found = judge.shot_errors(p, y, train)
    assert found == pytest.approx({"all": 63 / 6, "many": 1.5, "medium": 4, "few": 56 / 3})
    rows = np.array([2, 1, 3])
    assert np.average([found["many"], found["medium"], found["few"]], weights=rows) == pytest.approx(
        found["all"]
    )
    assert judge.shot_errors(p, y, train, metric=judge.rmse)["many"] == pytest.approx(np.sqrt(2.5))
    assert np.isnan(judge.shot_errors(p[:1], y[:1], train)["few"])
    assert judge.shot_errors(p, y, [])["few"] == found["all"]


def test_names_and_undefined():
    assert get_metric("bmae").function is judge.balanced_mae
    assert all(m.kind == "regression" for m in REGRESSION_METRICS.values())
    assert [n for n, m in REGRESSION_METRICS.items() if not m.greater_is_better] == list(ERRORS)
    for name in REGRESSION_METRICS:
        assert undefined_reason(name, [], []) == "there are no rows"
        assert undefined_reason(name, [1.0], [1.0], [0.0]) == "all weights are 0"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1.0], [1.0, 2.0]), "shapes"),
        (([np.nan], [1.0]), "finite"),
        (([1.0], [np.inf]), "finite"),
        (([1.0], [1.0], [-1.0]), "not negative"),
    ],
)
@pytest.mark.parametrize("name", REGRESSION_METRICS)
def test_unsound_data_are_refused(name, arguments, said):
    with pytest.raises(ValueError, match=said):
        get_metric(name)(*arguments)
    with pytest.raises(ValueError, match="bin_width must be above 0"):
        judge.balanced_mae([1.0], [1.0], bin_width=0)


@pytest.mark.parametrize("seed", range(3))
def test_explained_variance_and_correlations_are_those_of_scikit_learn_and_scipy(seed):
    p, y, w = data(seed)
    assert judge.r2(p, y, w) == pytest.approx(r2_score(y, p, sample_weight=w))
    assert judge.pearson(p, y) == pytest.approx(stats.pearsonr(p, y)[0])
    assert judge.spearman(p, y) == pytest.approx(stats.spearmanr(p, y)[0])
    assert judge.pearson(p, y, w) == pytest.approx(np.cov(p, y, aweights=w)[0, 1] / np.sqrt(
        np.cov(p, aweights=w) * np.cov(y, aweights=w)))  # fmt: skip


@pytest.mark.parametrize("name", ["r2", "pearson", "spearman"])
def test_a_weight_is_so_many_rows_and_the_unit_does_not_matter(name):
    p, y, _ = data(4, 30)
    times = np.random.default_rng(0).integers(0, 4, 30)
    metric = REGRESSION_METRICS[name]
    assert metric(p, y, times) == pytest.approx(metric(np.repeat(p, times), np.repeat(y, times)))
    for unit in (1e-200, 1e-12, 1e12, 1e200):
        assert metric(p * unit, y * unit) == pytest.approx(metric(p, y))


def test_what_is_constant_has_no_correlation_and_the_mean_explains_nothing():
    y = np.array([1.0, 2.0, 6.0])
    assert judge.r2(np.full(3, 3.0), y) == 0
    assert judge.r2(y, y) == judge.pearson(3 * y - 1, y) == judge.spearman(y**3, y) == pytest.approx(1)
    for name in ("r2", "pearson", "spearman"):
        assert np.isnan(get_metric(name)(y, np.ones(3)))
        assert undefined_reason(name, y, np.ones(3)) == "the target is constant"
    assert undefined_reason("pearson", np.ones(3), y) == "the prediction is constant"
    found = judge.shot_errors(y + 1, y, np.repeat(y, [200, 50, 3]), metric=judge.spearman)
    assert found["all"] == pytest.approx(1)
    assert np.isnan(found["few"])
