"""SMOTE, ADASYN and the neighbours they rest on: the same sets as scikit-learn's, counts, segments, refusals."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from imblearn import over_sampling
from sklearn.neighbors import NearestNeighbors

from metabalance.sample import ADASYN, SMOTE, nearest, neighbours
from metabalance.sample.adasyn import allocation
from metabalance.sample.smote import target_sizes

BOTH = pytest.mark.parametrize("sampler", [SMOTE, ADASYN])
Y = torch.tensor([0] * 60 + [1] * 25 + [2] * 12)


def table(dtype=torch.float64, seed=0, width=3):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(97, width, generator=g, dtype=dtype) + Y[:, None] * 0.5


def brute(X, k, rows):
    """Neighbours by loops."""
    out = []
    for i in rows:
        distances = [(float((X[i] - X[j]).square().sum()), j) for j in range(len(X)) if j != i]
        out.append({j for _, j in sorted(distances)[:k]})
    return out


# ---------------------------------------------------------------------------------------------- neighbours


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n", "width", "k"), [(300, 2, 5), (1500, 8, 5), (700, 64, 5), (2000, 3, 1), (40, 5, 39)]
)
def test_neighbour_sets_are_scikit_learns(n, width, k, dtype):
    X = torch.randn(n, width, dtype=dtype, generator=torch.Generator().manual_seed(n))
    theirs = NearestNeighbors(n_neighbors=k).fit(X.numpy()).kneighbors(return_distance=False)
    ours = nearest(X, k)
    assert torch.equal(ours.sort(1).values, torch.from_numpy(np.sort(theirs, 1)))


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e4), (1e-6, 0.0), (1e6, 0.0)])
def test_neighbours_where_single_precision_is_not_enough(scale, shift):
    """Far from the origin, and close together: the second search decides."""
    g = torch.Generator().manual_seed(0)
    X = torch.rand(400, 3, generator=g, dtype=torch.float64)
    X[:200] = X[0] + 1e-5 * X[:200]
    X = X * scale + shift
    theirs = (
        NearestNeighbors(n_neighbors=5, algorithm="kd_tree").fit(X.numpy()).kneighbors(return_distance=False)
    )
    assert torch.equal(nearest(X, 5).sort(1).values, torch.from_numpy(np.sort(theirs, 1)))


def test_one_far_point_does_not_blur_the_others():
    X = torch.randn(500, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    X[7] = 1e7
    theirs = (
        NearestNeighbors(n_neighbors=5, algorithm="kd_tree").fit(X.numpy()).kneighbors(return_distance=False)
    )
    assert torch.equal(nearest(X, 5).sort(1).values, torch.from_numpy(np.sort(theirs, 1)))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 10_000), st.booleans())
def test_neighbours_twin(n, width, seed, whole):
    """Whole numbers bring ties and duplicates: then the distances must be right, if not the points."""
    rng = np.random.default_rng(seed)
    X = torch.from_numpy(
        rng.integers(0, 4, (n, width)).astype(float) if whole else rng.normal(size=(n, width))
    )
    k = int(rng.integers(1, n))
    found = nearest(X, k)
    for i, twin in enumerate(brute(X, k, range(n))):
        mine = found[i].tolist()
        assert i not in mine
        assert len(set(mine)) == k
        ours, theirs = (sorted(float((X[i] - X[j]).square().sum()) for j in s) for s in (mine, twin))
        assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("n", [97, 512, 513, 1300])
def test_all_rows_at_once_or_some_of_them_or_tile_by_tile(n, monkeypatch):
    """Symmetry is used only when all points ask and the table fits."""
    X = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole, rows = nearest(X, 4), torch.tensor([5, n - 1, 5])
    assert torch.equal(nearest(X, 4, rows), whole[rows])
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    assert torch.equal(nearest(X, 4, order), whole[order])
    monkeypatch.setattr(neighbours, "ENTRIES", 1)
    assert torch.equal(nearest(X, 4), whole)


@pytest.mark.parametrize("n", [9_000, 33_000])
def test_neighbours_in_larger_groups(n):
    X = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(0, n, n // 50)
    theirs = NearestNeighbors(n_neighbors=6, algorithm="kd_tree").fit(X.double().numpy())
    expected = theirs.kneighbors(X[rows].double().numpy(), return_distance=False)[:, 1:]
    assert torch.equal(nearest(X, 5, rows).sort(1).values, torch.from_numpy(np.sort(expected, 1)))


@pytest.mark.parametrize("k", [0, 97])
def test_impossible_k(k):
    with pytest.raises(ValueError, match=f"k must lie between 1 and 96, one less than points, but is {k}"):
        nearest(table(), k)


# ---------------------------------------------------------------------------------------------- both


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_given_rows_come_first_and_dtype_stays(sampler, dtype):
    X = table(dtype)
    kept = X.clone()
    new_X, new_y = sampler().fit_resample(X, Y)
    assert torch.equal(X, kept)
    assert (new_X.dtype, new_y.dtype) == (dtype, Y.dtype)
    assert torch.equal(new_X[:97], X)
    assert torch.equal(new_y[:97], Y)
    assert len(new_X) == len(new_y) > 97


@BOTH
def test_it_is_its_seed(sampler):
    X = table()
    state = torch.get_rng_state()
    first, again, other = (sampler(seed=s).fit_resample(X, Y)[0] for s in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@BOTH
def test_new_rows_lie_between_neighbours_of_their_class(sampler):
    """Not only somewhere in the hull: on one of the segments that scikit-learn's neighbours name."""
    X = table(width=3)
    new_X, new_y = sampler(k=3).fit_resample(X, Y)
    for c in (1, 2):
        members = X[c == Y]
        pairs = NearestNeighbors(n_neighbors=3).fit(members.numpy()).kneighbors(return_distance=False)
        for row in new_X[97:][new_y[97:] == c]:
            best = min(
                _off_segment(row, members[i], members[int(j)]) for i in range(len(members)) for j in pairs[i]
            )
            assert best < 1e-9


