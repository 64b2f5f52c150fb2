"""Training in phases: a plan leads to the next one, prepared and finished, and resumes to the same bits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from metabalance import MetaBalanceClassifier
from metabalance.data.augment import Corrupt
from metabalance.heads import last_linear, replace_head
from metabalance.recipes import RECIPES
from metabalance.recipes.base import single_phase

rng = np.random.default_rng(0)
Y = (np.arange(400) % 5 == 0).astype(int)
X = (rng.normal(size=(400, 4)) + Y[:, None]).astype(np.float32)


def fresh_head(model):
    replace_head(model, nn.Linear(last_linear(model).in_features, 2))


def freeze_trunk(model):
    for p in model.parameters():
        p.requires_grad_(False)
    fresh_head(model)


def finish(model):
    with torch.no_grad():
        last_linear(model).bias.add_(1000.0)


def two_phases(task):
    """A pretext with three classes, then a head of its own on a frozen trunk."""

    def prepare(model):
        replace_head(model, nn.Linear(last_linear(model).in_features, 3))

    second = single_phase(
        task,
        "class_balanced",
        prepare=freeze_trunk,
        share=0.5,
        lr_scale=0.1,
        finish=finish,
        notes=("second",),
    )
    first = single_phase(
        replace(task, target=task.target + 1, num_classes=3),
        share=0.5,
        validate=False,
        prepare=prepare,
        notes=("first",),
    )
    return replace(first, then=lambda model: second)


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.setitem(RECIPES, "two_phases", two_phases)
    return "two_phases"


def train(recipe, **settings):
    settings = {"epochs": 6, "random_state": 0, "batch_size": 64, "hidden": (8,)} | settings
    return MetaBalanceClassifier(recipe, **settings)


def test_phases_share_the_epochs_and_the_last_one_counts(recipe):
    model = train(recipe).fit(X, Y)
    assert [len(history.epochs) for history in model.histories_] == [3, 3]
    assert model.history_ is model.histories_[-1]
    assert model.histories_[0].best_epoch is None  # a pretext selects nothing
    assert model.history_.best_epoch is not None
    np.testing.assert_allclose(model.training_prior_, [0.5, 0.5])
    assert model.notes_ == ("first", "second")


def test_preparing_and_finishing_act_on_the_network(recipe):
    model = train(recipe, preprocess=None).fit(X, Y)
    head = last_linear(model.module_)
    assert head.out_features == 2
    assert head.bias.min() > 900
    assert [p.requires_grad for p in model.module_.parameters()] == [False, False, True, True]


def test_the_learning_rate_of_a_phase_is_scaled(recipe):
    seen = []

    def sgd(params, lr, weight_decay):
        seen.append(lr)
        return torch.optim.SGD(params, lr=lr)

    train(recipe, optimizer=sgd, lr=0.5).fit(X, Y)
    np.testing.assert_allclose(seen, [0.5, 0.05])


@pytest.mark.parametrize("phase", [1, 2])
def test_a_run_killed_in_either_phase_ends_with_the_same_bits(recipe, tmp_path, monkeypatch, phase):
    import metabalance.run as run_module

    whole = train(recipe, dropout=0.2).fit(X, Y)
    real, saves = run_module.Run.save, []

    def dies(self):
        real(self)
        saves.append(1)
        if len(saves) == 2 + 3 * (phase - 1):
            raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Run, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, dropout=0.2, checkpoint=str(tmp_path / "c")).fit(X, Y)
    monkeypatch.setattr(run_module.Run, "save", real)
    resumed = train(recipe, dropout=0.2, checkpoint=str(tmp_path / "c")).fit(X, Y)
    for a, b in zip(whole.module_.state_dict().values(), resumed.module_.state_dict().values(), strict=True):
        assert torch.equal(a, b)


class Projected(nn.Module):
    """A penalty with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, features, target):
        return (features * self.weight).mean().square()


def test_parameters_of_the_objective_are_trained_too(monkeypatch):
    penalty = Projected()
    monkeypatch.setitem(RECIPES, "projected", lambda task: single_phase(task, penalties=[(penalty, 1.0)]))
    train("projected").fit(X.astype(np.float64), Y)
    assert penalty.weight.dtype == torch.float64
    assert not torch.equal(penalty.weight, torch.ones(8, dtype=torch.float64))


def test_no_epoch_before_select_from_is_kept_and_patience_waits(monkeypatch):
    monkeypatch.setitem(RECIPES, "late", lambda task: single_phase(task, select_from=0.75))
    model = train("late", epochs=8, patience=1, lr=1e-12).fit(X, Y)
    assert model.history_.best_epoch == 6
    assert len(model.history_.epochs) == 8


def test_recipes_know_the_schedule_and_the_features(monkeypatch):
    seen = []
    monkeypatch.setitem(RECIPES, "spy", lambda task: seen.append(task) or single_phase(task))
    train("spy", augment=True).fit(X, Y, unlabeled=X[:7])
    (task,) = seen
    assert (task.epochs, task.feature_dim, task.images) == (6, 8, False)
    assert isinstance(task.augment, Corrupt)
    # The same imputation and standardisation as the labelled rows.
    assert task.unlabeled.shape == (7, task.inputs.shape[1])


IMAGES = (rng.random((200, 1, 8, 8)) * 100 + 100 * (Y[:200, None, None, None] == 1)).astype(np.uint8)


@pytest.mark.parametrize(
    "module", [None, "mlp", lambda channels, classes: nn.Sequential(nn.Flatten(), nn.Linear(64, classes))]
)
def test_images_are_trained_on_as_bytes_or_as_floats(module):
    pytest.importorskip("kornia")
    settings = {"module": module, "epochs": 3, "random_state": 0, "augment": True, "batch_size": 32}
    model = MetaBalanceClassifier("oversample", **settings).fit(IMAGES, Y[:200])
    floats = MetaBalanceClassifier("oversample", **settings).fit(IMAGES.astype(np.float32) / 255, Y[:200])
    assert model.predict_proba(IMAGES).shape == (200, 2)
    np.testing.assert_array_equal(
        model.predict_proba(IMAGES), floats.predict_proba(torch.from_numpy(IMAGES.astype(np.float32) / 255))
    )


def test_images_of_another_size_or_a_table_are_refused():
    model = MetaBalanceClassifier("erm", epochs=1, random_state=0).fit(IMAGES, Y[:200])
    with pytest.raises(ValueError, match=r"trained on images \(1, 8, 8\), but X holds images \(1, 9, 9\)"):
        model.predict(np.zeros((2, 1, 9, 9), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"but X holds a table"):
        model.predict(np.zeros((2, 64)))
    with pytest.raises(ValueError, match=r"trained on a table, but X holds images"):
        MetaBalanceClassifier("erm", epochs=1).fit(X, Y).predict(IMAGES)
