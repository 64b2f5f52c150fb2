"""Against the code of Yang & Xu (YyzHarry/imbalanced-semi-self, MIT): counts, rotations, MoCo."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.data.imbalance import long_tail_counts
from metabalance.data.unlabeled import unlabeled_counts
from metabalance.represent import MoCoStep, rotate_batch

RECORD = json.loads((Path(__file__).parent / "semi_self.json").read_text())


@pytest.mark.parametrize(
    "case",
    RECORD["unlabeled_counts"],
    ids=lambda c: f"{c['ratio']} {c['ratio_unlabeled']} {c['size_factor']}",
)
def test_unlabeled_counts(case):
    labeled = long_tail_counts(10, 5000, case["ratio"])
    assert labeled == case["labeled"]
    assert unlabeled_counts(labeled, case["ratio_unlabeled"], case["size_factor"]) == case["unlabeled"]


def test_turns_mean_the_same_rotation():
    case = RECORD["rotation"]
    size = case["size"]
    images = torch.arange(case["rows"] * size * size, dtype=torch.float32).reshape(-1, 1, size, size)
    theirs = torch.tensor(case["images"]).reshape(-1, size, size)
    seen = set()
    for seed in range(20):
        rotated, turns = rotate_batch(images, torch.Generator().manual_seed(seed))
        for row in range(case["rows"]):
            if turns[row] == case["turns"][row]:
                assert torch.equal(rotated[row, 0].int(), theirs[row].int())
                seen.add(row)
    assert seen == set(range(case["rows"]))


def test_their_batches_are_not_balanced_and_ours_are():
    counts = torch.tensor(RECORD["rotation"]["per_batch_counts"])
    assert (counts.amax(1) - counts.amin(1)).max() > 1
    for seed in range(20):
        ours = rotate_batch(torch.zeros(10, 1, 2, 2), torch.Generator().manual_seed(seed))[1].bincount()
        assert ours.amax() - ours.amin() == 1


def test_moco_five_steps():
    case = RECORD["moco"]
    g = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    model = nn.Linear(5, case["dim"]).double()
    model.load_state_dict({"weight": draw(case["dim"], 5), "bias": draw(case["dim"])})
    step = MoCoStep(case["queue_size"], case["momentum"], case["temperature"])
    step.queue = F.normalize(draw(case["queue_size"], case["dim"]), dim=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=case["lr"])
    losses = []
    for _ in range(case["steps"]):
        views = draw(2 * case["rows"], 5)
        losses.append(step(model, (views, torch.zeros(len(views))), None, optimizer).item())
    assert losses == pytest.approx(case["losses"], rel=1e-10)
    for ours, theirs in (
        (model.weight, case["query_weight"]),
        (step.encoder.weight, case["key_weight"]),
        (step.queue, case["queue"]),
    ):
        torch.testing.assert_close(ours, torch.tensor(theirs, dtype=torch.float64), rtol=1e-10, atol=1e-12)
    assert step.position == case["position"]
