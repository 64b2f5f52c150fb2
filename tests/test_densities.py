"""Bins, kernels and thresholds of a continuous target: limits, loops, and bad input."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from metabalance.counts import class_counts, shot_groups
from metabalance.densities import (
    as_values,
    bin_edges,
    bin_index,
    density_thresholds,
    smooth_bins,
    smoothing_kernel,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    st.one_of(st.none(), st.floats(10, 1000)),
    st.integers(1, 60),
)
def test_every_value_lies_within_its_bin(values, width, num_bins):
    edges = bin_edges(values, width, num_bins)
    index = bin_index(values, edges)
    y = torch.tensor(values, dtype=torch.float64)
    slack = 1e-8 * float((edges[1:] - edges[:-1]).min())
    assert bool((edges[index] <= y + slack).all())
    assert bool((y <= edges[index + 1] + slack).all())
    assert float(class_counts(index, len(edges) - 1).sum()) == len(values)


def test_multiples_of_the_width_are_not_rounded_into_the_bin_below():
    tenths = np.arange(50) / 10
    edges = bin_edges(tenths, 0.1)
    assert bin_index(tenths, edges).tolist() == list(range(50))
    assert bin_index([-7.0, 99.0], edges).tolist() == [0, 49]


def test_a_constant_target_has_one_bin():
    assert len(bin_edges([3.0, 3.0])) == 2
    assert bin_index([3.0, 3.0], bin_edges([3.0, 3.0])).tolist() == [0, 0]
    assert bin_edges([3.0], 1.0).tolist() == [3.0, 4.0]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_bins_by_number_do_not_depend_on_the_unit(scale):
    y = np.random.default_rng(0).gamma(2, size=300)
    assert torch.equal(bin_index(y * scale, bin_edges(y * scale)), bin_index(y, bin_edges(y)))


def test_the_published_gaussian_is_not_one_unless_it_is_long():
    exact = torch.tensor([math.exp(-(x**2) / 8) for x in range(-2, 3)], dtype=torch.float64)
    torch.testing.assert_close(smoothing_kernel(exact=True), exact)
    published = torch.tensor([0.858, 0.946, 1, 0.946, 0.858], dtype=torch.float64)
    torch.testing.assert_close(smoothing_kernel(), published, atol=5e-4, rtol=0)
    torch.testing.assert_close(
        smoothing_kernel(sigma=1.0)[:3], torch.tensor([0.146, 0.607, 1]).double(), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(
        smoothing_kernel("gaussian", 41, 2.0),
        smoothing_kernel("gaussian", 41, 2.0, exact=True),
        atol=1e-3,
        rtol=0,
    )


def test_triangle_and_laplace_by_hand():
    torch.testing.assert_close(smoothing_kernel("triang", 5), torch.tensor([1, 2, 3, 2, 1]).double() / 3)
    torch.testing.assert_close(
        smoothing_kernel("laplace", 3, 2.0), torch.tensor([math.exp(-0.5), 1, math.exp(-0.5)]).double()
    )


@pytest.mark.parametrize("kind", ["gaussian", "triang", "laplace"])
def test_a_kernel_is_symmetric_and_of_size_one_nothing(kind):
    k = smoothing_kernel(kind, 7, 1.5)
    torch.testing.assert_close(k, k.flip(0))
    assert int(k.argmax()) == 3
    assert smoothing_kernel(kind, 1).tolist() == [1.0]


@pytest.mark.parametrize("pad", ["constant", "reflect"])
def test_smoothing_in_loops(pad):
    values = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernel = smoothing_kernel("laplace", 5, 1.0)
    wanted = torch.zeros_like(values)
    for b in range(9):
        for j in range(-2, 3):
            at = b + j
            if not 0 <= at < 9:
                if pad == "constant":
                    continue
                at = -at if at < 0 else 16 - at
            wanted[b] += kernel[j + 2] * values[at]
    torch.testing.assert_close(smooth_bins(values, kernel, pad), wanted)
    torch.testing.assert_close(smooth_bins(values[:, 0], kernel, pad), wanted[:, 0])
    assert torch.equal(smooth_bins(values, torch.ones(1)), values)


def test_thresholds_are_the_published_ones_where_they_make_three_groups():
    assert density_thresholds([101, 50, 19]) == (100, 20)
    small = [9, 8, 5, 4, 2, 1, 0, 0]
    many, few = density_thresholds(small)
    groups = shot_groups(small, many, few)
    assert all(len(rows) for rows in groups.values())
    assert sum(len(rows) for rows in groups.values()) == 8
    assert density_thresholds([7]) == (7, 7)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: as_values([1.0, float("nan")]), "1 values of the target are missing or infinite"),
        (lambda: as_values([float("inf")]), "missing or infinite"),
        (lambda: as_values([]), "at least one row"),
        (lambda: as_values(np.zeros((3, 2))), "one column"),
        (lambda: as_values(["a"]), "holds numbers"),
        (lambda: bin_edges([1.0], width=0.0), "width of a bin"),
        (lambda: bin_edges([0.0, 1e12], width=1e-3), "take wider ones"),
        (lambda: bin_edges([1.0, 2.0], num_bins=0), "num_bins must be at least 1"),
        (lambda: bin_index([1.0], torch.tensor([2.0, 1.0])), "edges of bins"),
        (lambda: smoothing_kernel("box"), "the kernel 'box' is unknown"),
        (lambda: smoothing_kernel(size=4), "odd size"),
        (lambda: smoothing_kernel(sigma=0.0), "sigma above 0"),
        (lambda: smooth_bins(torch.ones(2), torch.ones(5), "reflect"), "cannot be reflected"),
        (lambda: smooth_bins(torch.ones(2), torch.ones(1), "wrap"), "pad='wrap' is unknown"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_several_columns_where_they_are_allowed():
    assert as_values(np.zeros((3, 2)), columns=True).shape == (3, 2)
    assert as_values(np.zeros((3, 1))).shape == (3,)
