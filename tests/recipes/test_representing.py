"""The recipes of representation: what each phase trains on, what it leaves behind, and their limits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance import MetaBalanceClassifier
from metabalance.counts import class_counts
from metabalance.data.augment import TwoViews, default_augment
from metabalance.data.imbalance import long_tail
from metabalance.data.unlabeled import make_unlabeled, unlabeled_counts
from metabalance.engine import fit
from metabalance.heads import features, last_linear
from metabalance.networks import MLP
from metabalance.recipes import RECIPES, Plan, Task
from metabalance.recipes.representing import (
    balanced_supcon,
    joint_ssl,
    moco_pretraining,
    rotation_pretraining,
    self_training,
    supcon,
)

torch.manual_seed(0)
N, WIDTH = 120, 16
TARGET = torch.tensor([0] * 80 + [1] * 30 + [2] * 10)
ROWS = torch.randn(N, 6) + 2 * F.one_hot(TARGET, 6)
IMAGES = torch.rand(N, 1, 8, 8) / 2 + TARGET[:, None, None, None] / 4


def task(images=False, **changes):
    return Task(
        **{
            "inputs": IMAGES if images else ROWS,
            "target": TARGET,
            "num_classes": 3,
            "batch_size": 32,
            "seed": 1,
            "feature_dim": WIDTH,
        }
        | changes
    )


def network(images=False):
    torch.manual_seed(0)
    return MLP(64 if images else 6, 3, (WIDTH,))


def convnet(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


def train(plan, model, epochs=1, lr=0.05):
    """The estimator's loop over one phase."""
    if plan.prepare is not None:
        plan.prepare(model)
    parameters = [*model.parameters(), *plan.objective.parameters()]
    fit(
        model,
        plan.loader,
        objective=plan.objective,
        optimizer=torch.optim.SGD(parameters, lr=lr),
        step=plan.step,
        epochs=epochs,
    )
    return model


def weights(model):
    return {name: p.detach().clone() for name, p in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ------------------------------------------------------------------------------------- through the estimator


@pytest.mark.parametrize(
    "name", ["supcon", "balanced_supcon", "joint_ssl", "moco_pretraining", "rotation_pretraining"]
)
def test_images_through_the_estimator(name):
    pytest.importorskip("kornia")
    images, y = (IMAGES.numpy() * 255).astype(np.uint8), TARGET.numpy()
    model = MetaBalanceClassifier(
        name, module=lambda features, classes: convnet(1, classes), epochs=4, batch_size=32, random_state=0
    ).fit(images, y)
    assert last_linear(model.module_).out_features == 3
    assert model.notes_ == ()
    assert len(model.histories_) == (2 if "pretraining" in name else 1)
    np.testing.assert_allclose(model.predict_proba(images).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("supcon", {"views": True}),
        ("balanced_supcon", {"views": True}),
        ("joint_ssl", {"ssl": "vicreg"}),
        ("joint_ssl", {"ssl": "simclr"}),
        ("moco_pretraining", {"base": "logit_adjustment"}),
        ("self_training", {"omega": 0.5, "threshold": 0.5}),
        ("self_training", {"base": "moco_pretraining"}),
    ],
    ids=str,
)
def test_tables_through_the_estimator(name, options):
    extra = {"unlabeled": ROWS.numpy()[::2]} if name == "self_training" else {}
    model = MetaBalanceClassifier(
        name, recipe_options=options, hidden=(WIDTH,), epochs=20, batch_size=32, random_state=0, lr=0.01
    ).fit(ROWS.numpy(), TARGET.numpy(), **extra)
    assert (model.predict(ROWS.numpy()) == TARGET.numpy()).mean() > 0.8


@pytest.mark.parametrize("name", ["moco_pretraining", "self_training", "joint_ssl"])
def test_the_same_seed_gives_the_same_network(name):
    extra = {"unlabeled": ROWS.numpy()[::2]} if name == "self_training" else {}
    logits = [
        MetaBalanceClassifier(name, epochs=4, batch_size=32, random_state=5)
        .fit(ROWS.numpy(), TARGET.numpy(), **extra)
        .predict_proba(ROWS.numpy())
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*logits)


