"""Rare values: their relevance, over-sampling, SMOTER and SMOGN; limits, loops from the papers, refusals."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from scipy.interpolate import CubicHermiteSpline

from metabalance.sample import SMOGN, RareOverSampler, box_plot_points, nearest, relevance
from metabalance.sample.rare_values import RareResampler, partitions, wanted_sizes
from metabalance.sample.smogn import half_median_distance

BOTH = pytest.mark.parametrize("sampler", [SMOGN, RareOverSampler])


def table(rows=400, width=3, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    X = torch.randn(rows, width, generator=g, dtype=dtype)
    return X, (X[:, 0] + 0.3 * torch.randn(rows, generator=g, dtype=dtype)).exp()


def test_relevance_is_a_flat_hermite_curve_and_monotone():
    points = [(-2.0, 1.0), (0.0, 0.0), (5.0, 0.8)]
    y = torch.linspace(-4, 8, 301, dtype=torch.float64)
    x, phi = zip(*points)
    wanted = CubicHermiteSpline(x, phi, np.zeros(3))(np.clip(y.numpy(), -2, 5))
    found = relevance(y, points)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert bool((found[y <= 0].diff() <= 0).all())
    assert bool((found[y >= 0].diff() >= 0).all())
    assert relevance([1.0, 2.0], [(0.0, 0.3)]).tolist() == [0.3, 0.3]


def test_points_of_a_box_plot():
    y = np.r_[np.arange(1.0, 10.0), 50.0, -40.0]
    assert box_plot_points(y) == [(1.0, 1.0), (5.0, 0.0), (9.0, 1.0)]
    assert box_plot_points(y, "high") == [(5.0, 0.0), (9.0, 1.0)]
    assert box_plot_points(y, "low") == [(1.0, 1.0), (5.0, 0.0)]
    assert box_plot_points(1e12 * y) == [(1e12 * a, b) for a, b in box_plot_points(y)]
    low, middle, high = np.quantile(table()[1], [0.25, 0.5, 0.75])
    (m, _), (top, _) = box_plot_points(table()[1])
    inside = table()[1][table()[1] <= high + 1.5 * (high - low)]
    assert (m, top) == (pytest.approx(middle), float(inside.max()))


def test_runs_of_rare_and_of_common_values():
    y = torch.tensor([5.0, 1, 9, 2, 8, 4])
    phi = torch.tensor([0.0, 1, 1, 0.9, 0.2, 0])
    parts = partitions(y, phi, 0.5)
    assert [(y[p.rows].tolist(), p.rare) for p in parts] == [([1, 2], True), ([4, 5, 8], False), ([9], True)]
    assert wanted_sizes(parts, "equal") == [2, 2, 2]
    assert wanted_sizes(parts, "inverse") == [2, 1, 3]


@BOTH
@pytest.mark.parametrize("balance", ["equal", "inverse"])
def test_sizes_order_and_seed(sampler, balance):
    X, y = table()
    new_X, new_y = sampler(side="high", balance=balance, seed=3).fit_resample(X, y)
    made = sampler(side="high", balance=balance, seed=3)
    again_X, again_y = made.fit_resample(X, y)
    assert torch.equal(new_X, again_X)
    assert torch.equal(new_y, again_y)
    phi = relevance(y, box_plot_points(y, "high"))
    parts = partitions(y, phi, 0.5)
    assert len(new_X) == len(new_y) == sum(wanted_sizes(parts, balance))
    kept = made.source_index_[made.source_index_ >= 0]
    assert torch.equal(new_X[: len(kept)], X[kept])
    originals = kept if sampler is SMOGN else kept[: int((phi < 0.5).sum())]
    assert bool((originals.diff() > 0).all()) or sampler is RareOverSampler
    # Nothing rare is lost, and nothing common repeated.
    assert set(torch.nonzero(phi >= 0.5).flatten().tolist()) <= set(kept.tolist())
    common = [i for i in kept.tolist() if phi[i] < 0.5]
    assert len(common) == len(set(common))
    assert not torch.equal(sampler(side="high", seed=4).fit_resample(X, y)[0], new_X)


@BOTH
def test_without_undersampling_all_rows_come_first(sampler):
    X, y = table()
    made = sampler(undersample=False)
    new_X, new_y = made.fit_resample(X, y)
    assert torch.equal(new_X[:400], X)
    assert torch.equal(new_y[:400], y)
    assert len(new_X) > 400


def test_repeated_rows_are_rows_of_the_table():
    X, y = table()
    made = RareOverSampler()
    new_X, new_y = made.fit_resample(X, y)
    assert isinstance(made, RareResampler)
    assert torch.equal(new_X, X[made.source_index_])
    assert torch.equal(new_y, y[made.source_index_])


def test_smoter_rows_and_targets_lie_at_the_same_place_between_neighbours():
    X, y = table(width=2)
    made = SMOGN(k=3, noise=None, side="high")
    new_X, new_y = made.fit_resample(X, y)
    rare = torch.nonzero(relevance(y, box_plot_points(y, "high")) >= 0.5).flatten()
    near = nearest(X[rare], 3)
    fresh = made.source_index_ < 0
    assert int(fresh.sum()) > 50
    for row, target in zip(new_X[fresh], new_y[fresh]):
        fits = 0
        for i in range(len(rare)):
            for j in near[i].tolist():
                a, b = X[rare[i]], X[rare[j]]
                u = float((row - a) @ (b - a) / ((b - a) @ (b - a)))
                on_line = torch.allclose(a + u * (b - a), row, atol=1e-9)
                fits += on_line and -1e-9 <= u <= 1 + 1e-9 and abs(
                    float(y[rare[i]] + u * (y[rare[j]] - y[rare[i]]) - target)) < 1e-8  # fmt: skip
        assert fits


def test_far_neighbours_give_noise_around_a_row_instead():
    X, y = table(width=2)
    quiet = SMOGN(k=40, noise=0.0, side="high")
    new_X, _ = quiet.fit_resample(X, y)
    fresh = quiet.source_index_ < 0
    rare = torch.nonzero(relevance(y, box_plot_points(y, "high")) >= 0.5).flatten()
    copies = (new_X[fresh][:, None] == X[rare]).all(2).any(1)
    assert 0.1 < float(copies.double().mean()) < 0.95  # without noise a far neighbour leaves a copy
    loud = SMOGN(k=40, noise=0.02, side="high")
    noisy_X, _ = loud.fit_resample(X, y)
    moved = noisy_X[fresh][copies] - new_X[fresh][copies]
    spread = X[rare].std(0)
    limit = half_median_distance(X[rare], torch.arange(len(rare))).clamp_max(0.02).max()
    assert bool((moved.abs() < 6 * limit * spread).all())
    assert bool((moved.abs() > 0).any())
    # Rows between near neighbours are the same in both.
    torch.testing.assert_close(noisy_X[fresh][~copies], new_X[fresh][~copies])


@pytest.mark.parametrize("rows", [2, 3, 4, 9, 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_half_the_median_distance_in_loops(rows, dtype):
    X = torch.randn(rows, 3, generator=torch.Generator().manual_seed(rows), dtype=dtype) + 100
    found = half_median_distance(X, torch.arange(rows))
    for i in range(rows):
        others = sorted(float((X[i].double() - X[j].double()).norm()) for j in range(rows) if j != i)
        assert float(found[i]) == pytest.approx(others[(len(others) - 1) // 2] / 2, rel=1e-3, abs=1e-6)


def test_a_run_of_one_row_grows_by_noise_and_says_so():
    X = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    y = torch.arange(40.0)
    made = SMOGN(points=[(30.0, 0.0), (38.5, 1.0), (39.5, 1.0)], threshold=0.999)
    new_X, _ = made.fit_resample(X, y)
    assert made.note_ == "a run of 1 rare rows took 0 neighbours"
    fresh = new_X[made.source_index_ < 0]
    assert len(fresh) == 19
    assert bool(((fresh - X[39]).abs() < 6 * 0.02 * X.std(0)).all())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-5, 30), min_size=3, max_size=50),
    st.integers(1, 6),
    st.sampled_from(["high", "low", "both"]),
    st.integers(0, 99),
)
def test_any_target_is_resampled_or_refused(values, k, side, seed):
    y = torch.tensor(values, dtype=torch.float64)
    X = torch.randn(len(y), 2, generator=torch.Generator().manual_seed(seed))
    for made in (SMOGN(k=k, side=side, seed=seed), RareOverSampler(side=side, seed=seed)):
        try:
            new_X, new_y = made.fit_resample(X, y)
        except ValueError as error:
            event(str(error)[:20])
            known = "beyond the whiskers" in str(error) or "of the rows have a relevance" in str(error)
        else:
            known = True
        assert known
        if not hasattr(made, "source_index_"):
            continue
        assert torch.isfinite(new_X).all()
        assert torch.isfinite(new_y).all()
        assert new_X.dtype == X.dtype
        assert len(new_X) == len(new_y) == len(made.source_index_)
        if isinstance(made, RareOverSampler):
            assert set(new_y.tolist()) <= set(values)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda X, y: SMOGN(k=0).fit_resample(X, y), "k must be at least 1"),
        (lambda X, y: SMOGN(noise=-1.0).fit_resample(X, y), "noise at least 0"),
        (lambda X, y: SMOGN(threshold=0.0).fit_resample(X, y), "threshold must lie above 0"),
        (lambda X, y: SMOGN(balance="extreme").fit_resample(X, y), "balance be 'equal' or 'inverse'"),
        (lambda X, y: SMOGN(side="top").fit_resample(X, y), "side='top' is unknown"),
        (lambda X, y: SMOGN().fit_resample(X * float("nan"), y), "X must be"),
        (lambda X, y: SMOGN().fit_resample(X.long(), y), "floating-point"),
        (lambda X, y: SMOGN().fit_resample(X, y.log().log()), "missing or infinite"),
        (lambda X, y: SMOGN().fit_resample(X[:5], y), "as many rows, but have 5 and 400"),
        (lambda X, y: SMOGN().fit_resample(X, y[:, None].expand(400, 2)), "one column"),
        (lambda X, y: SMOGN().fit_resample(X, torch.ones(400)), "none is rare by that rule"),
        (lambda X, y: SMOGN(points=[(1e6, 0.0), (2e6, 1.0)]).fit_resample(X, y), "none of the rows"),
        (lambda X, y: SMOGN(points=[(-9.0, 1.0)]).fit_resample(X, y), "all of the rows"),
        (lambda X, y: relevance(y, [(1.0, 0.0), (1.0, 1.0)]), "increasing values"),
        (lambda X, y: relevance(y, [(1.0, 2.0)]), "relevances from 0 to 1"),
        (lambda X, y: relevance(y, []), "points of relevance"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call(*table())
