"""Against the authors' VICReg (facebookresearch/vicreg, MIT), term by term."""

import json
from pathlib import Path

import pytest
import torch

from metabalance.represent import VICRegLoss

RECORD = json.loads((Path(__file__).parent / "vicreg.json").read_text())


@pytest.mark.parametrize(
    "case", RECORD["cases"], ids=lambda case: f"seed {case['seed']} {case['coefficients']}"
)
def test_two_views(case):
    g = torch.Generator().manual_seed(case["seed"])
    drawn = torch.randn(2 * case["rows"], case["dim"], generator=g, dtype=torch.float64)
    features = (case["scale"] * drawn).requires_grad_()
    loss = VICRegLoss(*case["coefficients"])(features, torch.zeros(len(features), dtype=torch.long))
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-10)
    assert features.grad.norm().item() == pytest.approx(case["gradient_norm"], rel=1e-10)
