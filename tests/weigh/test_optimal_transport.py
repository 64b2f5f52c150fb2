"""Optimal-transport weights: what the transport must lead to, and what the published settings do instead."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.weigh import OTReweighter, OTStep, SinkhornOT, class_means, sinkhorn, transport_costs
from metabalance.weigh.optimal_transport import PUBLISHED

COUNTS = [10, 3, 2, 1]
TARGET = torch.repeat_interleave(torch.arange(4), torch.tensor(COUNTS))
INDEX = torch.arange(16)
DOUBLE = torch.float64


def label_weights(steps, counts=COUNTS, target=TARGET, **settings):
    reweighter = OTReweighter(len(target), counts, cost="label", inner_steps=steps, **settings).double()
    features = torch.ones(len(target), 2, dtype=DOUBLE)
    classes = torch.arange(len(counts))
    return reweighter.fit(torch.arange(len(target)), target, features, features[: len(counts)], classes)


def masses(weights, target=TARGET):
    return torch.zeros(int(target.max()) + 1, dtype=weights.dtype).index_add(0, target, weights) / len(target)


def test_labels_alone_give_every_class_the_same_mass():
    """(10, 3, 2, 1) rows: 1/4 each, spread evenly within a class."""
    weights = label_weights(150, lr=0.2, transport=SinkhornOT(0.1, 1000, 1e-6))
    np.testing.assert_allclose(masses(weights), [0.25] * 4, atol=1e-3)
    np.testing.assert_allclose(weights, (16 / 4 / torch.tensor(COUNTS))[TARGET], atol=0.02)


def test_without_the_natural_gradient_too():
    settings = {"lr": 0.1, "natural": False, "transport": SinkhornOT(0.1, 1000, 1e-6)}
    np.testing.assert_allclose(masses(label_weights(150, **settings)), [0.25] * 4, atol=0.02)


def test_at_the_start_the_majority_loses_and_the_minority_gains():
    for natural in (True, False):
        weights = label_weights(1, lr=0.01, natural=natural)
        assert bool((weights[TARGET == 0] < 1).all())
        assert bool((weights[TARGET > 0] > 1).all())
        assert weights[-1] > weights[-2] > weights[10]  # the rarer, the more


@pytest.mark.parametrize("natural", [True, False])
def test_balanced_data_are_stationary(natural):
    target = torch.arange(4).repeat_interleave(5)
    weights = label_weights(20, [5] * 4, target, lr=1.0, natural=natural)
    np.testing.assert_allclose(weights, 1.0, atol=1e-9)


class Dearer(nn.Module):
    """Every unit of mass costs this much more."""

    def __init__(self, more):
        super().__init__()
        self.more = more

    def forward(self, cost, mu, nu):
        return sinkhorn(cost + self.more, mu, nu, 0.1, 1000, 1e-10).cost


def test_a_constant_on_the_cost_changes_nothing():
    found = [label_weights(3, transport=Dearer(more)) for more in (0.0, 5.0)]
    torch.testing.assert_close(found[0], found[1])


def test_a_large_eps_makes_the_cost_linear_in_the_masses():
    cost = torch.rand(3, 5, dtype=DOUBLE)
    mu, nu = torch.full((3,), 1 / 3, dtype=DOUBLE), torch.full((5,), 0.2, dtype=DOUBLE, requires_grad=True)
    (slope,) = torch.autograd.grad(sinkhorn(cost, mu, nu, eps=1e9).cost, nu)
    expected = mu @ cost
    torch.testing.assert_close(slope - slope.mean(), expected - expected.mean())


def two_groups():
    """Eight rows of class 0 near its prototype but one, which is near nothing; one of class 1."""
    features = torch.tensor([[1.0, 0.1]] * 7 + [[-1.0, -1.0]] + [[0.0, 1.0]], dtype=DOUBLE)
    return features, torch.tensor([0] * 8 + [1]), torch.eye(2, dtype=DOUBLE), torch.arange(2)


@pytest.mark.parametrize(
    ("cost", "tells_apart"), [("combined", True), ("feature", True), ("twoloss", True), ("label", False)]
)
def test_a_majority_row_far_from_every_prototype_loses(cost, tells_apart):
    features, target, prototypes, classes = two_groups()
    reweighter = OTReweighter(9, [8, 1], cost=cost, inner_steps=5).double()
    weights = reweighter.fit(torch.arange(9), target, features, prototypes, classes)
    near, far = weights[0], weights[7]
    assert (far < 0.9 * near) if tells_apart else torch.isclose(far, near)


def naive_price(cost, nu, eps=0.1):
    m, b = len(cost), len(nu)
    left, right = [1.0] * m, [1.0] * b
    for _ in range(3000):
        for i in range(m):
            left[i] = (1 / m) / sum(np.exp(-cost[i][j] / eps) * right[j] for j in range(b))
        for j in range(b):
            right[j] = nu[j] / sum(np.exp(-cost[i][j] / eps) * left[i] for i in range(m))
    return sum(
        cost[i][j] * left[i] * np.exp(-cost[i][j] / eps) * right[j] for i in range(m) for j in range(b)
    )


@pytest.mark.parametrize("natural", [True, False])
def test_naive_twin_of_one_step(natural):
    rng = np.random.default_rng(0)
    z, p = rng.normal(size=(5, 3)), rng.normal(size=(2, 3))
    target, alpha, lr = [0, 0, 1, 0, 0], 0.3, 0.4
    cost = [
        [
            alpha * (1 - sum(p[k] * z[i]) / np.sqrt(sum(p[k] ** 2) * sum(z[i] ** 2)))
            + (1 - alpha) * (0.0 if target[i] == k else 1.0)  # (1² + 1²) / 2
            for i in range(5)
        ]
        for k in range(2)
    ]

    def price_of(v):
        mass = np.exp(v) / np.exp(v).sum()
        return naive_price(cost, mass)

    v, step = np.zeros(5), []
    for i in range(5):
        ahead, behind = v.copy(), v.copy()
        ahead[i], behind[i] = 1e-4, -1e-4
        by_v = (price_of(ahead) - price_of(behind)) / 2e-4
        step.append(lr * 5 * by_v)  # at equal masses the natural gradient is the plain one times B
    expected = np.exp(-np.array(step)) / np.exp(-np.array(step)).sum() * 5
    reweighter = OTReweighter(
        5, [4, 1], alpha=alpha, lr=lr, natural=natural, transport=SinkhornOT(0.1, 5000, 1e-12)
    ).double()
    found = reweighter.fit(
        torch.arange(5), torch.tensor(target), torch.tensor(z), torch.tensor(p), torch.arange(2)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_published_weights_are_class_balanced_ones_that_hardly_move():
    counts = [int(4990 * 0.005 ** (c / 9)) for c in range(10)]
    reweighter = OTReweighter(sum(counts), counts, **PUBLISHED).double()
    # The values that the method card measured in the authors' set-up.
    np.testing.assert_allclose(reweighter.start[[0, 9]], [0.027, 4.50], atol=0.005)
    generator = torch.Generator().manual_seed(0)
    target = torch.repeat_interleave(torch.arange(10), torch.tensor(counts))
    features = torch.randn(16, 8, dtype=DOUBLE, generator=generator)
    index = torch.randint(len(target), (16,), generator=generator)
    prototypes = torch.randn(10, 8, dtype=DOUBLE, generator=generator)
    before = reweighter(index, target[index])
    np.testing.assert_allclose(before, 16 * reweighter.start[target[index]])
    for _ in range(5):
        after = reweighter.fit(index, target[index], features, prototypes, torch.arange(10))
    assert 0 < (after - before).abs().max() / 16 < 0.004


@pytest.mark.parametrize(("transport", "balanced"), [(SinkhornOT(), True), (PUBLISHED["transport"], False)])
def test_the_published_stopping_rule_misses_the_balance(transport, balanced):
    """Features as good as labels, so that a wrong class costs 1."""
    eye = torch.eye(4, dtype=DOUBLE)
    reweighter = OTReweighter(
        16, COUNTS, cost="feature", inner_steps=60, lr=0.2, transport=transport
    ).double()
    off = (masses(reweighter.fit(INDEX, TARGET, eye[TARGET], eye, torch.arange(4))) - 0.25).abs().max()
    assert (off < 0.03) if balanced else (off > 0.05)


def test_start():
    uniform = OTReweighter(16, COUNTS)(INDEX, TARGET)
    assert torch.equal(uniform, torch.ones(16))
    balanced = OTReweighter(16, COUNTS, init="class_balanced", beta=1.0)(INDEX, TARGET)
    np.testing.assert_allclose(masses(balanced), [0.25] * 4, atol=1e-6)  # beta 1: inverse counts
    raw = OTReweighter(16, COUNTS, mass="raw")
    assert torch.equal(raw(INDEX, TARGET) / 16, torch.ones(16))


def test_raw_numbers_may_become_negative():
    features, target, prototypes, classes = two_groups()
    reweighter = OTReweighter(9, [8, 1], mass="raw", lr=3.0).double()
    weights = reweighter.fit(torch.arange(9), target, features, prototypes, classes)
    assert weights.min() < 0


def test_weight_decay_pulls_the_numbers_to_zero():
    reweighter = OTReweighter(2, [1, 1], cost="label", mass="raw", lr=0.1, weight_decay=0.5).double()
    eye = torch.eye(2, dtype=DOUBLE)
    weights = reweighter.fit(torch.arange(2), torch.arange(2), eye, eye, torch.arange(2))
    np.testing.assert_allclose(weights / 2, 0.95)


def test_the_weight_network_learns_from_features():
    torch.manual_seed(0)
    features = F.one_hot(TARGET, 4).double() + 0.01 * torch.randn(16, 4, dtype=DOUBLE)
    reweighter = OTReweighter(16, COUNTS, parametrization="weightnet", feature_dim=4, inner_steps=60)
    reweighter = reweighter.double()
    before = [p.detach().clone() for p in reweighter.parameters()]
    eye = torch.eye(4, dtype=DOUBLE)
    weights = reweighter.fit(INDEX, TARGET, features, eye, torch.arange(4))
    assert all(not torch.equal(p, b) for p, b in zip(reweighter.parameters(), before))
    np.testing.assert_allclose(masses(weights), [0.25] * 4, atol=0.08)
    assert [p.shape for p in before] == [(100, 4), (100,), (1, 100)]
    with pytest.raises(ValueError, match="needs the features of the batch"):
        reweighter(INDEX, TARGET)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("target", [[0, 0, 0], [1, 0, 3], [2, 2, 2]])
def test_batches_that_lack_classes_are_fine(dtype, target):
    features = 1e4 * torch.randn(3, 5, dtype=dtype)
    reweighter = OTReweighter(9, COUNTS, inner_steps=10).to(dtype)
    weights = reweighter.fit(
        torch.tensor([3, 8, 5]), torch.tensor(target), features, features, torch.arange(3)
    )
    assert weights.dtype == dtype
    assert bool(torch.isfinite(weights).all())
    torch.testing.assert_close(weights.mean(), torch.ones((), dtype=dtype))
    assert (reweighter.v != 0).sum() <= 3  # the others were not in the batch


def test_shares_of_classes_are_labels_too():
    hard = OTReweighter(16, COUNTS)
    soft = OTReweighter(16, COUNTS)
    features, prototypes = torch.randn(16, 3), torch.randn(4, 3)
    shares = F.one_hot(TARGET, 4).float()
    found = [
        r.fit(INDEX, t, features, prototypes, torch.arange(4)) for r, t in ((hard, TARGET), (soft, shares))
    ]
    torch.testing.assert_close(found[0], found[1])


def test_two_and_a_thousand_classes():
    labels = torch.eye(1000)
    (cost,) = transport_costs(labels[:3], labels[:3], labels[:4], labels[:4], "label")
    torch.testing.assert_close(cost[0], torch.tensor([0.0, 0.002, 0.002, 0.002]))
    (cost,) = transport_costs(torch.eye(2), torch.eye(2), -torch.eye(2), torch.eye(2), "combined", alpha=0.5)
    torch.testing.assert_close(
        cost, torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    )  # half of 2; half of 1, half of 1


def test_class_means():
    images = torch.rand(5, 1, 2, 2)
    means, classes = class_means(images, torch.tensor([3, 0, 3, 3, 0]), num_classes=4)
    assert classes.tolist() == [0, 3]
    torch.testing.assert_close(means[1], (images[0] + images[2] + images[3]) / 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cost": "x"}, "cost='x' is unknown"),
        ({"parametrization": "x"}, "parametrization='x' is unknown"),
        ({"init": "x"}, "init='x' is unknown"),
        ({"mass": "x"}, "mass='x' is unknown"),
        ({"alpha": 2.0}, "alpha must lie between 0 and 1"),
        ({"lr": -1.0}, "lr and weight_decay must be finite"),
        ({"inner_steps": 0}, "inner_steps must be at least 1"),
        ({"parametrization": "weightnet"}, "needs feature_dim"),
        ({"parametrization": "weightnet", "feature_dim": 2, "mass": "raw"}, "mass='raw' is for the vector"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        OTReweighter(4, [3, 1], **settings)


# ------------------------------------------------------------------------------------------------- step


def objective(model, batch):
    losses = F.cross_entropy(model(batch[0]), batch[1], reduction="none")
    return (losses * batch[2]).mean() if len(batch) > 2 else losses.mean()


def network():
    torch.manual_seed(0)
    layers = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(4, 4)
    return nn.Sequential(*layers)


def batches(n=3):
    generator = torch.Generator().manual_seed(1)
    for _ in range(n):
        rows = torch.randperm(16, generator=generator)[:12]
        yield torch.randn(12, 3, generator=generator), TARGET[rows], torch.ones(12), rows


META = [
    (torch.randn(8, 3, generator=torch.Generator().manual_seed(k)), torch.arange(4).repeat(2)) for k in (2, 3)
]


def test_the_step_trains_with_the_weights():
    inputs, target, _, rows = next(batches())
    weight = torch.rand(12)
    step, model = OTStep(OTReweighter(16, COUNTS), META), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
    before = [p.detach().clone() for p in model.parameters()]
    loss = step(model, (inputs, target, weight, rows), objective, torch.optim.SGD(model.parameters(), lr=0.1))
    moved = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        for p, b in zip(model.parameters(), before):
            p.copy_(b)
    weights = step.reweighter(rows, target)
    assert weights.std() > 0.01
    expected = (F.cross_entropy(model(inputs), target, reduction="none") * weight * weights).mean()
    torch.testing.assert_close(loss, expected.detach())
    for p, g, m in zip(model.parameters(), torch.autograd.grad(expected, list(model.parameters())), moved):
        torch.testing.assert_close(m, p.detach() - 0.1 * g)


@pytest.mark.parametrize("settings", [{}, {"meta": "whole"}, {"pixels": True}])
def test_the_balanced_side(settings):
    """The weights are those of a reweighter that is given the same features by hand, in evaluation mode."""
    model = network()
    batch = next(batches())
    step, twin = OTStep(OTReweighter(16, COUNTS), META, **settings), OTReweighter(16, COUNTS)
    model.eval()
    with torch.no_grad():
        body = model[:-1]
        inputs, target = META[0]
        if settings.get("pixels"):
            inputs, target = inputs.view(2, 4, 3).mean(0), torch.arange(4)
        balanced = body(inputs)
        if not settings:
            balanced, target = balanced.view(2, 4, 4).mean(0), torch.arange(4)
        expected = twin.fit(batch[3], batch[1], body(batch[0]), balanced, target)
    model.train()
    step(model, batch, objective, torch.optim.SGD(model.parameters(), lr=0.1))
    torch.testing.assert_close(step.reweighter(batch[3], batch[1]), expected)
    assert all(module.training for module in model.modules())
    assert model[1].num_batches_tracked == 1  # the training pass alone


def test_the_coefficient_of_the_balanced_loss():
    losses = []
    for coefficient in (0.0, 10.0):
        model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 4, bias=False))
        for p in model.parameters():
            nn.init.constant_(p, 0.1)
        step = OTStep(OTReweighter(16, COUNTS), META, meta_coefficient=coefficient)
        losses.append(step(model, next(batches()), objective, torch.optim.SGD(model.parameters(), lr=0.1)))
    torch.testing.assert_close(losses[1] - losses[0], 10 * torch.tensor(4.0).log())


def test_frozen_batch_norm_stays_where_it_is():
    model = network()
    for p in model[:-1].parameters():
        p.requires_grad_(False)
    before = {name: b.clone() for name, b in model.named_buffers()}
    step = OTStep(OTReweighter(16, COUNTS), META, meta_coefficient=1.0)
    for batch in batches():
        step(model, batch, objective, torch.optim.SGD(model[-1].parameters(), lr=0.1))
    assert all(torch.equal(b, before[name]) for name, b in model.named_buffers())
    assert model[1].training


@pytest.mark.parametrize("settings", [{}, {"parametrization": "weightnet", "feature_dim": 4}])
def test_a_step_goes_on_where_it_was_saved(settings):
    def run(cut):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
        step = OTStep(OTReweighter(16, COUNTS, **settings), META)
        for position, batch in enumerate(batches(5)):
            if position == cut:
                state = step.state_dict()
                step = OTStep(OTReweighter(16, COUNTS, **settings), META)
                step.load_state_dict(state)
            step(model, batch, objective, torch.optim.SGD(model.parameters(), lr=0.1))
        return [*model.parameters(), *step.reweighter.state_dict().values()]

    for a, b in zip(run(None), run(3)):
        assert torch.equal(a, b)


def test_step_refusals():
    step, model = OTStep(OTReweighter(16, COUNTS), META), network()
    with pytest.raises(ValueError, match=r"batches must be \(inputs, target, weight, index\)"):
        step(model, META[0], objective, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="meta='x' is unknown"):
        OTStep(OTReweighter(16, COUNTS), META, meta="x")
    with pytest.raises(ValueError, match="gives no batch"):
        OTStep(OTReweighter(16, COUNTS), [])(
            model, next(batches()), objective, torch.optim.SGD(model.parameters(), lr=0.1)
        )
