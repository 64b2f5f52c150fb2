"""Density weights, Balanced MSE and feature smoothing against numbers recorded from the authors' own code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d

from metabalance.densities import bin_edges, smoothing_kernel
from metabalance.judge.regions import make_regions
from metabalance.loss import BMCLoss, BNILoss, GAILoss
from metabalance.represent import FeatureDistributionSmoothing
from metabalance.study.reproduce.sentences import read_pairs
from metabalance.study.reproduce.value_sets import FOLDER, age_labels
from metabalance.weigh import bin_weights, label_density_weights

HERE = Path(__file__).parent
SETTINGS = {
    "sqrt_inv": {"reweight": "sqrt_inv", "kernel": None},
    "inverse": {"reweight": "inverse", "kernel": None},
    "sqrt_inv lds 5/2": {"reweight": "sqrt_inv"},
    "sqrt_inv lds 9/1": {"reweight": "sqrt_inv", "kernel_size": 9, "sigma": 1.0},
    "sqrt_inv lds triang 5": {"reweight": "sqrt_inv", "kernel": "triang"},
    "sqrt_inv lds laplace 5/2": {"reweight": "sqrt_inv", "kernel": "laplace"},
    "inverse lds 5/2": {"reweight": "inverse"},
}


def record(name):
    return json.loads((HERE / f"{name}.json").read_text())


def by_age(name):
    """Our weights and theirs of the ages that occur in AgeDB's training part."""
    theirs = record("lds")
    counts, settings = np.array(theirs["ages"]), SETTINGS[name]
    clip = (5, 1000) if settings["reweight"] == "inverse" else None  # of ages, and of ages alone
    ours = bin_weights(counts, clip=clip, **settings).numpy()
    return ours[counts > 0], np.array(theirs["weights"][name], dtype=float)[counts > 0]


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "inverse lds 5/2"])
def test_weights_of_ages(name):
    ours, theirs = by_age(name)
    np.testing.assert_allclose(ours, theirs, rtol=2e-6)


def test_their_smoothed_inverse_weights_come_of_truncated_counts():
    """Whole-numbered counts are convolved there, so that the results are cut to whole numbers; ours are exact."""
    ours, theirs = by_age("inverse lds 5/2")
    assert 0.005 < np.abs(ours / theirs - 1).max() < 0.1
    counts = np.clip(record("lds")["ages"], 5, 1000)
    smoothed = convolve1d(counts, smoothing_kernel("gaussian", 5, 2.0).numpy(), mode="constant")
    there = np.array(record("lds")["ages"])
    weight = np.where(there > 0, 1 / smoothed, 0)
    weight *= there.sum() / (there * weight).sum()
    np.testing.assert_allclose(weight[there > 0], theirs, rtol=2e-6)


@pytest.mark.parametrize("name", ["sqrt_inv", "inverse", "sqrt_inv lds 5/2"])
def test_weights_of_similarities(name):
    theirs = record("lds")
    values, counts = np.array(theirs["stsb_values"]), np.array(theirs["stsb_counts"])
    y = np.repeat(values, counts)
    # Theirs compares with numpy's edges as they are, ours allows for the last digit: so theirs are counted here.
    edges = np.histogram_bin_edges([], bins=50, range=(0, 5))
    index = np.where(values == 5, 49, np.searchsorted(edges, values, side="right") - 1)
    n = np.bincount(index, counts, minlength=50)
    np.testing.assert_allclose(
        bin_weights(n, **SETTINGS[name]).numpy()[index], theirs["stsb"][name], rtol=2e-6
    )
    ours = label_density_weights(y, edges=bin_edges(y, num_bins=50), **SETTINGS[name]).numpy()
    assert ours.mean() == pytest.approx(1)


def test_recorded_counts_are_those_of_the_real_files(real_data):
    ages, sentences = real_data / FOLDER / "agedb_splits.csv.xz", real_data / FOLDER / "stsb_dir.tar.xz"
    if not (ages.is_file() and sentences.is_file()):
        pytest.skip("no imbalanced-regression data here")
    age, part = age_labels(ages)
    assert np.bincount(age[part == "train"].astype(int), minlength=121).tolist() == record("lds")["ages"]
    _, _, score, part = read_pairs(sentences)
    values, counts = np.unique(score[part == "train"], return_counts=True)
    assert values.tolist() == record("lds")["stsb_values"]
    assert counts.tolist() == record("lds")["stsb_counts"]


def test_regions_of_similarities_are_the_published_ones():
    """The authors list the bins by number (util.py, STSShotAverage); with 30 as the lower threshold so do ours."""
    theirs = record("lds")
    y = np.repeat(theirs["stsb_values"], theirs["stsb_counts"])
    regions = make_regions(y, num_bins=50, many=100, few=30)
    assert np.flatnonzero(regions.groups == "many").tolist() == [0, *range(10, 49, 2), 49]
    assert np.flatnonzero(regions.groups == "medium").tolist() == [2, 4, 6, 8, 27, 35, 37]


def columns(seed, width):
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(32, width, generator=generator) for _ in range(2)]


def agrees(loss, prediction, target, theirs):
    p = prediction.clone().requires_grad_()
    value = loss(p, target)
    value.backward()
    assert value.item() == pytest.approx(theirs["mean"], rel=1e-5, abs=1e-6)
    torch.testing.assert_close(
        p.grad, torch.tensor(theirs["gradient"]).reshape(p.grad.shape), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_balanced_mse_of_one_target(noise):
    theirs = record("balanced_mse")
    (prediction, target), g, b = columns(0, 1), theirs["gmm"], theirs["bins"]
    p, y = prediction[:, 0], target[:, 0]
    agrees(
        GAILoss(g["weights"], g["means"], g["variances"], noise=noise), p, y, theirs["values"][f"gai {noise}"]
    )
    agrees(BMCLoss(noise=noise), p, y, theirs["values"][f"bmc {noise}"])
    agrees(BNILoss(b["centre"], b["share"], noise=noise), p, y, theirs["values"][f"bni {noise}"])


@pytest.mark.parametrize("name", ["gai", "bmc"])
def test_balanced_mse_of_two_targets(name):
    theirs = record("balanced_mse")
    g, values = theirs["gmm_2d"], theirs["values_2d"][name]
    p, y = columns(1, 2)
    if name == "bmc":
        agrees(BMCLoss(noise=values["noise"]), p, y, values)
        return
    loss = GAILoss(g["weights"], g["means"], g["variances"], noise=values["noise"])
    agrees(loss, p, y, values)


def test_features_smoothed_over_bins():
    theirs = record("fds")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 4, generator=generator) + torch.arange(60)[:, None] / 20
    bins = torch.arange(60) % 12
    fds = FeatureDistributionSmoothing(4, 12)
    torch.testing.assert_close(fds.kernel, torch.tensor(theirs["kernel"]))
    fds.collect(features, bins)
    fds.update()
    torch.testing.assert_close(fds(features, bins), torch.tensor(theirs["smoothed"]), rtol=1e-4, atol=1e-5)
