"""Tensors, rows that count, equal rows as one."""

import numpy as np
import pandas as pd
import pytest
import torch

from metabalance.data.arrays import as_tensor, is_mixed, merged, without_zero_weights
from metabalance.networks import MLP


def test_tensors_keep_float_types_and_leave_read_only_memory_alone():
    assert as_tensor(np.ones((2, 3))).dtype == torch.float64
    assert as_tensor(np.ones((2, 3), dtype=np.float32)).dtype == torch.float32
    assert as_tensor([[1, 2]]).dtype == torch.float32
    fixed = np.ones((2, 2), dtype=np.float32)
    fixed.flags.writeable = False
    as_tensor(fixed).add_(1)
    assert fixed.sum() == 4


def test_mixed_means_a_column_that_is_no_number():
    assert not is_mixed(np.ones((2, 2)))
    assert not is_mixed(pd.DataFrame({"a": [1.0], "b": [2]}))
    assert is_mixed(pd.DataFrame({"a": [1.0], "b": ["x"]}))
    assert is_mixed(pd.DataFrame({"a": [True]}))


def test_rows_of_weight_zero_do_not_exist():
    X, y, w = without_zero_weights(np.arange(3.0)[:, None], np.array([0, 1, 0]), np.array([1.0, 0.0, 2.0]))
    assert (X.ravel().tolist(), y.tolist(), w.tolist()) == ([0.0, 2.0], [0, 0], [1.0, 2.0])
    with pytest.raises(ValueError, match="must not be negative"):
        without_zero_weights(X, y, np.array([1.0, -1.0]))


def test_copies_and_weights_come_to_the_same():
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 3, (30, 2)).astype(float), rng.integers(0, 2, 30)
    weight = rng.integers(1, 4, 30)
    order = rng.permutation(weight.sum())
    copies = merged(X.repeat(weight, axis=0)[order], y.repeat(weight)[order], np.ones(weight.sum()))
    for a, b in zip(merged(X, y, weight.astype(float)), copies):
        np.testing.assert_array_equal(a, b)
    assert copies[2].sum() == weight.sum()


def test_the_mlp_has_the_shape_it_says():
    network = MLP(5, 3, hidden=(8, 4), dropout=0.5)
    assert network(torch.zeros(2, 5)).shape == (2, 3)
    assert [type(m).__name__ for m in MLP(5, 3, hidden=())] == ["Linear"]
