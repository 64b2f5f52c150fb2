"""Asymmetric SAM: where it is SAM, what the weights do to the ascent, and a twin in loops."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.engine import Objective
from metabalance.optimize import SAM, AsymmetricSAM
from metabalance.optimize.asymmetric_sam import weighed

COUNTS = [60, 30, 10]


def batch(target=None, rows=24, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=g, dtype=dtype)
    y = torch.randint(3, (rows,), generator=g) if target is None else torch.full((rows,), target)
    return x, y


def network(norm=False):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), *([nn.BatchNorm1d(6)] if norm else []), nn.Tanh(), nn.Linear(6, 3)
    ).double()


def objective():
    return Objective(nn.CrossEntropyLoss(reduction="none"))


def moved(step, data, norm=False):
    model = network(norm)
    step(model, data, objective(), torch.optim.SGD(model.parameters(), lr=1.0))
    return model.state_dict()


def assert_same(one, two):
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mode", ["reweight_ascent", "per_class_radius"])
def test_equal_counts_give_sam(mode):
    assert_same(moved(AsymmetricSAM([5, 5, 5], 0.3, mode), batch()), moved(SAM(0.3), batch()))


@pytest.mark.parametrize("c", [0, 2])
def test_a_batch_of_one_class_gives_sam(c):
    assert_same(moved(AsymmetricSAM(COUNTS, 0.3), batch(c)), moved(SAM(0.3), batch(c)))


def test_there_the_other_mode_has_a_radius_of_the_class():
    data = batch(2)
    assert_same(moved(AsymmetricSAM(COUNTS, 0.1, "per_class_radius"), data), moved(SAM(0.6), data))


def test_weights_of_any_constant_scale_change_nothing():
    assert_same(
        moved(AsymmetricSAM(COUNTS, 0.3), batch()),
        moved(AsymmetricSAM([c / 7 for c in COUNTS], 0.3), batch()),
    )


@pytest.mark.parametrize("mode", ["reweight_ascent", "per_class_radius"])
def test_radius_0_is_the_plain_step(mode):
    model = network(norm=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    objective()(model, batch()).backward()
    optimizer.step()
    assert_same(moved(AsymmetricSAM(COUNTS, 0.0, mode), batch(), norm=True), model.state_dict())


@pytest.mark.parametrize("mode", ["reweight_ascent", "per_class_radius"])
def test_a_twin_with_one_gradient_per_class(mode):
    """The ascent is a mean of the classes' own gradients, each times n_max / n_c; the descent is plain."""
    model, (x, y) = network(), batch()
    params = list(model.parameters())
    a = [max(COUNTS) / n for n in COUNTS]
    rows = [int((y == c).sum()) for c in range(3)]
    per_class = [torch.autograd.grad(F.cross_entropy(model(x[y == c]), y[y == c]), params) for c in range(3)]
    steep = [sum(a[c] * rows[c] * per_class[c][i] for c in range(3)) / len(y) for i in range(len(params))]
    plain = [sum(rows[c] * per_class[c][i] for c in range(3)) / len(y) for i in range(len(params))]
    below = steep if mode == "reweight_ascent" else plain
    norm = sum(float((g**2).sum()) for g in below) ** 0.5
    expected = copy.deepcopy(model)
    for p, g in zip(expected.parameters(), steep):
        p.data += 0.2 * g / norm
    descent = torch.autograd.grad(F.cross_entropy(expected(x), y), list(expected.parameters()))
    after = moved(AsymmetricSAM(COUNTS, 0.2, mode), (x, y))
    for (name, _), p, g in zip(model.named_parameters(), params, descent):
        torch.testing.assert_close(after[name], p.detach() - g, rtol=1e-6, atol=1e-8)


def test_the_rise_of_the_rare_class_grows_with_its_weight():
    """First order: along the way up, the rare class's loss rises by rho <g_rare, g_a> / |g_a|."""
    model, (x, y) = network(), batch()
    params = list(model.parameters())
    flat = lambda loss: torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, params)])  # noqa: E731
    rare = flat(F.cross_entropy(model(x[y == 2]), y[y == 2]))
    rises = []
    for n in (60, 30, 10, 1):
        weighted = (
            F.cross_entropy(model(x), y, reduction="none") * AsymmetricSAM([60, 60, n]).weight[y]
        ).mean()
        g = flat(weighted)
        rises.append(float(rare @ g / g.norm()))
    assert rises == sorted(rises)
    assert rises[-1] > rises[0]


def test_weights_of_the_batch_multiply_and_the_index_stays():
    x, y = batch()
    w = torch.rand(len(y), dtype=torch.float64)
    index = torch.arange(len(y))
    out = weighed((x, y, w, index), torch.tensor([1.0, 2.0, 6.0]))
    assert out[3] is index
    torch.testing.assert_close(out[2], w * torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)[y])


def test_a_soft_target_weighs_the_mean_of_its_classes():
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    out = weighed((torch.zeros(2, 1), soft), torch.tensor([1.0, 2.0, 6.0]))
    torch.testing.assert_close(out[2], torch.tensor([1.5, 6.0]))


def test_running_statistics_are_those_of_one_pass():
    for mode in ("reweight_ascent", "per_class_radius"):
        after = moved(AsymmetricSAM(COUNTS, 0.3, mode), batch(), norm=True)
        reference = network(norm=True)
        reference(batch()[0])
        assert torch.equal(after["1.running_mean"], reference[1].running_mean)
        assert after["1.num_batches_tracked"] == 1


def test_a_class_without_examples_counts_like_the_rarest():
    torch.testing.assert_close(AsymmetricSAM([60, 0, 10]).weight, torch.tensor([1.0, 6.0, 6.0]))


def test_fewer_new_rare_points_are_missed_than_by_plain_training_or_sam():
    """The authors' toy in small: six rare points beside a large class, and many more of their kind held out."""
    g = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(200, 2, generator=g), torch.randn(6, 2, generator=g) * 0.3 + 2.5])
    y = torch.tensor([0] * 200 + [1] * 6)
    held = torch.randn(500, 2, generator=g) * 0.3 + 2.5
    missed = []
    for step in (SAM(0.0), SAM(0.2), AsymmetricSAM([200, 6], 0.2)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(100):
            step(model, (x, y), objective(), optimizer)
        with torch.no_grad():
            missed.append(int((model(held).argmax(1) == 0).sum()))
    assert missed[2] < min(missed[:2]), missed


def test_refusals():
    with pytest.raises(ValueError, match="mode='x' is unknown; use 'reweight_ascent' or 'per_class_radius'"):
        AsymmetricSAM(COUNTS, mode="x")
    with pytest.raises(ValueError, match="rho must be finite"):
        AsymmetricSAM(COUNTS, rho=-1)
    for bad in ([], [0, 0], [-1, 2], [float("nan"), 1]):
        with pytest.raises(ValueError, match="class counts must be finite"):
            AsymmetricSAM(bad)
