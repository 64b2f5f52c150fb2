"""Against the authors' SupConLoss (HobbitLong/SupContrast, BSD-2-Clause), in both of its uses."""

import json
from pathlib import Path

import pytest
import torch

from metabalance.represent import NTXentLoss, SupConLoss

RECORD = json.loads((Path(__file__).parent / "supcon.json").read_text())


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: f"seed {case['seed']}")
def test_supervised(case):
    g = torch.Generator().manual_seed(case["seed"])
    rows = case["rows"] * case["views"]
    features = torch.randn(rows, case["dim"], generator=g, dtype=torch.float64).requires_grad_()
    target = torch.randint(case["classes"], (case["rows"],), generator=g).repeat(case["views"])
    # Documented differences: theirs multiplies by temperature / 0.07, and counts lonely anchors as zeros.
    loss = SupConLoss(case["temperature"], count_lonely=True)(features, target)
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-12)
    assert features.grad.norm().item() == pytest.approx(case["gradient_norm"], rel=1e-10)
    scale = case["temperature"] / 0.07
    assert scale * loss.item() == pytest.approx(case["scaled_by_base_temperature"], rel=1e-12)


def test_a_case_with_lonely_anchors_is_among_them():
    case = RECORD["cases"][2]
    g = torch.Generator().manual_seed(case["seed"])
    features = torch.randn(case["rows"], case["dim"], generator=g, dtype=torch.float64)
    target = torch.randint(case["classes"], (case["rows"],), generator=g)
    lonely = (target.bincount() == 1).sum().item()
    assert lonely > 0
    ours = SupConLoss(case["temperature"])(features, target).item()
    assert ours * (1 - lonely / case["rows"]) == pytest.approx(case["loss"], rel=1e-12)


@pytest.mark.parametrize("case", RECORD["simclr"], ids=lambda case: f"seed {case['seed']}")
def test_self_supervised(case):
    g = torch.Generator().manual_seed(case["seed"])
    features = torch.randn(2 * case["rows"], case["dim"], generator=g, dtype=torch.float64)
    loss = NTXentLoss(case["temperature"])(features, torch.zeros(2 * case["rows"], dtype=torch.long))
    assert loss.item() == pytest.approx(case["loss"], rel=1e-12)


def test_their_nan_for_large_features_is_not_ours():
    case = RECORD["large_features_float32"]
    assert case["loss"] == "nan"
    g = torch.Generator().manual_seed(case["seed"])
    # The recording draws in float32 here.
    features = case["scale"] * torch.randn(case["rows"], case["dim"], generator=g)
    assert torch.isfinite(SupConLoss(normalize=False)(features, torch.tensor([0, 0, 1, 1, 2, 2])))
