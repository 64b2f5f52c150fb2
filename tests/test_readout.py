"""Readouts: what the columns of a network mean, alike for arrays and tensors."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import norm

from metabalance.readout import Readout

READOUTS = [
    Readout("value", 2),
    Readout("quantiles", 2, (0.1, 0.5, 0.9)),
    Readout("gaussian", 2, (0.05, 0.95)),
    Readout("gaussian", 1),
]
RAW = np.random.default_rng(0).normal(size=(7, 12))


@pytest.mark.parametrize("read", READOUTS, ids=lambda r: f"{r.kind}{r.targets}")
def test_arrays_and_tensors_are_read_alike(read):
    raw = RAW[:, : read.columns]
    point, limits = read.point(raw), read.limits(raw)
    assert point.shape == (7, read.targets)
    np.testing.assert_allclose(read.point(torch.from_numpy(raw)).numpy(), point)
    if limits is None:
        assert read.limits(torch.from_numpy(raw)) is None
    else:
        assert limits.shape == (7, read.targets, 2)
        assert (limits[..., 0] <= point).all()
        assert (point <= limits[..., 1]).all()
        np.testing.assert_allclose(read.limits(torch.from_numpy(raw)).numpy(), limits, rtol=1e-6)


@pytest.mark.parametrize("read", READOUTS, ids=lambda r: f"{r.kind}{r.targets}")
def test_a_readout_goes_through_json(read):
    assert Readout.from_dict(json.loads(json.dumps(read.to_dict()))) == read


def test_the_columns_of_a_target_lie_together():
    raw = np.arange(6.0)[None]
    assert Readout("quantiles", 2, (0.1, 0.5, 0.9)).point(raw).tolist() == [[1.0, 4.0]]
    assert Readout("gaussian", 3).point(raw).tolist() == [[0.0, 2.0, 4.0]]
    assert Readout("value", 6).point(raw).tolist() == raw.tolist()


def test_gaussian_limits_are_those_of_scipy():
    limits = Readout("gaussian", 1, (0.1, 0.8)).limits(np.array([[2.0, np.log(9.0)]]))
    np.testing.assert_allclose(limits[0, 0], norm(2, 3).ppf([0.1, 0.8]))
    assert Readout("value", 1).limits(np.ones((2, 1))) is None
    assert Readout("gaussian", 1).limits(np.ones((2, 2))) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("values", 1), "one of value, quantiles, gaussian"),
        (("value", 0), "at least one target"),
        (("quantiles", 1, (0.1, 0.9)), "need the level 0.5"),
        (("quantiles", 1, (0.9, 0.5)), "increase"),
        (("gaussian", 1, (0.0, 0.5)), "between 0 and 1"),
    ],
)
def test_impossible_readouts_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Readout(*arguments)


def test_other_columns_and_records_are_refused():
    with pytest.raises(ValueError, match=r"outputs must be \(N, 3\)"):
        Readout("quantiles", 1, (0.1, 0.5, 0.9)).point(np.ones((2, 2)))
    with pytest.raises(ValueError, match="this is no readout"):
        Readout.from_dict({"kind": "value"})
