"""SAM and ASAM against the codes of davda54/sam and of ASAM's authors."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.optimize import SAM

HERE = Path(__file__).parent
DAVDA54 = json.loads((HERE / "sam.json").read_text())["expected"]
AUTHORS = json.loads((HERE / "asam.json").read_text())["expected"]


def network(bias=True):
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8, bias=bias), nn.Tanh(), nn.Linear(8, 3, bias=bias)).double()
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=g, dtype=torch.float64) * 0.5
    return model


def batch(step):
    g = torch.Generator().manual_seed(100 + step)
    return torch.randn(16, 5, generator=g, dtype=torch.float64), torch.randint(3, (16,), generator=g)


def trained(step, bias=True):
    model = network(bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for i in range(5):
        step(model, batch(i), lambda model, b: F.cross_entropy(model(b[0]), b[1]), optimizer)
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def agree(ours, theirs):
    assert float(ours.sum()) == pytest.approx(theirs["sum"], rel=1e-9)
    assert float(ours.square().sum()) == pytest.approx(theirs["square"], rel=1e-9)
    assert ours[:4].tolist() == pytest.approx(theirs["first"], rel=1e-9)
    assert ours[-4:].tolist() == pytest.approx(theirs["last"], rel=1e-9)


@pytest.mark.parametrize("name", ["sam", "asam"])
def test_davda54(name):
    theirs = DAVDA54[name]
    agree(trained(SAM(theirs["rho"], adaptive=name == "asam")), theirs)


@pytest.mark.parametrize("name", ["sam", "sam_with_biases", "asam"])
def test_the_authors_of_asam(name):
    theirs = AUTHORS[name]
    step = SAM(theirs["rho"], adaptive=name == "asam", eta=theirs["eta"])
    agree(trained(step, bias=name.endswith("biases")), theirs)


def test_a_difference_the_authors_leave_biases_out_of_the_adaptation():
    theirs = AUTHORS["asam_with_biases"]
    ours = trained(SAM(theirs["rho"], adaptive=True, eta=theirs["eta"]))
    assert abs(float(ours.sum()) - theirs["sum"]) > 1e-3
