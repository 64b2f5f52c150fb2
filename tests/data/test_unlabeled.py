"""Unlabelled sets: the published counts, rows apart from the labelled ones, repeatable."""

import numpy as np
import pytest

from metabalance.data.imbalance import long_tail, long_tail_counts
from metabalance.data.unlabeled import make_unlabeled, unlabeled_counts


def test_published_counts():
    labeled = long_tail_counts(10, 5000, 50)
    assert sum(labeled) == 13_996
    assert unlabeled_counts(labeled, 50) == [24999, 16186, 10477, 6784, 4390, 2843, 1839, 1189, 771, 496]
    assert unlabeled_counts(labeled, 1) == [6998] * 10


@pytest.mark.parametrize("ratio", [1, 2, 10, 50])
@pytest.mark.parametrize("factor", [1, 3, 5])
def test_size_and_ratio(ratio, factor):
    labeled = [3000, 300, 30]
    counts = unlabeled_counts(labeled, ratio, factor)
    assert factor * 3330 - 10 <= sum(counts) <= factor * 3330
    assert counts == sorted(counts, reverse=True)
    assert counts[0] / counts[-1] == pytest.approx(ratio, rel=0.05)


def test_rows_are_new_repeatable_and_follow_the_labelled_order():
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], 4000))
    labeled = long_tail(y, ratio=10, n_max=300, order=[2, 0, 1])
    rows = make_unlabeled(y, labeled, ratio_unlabeled=20, seed=1)
    assert not set(rows) & set(labeled)
    assert len(set(rows)) == len(rows)
    assert (np.diff(rows) > 0).all()
    expected = unlabeled_counts(np.bincount(y[labeled]).tolist(), 20)
    assert np.bincount(y[rows]).tolist() == [expected[1], expected[2], expected[0]]
    np.testing.assert_array_equal(rows, make_unlabeled(y, labeled, 20, seed=1))
    assert set(rows) != set(make_unlabeled(y, labeled, 20, seed=2))


def test_refusals():
    y = np.repeat([0, 1], 100)
    with pytest.raises(ValueError, match="unlabelled rows of class 0 are needed, but 50 are left; lower"):
        make_unlabeled(y, range(50), ratio_unlabeled=1)
    for labeled, ratio, factor in (([10], 2, 5), ([10, 5], 0.5, 5), ([10, 5], 2, 0), ([0, 0], 2, 5)):
        with pytest.raises(ValueError, match="an unlabelled set needs at least 2 classes"):
            unlabeled_counts(labeled, ratio, factor)
