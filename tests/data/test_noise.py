"""Label noise: exact counts per class, the matrices of the papers, and nothing else touched."""

import numpy as np
import pytest

from metabalance.data.noise import (
    CIFAR10_PAIRS,
    apply_noise,
    asymmetric_matrix,
    asymmetric_noise,
    proportional_matrix,
    proportional_noise,
    symmetric_matrix,
    symmetric_noise,
)

TARGET = np.repeat([0, 1, 2, 3], [400, 100, 30, 5])


def transitions(target, noisy, classes):
    table = np.zeros((classes, classes), dtype=int)
    for before, after in zip(target, noisy):
        table[before, after] += 1
    return table


MATRICES = {
    "symmetric": lambda r: symmetric_matrix(4, r),
    "including its own": lambda r: symmetric_matrix(4, r, include_own=True),
    "pair flip": lambda r: asymmetric_matrix(4, r),
    "mapping": lambda r: asymmetric_matrix(4, r, {0: 2, 3: 1}),
    "proportional": lambda r: proportional_matrix(np.bincount(TARGET), r),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4, 1.0])
def test_rows_sum_to_one_and_no_noise_is_the_identity(name, rate):
    matrix = MATRICES[name](rate)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert (matrix >= 0).all()
    if rate == 0:
        np.testing.assert_array_equal(matrix, np.eye(4))
        noisy, wrong = apply_noise(TARGET, matrix)
        np.testing.assert_array_equal(noisy, TARGET)
        assert not wrong.any()


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("rate", [0.1, 0.37, 0.4, 1.0])
def test_counts_are_as_near_to_the_matrix_as_whole_numbers_allow(name, rate):
    matrix = MATRICES[name](rate)
    noisy, wrong = apply_noise(TARGET, matrix, seed=3)
    table = transitions(TARGET, noisy, 4)
    for c, n in enumerate(np.bincount(TARGET)):
        assert table[c].sum() == n
        assert n - table[c, c] == int(np.floor(n * (1 - matrix[c, c]) + 0.5 + 1e-9))
        assert np.abs(table[c] - n * matrix[c]).max() < 1.5
        assert (table[c][matrix[c] == 0] == 0).all()
    np.testing.assert_array_equal(wrong, noisy != TARGET)


def test_a_naive_twin_of_the_matrices():
    counts = [400, 100, 30, 5]
    for i in range(4):
        for j in range(4):
            p = 0.3
            assert symmetric_matrix(4, p)[i, j] == pytest.approx(1 - p if i == j else p / 3)
            assert symmetric_matrix(4, p, include_own=True)[i, j] == pytest.approx((1 - p) * (i == j) + p / 4)
            assert asymmetric_matrix(4, p)[i, j] == pytest.approx({i: 1 - p, (i + 1) % 4: p}.get(j, 0))
            own = 1 - p + p * counts[i] / sum(counts)
            assert proportional_matrix(counts, p)[i, j] == pytest.approx(
                own if i == j else p * counts[j] / sum(counts)
            )


def test_proportional_noise_of_equal_classes_is_the_symmetric_one_including_its_own():
    np.testing.assert_allclose(
        proportional_matrix([7, 7, 7], 0.6), symmetric_matrix(3, 0.6, include_own=True)
    )


def test_pairs_and_mappings():
    y = np.repeat(np.arange(10), 10)
    noisy, wrong = asymmetric_noise(y, 0.4, CIFAR10_PAIRS)
    table = transitions(y, noisy, 10)
    for c in range(10):
        expected = {c: 10} if c not in CIFAR10_PAIRS else {c: 6, CIFAR10_PAIRS[c]: 4}
        assert {k: n for k, n in enumerate(table[c]) if n} == expected
    assert wrong.sum() == 20
    assert asymmetric_noise([0, 0, 1, 1], 1.0)[0].tolist() == [1, 1, 0, 0]


def test_the_rarest_class_loses_its_share_and_not_more():
    for seed in range(20):
        noisy, _ = symmetric_noise(TARGET, 0.4, seed=seed)
        assert (noisy[TARGET == 3] == 3).sum() == 3
    noisy, wrong = proportional_noise(TARGET, 0.4)
    assert (noisy[wrong & (TARGET == 3)] == 0).sum() >= 1  # towards the largest class
    assert wrong[TARGET == 3].mean() > wrong[TARGET == 0].mean()


def test_ties_are_settled_by_lot_and_all_rows_have_the_same_chance():
    hits, rows = np.zeros(4), np.zeros(5)
    for seed in range(400):
        noisy, wrong = symmetric_noise([3] * 5 + [0], 0.2, num_classes=4, seed=seed)
        assert wrong[:5].sum() == 1
        hits[noisy[:5][wrong[:5]]] += 1
        rows += wrong[:5]
    assert hits[3] == 0
    assert hits[:3].min() > 90
    assert rows.min() > 50


def test_same_seed_same_noise_and_one_class_does_not_disturb_another():
    a, _ = symmetric_noise(TARGET, 0.3, seed=1)
    np.testing.assert_array_equal(a, symmetric_noise(TARGET, 0.3, seed=1)[0])
    assert (a != symmetric_noise(TARGET, 0.3, seed=2)[0]).any()
    shorter = np.concatenate([TARGET[TARGET != 0], np.zeros(10, dtype=int)])
    longer = np.concatenate([TARGET[TARGET != 0], np.zeros(90, dtype=int)])
    for name in ("symmetric", "pair flip"):
        b, c = (apply_noise(y, MATRICES[name](0.3), seed=1)[0] for y in (shorter, longer))
        np.testing.assert_array_equal(b[:135], c[:135])


def test_absent_classes_and_two_classes():
    noisy, _ = symmetric_noise([0, 0, 5, 5], 0.5, num_classes=8)
    assert len(noisy) == 4
    assert noisy.max() < 8
    assert symmetric_noise([0, 1], 1.0)[0].tolist() == [1, 0]
    assert apply_noise(np.array([], dtype=int), np.eye(2))[0].shape == (0,)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: symmetric_noise([0, 1], 1.2), "rate from 0 to 1"),
        (lambda: symmetric_noise([0, 0], 0.2), "at least 2 classes"),
        (lambda: asymmetric_noise([0, 1], 0.2, {0: 7}), "numbered from 0 to 1"),
        (lambda: apply_noise([0, 3], np.eye(2)), "from 0 to 1"),
        (lambda: apply_noise([0.5], np.eye(2)), "class indices"),
        (lambda: apply_noise([0], [[0.5, 0.4], [0, 1]]), "summing to 1"),
        (lambda: apply_noise([0], [[1.5, -0.5], [0, 1]]), "not negative"),
        (lambda: apply_noise([0], np.ones((2, 3))), r"\(C, C\)"),
    ],
)
def test_clear_errors(call, said):
    with pytest.raises(ValueError, match=said):
        call()
