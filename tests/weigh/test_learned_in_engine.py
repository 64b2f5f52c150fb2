"""Learned weights within the engine: the schedule's event, and a run that is taken up again."""

import torch
from torch import nn
from weighing_toys import gaussians

from metabalance.data.batches import BatchLoader
from metabalance.engine import Objective, fit
from metabalance.sample import ShuffleSampler, UnderSampler
from metabalance.weigh import ClassAwareWeightNet, LearnedWeights


def train(epochs: int, checkpoint=None, start_epoch: int = 1) -> tuple[nn.Module, LearnedWeights]:
    x, y = gaussians(200, 20, seed=0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    meta = BatchLoader((x, y), 16, UnderSampler(y, seed=1))
    step = LearnedWeights(
        ClassAwareWeightNet([180, 20], hidden=5), meta, normalize="detached_sum", start_epoch=start_epoch
    )
    fit(
        model,
        BatchLoader((x, y), 50, ShuffleSampler(y, seed=0)),
        objective=Objective(nn.CrossEntropyLoss(reduction="none")),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        step=step,
        parts=(step,),
        epochs=epochs,
        checkpoint=checkpoint,
    )
    return model, step


def test_the_engine_s_event_starts_the_weigher() -> None:
    assert train(epochs=2, start_epoch=2)[1].steps == 0
    assert train(epochs=3, start_epoch=2)[1].steps == 4


def test_a_run_is_taken_up_again_to_the_same_bits(tmp_path) -> None:
    expected = train(epochs=4)
    train(epochs=2, checkpoint=tmp_path / "run.pt")
    resumed = train(epochs=4, checkpoint=tmp_path / "run.pt")
    for one, other in zip(expected, resumed, strict=True):
        one, other = (getattr(part, "weigher", part).state_dict() for part in (one, other))
        assert all(torch.equal(one[key], other[key]) for key in one)