# ----------------------------------------------------------------------------------------------- penalties


def test_penalties_at_coefficient_0_are_the_loss_without_them():
    model = network()
    for name, options, loss in (
        ("supcon", {"coefficient": 0.0}, F.cross_entropy),
        ("joint_ssl", {"weight": 0.0}, F.cross_entropy),
        ("joint_ssl", {"weight": 0.0, "ssl": "simclr"}, F.cross_entropy),
        (
            "balanced_supcon",
            {"coefficient": 0.0},
            lambda z, y: F.cross_entropy(z + class_counts(TARGET, 3).float().log(), y),
        ),
    ):
        plan = RECIPES[name](task(), **options)
        for batch in plan.loader:
            torch.testing.assert_close(plan.objective(model, batch), loss(model(batch[0]), batch[1]))


def test_supcon_adds_the_loss_of_the_projected_features():
    model = network()
    plan = supcon(task(), coefficient=0.5)
    projected = plan.objective.penalties[0]
    inputs, target = next(iter(plan.loader))
    z = F.normalize(projected.projector(features(model, inputs)), dim=1)
    assert z.shape[1] == WIDTH
    total = F.cross_entropy(model(inputs), target) + 0.5 * projected.penalty(z, target)
    torch.testing.assert_close(plan.objective(model, (inputs, target)), total)


@pytest.mark.parametrize("make", [supcon, balanced_supcon, joint_ssl])
def test_all_parameters_of_the_objective_are_trained(make):
    plan = make(task())
    before = weights(plan.objective)
    train(plan, network())
    moved = {name for name, p in weights(plan.objective).items() if not torch.equal(p, before[name])}
    assert moved >= {name for name, _ in plan.objective.named_parameters()}


def test_prototypes_are_learned_in_the_projected_space_for_every_class():
    penalty = balanced_supcon(task()).objective.penalties[0]
    assert penalty.penalty.prototypes.shape == (3, WIDTH)
    assert balanced_supcon(task(feature_dim=None)).objective.penalties[0].prototypes is None


@pytest.mark.parametrize("make", [supcon, balanced_supcon, joint_ssl])
def test_without_a_linear_layer_to_size_it_there_is_no_projection_but_a_note(make):
    assert make(task()).notes == ()
    assert "no nn.Linear was found" in make(task(feature_dim=None)).notes[0]


def test_views_are_those_of_images_unless_asked_for():
    pytest.importorskip("kornia")
    sizes = {}
    for images in (False, True):
        for views in (None, False, True):
            batch = next(iter(supcon(task(images), views=views).loader))
            sizes[images, views] = len(batch[1])
            assert len(batch[0]) == len(batch[1])
    assert sizes == {
        (False, None): 32,
        (False, False): 32,
        (False, True): 64,
        (True, None): 64,
        (True, False): 32,
        (True, True): 64,
    }


def test_joint_ssl_shows_two_views_of_every_row():
    inputs, target = next(iter(joint_ssl(task()).loader))
    assert torch.equal(*target.chunk(2))
    assert not torch.equal(*inputs.chunk(2))
    weighted = task(weight=torch.linspace(0.5, 1.5, N))
    assert torch.equal(*next(iter(joint_ssl(weighted).loader))[2].chunk(2))
    with pytest.raises(ValueError, match="ssl='byol' is unknown; use 'vicreg' or 'simclr'"):
        joint_ssl(task(), ssl="byol")


def test_priors():
    np.testing.assert_allclose(supcon(task()).training_prior, [8 / 12, 3 / 12, 1 / 12])
    np.testing.assert_allclose(balanced_supcon(task()).training_prior, [1 / 3] * 3)
    doubled = task(class_weight=torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64))
    np.testing.assert_allclose(balanced_supcon(doubled).training_prior, [0.25, 0.25, 0.5])


# --------------------------------------------------------------------------------------------- pre-training


