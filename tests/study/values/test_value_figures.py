"""What is drawn of predicted values: by hand, thinned without losing the rare, plain JSON; and the summary's pieces."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from metabalance.judge import VALUE_METRICS, make_regions, value_metrics
from metabalance.study.values.evidence import values_evidence
from metabalance.study.values.figures import density_of, figures, stored_density
from metabalance.study.values.summary import (
    PRIMARY,
    SHOWN,
    metric_limits,
    regions_of,
    value_data,
    value_fit_metrics,
    value_metric_info,
)


def data(rows=1500, targets=1, seed=0):
    rng = np.random.default_rng(seed)
    train, y = rng.gamma(1.5, 8.0, (3000, targets)), rng.gamma(1.5, 8.0, (rows, targets))
    return 0.7 * y + 3 + rng.normal(size=y.shape), y, regions_of(train)


def test_figures_by_hand():
    y = np.repeat([[1.0], [2.0], [3.0]], [150, 50, 6], axis=0)
    region = make_regions(y[:, 0], bin_width=1.0)
    p = y + np.where(y == 3.0, -2.0, 0.5)
    limits = np.stack([p - 1, p + 1], axis=2)
    found = figures(p, y, [region], ["age"], limits)["targets"][0]
    assert found["residuals"]["q50"] == [0.5, 0.5, -2.0]
    assert found["residuals"]["rows"] == [150, 50, 6]
    assert found["residuals"]["group"] == ["many", "medium", "few"]
    assert found["residuals"]["low"] == [1.0, 1.5, 2.5]
    assert found["density"] == {
        "train": [150, 50, 6], "mae": [0.5, 0.5, 2.0], "rows": [150, 50, 6], "group": ["many", "medium", "few"],
    }  # fmt: skip
    assert found["regions"]["few"] == {"rows": 6, "mae": 2.0, "bias": -2.0}
    held = found["coverage"]["target"]
    assert (held["many"]["value"], held["few"]["value"], held["all"]["rows"]) == (1.0, 0.0, 206)
    assert held["all"]["value"] == pytest.approx(200 / 206)
    assert held["all"]["width"] == pytest.approx(2.0)


def test_values_beyond_training_are_one_point_without_density():
    region = make_regions([1.0] * 150 + [2.0] * 50 + [3.0] * 5, bin_width=1.0)
    y = np.array([[1.0], [9.0], [-4.0], [3.0]])
    found = figures(y + 1, y, [region], ["age"])["targets"][0]
    assert found["density"]["train"] == [0, 150, 5]
    assert found["density"]["rows"] == [2, 1, 1]
    assert "coverage" not in found


def test_the_scatter_is_thinned_and_keeps_the_rare():
    p, y, regions = data(20_000)
    found = figures(p, y, regions, ["depth"])["targets"][0]
    group = np.asarray(found["scatter"]["group"])
    assert len(group) == 400
    assert (group == "few").sum() == 133 < found["regions"]["few"]["rows"]
    few = figures(p[:300], y[:300], regions, ["depth"])["targets"][0]
    kept = few["scatter"]["group"].count("few")
    assert kept == few["regions"]["few"]["rows"] > 0  # all of them
    assert sum(one["rows"] for one in few["regions"].values()) == 300


def test_figures_add_up_and_are_plain():
    p, y, regions = data(targets=2)
    found = figures(p, y, regions, ["a", "b"], np.stack([p - 2, p + 2], axis=2))
    json.dumps(found, allow_nan=False)
    for t, one in enumerate(found["targets"]):
        error = np.abs(p - y)[:, t]
        assert np.average(one["density"]["mae"], weights=one["density"]["rows"]) == pytest.approx(
            error.mean()
        )
        assert sum(one["residuals"]["rows"]) == len(y)
        inside = [one["coverage"]["target"][g] for g in ("many", "medium", "few")]
        assert sum(g["value"] * g["rows"] for g in inside) == pytest.approx((error <= 2).sum())


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_are_no_failure(rows):
    p, y, regions = data(1)
    found = values_evidence(p[:rows], y[:rows], regions, ["depth"], np.stack([p, p], 2)[:rows], n_boot=10)
    json.dumps(found, allow_nan=False)
    assert found["rows"] == rows


def test_density_of_rows_and_of_stored_regions():
    y = np.repeat([[1.0], [2.0], [3.0]], [150, 50, 6], axis=0)
    regions = [make_regions(y[:, 0], bin_width=1.0)]
    found = density_of(y[::2], ["age"], regions)[0]
    assert found["counts"] == [75, 25, 3]
    assert found["groups"] == ["many", "medium", "few"]  # of training
    assert (found["name"], found["rule"], found["many"], found["few"]) == ("age", "density", 100, 20)
    assert stored_density([regions[0].to_dict()], ["age"]) == density_of(y, ["age"], regions)


def test_evidence_holds_the_metrics():
    p, y, regions = data(targets=2)
    found = values_evidence(p, y, regions, ["a", "b"], np.stack([p - 2, p + 2], 2), level=0.9, n_boot=20)
    known = value_metrics(p, y, regions, target_names=["a", "b"])
    by_name = {row["name"]: row for row in found["estimates"]}
    assert set(SHOWN) <= set(by_name) <= set(known)
    for name, row in by_name.items():
        assert row["value"] == pytest.approx(known[name])
    assert (found["kind"], found["targets"], found["level"]) == ("values", ["a", "b"], 0.9)
    assert by_name["mae@few[a]"]["title"] == "Mean absolute error, few of a"


def test_pieces_of_the_summary():
    p, y, regions = data()
    assert value_fit_metrics(p, y, regions) == value_metrics(p, y, regions)
    assert PRIMARY in SHOWN
    assert set(VALUE_METRICS) <= set(SHOWN) <= set(value_fit_metrics(p, y, regions))
    info = value_metric_info(SHOWN)
    assert info["r2@few"] == {"title": "R², few", "greater_is_better": True}
    assert metric_limits("pearson@few[a]") == (-1, 1)
    table = SimpleNamespace(target=y, names=("depth",))
    told = value_data(table, bin_width=2.0)
    assert (told["target"], told["targets"]) == ("depth", ["depth"])
    assert sum(told["density"][0]["counts"]) == len(y)
    assert np.diff(told["density"][0]["edges"]) == pytest.approx(2.0)


def test_widths_are_one_for_all_or_one_for_each():
    _, y, _ = data(targets=2)
    both, each = regions_of(y, bin_width=2.0), regions_of(y, bin_width=[2.0, 5.0])
    assert (both[1].edges[1] - both[1].edges[0], each[1].edges[1] - each[1].edges[0]) == (2, 5)
    with pytest.raises(ValueError, match="one width of bins each"):
        regions_of(y, bin_width=[1.0, 2.0, 3.0])
