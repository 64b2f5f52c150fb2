"""Meta-Weight-Net against three iterations of the authors' two training scripts."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.engine import Objective
from metabalance.weigh import LearnedWeights, MetaWeightNet
from metabalance.weigh.meta_weight_net import PUBLISHED

RECORD = json.loads((Path(__file__).parent / "meta_weight_net.json").read_text())
DOUBLE = {"dtype": torch.float64}


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.linear = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.relu(self.bn(self.conv(x))).flatten(1))


def parts() -> tuple[nn.Module, MetaWeightNet, list, list]:
    g = torch.Generator().manual_seed(0)
    model, weigher = Network().double(), MetaWeightNet(hidden=5).double()
    for p in (*model.parameters(), *weigher.parameters()):
        p.data.copy_(torch.randn(p.shape, generator=g, **DOUBLE))

    def batch(rows: int) -> tuple[Tensor, Tensor]:
        return torch.randn(rows, 1, 6, 6, generator=g, **DOUBLE), torch.randint(3, (rows,), generator=g)

    return model, weigher, [batch(8) for _ in range(3)], [batch(6) for _ in range(3)]


def trained(variant: str, lr: float, **settings) -> tuple[nn.Module, MetaWeightNet]:
    model, weigher, batches, metas = parts()
    # The imbalance script begins its meta loader anew at each iteration, so that its first batch is all it sees.
    step = LearnedWeights(
        weigher, metas if variant == "noise" else metas[:1], **PUBLISHED[variant] | settings
    )
    nesterov = variant == "imbalance"
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9, nesterov=nesterov, weight_decay=5e-4)
    objective = Objective(nn.CrossEntropyLoss(reduction="none"))
    for one in batches:
        step(model, one, objective, optimizer)
    return model, weigher


def distance(model: nn.Module, weigher: MetaWeightNet, run: dict) -> tuple[float, float]:
    """The largest difference of the network's and of the weigher's numbers."""
    named = dict(model.named_parameters())
    ours = [named[n].flatten().tolist() for n in ("conv.weight", "bn.weight", "bn.bias", "linear.bias")]
    ours += [named["linear.weight"].sum(1).tolist(), model.bn.running_mean.tolist()]
    theirs = [*run["network"], run["linear_weight_row_sums"], run["running_mean"]]
    weights = [p.flatten().tolist() for p in weigher.parameters()]

    def apart(left: list, right: list) -> float:
        return max(abs(a - b) for x, y in zip(left, right, strict=True) for a, b in zip(x, y, strict=True))

    return apart(ours, theirs), apart(weights, run["weigher"])


@pytest.mark.parametrize("small", [0, 50_000], ids=["forward mode", "double backward"])
@pytest.mark.parametrize("variant", ["noise", "imbalance"])
def test_three_iterations_of_the_authors_script(variant: str, small: int, monkeypatch) -> None:
    monkeypatch.setattr("metabalance.bilevel.SMALL", small)
    network, weigher = distance(*trained(variant, lr=0.1), RECORD[variant]["runs"][0])
    assert network < 1e-12
    assert weigher < 1e-14


def test_the_variants_differ_by_more_than_that() -> None:
    """The comparison would notice another normalisation, or a loss that is detached."""
    run = RECORD["imbalance"]["runs"][0]
    for settings in ({"normalize": "none"}, {"normalize": "detached_sum"}, {"detach": True}):
        assert distance(*trained("imbalance", lr=0.1, **settings), run)[1] > 1e-9


def test_a_difference_their_look_ahead_keeps_the_old_learning_rate_for_an_epoch() -> None:
    """In epoch 79 (from 0) their classifier is at 0.01, their look-ahead still at 0.1."""
    run = RECORD["imbalance"]["runs"][1]
    assert run["epoch"] == 79
    assert max(distance(*trained("imbalance", lr=0.01, inner_lr=0.1), run)) < 1e-12
    assert distance(*trained("imbalance", lr=0.01), run)[1] > 1e-9
