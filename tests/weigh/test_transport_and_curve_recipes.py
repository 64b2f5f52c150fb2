"""The recipes of optimal transport and loss curves, through the estimator: tables, images, weights, phases."""

import numpy as np
import pytest
import torch
from torch import nn

from metabalance import MetaBalanceClassifier
from metabalance.recipes import RECIPES, Task
from metabalance.run import Run
from metabalance.weigh import CurveNetStep, LossCurveRecorder, OTStep

rng = np.random.default_rng(0)
Y = (np.arange(210) % 7 == 0).astype(int)
X = (rng.normal(size=(210, 3)) + 1.5 * Y[:, None]).astype(np.float32)
IMAGES = (rng.random((60, 1, 6, 6)) / 2 + Y[:60, None, None, None] / 2).astype(np.float32)
NAMES = ("ot_reweighting", "curve_net")


def train(name, options=None, **settings):
    settings = {"epochs": 5, "random_state": 0, "batch_size": 64, "hidden": (8,), "device": "cpu"} | settings
    return MetaBalanceClassifier(name, recipe_options=options or {}, **settings)


def a_task(**changes):
    given = {"inputs": torch.from_numpy(X), "target": torch.from_numpy(Y), "num_classes": 2, "batch_size": 64}
    return Task(**given | {"epochs": 10, "feature_dim": 8} | changes)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ot_reweighting", {"cost": "twoloss", "meta_set": 0.3, "train": "head"}),
        ("ot_reweighting", {"parametrization": "weightnet"}),
        ("ot_reweighting", {"published": True}),
        ("curve_net", {"meta_set": 0.3, "batch_divisor": 2, "freeze_modules": ["0"]}),
    ],
)
def test_options_train_on_a_table(name, options):
    model = train(name, options).fit(X, Y)
    assert len(model.histories_) == (2 if name == "ot_reweighting" else 4)
    assert np.isfinite(model.predict_proba(X)).all()
    assert (model.predict(X) == Y).mean() > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_images(name):
    model = train(name, epochs=3, batch_size=16).fit(IMAGES, Y[:60])
    assert np.isfinite(model.predict_proba(IMAGES)).all()


@pytest.mark.parametrize("name", NAMES)
def test_with_weights_of_rows_and_classes(name):
    weight = rng.random(210) + 0.5
    model = train(name, class_weight={0: 1.0, 1: 3.0}).fit(X, Y, sample_weight=weight)
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_network(name):
    probabilities = [train(name).fit(X, Y).predict_proba(X) for _ in range(2)]
    np.testing.assert_array_equal(*probabilities)


@pytest.mark.parametrize("saves", [2, 5, 7])  # in which phase: the first, the second or third, the last
@pytest.mark.parametrize("name", NAMES)
def test_a_killed_run_ends_with_the_same_bits(name, saves, tmp_path, monkeypatch):
    whole = train(name, epochs=8).fit(X, Y)
    real, made = Run.save, []

    def dies(self):
        real(self)
        made.append(1)
        if len(made) == saves:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        train(name, epochs=8, checkpoint=str(tmp_path / "run")).fit(X, Y)
    monkeypatch.setattr(Run, "save", real)
    resumed = train(name, epochs=8, checkpoint=str(tmp_path / "run")).fit(X, Y)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_without_time_still_ends(name):
    assert np.isfinite(train(name, max_seconds=0.0).fit(X, Y).predict_proba(X)).all()


def test_transport_first_trains_plainly_and_then_weighs():
    plan = RECIPES["ot_reweighting"](a_task())
    np.testing.assert_allclose(plan.training_prior, [6 / 7, 1 / 7])
    second = plan.then(nn.Linear(3, 2))
    assert isinstance(second.step, OTStep)
    assert plan.share + second.share == 1
    np.testing.assert_allclose(second.training_prior, [0.5, 0.5])
    inputs, target, weight, index = next(iter(second.loader))
    torch.testing.assert_close(inputs, torch.from_numpy(X)[index])
    torch.testing.assert_close(target, torch.from_numpy(Y)[index])
    assert weight.unique().tolist() == [1.0]
    balanced = next(iter(second.step.meta_loader))[1]
    assert balanced.bincount().tolist() == [10, 10]


def test_class_weights_move_the_prior_of_transport():
    task = a_task(class_weight=torch.tensor([1.0, 3.0], dtype=torch.float64))
    second = RECIPES["ot_reweighting"](task).then(nn.Linear(3, 2))
    np.testing.assert_allclose(second.training_prior, [0.25, 0.75])


