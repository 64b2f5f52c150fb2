"""Against the authors' BalSCL (FlamieZhu/Balanced-Contrastive-Learning, MIT)."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from metabalance.represent import BalancedSupConLoss

RECORD = json.loads((Path(__file__).parent / "balanced_supcon.json").read_text())


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: f"seed {case['seed']}")
def test_two_views_and_centres(case):
    g = torch.Generator().manual_seed(case["seed"])
    rows, classes = 2 * case["rows"], case["classes"]
    drawn = torch.randn(rows + classes, case["dim"], generator=g, dtype=torch.float64)
    target = torch.randint(classes, (case["rows"],), generator=g).repeat(2)
    loss = BalancedSupConLoss(classes, case["dim"], case["temperature"]).double()
    loss.prototypes = nn.Parameter(drawn[rows:].clone())
    features = drawn[:rows].clone().requires_grad_()
    value = loss(features, target)
    value.backward()
    norm = torch.cat([features.grad, loss.prototypes.grad]).norm()
    assert value.item() == pytest.approx(case["loss"], rel=1e-6)  # their weights are float32
    assert norm.item() == pytest.approx(case["gradient_norm"], rel=1e-6)
