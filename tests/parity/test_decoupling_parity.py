"""τ-normalisation, weight scaling and class means against classifier-balancing."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from metabalance.adjust import NearestClassMean, ScaledLinear, tau_normalize

EXPECTED = json.loads((Path(__file__).parent / "decoupling.json").read_text())["expected"]


def inputs():
    g = torch.Generator().manual_seed(7)
    head = nn.Linear(6, 4)
    head.weight.data = torch.randn(4, 6, generator=g)
    head.bias.data = torch.randn(4, generator=g)
    x = torch.randn(5, 6, generator=g)
    scale = torch.rand(4, generator=g) + 0.5
    return head, x, scale, torch.randn(40, 6, generator=g) + 1, torch.arange(40) % 4


@pytest.mark.parametrize("tau", EXPECTED["pnorm"])
def test_tau_norm(tau):
    head = tau_normalize(copy.deepcopy(inputs()[0]), float(tau))
    torch.testing.assert_close(head.weight.detach(), torch.tensor(EXPECTED["pnorm"][tau]))


def test_weight_scaling():
    head, x, scale, _, _ = inputs()
    scaled = ScaledLinear(head)
    torch.testing.assert_close(scaled(x).detach(), torch.tensor(EXPECTED["lws_fresh"]))
    scaled.scale.data = scale
    torch.testing.assert_close(scaled(x).detach(), torch.tensor(EXPECTED["lws"]))


@pytest.mark.parametrize(("ours", "theirs"), [("cl2n", "cl2n"), ("l2n", "l2n"), ("none", "un")])
def test_class_means(ours, theirs):
    _, x, _, features, target = inputs()
    scores = NearestClassMean(6, 4, ours).fit(features, target)(x)
    torch.testing.assert_close(scores, torch.tensor(EXPECTED["ncm"][theirs]), rtol=1e-4, atol=1e-5)
