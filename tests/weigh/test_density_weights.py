"""Weights by the density of the target: the published figures, limits, loops, and a kernel density in loops."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from metabalance.weigh import DenseWeight, bin_weights, label_density_weights
from metabalance.weigh.dense_weight import silverman

COUNTS = [10, 0, 5, 20, 1]
ROWS = np.repeat(np.arange(5.0), COUNTS)


def close(found, wanted, atol=2e-6):
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), atol=atol, rtol=0)


def test_published_fixture_by_roots():
    close(bin_weights(COUNTS), [1.346640, 0.765060, 0.681675, 0.908402, 0.957176])
    close(bin_weights(COUNTS, kernel=None), [1.047258, 0, 1.481047, 0.740523, 3.311721])


def test_published_fixture_by_clipped_counts():
    options = {"reweight": "inverse", "clip": (5, 1000)}
    close(bin_weights(COUNTS, **options), [1.485371, 0.777171, 0.680458, 0.837121, 1.001581])
    close(bin_weights(COUNTS, kernel=None, **options), [1.125, 2.25, 2.25, 0.5625, 2.25])


def naive(counts, reweight, kernel, clip):
    """In loops, from the paper: transform, convolve, invert, scale to a mean of 1 over the rows."""
    c = [math.sqrt(n) if reweight == "sqrt_inv" else min(max(n, clip[0]), clip[1]) for n in counts]
    half = len(kernel) // 2
    smooth = [
        sum(kernel[j + half] * c[b + j] for j in range(-half, half + 1) if 0 <= b + j < len(c))
        for b in range(len(c))
    ]
    raw = [1 / s if s > 0 else 0.0 for s in smooth]
    scale = sum(counts) / sum(n * r for n, r in zip(counts, raw))
    return [r * scale for r in raw]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=5, max_size=20).filter(any), st.booleans(), st.booleans())
def test_against_loops(counts, root, exact):
    reweight = "sqrt_inv" if root else "inverse"
    kernel = [math.exp(-(x**2) / 2) for x in range(-2, 3)] if exact else [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]
    found = bin_weights(
        counts,
        reweight=reweight,
        kernel="gaussian" if exact else "triang",
        sigma=1.0,
        exact=exact,
        clip=(2, 90),
    )
    torch.testing.assert_close(found, torch.tensor(naive(counts, reweight, kernel, (2, 90))).double())


@pytest.mark.parametrize("reweight", ["sqrt_inv", "inverse", "none"])
@pytest.mark.parametrize("kernel", [None, "gaussian", "triang", "laplace"])
def test_rows_average_to_one_and_have_the_weight_of_their_bin(reweight, kernel):
    w = label_density_weights(ROWS, 1.0, reweight=reweight, kernel=kernel)
    assert float(w.mean()) == pytest.approx(1)
    by_bin = bin_weights(COUNTS, reweight=reweight, kernel=kernel)
    torch.testing.assert_close(w, by_bin[torch.from_numpy(ROWS).long()])


def test_limits():
    plain = label_density_weights(ROWS, 1.0, reweight="inverse", kernel=None)
    torch.testing.assert_close(label_density_weights(ROWS, 1.0, reweight="inverse", kernel_size=1), plain)
    uniform = np.repeat(np.arange(8.0), 6)
    torch.testing.assert_close(
        label_density_weights(uniform, 1.0, pad="reflect"), torch.ones(48, dtype=torch.float64)
    )
    assert label_density_weights(np.full(9, 2.5)).tolist() == [1.0] * 9
    # A bin without rows but with neighbours has a finite weight, and one far from all of them none.
    assert bin_weights([5, 0, 0, 0, 0, 0])[1] > 0
    assert bin_weights([5, 0, 0, 0, 0, 0])[5] == 0


def test_edges_and_few_rows():
    edges = torch.tensor([0.0, 2.0, 4.0])
    w = label_density_weights([1.0, 1.5, 3.0], edges=edges, reweight="inverse", kernel=None)
    close(w, [0.75, 0.75, 1.5])
    assert torch.isfinite(label_density_weights([1.0, 2.0])).all()


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_unit_does_not_matter(scale):
    y = np.random.default_rng(0).gamma(1, size=200)
    torch.testing.assert_close(label_density_weights(y * scale), label_density_weights(y))
    torch.testing.assert_close(
        DenseWeight().fit(y * scale)(y * scale), DenseWeight().fit(y)(y), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: label_density_weights([1.0, float("nan")]), "missing or infinite"),
        (lambda: label_density_weights(np.zeros((4, 2))), "one column"),
        (lambda: label_density_weights([1.0], 1.0, edges=torch.tensor([0.0, 2.0])), "one of the two"),
        (lambda: bin_weights([1], reweight="square"), "reweight='square' is unknown"),
        (lambda: bin_weights([0, 0]), "not all 0"),
        (lambda: bin_weights([1], clip=(5, 1)), "the smaller first"),
        (lambda: DenseWeight(alpha=-1), "alpha must be at least 0"),
        (lambda: DenseWeight(epsilon=0), "epsilon above 0"),
        (lambda: DenseWeight(bandwidth=0), "bandwidth must be finite and above 0"),
        (lambda: DenseWeight().fit([1.0, float("inf")]), "missing or infinite"),
        (lambda: DenseWeight().fit(np.zeros((4, 2))), "one column"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# ---------------------------------------------------------------------------------------------- DenseWeight


@pytest.mark.parametrize("bandwidth", [None, 0.3, 4.0])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_dense_weight_against_a_density_in_loops(bandwidth, alpha):
    y = np.random.default_rng(0).gamma(1.5, 2.0, 80)
    h = bandwidth or silverman(y)
    density = np.array([sum(math.exp(-(((a - b) / h) ** 2) / 2) for b in y) for a in y])
    p = (density - density.min()) / (density.max() - density.min())
    raw = np.maximum(1 - alpha * p, 1e-3)
    fitted = DenseWeight(alpha, epsilon=1e-3, bandwidth=bandwidth).fit(y)
    assert fitted.bandwidth_ == pytest.approx(h)
    np.testing.assert_allclose(fitted(y).numpy(), raw / raw.mean(), atol=5e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.floats(0, 3))
def test_dense_weights_are_above_nothing_and_average_to_one(values, alpha):
    w = DenseWeight(alpha).fit(values)(values)
    assert bool((w > 0).all())
    assert float(w.mean()) == pytest.approx(1, rel=1e-6)


def test_dense_weight_limits():
    y = np.r_[np.zeros(50), np.linspace(1, 9, 9)]
    assert DenseWeight(alpha=0).fit(y)(y).unique().tolist() == [1.0]
    assert DenseWeight().fit(np.full(5, 3.0))([3.0, 8.0]).tolist() == [1.0, 1.0]
    fitted = DenseWeight().fit(y)
    assert float(fitted([0.0])) < 0.01 < 1 < float(fitted([9.0]))
    assert float(fitted([1e9])) == float(fitted([9.0]))
    assert fitted(y).argmin() < 50


def test_heavy_ties_have_a_bandwidth():
    y = np.r_[np.zeros(90), np.arange(10.0)]
    assert np.subtract(*np.percentile(y, [75, 25])) == 0
    assert silverman(y) > 0
