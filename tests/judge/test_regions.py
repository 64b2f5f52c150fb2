"""Regions of a continuous target: hand counts, the thresholds of the literature, and agreement with `densities`."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabalance import densities
from metabalance.judge import Regions, make_regions

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80)


def test_hand_counts():
    y = [20.0] * 150 + [21.0] * 100 + [22.0] * 20 + [23.0] * 19
    regions = make_regions(y, bin_width=1.0)
    assert regions.edges.tolist() == [20, 21, 22, 23, 24]
    assert regions.counts.tolist() == [150, 100, 20, 19]
    assert (regions.many, regions.few, regions.rule) == (100, 20, "density")
    # 100 rows are not above 100, and 20 are not below 20.
    assert regions.groups.tolist() == ["many", "medium", "medium", "few"]
    assert regions.of([20.0, 20.9, 21.5, 22.0, 23.9]).tolist() == ["many", "many", "medium", "medium", "few"]


def test_a_value_that_no_training_row_was_near_is_few():
    regions = make_regions([0.0] * 200 + [5.0] * 50 + [9.0] * 3, bin_width=1.0)
    assert regions.of([3.5, -1.0, 100.0]).tolist() == ["few"] * 3
    assert regions.rows([3.5, -1.0, 100.0, 0.5, 5.0]).tolist() == [0, 0, 0, 200, 50]
    dense = make_regions([1.0, 2.0, 2.0, 2.0, 2.0, 1.5], num_bins=2)
    assert dense.of([2.0])[0] == "medium"
    assert dense.of([2.6])[0] == "few"


def test_thresholds_fall_back_to_tertiles():
    regions = make_regions(np.repeat([0.0, 1.0, 2.0, 3.0], [9, 6, 3, 1]), bin_width=1.0)
    assert (regions.many, regions.few, regions.rule) == (6, 3, "quantile")
    assert regions.groups.tolist() == ["many", "medium", "medium", "few"]
    no_few = make_regions(np.repeat([0.0, 1.0, 2.0], [300, 50, 60]), bin_width=1.0)
    assert no_few.rule == "quantile"


@given(VALUES, st.integers(1, 60))
def test_bins_and_thresholds_are_those_of_densities(values, num_bins):
    y = np.array(values)
    regions = make_regions(y, num_bins=num_bins)
    edges = densities.bin_edges(y, num_bins=num_bins)
    if not bool((edges[1:] > edges[:-1]).all()):
        return  # values that differ in their last digit alone, which densities refuses
    np.testing.assert_allclose(regions.edges, edges.numpy(), rtol=1e-12, atol=1e-9 * np.ptp(y))
    index = densities.bin_index(y, torch.from_numpy(regions.edges)).numpy()
    assert (regions.index(y) == index).all()
    assert regions.counts.tolist() == np.bincount(index, minlength=len(regions.counts)).tolist()
    assert (regions.many, regions.few) == densities.density_thresholds(regions.counts)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40).filter(any))
def test_thresholds_agree_with_densities_for_any_counts(counts):
    y = np.repeat(np.arange(len(counts), dtype=float), counts)
    regions = make_regions(y, bin_width=1.0)
    assert (regions.many, regions.few) == densities.density_thresholds(counts)
    found = {"many": 0, "medium": 0, "few": 0} | dict(zip(*np.unique(regions.of(y), return_counts=True)))
    assert sum(found.values()) == len(y)


@pytest.mark.parametrize("width", [0.1, 1.0, 2.5])
def test_bins_of_a_width_are_those_of_densities(width):
    y = np.round(np.random.default_rng(0).normal(3, 4, 300), 1)
    assert make_regions(y, bin_width=width).edges.tolist() == densities.bin_edges(y, width=width).tolist()
    assert make_regions([0.3], bin_width=0.1).edges.tolist() == pytest.approx([0.3, 0.4])  # not 0.2


@pytest.mark.parametrize("factor", [1e-12, 1e12, 1e150])
def test_the_unit_does_not_matter(factor):
    y = np.random.default_rng(1).gamma(1.0, size=400)
    a, b = make_regions(y), make_regions(y * factor)
    assert (a.counts == b.counts).all()
    assert (a.of(y) == b.of(y * factor)).all()
    assert b.scale == pytest.approx(a.scale * factor)
    assert a.scale == pytest.approx(y.std())


def test_a_constant_target_is_one_region():
    regions = make_regions([0.1] * 30)
    assert regions.groups.tolist() == ["medium"]
    assert regions.scale == 1
    assert regions.of([0.1, 7.0]).tolist() == ["medium", "few"]


def test_stored_and_read_again():
    regions = make_regions(np.random.default_rng(2).normal(size=100))
    again = Regions.from_dict(json.loads(json.dumps(regions.to_dict())))
    assert (again.edges == regions.edges).all()
    assert again.to_dict() == regions.to_dict()
    for wrong in (
        {"edges": [0, 0]},
        {"scale": 0},
        {"counts": [1]},
        {"rule": "x"},
        {"many": "much"},
        {"few": 1e9},
    ):
        with pytest.raises(ValueError, match="stored regions"):
            Regions.from_dict(regions.to_dict() | wrong)
    with pytest.raises(ValueError, match="stored regions"):
        Regions.from_dict({})


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ([], {}, "at least one training row"),
        ([1.0, np.nan, np.inf], {}, "2 values of the target are missing or infinite"),
        (np.zeros((3, 2)), {}, "one column"),
        (["a", "b"], {}, "holds numbers"),
        ([1.0, 2.0], {"num_bins": 0}, "num_bins"),
        ([1.0, 2.0], {"bin_width": 0.0}, "above 0"),
        ([1.0, 1e9], {"bin_width": 1e-3}, "take wider ones"),
        ([1e17, 1e17 + 64], {"bin_width": 1.0}, "too narrow"),
        ([1.0, 2.0], {"many": 1, "few": 2}, "few must not be above many"),
        ([-1e308, 1e308], {}, "too far apart"),
    ],
)
def test_what_makes_no_regions_is_refused(target, options, words):
    with pytest.raises(ValueError, match=words):
        make_regions(target, **options)


@given(VALUES, st.lists(st.floats(-1e300, 1e300), max_size=20))
def test_any_value_has_a_region(train, others):
    regions = make_regions(train)
    assert set(regions.of(others)) <= {"many", "medium", "few"}
    assert len(regions.of(others)) == len(others)
    assert regions.counts.sum() == len(train)
    assert (np.diff(regions.edges) > 0).all()
