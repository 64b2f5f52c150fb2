"""Gradients of several batches make the update of one batch of all their rows."""

import pytest
import torch
from torch import nn

from metabalance import MetaBalanceClassifier
from metabalance.accumulate import AccumulatedStep
from metabalance.data.batches import BatchLoader
from metabalance.engine import Objective, fit
from metabalance.loss import ARBLoss
from metabalance.optimize import SAM
from metabalance.represent import SupConLoss
from metabalance.sample import ShuffleSampler

ROWS = 100  # batches of 8: an epoch ends in a group of 4 rows


def train(batch_size, accumulate, path=None, die_after=None, **options):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 4, generator=g, dtype=torch.float64)
    y = (x[:, 0] > 0.5).long()
    weight = torch.rand(ROWS, generator=g, dtype=torch.float64)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    calls = []

    class Loss(nn.CrossEntropyLoss):
        def forward(self, logits, target):
            calls.append(1)
            if len(calls) == die_after:
                raise KeyboardInterrupt
            return super().forward(logits, target)

    settings = {"objective": Objective(Loss(reduction="none")), "epochs": 3, "clip_norm": 0.1} | options
    history = None
    try:
        history = fit(
            model, BatchLoader((x, y, weight / weight.mean()), batch_size, ShuffleSampler(y)), optimizer=optimizer,
            scheduler=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9), scheduler_interval="step",
            accumulate=accumulate, checkpoint=path, checkpoint_every=None if path is None else 1, **settings,
        )  # fmt: skip
    except KeyboardInterrupt:
        assert die_after
    return [p.detach().clone() for p in model.parameters()], history


def test_equals_the_larger_batch():
    (small, short), (large, long) = train(8, 3), train(24, 1)
    for a, b in zip(small, large):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    # Each row's loss is at the weights of its own update, in both.
    assert [row["train_loss"] for row in short.epochs] == pytest.approx(
        [row["train_loss"] for row in long.epochs]
    )


def test_one_batch_a_group_is_the_plain_step():
    assert all(torch.equal(a, b) for a, b in zip(train(8, 1)[0], train(8, 1)[0]))
    for a, b in zip(train(8, 1)[0], _with_step(AccumulatedStep(1))[0]):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def _with_step(step):
    return train(8, 1, step=step)


@pytest.mark.parametrize("die_after", [2, 3, 4, 13, 14, 17, 30])
def test_a_run_killed_within_a_group_ends_with_the_same_bits(tmp_path, die_after):
    whole, history = train(8, 3)
    train(8, 3, tmp_path / "run.ckpt", die_after)
    resumed, again = train(8, 3, tmp_path / "run.ckpt")
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed))
    assert history.epochs == again.epochs


def test_a_group_of_another_size_is_another_run(tmp_path):
    train(8, 3, tmp_path / "run.ckpt", die_after=5)
    with pytest.raises(ValueError, match="accumulate was 3 and is 4"):
        train(8, 4, tmp_path / "run.ckpt")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"step": SAM()}, "a step of its own"),
        ({"step": lambda *_: None}, "does not say what it needs"),
        ({"objective": Objective(ARBLoss(reduction="none"))}, "compares the rows"),
        (
            {"objective": Objective(nn.CrossEntropyLoss(reduction="none"), [(SupConLoss(), 1.0)])},
            "compares the rows",
        ),
    ],
)
def test_what_takes_its_steps_itself_is_refused(options, reason):
    with pytest.raises(ValueError, match=f"does not go with accumulate: .*{reason}"):
        train(8, 3, **options)


@pytest.mark.parametrize("batches", [0, -1])
def test_impossible_groups(batches):
    with pytest.raises(ValueError, match="accumulate must be"):
        train(8, batches)


def test_the_estimator_refuses_before_it_trains():
    X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).numpy()
    y = (X[:, 0] > 0).astype(int)
    with pytest.raises(
        ValueError, match="'metabalance' does not go with accumulate: it takes a step of its own"
    ):
        MetaBalanceClassifier("metabalance", accumulate=2).fit(X, y)
    settings = {"epochs": 3, "validation_fraction": 0.0, "random_state": 0, "batch_size": 10}
    one = MetaBalanceClassifier("focal", accumulate=2, **settings).fit(X, y).predict_proba(X)
    assert abs(one - MetaBalanceClassifier("focal", **settings).fit(X, y).predict_proba(X)).max() > 1e-4