def test_rotation_has_four_classes_then_the_tasks_own():
    model = network(images=True)
    head = last_linear(model)
    plan = rotation_pretraining(task(images=True), share=0.25)
    assert (plan.share, plan.validate) == (0.25, False)
    turns = torch.cat([batch[1] for batch in plan.loader])
    assert (
        turns.bincount().tolist() == [76] * 4
    )  # ten batches, the epoch of a small task: two passes and 64 rows
    train(plan, model)
    assert last_linear(model).out_features == 4
    trunk = weights(model[0]) | weights(model[1])
    after = plan.then(model)
    assert (after.share, after.validate, after.then) == (0.75, True, None)
    after.prepare(model)
    assert last_linear(model) is head
    assert same(weights(model[0]) | weights(model[1]), trunk)
    assert all(p.requires_grad for p in model.parameters())
    targets = torch.cat([batch[1] for batch in after.loader])
    assert set(targets.tolist()) == {0, 1, 2}


def test_moco_trains_a_projection_then_the_tasks_head():
    model = network()
    head = last_linear(model)
    plan = moco_pretraining(task(), dim=12)
    assert plan.step.queue_size == N // 2
    before = weights(model)
    train(plan, model)
    assert [layer.out_features for layer in model[-1] if isinstance(layer, nn.Linear)] == [WIDTH, 12]
    assert plan.step.queue.shape == (N // 2, 12)
    after = plan.then(model)
    after.prepare(model)
    assert model[-1] is head
    assert torch.equal(head.weight, before["2.weight"])
    assert not torch.equal(model[0].weight, before["0.weight"])
    train(replace(after, prepare=None), model)
    assert not torch.equal(head.weight, before["2.weight"])


@pytest.mark.parametrize("name", ["rotation_pretraining", "moco_pretraining"])
def test_pretraining_is_blind_to_labels_and_weights(name):
    pytest.importorskip("kornia")
    trained = []
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    for changes in (
        {},
        {"target": TARGET[order]},
        {"weight": torch.linspace(0.5, 1.5, N)},
        {"class_weight": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)},
    ):
        torch.manual_seed(0)
        model = convnet(1, 3)
        torch.manual_seed(1)
        trained.append(weights(train(RECIPES[name](task(images=True, **changes)), model)))
    assert all(same(trained[0], other) for other in trained[1:])


def test_an_augmentation_comes_before_the_pretext():
    def brighten(inputs, target, generator):
        return inputs + 1, target

    inputs, turns = next(iter(rotation_pretraining(task(images=True, augment=brighten)).loader))
    assert inputs.min() >= 1
    assert set(turns.tolist()) == {0, 1, 2, 3}
    views, _ = next(iter(moco_pretraining(task(augment=brighten)).loader))
    assert torch.equal(*views.chunk(2))


def test_any_recipe_may_follow():
    plan = moco_pretraining(task(), base="logit_adjustment")
    model = train(plan, network())
    after = plan.then(model)
    np.testing.assert_allclose(after.training_prior, [1 / 3] * 3)
    torch.testing.assert_close(
        after.objective.loss.adjustment, (TARGET.bincount() / N).log(), check_dtype=False
    )
    chained = moco_pretraining(task(), base="moco_pretraining", share=0.5).then(train(plan, network()))
    assert chained.share == 0.25
    assert chained.then is not None


def test_pretraining_refusals():
    with pytest.raises(ValueError, match="the rows of a table cannot be turned; use moco_pretraining"):
        rotation_pretraining(task())
    for share in (0, 1, -1):
        with pytest.raises(ValueError, match="share is the pretext's part of the epochs"):
            moco_pretraining(task(), share=share)
    with pytest.raises(ValueError, match="recipe 'x' is unknown"):
        moco_pretraining(task(), base="x").then(network())


# -------------------------------------------------------------------------------------------- self-training


class Oracle(nn.Module):
    """Reads the label off the first column."""

    def forward(self, inputs):
        return 20 * F.one_hot(inputs[:, 0].round().long(), 3).float()


def with_pool(**changes):
    """A task whose unlabelled rows carry their true label in the first column."""
    pool = torch.tensor([0] * 20 + [1] * 40 + [2] * 60)
    return task(unlabeled=torch.cat([pool[:, None].float(), torch.zeros(120, 5)], 1), **changes), pool


