"""Deferred re-weighting against the authors' training script."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from metabalance.optimize import DeferredReweighting

RECORD = json.loads((Path(__file__).parent / "drw.json").read_text())


def inputs():
    g = torch.Generator().manual_seed(3)
    return torch.randn(32, 10, generator=g), torch.randint(10, (32,), generator=g)


@pytest.mark.parametrize("epoch", [0, 159, 160, 319])
@pytest.mark.parametrize("name", RECORD["counts"])
def test_weights_of_every_epoch(name, epoch):
    theirs = RECORD["expected"][name][str(epoch)]
    loss = DeferredReweighting(nn.CrossEntropyLoss(reduction="none"), RECORD["counts"][name], start_epoch=160)
    if epoch:
        loss.update(epoch=epoch - 1)
    torch.testing.assert_close(loss.current, torch.tensor(theirs["weights"]))
    # A difference: they divide by the batch's summed weights, we by its rows.
    logits, target = inputs()
    ours = loss(logits, target) * len(target) / loss.current[target].sum()
    assert float(ours.detach()) == pytest.approx(theirs["loss"], rel=1e-5)


def test_a_difference_their_schedule_ends_at_twice_the_start():
    loss = DeferredReweighting(nn.CrossEntropyLoss(reduction="none"), [9, 1], start_epoch=160)
    loss.update(epoch=319)  # their index of the epoch, 320 // 160, is out of range
    assert torch.equal(loss.current, loss.weight)
