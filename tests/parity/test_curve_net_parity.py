"""CurveNet against numbers recorded from the authors' code."""

import json
from pathlib import Path

import numpy as np
import torch

from metabalance.weigh import CurveWeightNet, normalized_curves

RECORDED = json.loads((Path(__file__).parent / "curve_net.json").read_text())
LABELS = torch.tensor(RECORDED["labels"])


def curves():
    return torch.from_numpy(np.random.default_rng(0).random((7, 9)) * 3)


def test_normalised_curves_are_the_authors():
    found = normalized_curves(curves(), LABELS, RECORDED["start"], RECORDED["stop"])
    np.testing.assert_allclose(found, RECORDED["normalized"], atol=1e-6)


def test_weights_are_the_authors():
    net = CurveWeightNet(curve_len=6, num_classes=3, hidden=16).double()
    with torch.no_grad():
        layers = [*net.curve, net.embedding, *net.weight]
        parameters = [p for layer in layers for p in layer.parameters()]
        for k, p in enumerate(parameters, start=1):
            numbers = torch.arange(p.numel(), dtype=torch.float64)
            p.copy_(0.4 * torch.sin(0.7 * numbers.square() + k).view_as(p))
        found = net(torch.tensor(RECORDED["normalized"], dtype=torch.float64), LABELS)
    assert len(set(RECORDED["weights"])) == 7
    np.testing.assert_allclose(found, RECORDED["weights"], atol=1e-12)