def _off_segment(point, a, b):
    u = float(((point - a) @ (b - a) / (b - a).square().sum()).clamp(0, 1))
    return float((a + u * (b - a) - point).norm())


@BOTH
def test_images_are_taken_flat(sampler):
    X = table(width=12)
    new_X, new_y = sampler().fit_resample(X.view(97, 3, 2, 2), Y)
    flat_X, flat_y = sampler().fit_resample(X, Y)
    assert torch.equal(new_X, flat_X.view(-1, 3, 2, 2))
    assert torch.equal(new_y, flat_y)


@BOTH
def test_few_rows_mean_fewer_neighbours_and_a_note(sampler):
    y = torch.tensor([0] * 90 + [1] * 3 + [0] * 4)
    made = sampler()
    made.fit_resample(table() * 0.1, y)
    assert made.note_ == "class 1 has 3 rows, so 2 neighbours were taken"
    made.fit_resample(table(), Y)
    assert made.note_ == ""


@BOTH
def test_refusals(sampler):
    X, one = table(), torch.tensor([0] * 96 + [1])
    with pytest.raises(ValueError, match="mixes rows of one class, but class 1 has 1; use OverSampler"):
        sampler().fit_resample(X, one)
    for bad in (float("nan"), float("inf")):
        broken = X.clone()
        broken[3, 1] = bad
        with pytest.raises(ValueError, match="must be finite floating-point numbers"):
            sampler().fit_resample(broken, Y)
    with pytest.raises(ValueError, match="must be finite floating-point numbers"):
        sampler().fit_resample(X.long(), Y)
    with pytest.raises(ValueError, match=r"y class indices \(N,\)"):
        sampler().fit_resample(X, Y[:5])
    with pytest.raises(ValueError, match="k must be at least 1"):
        sampler(k=0).fit_resample(X, Y)
    with pytest.raises(ValueError, match="target='half' is unknown"):
        sampler(target="half").fit_resample(X, Y)
    with pytest.raises(ValueError, match="target wants 5 rows of class 1, which has 25"):
        sampler(target={1: 5}).fit_resample(X, Y)
    with pytest.raises(ValueError, match="target wants 5 rows of class 9, which has 0"):
        sampler(target={9: 5}).fit_resample(X, Y)


@BOTH
def test_equal_classes_stay_as_they_are(sampler):
    X, y = torch.randn(10, 2), torch.arange(10) % 2
    new_X, new_y = sampler().fit_resample(X, y)
    assert torch.equal(new_X, X)
    assert torch.equal(new_y, y)


# ---------------------------------------------------------------------------------------------- SMOTE


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ("auto", [60, 60, 60]),
        (1.0, [60, 60, 60]),
        (0.5, [60, 30, 30]),
        (0.3, [60, 25, 18]),
        ({2: 40}, [60, 25, 40]),
    ],
)
def test_smote_counts_are_exact(target, counts):
    assert SMOTE(target=target).fit_resample(table(), Y)[1].bincount().tolist() == counts
    dictionary = {c: n for c, n in enumerate(counts) if n > int((c == Y).sum())}
    theirs = over_sampling.SMOTE(sampling_strategy=dictionary, random_state=0)
    assert np.bincount(theirs.fit_resample(table().numpy(), Y.numpy())[1]).tolist() == counts