def stored(plan):
    """The tensors of a plan's stream."""
    return plan.loader.loader.tensors


@pytest.mark.parametrize("changes", [{"unlabeled": None}, {"unlabeled": ROWS[:0]}, {}])
def test_without_unlabelled_rows_or_at_omega_0_it_is_the_base_recipe(changes):
    one = task(**({"unlabeled": ROWS[:9]} | changes))
    plan = self_training(one, omega=0.0 if not changes else 1.0)
    base = RECIPES["erm"](one)
    assert plan.then is None
    assert plan.share == 1
    assert plan.notes == ("self_training had no unlabelled rows to learn from: it is erm",)
    for ours, theirs in zip(plan.loader, base.loader, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert same(weights(train(plan, network())), weights(train(base, network())))


def test_perfect_pseudo_labels_are_supervised_training_on_the_union():
    one, pool = with_pool()
    plan = self_training(one, base="logit_adjustment")
    assert plan.share == 0.5
    model = Oracle()
    plan.prepare(model)
    second = plan.then(model)
    union = replace(
        one,
        inputs=torch.cat([one.inputs, one.unlabeled]),
        target=torch.cat([one.target, pool]),
        unlabeled=None,
    )
    expected = RECIPES["logit_adjustment"](union)
    assert all(torch.equal(a, b) for a, b in zip(stored(second), stored(expected), strict=True))
    assert torch.equal(second.objective.loss.adjustment, expected.objective.loss.adjustment)  # counts anew
    np.testing.assert_allclose(
        RECIPES["erm"](union).training_prior, self_training(one).then(model).training_prior
    )
    assert second.share == 0.5
    assert second.notes == ("120 of 120 unlabelled rows were given a pseudo-label",)
    np.testing.assert_allclose(second.training_prior, expected.training_prior)


def test_omega_weighs_the_pseudo_labelled_rows():
    one, _ = with_pool()
    second = self_training(one, omega=0.25).then(Oracle())
    _, _, weight = stored(second)
    assert weight.mean().item() == pytest.approx(1)
    torch.testing.assert_close(weight[N:], weight[:1].expand(120) / 4)
    counts = TARGET.bincount() + 0.25 * torch.tensor([20.0, 40.0, 60.0])
    np.testing.assert_allclose(second.training_prior, counts / counts.sum(), atol=1e-6)


def test_sample_and_class_weights_go_along():
    weight = torch.linspace(0.5, 1.5, N)
    one, pool = with_pool(weight=weight, class_weight=torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64))
    _, _, both = stored(self_training(one).then(Oracle()))
    assert both.mean().item() == pytest.approx(1)
    expected = torch.cat([weight, torch.ones(120)]) * torch.tensor([0.5, 1.0, 3.0])[torch.cat([TARGET, pool])]
    torch.testing.assert_close(both / both[0], expected / expected[0])


def test_only_sure_rows_with_a_threshold():
    one = task(unlabeled=torch.randn(50, 6, generator=torch.Generator().manual_seed(3)))
    model = network()
    plan = self_training(one, threshold=0.45)
    plan.prepare(model)
    with torch.no_grad():
        sure = model(one.unlabeled).softmax(1).amax(1) >= 0.45
    assert 0 < sure.sum() < 50
    second = plan.then(model)
    assert torch.equal(stored(second)[0][N:], one.unlabeled[sure])
    assert second.notes == (f"{int(sure.sum())} of 50 unlabelled rows were given a pseudo-label",)
    nothing = self_training(one, threshold=1.0).then(model)
    assert len(stored(nothing)[0]) == N


