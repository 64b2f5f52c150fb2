"""The network's tree, its estimators and the ensemble: every layer learns, members do not know of each other."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from metabalance.systems.materials import (
    BootstrapEnsemble,
    MODNet,
    MODNetClassifier,
    MODNetRegressor,
    confidence_ranked_error,
    knn_distance,
)
from metabalance.systems.materials.network import check_tree
from metabalance.systems.materials.training import Scaling, TrainingOptions, train_together

SMALL = {"num_neurons": ((16,), (8,), (4,)), "epochs": 30, "lr": 0.01, "batch_size": 32}
rng = np.random.default_rng(0)
X = rng.normal(size=(120, 5))
Y = 500 + 40 * X[:, 0] - 20 * X[:, 1]


def test_every_block_is_built_and_learns():
    net = MODNet([[["a", "b"], ["c"]], [["d"]]], 5, ([8], [6], [4], [3]), num_classes={"c": 3})
    out = net(torch.randn(7, 5))
    assert out.shape == (7, 6)
    assert net.slices == {"a": slice(0, 1), "b": slice(1, 2), "c": slice(2, 5), "d": slice(5, 6)}
    assert net.path == [(0, 0), (0, 0), (0, 1), (1, 2)]
    (out**2).sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for n, p in net.named_parameters() if "weight" in n
    )
    assert sum(isinstance(m, torch.nn.BatchNorm1d) for m in net.modules()) == 1 + 2 + 3 + 4
    assert not any(isinstance(m, torch.nn.BatchNorm1d) for m in MODNet([[[0]]], 5).modules())


def test_a_target_hears_of_its_own_branch_alone():
    net = MODNet([[["a"], ["b"]], [["c"]]], 5, ([8], [6], [4], [3]))
    net.eval()
    net(torch.randn(7, 5))[:, net.slices["c"]].sum().backward()
    assert not any(
        p.grad is not None and p.grad.any()
        for p in [*net.groups[0].parameters(), *net.targets[0].parameters()]
    )
    assert all(p.grad is not None for p in [*net.shared.parameters(), *net.groups[1].parameters()])


@pytest.mark.parametrize("tree", [[], [[]], [[[]]], [["a"]], "abc", [[["a"], ["a"]]], [[[["a"]]]]])
def test_a_tree_of_another_shape_is_refused(tree):
    with pytest.raises(ValueError, match=r"tree"):
        MODNet(tree, 3)
    with pytest.raises(ValueError, match=r"tree"):
        check_tree(tree)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_predictions_are_in_the_users_unit_whatever_it_is(scale):
    model = MODNetRegressor(random_state=0, **SMALL).fit(X, Y * scale)
    assert np.abs(model.predict(X) / scale - Y).mean() < 0.4 * np.abs(Y - Y.mean()).mean()


def test_scaling_of_missing_constant_and_large_columns():
    raw = np.array([[1.0, 5.0, np.nan, -1e308], [3.0, 5.0, np.nan, 1e308], [np.nan, 5.0, np.nan, 0.0]])
    scaled = Scaling.fit(raw, "minmax").apply(raw)
    assert scaled[:, 0].tolist() == [-0.5, 0.5, -1.0]
    assert scaled[:, 1].tolist() == [0.0, 0.0, 0.0]
    assert scaled[:, 2].tolist() == [-1.0, -1.0, -1.0]
    assert scaled[:, 3].tolist() == [-0.5, 0.5, 0.0]
    standard = Scaling.fit(raw[:, :1], "standard").apply(raw[:, :1])
    assert standard.ravel().tolist() == [-1.0, 1.0, 0.0]  # the mean, not ten times the largest


def test_several_targets_in_any_order_of_the_tree():
    targets = np.column_stack([Y, 1e6 * X[:, 2], -Y])
    model = MODNetRegressor([[[2, 0]], [[1]]], random_state=0, **SMALL | {"epochs": 80}).fit(X, targets)
    found = model.predict(X)
    assert [np.corrcoef(found[:, t], targets[:, t])[0, 1] > 0.8 for t in range(3)] == [True] * 3
    with pytest.raises(ValueError, match="each column of y, 0 to 2, once"):
        MODNetRegressor([[[0, 1]]]).fit(X, targets)
    with pytest.raises(ValueError, match="one for each of 2 properties"):
        MODNetRegressor([[[2, 0]], [[1]]], loss_weights=[1.0]).fit(X, targets)


def test_predictions_far_out_of_range_are_clipped_and_the_same_each_time():
    model = MODNetRegressor(random_state=0, **SMALL).fit(X, Y)
    far = model.predict(50 * X)
    room = 0.25 * np.ptp(Y)
    assert far.max() <= Y.max() + room + 1e-9
    assert far.min() >= Y.min() - room - 1e-9
    np.testing.assert_array_equal(far, model.predict(50 * X))


def test_members_trained_together_are_those_trained_alone():
    model = MODNetRegressor(**SMALL)
    rows = [rng.integers(120, size=120) for _ in range(3)]
    together = model.fit_members(X, Y, rows, [4, 5, 6])
    again = model.fit_members(X, Y, rows[::-1], [6, 5, 4])
    for i, seed in enumerate((4, 5, 6)):
        alone = clone(model).fit_members(X, Y, [rows[i]], [seed])[0]
        np.testing.assert_allclose(together[i].predict(X), alone.predict(X), rtol=1e-3)
        np.testing.assert_allclose(together[i].predict(X), again[2 - i].predict(X), rtol=1e-3)
    with pytest.raises(ValueError, match="equally many"):
        model.fit_members(X, Y, [rows[0], rows[1][:50]], [0, 1])


def test_early_stopping():
    options = SMALL | {"epochs": 200, "patience": 3}
    on_training = MODNetRegressor(random_state=0, min_delta=0.5, **options).fit(X, Y)
    assert on_training.n_iter_ < 20
    noise = rng.normal(size=120)
    held = MODNetRegressor(random_state=0, early_stopping="validation", min_delta=0.0, **options).fit(
        X, noise
    )
    assert held.n_iter_ < 40
    assert (
        MODNetRegressor(random_state=0, early_stopping=None, min_delta=9.0, **SMALL).fit(X, Y).n_iter_ == 30
    )
    with pytest.raises(ValueError, match="early_stopping must be"):
        MODNetRegressor(early_stopping="never").fit(X, Y)


def test_training_in_your_own_hands():
    nets = [MODNet([[["a"]]], 5, ((4,),)) for _ in range(2)]
    inputs, targets = torch.randn(2, 20, 5), torch.randn(2, 20, 1)

    def objective(outputs, wanted):
        return (outputs - wanted).abs().mean((1, 2))

    before = objective(torch.stack([n(x) for n, x in zip(nets, inputs)]), targets)
    options = TrainingOptions(epochs=40, lr=0.01)
    assert train_together(nets, inputs, targets, objective, options, [0, 1]) == [40, 40]
    after = objective(torch.stack([n(x) for n, x in zip(nets, inputs)]), targets)
    assert (after < before).all()


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": 1.5}, {"lr": 0.0}, {"min_delta": -1.0}, {"patience": True}]
)
def test_training_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingOptions(**wrong)


def test_identical_members_have_no_spread_and_order_changes_nothing():
    same = BootstrapEnsemble(lambda seed: MODNetRegressor(random_state=0, **SMALL), 3, bootstrap=False).fit(
        X, Y
    )
    _, std = same.predict(X, return_std=True)
    assert std.max() <= 1e-10
    model = BootstrapEnsemble(MODNetRegressor(**SMALL), 4, together=3, random_state=0).fit(X, Y)
    mean, std = model.predict(X, return_std=True)
    assert std.min() > 0
    model.members_.reverse()
    np.testing.assert_allclose(model.predict(X, return_std=True), (mean, std))
    each = np.stack([m.predict(X) for m in model.members_])
    np.testing.assert_allclose(std, each.std(0))


def test_classes_by_soft_and_hard_votes():
    labels = np.where(X[:, 0] > 1.2, "rare", "usual")
    soft = BootstrapEnsemble(MODNetClassifier(**SMALL), 5, random_state=0).fit(X, labels)
    p, std = soft.predict_proba(X, return_std=True)
    assert p.shape == std.shape == (120, 2)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    assert (soft.predict(X) == labels).mean() > 0.9
    hard = BootstrapEnsemble(MODNetClassifier(**SMALL), 5, voting="hard", random_state=0).fit(X, labels)
    assert set((hard.predict_proba(X) * 5).round(6).ravel()) <= {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    with pytest.raises(ValueError, match="predict_proba"):
        soft.predict(X, return_std=True)


def test_members_that_never_met_a_class_and_any_other_estimator():
    labels = np.repeat([0, 1, 2], [100, 18, 2])
    loose = BootstrapEnsemble(DecisionTreeClassifier(), 30, stratify=False, random_state=1).fit(X, labels)
    assert {len(m.classes_) for m in loose.members_} == {2, 3}
    assert loose.predict_proba(X).shape == (120, 3)
    strict = BootstrapEnsemble(LogisticRegression(), 5, random_state=1, n_jobs=1).fit(X, labels)
    assert {len(m.classes_) for m in strict.members_} == {3}
    trees = BootstrapEnsemble(DecisionTreeRegressor(), 5, random_state=0).fit(X, Y)
    assert trees.predict(X).shape == (120,)
    with pytest.raises(ValueError, match="use predict"):
        trees.predict_proba(X)
    for wrong in ({"n_members": 0}, {"voting": "loud"}):
        with pytest.raises(ValueError, match="be from 1"):
            BootstrapEnsemble(DecisionTreeRegressor(), **wrong).fit(X, Y)


def test_spread_and_distance_know_where_training_rows_are_rare():
    """The paper's point, at a small size: errors are larger in the sparse region, and both rank them."""
    draw = np.random.default_rng(3)
    dense, sparse = draw.uniform(-1, 0, size=(300, 2)), draw.uniform(0, 2, size=(15, 2))
    train = np.concatenate([dense, sparse])
    test = np.concatenate([draw.uniform(-1, 0, size=(150, 2)), draw.uniform(0, 2, size=(150, 2))])

    def truth(x):
        return np.sin(3 * x[:, 0]) + x[:, 1] ** 2

    options = SMALL | {"num_neurons": ((32,), (16,)), "epochs": 60}
    model = BootstrapEnsemble(MODNetRegressor(**options), 10, random_state=0).fit(train, truth(train))
    mean, std = model.predict(test, return_std=True)
    errors = np.abs(mean - truth(test))
    assert errors[150:].mean() > 2 * errors[:150].mean()
    for score in (std, knn_distance(train, test, metric="euclidean")):
        assert confidence_ranked_error(errors, score).ranked < 0.9


@parametrize_with_checks(
    [
        MODNetRegressor(num_neurons=((8,),), epochs=5, random_state=0),
        MODNetClassifier(num_neurons=((8,),), epochs=5, random_state=0),
    ]
)
def test_scikit_learn_accepts_the_networks(estimator, check):
    check(estimator)