def test_the_published_second_stage():
    second = RECIPES["ot_reweighting"](a_task(), published=True).then(nn.Linear(3, 2))
    assert second.step.meta_coefficient == 10
    assert second.step.pixels
    assert second.step.reweighter.mass == "raw"
    assert len(next(iter(second.loader))[1]) == 16
    group = second.optimizer([nn.Parameter(torch.zeros(1))]).param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (
        2e-5,
        0.9,
        True,
        5e-4,
    )
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    second.prepare(model)
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    # Class-balanced weights with few rows are nearly inverse counts: close to balanced, as the other term is.
    np.testing.assert_allclose(second.training_prior, [0.5, 0.5], atol=0.01)


def test_curve_net_probes_and_then_allocates():
    plan = RECIPES["curve_net"](a_task(epochs=50), learning=0.4)
    model = nn.Linear(3, 2)
    plan.prepare(model)
    initial = model.weight.detach().clone()
    assert isinstance(plan.step, LossCurveRecorder)
    cyclic = plan.then(model)
    assert cyclic.step is plan.step
    assert len(next(iter(cyclic.loader))[1]) == 8  # an eighth
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler, rates = cyclic.scheduler(optimizer, 12), []
    for _ in range(4):
        rates.append(round(optimizer.param_groups[0]["lr"], 6))
        optimizer.step()
        scheduler.step()
    assert rates == [0.1, 0.01, 0.1, 0.01]
    losses = torch.rand(210, 30)
    for t in range(30):
        plan.step.record(torch.arange(210), losses[:, t])
        plan.step.update()
    nn.init.zeros_(model.weight)
    learn = cyclic.then(model)
    learn.prepare(model)
    assert torch.equal(model.weight, initial)  # a fresh network, as the published second stage has
    assert isinstance(learn.step, CurveNetStep)
    assert learn.step.weigher.curves.shape == (210, 24)  # from 5 to the last but one
    learn.step.weigher.last.copy_(1 + torch.from_numpy(Y))
    keep = learn.then(model)
    assert keep.step.freeze_after == 0
    np.testing.assert_allclose(keep.training_prior, [6 / 8, 2 / 8])
    assert plan.share + cyclic.share + learn.share + keep.share == pytest.approx(1)
    assert [p.validate for p in (plan, cyclic, learn, keep)] == [False, False, False, True]


@pytest.mark.parametrize("name", NAMES)
def test_a_meta_set_is_held_out(name):
    inputs = torch.arange(210.0)[:, None]
    plan = RECIPES[name](a_task(inputs=inputs), meta_set=0.2)
    trained = {int(row) for batch in plan.loader for row in batch[0]}
    assert len(trained) == 210 - 2 * 6  # a fifth of 30 rows, of each class


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ot_reweighting", {"train": "x"}, "train='x' is unknown"),
        ("ot_reweighting", {"plain": 1.0}, "plain must lie between 0 and 1"),
        ("ot_reweighting", {"cost": "x"}, "cost='x' is unknown"),
        ("curve_net", {"probing": 0.0}, "probing must lie between 0 and 1"),
        ("curve_net", {"learning": 2.0}, "learning must lie between 0 and 1"),
        ("curve_net", {"batch_divisor": 0}, "batch_divisor must be at least 1"),
    ],
)
def test_refusals(name, options, message):
    with pytest.raises(ValueError, match=message):
        RECIPES[name](a_task(), **options)


@pytest.mark.parametrize("seed", range(3))
def test_transport_raises_the_recall_of_the_minority(seed):
    """Two overlapping Gaussians, 20:1: the networks as they are trained, no prior corrected."""
    generator = np.random.default_rng(seed)

    def gaussians(sizes):
        y = np.repeat([0, 1], sizes)
        return (generator.normal(size=(len(y), 2)) + 1.5 * y[:, None]).astype(np.float32), y

    x, y = gaussians((600, 30))
    unseen, truth = gaussians((500, 500))
    recall = {}
    for name in ("erm", "ot_reweighting"):
        model = train(name, epochs=20, lr=0.01, hidden=(16,), prior="training").fit(x, y)
        hits = model.predict(unseen) == truth
        recall[name] = hits[truth == 1].mean(), hits.mean()
    assert recall["ot_reweighting"][0] > recall["erm"][0] + 0.15
    assert recall["ot_reweighting"][1] > recall["erm"][1] + 0.03