def test_the_second_phase_starts_anew(monkeypatch):
    """With the weights and the layers that the first phase started with, whatever that did to them."""

    def odd(task):
        def prepare(model):
            model[-1] = nn.Linear(WIDTH, 3, bias=False)
            model[0].weight.requires_grad_(False)

        return replace(RECIPES["erm"](task), prepare=prepare)

    monkeypatch.setitem(RECIPES, "odd", odd)
    one, _ = with_pool()
    model = network()
    model.scale = nn.Parameter(torch.ones(1))  # of the root itself
    start = weights(model)
    plan = self_training(one, base="odd")
    train(plan, model, lr=0.5)
    with torch.no_grad():
        model.scale.fill_(3)
    assert model[-1].bias is None
    second = plan.then(model)
    assert model[-1].bias is None  # nothing is lost before the phase is prepared
    second.prepare(model)
    now = weights(model)
    assert now.keys() == start.keys() - {"2.bias"}
    assert all(torch.equal(now[name], start[name]) for name in ("0.weight", "0.bias", "scale"))
    assert not model[0].weight.requires_grad  # the second phase's own preparation


def test_a_base_of_several_phases_comes_whole_in_both(monkeypatch):
    log = []

    def two(task):
        last = replace(RECIPES["erm"](task), share=0.25, finish=lambda model: log.append(id(model)))
        return replace(RECIPES["erm"](task), share=0.75, then=lambda model: last)

    monkeypatch.setitem(RECIPES, "two", two)
    one, _ = with_pool()
    plan, model, shares = self_training(one, base="two"), network(), []
    while True:
        assert isinstance(plan, Plan)
        shares.append(plan.share)
        train(plan, model)
        if plan.then is None:
            break
        plan = plan.then(model)
    plan.finish(model)
    assert shares == [0.375, 0.125, 0.375, 0.125]
    # The labeller is finished on the side; the network itself once, at the end.
    assert len(log) == 2
    assert log[0] != id(model) == log[1]


@pytest.mark.parametrize("omega", [-1, float("inf"), float("nan")])
def test_an_impossible_omega_is_refused(omega):
    with pytest.raises(ValueError, match="omega must be a finite number, at least 0"):
        self_training(task(unlabeled=ROWS), omega=omega)


@pytest.mark.slow
def test_unlabelled_rows_of_unseen_classes_do_harm():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x / 16
    recalls = {"seen": [], "unseen": []}
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(y))
        test, rows = order[:700], order[700:]
        known = rows[y[rows] < 5]
        labeled = long_tail(y[known], ratio=12, n_max=40, seed=seed)
        pools = {
            "seen": known[make_unlabeled(y[known], labeled, ratio_unlabeled=1, size_factor=3, seed=seed)],
            "unseen": rows[y[rows] >= 5][: sum(unlabeled_counts(np.bincount(y[known[labeled]]), 1, 3))],
        }
        test = test[y[test] == 4]  # the rarest class
        for name, pool in pools.items():
            model = MetaBalanceClassifier(
                "self_training", epochs=40, batch_size=32, random_state=seed, min_positives=10**6
            ).fit(x[known[labeled]], y[known[labeled]], unlabeled=x[pool])
            recalls[name].append((model.predict(x[test]) == 4).mean())
    assert np.mean(recalls["seen"]) > np.mean(recalls["unseen"]) + 0.05


def test_two_views_of_a_task_are_its_own_augmentation_or_the_default():
    rows, target = torch.arange(12.0).reshape(6, 2), torch.arange(6)
    views, twice = TwoViews(default_augment(task()))(rows, target, torch.Generator().manual_seed(0))
    assert views.shape == (12, 2)
    assert torch.equal(*twice.chunk(2))


@pytest.mark.parametrize("make", [moco_pretraining, balanced_supcon])
def test_a_run_cut_in_two_ends_with_the_same_bits(tmp_path, make):
    def run(epochs, checkpoint):
        torch.manual_seed(0)
        plan, model = make(task()), network()
        if plan.prepare is not None:
            plan.prepare(model)
        parameters = [*model.parameters(), *plan.objective.parameters()]
        fit(
            model,
            plan.loader,
            objective=plan.objective,
            optimizer=torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
            step=plan.step,
            epochs=epochs,
            checkpoint=checkpoint,
        )
        return weights(model) | weights(plan.objective)

    whole = run(3, tmp_path / "whole.ckpt")
    run(1, tmp_path / "cut.ckpt")
    assert same(run(3, tmp_path / "cut.ckpt"), whole)
