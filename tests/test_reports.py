"""What a validation pass says: of classes, of values; and the engine that knows neither."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, recall_score
from torch import nn

from metabalance.data.batches import BatchLoader
from metabalance.engine import Objective, evaluate, fit
from metabalance.judge import rmse
from metabalance.readout import Readout
from metabalance.reports import class_report, value_report
from metabalance.represent import ConRLoss, RankSimLoss

torch.manual_seed(0)
X = torch.randn(200, 3)
Y = (X[:, :1] * 2 + 1).double().float()


def test_the_report_of_classes_is_scikit_learns():
    logits, target = torch.randn(50, 3), torch.arange(50) % 3
    report = class_report(logits, target)
    p = logits.double().softmax(1).numpy()
    np.testing.assert_allclose(report["loss"], log_loss(target.numpy(), p), rtol=1e-6)
    np.testing.assert_allclose(report["recall"], recall_score(target, p.argmax(1), average=None), rtol=1e-6)
    weight = torch.rand(50)
    np.testing.assert_allclose(
        class_report(logits, target, weight)["loss"],
        log_loss(target.numpy(), p, sample_weight=weight.numpy()),
        rtol=1e-6,
    )


def test_the_report_of_values_reads_the_predictions_off_the_columns():
    read = Readout("quantiles", 1, (0.1, 0.5, 0.9))
    outputs, target = torch.tensor([[0.0, 1.0, 2.0], [0.0, 3.0, 4.0]]), torch.tensor([[1.0], [1.0]])
    report = value_report(outputs, target, point=read.point, metric=lambda p, y: rmse(p[:, 0], y[:, 0]))
    assert report == {"loss": 2.0, "n": 2, "monitor": pytest.approx(2**0.5)}
    assert value_report(outputs[:, :1], target, torch.tensor([3.0, 1.0]))["loss"] == 1.0


def test_evaluate_and_fit_take_the_report_of_values():
    model = nn.Linear(3, 1)
    seen = []

    class Part:
        def update(self, **report):
            seen.append(report)

    history = fit(
        model,
        BatchLoader((X, Y), batch_size=50),
        objective=Objective(lambda p, y: (p - y).square().mean(1)),
        optimizer=torch.optim.Adam(model.parameters(), lr=0.05),
        parts=[Part()],
        epochs=20,
        validation=[(X, Y)],
        report=value_report,
        monitor=lambda p, y: rmse(p[:, 0], y[:, 0]),
    )
    assert history.best_value == min(row["monitor"] for row in history.epochs)
    assert evaluate(model, [(X, Y)], report=value_report)["loss"] < 0.1
    assert seen[0].keys() == {"epoch", "train_loss", "loss", "n", "monitor"}
    assert "recall" not in history.epochs[0]


def test_too_few_held_out_values_select_nothing():
    model = nn.Linear(3, 1)
    history = fit(
        model,
        BatchLoader((X, Y), batch_size=50),
        objective=Objective(lambda p, y: (p - y).square().mean(1)),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        epochs=1,
        validation=[(X[:3], Y[:3])],
        report=value_report,
        min_positives=4,
    )
    assert history.best_epoch is None
    assert history.note == "no epoch was selected: the validation set has 3 rows, and min_positives=4"


def test_penalties_of_values_get_targets_predictions_and_weights_as_they_are():
    seen = []

    class Spy(nn.Module):
        wants_predictions = True

        def forward(self, features, target, prediction, weight):
            seen.append((features, target, prediction, weight))
            return features.sum() * 0

    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4))
    read = Readout("gaussian", 2)
    target, weight = torch.randn(10, 2), torch.rand(10)
    objective = Objective(lambda p, y: p.mean(1), [(Spy(), 1.0)], point=read.point)
    objective(model, (X[:10], target, weight))
    features, given, prediction, eta = seen[0]
    assert torch.equal(given, target)
    assert torch.equal(eta, weight)
    torch.testing.assert_close(features, model[:2](X[:10]))
    torch.testing.assert_close(prediction, model(X[:10])[:, [0, 2]])
    assert not prediction.requires_grad
    objective(model, (X[:10], target))
    assert seen[1][3] is None


def test_an_objective_with_conr_and_ranksim_is_the_sum_of_its_parts():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    conr, ranksim = ConRLoss(window=0.5), RankSimLoss()

    def squared(p, y):
        return (p - y).square().mean(1)

    both = Objective(squared, [(conr, 0.5), (ranksim, 0.25)], point=lambda outputs: outputs)
    z, p = model[:2](X[:40]), model(X[:40])
    torch.manual_seed(1)
    found = both(model, (X[:40], Y[:40]))
    torch.manual_seed(1)
    torch.testing.assert_close(
        found, squared(p, Y[:40]).mean() + 0.5 * conr(z, Y[:40], p) + 0.25 * ranksim(z, Y[:40])
    )


def test_a_partial_report_keeps_its_point():
    report = partial(value_report, point=lambda outputs: outputs[:, :1] + 1)
    assert evaluate(nn.Identity(), [(torch.zeros(2, 2), torch.ones(2, 1))], report=report)["loss"] == 0