def test_a_class_without_rows_does_not_grow():
    assert target_sizes(torch.tensor([4, 0, 2]), "auto") == {2: 4}


def test_two_rows_span_one_segment():
    X = torch.tensor([[0.0, 0], [4, 8], [50, 50], [51, 50], [52, 50], [53, 51], [54, 50], [55, 50]])
    y = torch.tensor([1, 1, 0, 0, 0, 0, 0, 0])
    new = SMOTE(k=1).fit_resample(X, y)[0][8:]
    assert len(new) == 4
    torch.testing.assert_close(new[:, 1], 2 * new[:, 0])
    assert ((new >= 0) & (new <= torch.tensor([4.0, 8.0]))).all()


def test_a_class_of_duplicates_is_repeated():
    X = torch.cat([torch.randn(20, 3), torch.tensor([[1.0, 2.0, 3.0]]).repeat(7, 1)])
    new = SMOTE().fit_resample(X, torch.tensor([0] * 20 + [1] * 7))[0][27:]
    assert len(new) == 13
    assert torch.equal(new, X[-1:].expand(13, 3))


def test_smote_places_are_uniform_on_the_segment_and_rows_are_drawn_alike():
    X = torch.tensor([[0.0], [1.0], [2.5]], dtype=torch.float64)
    X = torch.cat([X, torch.linspace(50, 60, 20_003, dtype=torch.float64)[:, None]])
    y = torch.tensor([1] * 3 + [0] * 20_003)
    new = SMOTE(k=1).fit_resample(X, y)[0][20_006:, 0]
    # Two thirds of the pairs are (0, 1) and (1, 0); one third is (2.5, 1).
    left, right = new[new < 1], (new[new > 1] - 1) / 1.5
    assert abs(len(left) - 20_000 * 2 / 3) < 4 * (20_000 * 2 / 9) ** 0.5
    for u in (left, right):
        assert abs(float(u.mean()) - 0.5) < 4 / (12 * len(u)) ** 0.5


# ---------------------------------------------------------------------------------------------- ADASYN


def test_adasyn_allocates_as_imbalanced_learn():
    """The number of new rows of each class, and of each row: from the shares of foreign neighbours."""
    X = table()
    ours = ADASYN().fit_resample(X, Y)[1].bincount()
    theirs = over_sampling.ADASYN(random_state=0).fit_resample(X.numpy(), Y.numpy())[1]
    assert ours.tolist() == np.bincount(theirs).tolist()


def test_adasyn_allocation_twin():
    X = table()
    rows = torch.nonzero(Y == 2).flatten().tolist()
    foreign = [sum(int(Y[j]) != 2 for j in near) / 5 for near in brute(X, 5, rows)]
    expected = [round(r / sum(foreign) * 48) for r in foreign]
    assert allocation(torch.tensor(foreign, dtype=torch.float64), 48).tolist() == expected
    new_y = ADASYN().fit_resample(X, Y)[1]
    assert int((new_y[97:] == 2).sum()) == sum(expected)


def test_a_row_without_foreign_neighbours_gives_none():
    X = torch.cat([torch.randn(40, 2) * 0.1, torch.randn(9, 2) * 0.1 + 100, torch.zeros(1, 2)]).double()
    y = torch.tensor([0] * 40 + [1] * 10)
    new = ADASYN(k=3).fit_resample(X, y)[0][50:]
    assert len(new) == 30
    toward = (new - X[-1]) / 100  # all start from the row at the origin, amid the others
    torch.testing.assert_close(toward[:, 0], toward[:, 1], atol=0.01, rtol=0)
    assert ((toward > -0.01) & (toward < 1.01)).all()


def test_adasyn_on_separated_classes():
    X = torch.cat([torch.randn(40, 2), torch.randn(10, 2) + 100])
    with pytest.raises(ValueError, match=r"ADASYN found no row of class 1 to start from.*use SMOTE"):
        ADASYN().fit_resample(X, torch.tensor([0] * 40 + [1] * 10))


@BOTH
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_a_result_or_one_clear_sentence(sampler, seed, counts):
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    X = torch.randn(len(y), 2, generator=torch.Generator().manual_seed(seed))
    refused = None
    try:
        new_X, new_y = sampler().fit_resample(X, y)
    except ValueError as error:
        refused = str(error)
    if refused is not None:
        assert "; use " in refused
    else:
        assert torch.isfinite(new_X).all()
        assert len(new_X) == len(new_y)
        if sampler is SMOTE:
            assert set(new_y.bincount().tolist()) == {max(counts)}
