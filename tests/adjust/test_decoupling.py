"""Decoupling: normalised and scaled classifiers, frozen trunks, class means."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.adjust import (
    NearestClassMean,
    ScaledLinear,
    ShiftedLogits,
    choose_tau,
    freeze_trunk,
    shift_logits,
    tau_normalize,
)
from metabalance.heads import last_linear, replace_head


def linear(features=6, classes=4, bias=True, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    layer = nn.Linear(features, classes, bias, dtype=dtype)
    with torch.no_grad():
        layer.weight *= torch.arange(1, classes + 1, dtype=dtype)[:, None]
    return layer


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def inputs(rows=32, features=5, dtype=torch.float32, seed=0):
    return torch.randn(rows, features, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# ------------------------------------------------------------------------------------------------ tau-norm


def test_tau_0_is_the_head_without_its_bias():
    old, new = linear(), tau_normalize(linear(), 0.0)
    assert torch.equal(new.weight, old.weight)
    assert torch.equal(new.bias, torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tau_1_makes_all_lengths_1(dtype):
    new = tau_normalize(linear(dtype=dtype), 1.0)
    torch.testing.assert_close(new.weight.norm(dim=1), torch.ones(4, dtype=dtype))


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0, 2.0, -1.0])
def test_tau_norm_twin(tau):
    old = linear()
    expected = []
    for row in old.weight.tolist():
        length = math.sqrt(sum(v * v for v in row))
        expected.append([v / length**tau for v in row])
    torch.testing.assert_close(
        tau_normalize(old, tau).weight.detach(), torch.tensor(expected, dtype=torch.float64)
    )


def test_it_finds_the_head_of_a_network_and_keeps_its_names():
    model = network()
    before = copy.deepcopy(model.state_dict())
    assert tau_normalize(model, 1.0) is model
    after = model.state_dict()
    assert list(after) == list(before)
    assert torch.equal(after["0.weight"], before["0.weight"])
    torch.testing.assert_close(after["4.weight"].norm(dim=1), torch.ones(3))


def test_a_row_of_zeros_stays_and_a_head_without_bias_is_fine():
    layer = linear(bias=False)
    layer.weight.data[1] = 0
    tau_normalize(layer, 1.0)
    assert torch.equal(layer.weight[1], torch.zeros(6, dtype=torch.float64))
    assert torch.isfinite(layer.weight).all()
    assert layer.bias is None


def test_tau_is_the_best_of_the_grid_and_the_smallest_of_equals():
    layer, x = linear(features=5), inputs(200, dtype=torch.float64)
    y = (x @ F.normalize(layer.weight.detach(), dim=1).T).argmax(1)  # labels of the normalised head itself
    assert choose_tau(layer, x, y) == 1.0
    values = []
    for tau in (0.0, 0.5, 1.5):
        label = tau_normalize(copy.deepcopy(layer), tau)(x).argmax(1)
        values.append(sum(float((label[y == c] == c).double().mean()) for c in range(4)) / 4)
    assert choose_tau(layer, x, y, grid=(0.0, 0.5, 1.5)) == (0.0, 0.5, 1.5)[values.index(max(values))]
    one = torch.zeros(200, dtype=torch.long)
    assert choose_tau(layer, torch.zeros(200, 5, dtype=torch.float64), one, grid=(0.7, 0.2)) == 0.7


@pytest.mark.parametrize("tau", [float("nan"), float("inf")])
def test_tau_is_finite(tau):
    with pytest.raises(ValueError, match=f"tau must be a finite number, but {tau} was given"):
        tau_normalize(linear(), tau)


# --------------------------------------------------------------------------------------------------- scales


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_fresh_scaled_head_is_the_head(bias, dtype):
    layer, x = linear(bias=bias, dtype=dtype), inputs(features=6, dtype=dtype)
    assert torch.equal(ScaledLinear(layer)(x), layer(x))


def test_only_the_scales_are_trained():
    layer = linear()
    scaled = ScaledLinear(layer)
    optimizer = torch.optim.SGD([p for p in scaled.parameters() if p.requires_grad], lr=0.1)
    F.cross_entropy(scaled(inputs(features=6, dtype=torch.float64)), torch.arange(32) % 4).backward()
    optimizer.step()
    assert (scaled.scale != 1).all()
    assert torch.equal(scaled.weight, layer.weight)
    assert torch.equal(scaled.bias, layer.bias)
    assert layer.weight.requires_grad


def test_scaled_twin_and_merged():
    scaled, x = ScaledLinear(linear()), inputs(3, 6, torch.float64)
    scaled.scale.data = torch.tensor([0.5, 2.0, -1.0, 3.0], dtype=torch.float64)
    w, b, f = scaled.weight.tolist(), scaled.bias.tolist(), scaled.scale.tolist()
    expected = [
        [f[c] * (sum(v * h for v, h in zip(w[c], row)) + b[c]) for c in range(4)] for row in x.tolist()
    ]
    torch.testing.assert_close(scaled(x).detach(), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(scaled.merged()(x), scaled(x))
    assert type(scaled.merged()) is nn.Linear
    assert all(p.requires_grad for p in scaled.merged().parameters())


def test_scales_of_inverse_lengths_are_tau_norm():
    layer, x = linear(bias=False), inputs(features=6, dtype=torch.float64)
    scaled = ScaledLinear(layer)
    scaled.scale.data = layer.weight.detach().norm(dim=1) ** -0.7
    torch.testing.assert_close(scaled(x), tau_normalize(copy.deepcopy(layer), 0.7)(x))


def test_a_scaled_head_stays_the_head_and_its_state_goes_round():
    model = network()
    replace_head(model, ScaledLinear(last_linear(model)))
    assert isinstance(last_linear(model), ScaledLinear)
    other = copy.deepcopy(model)
    other[4].scale.data += 1
    model.load_state_dict(other.state_dict())
    assert torch.equal(model[4].scale, torch.full((3,), 2.0))
    x = inputs()
    torch.testing.assert_close(
        torch.compile(model[4], backend="eager")(x @ torch.ones(5, 8)), model[4](x @ torch.ones(5, 8))
    )
    with pytest.raises(ValueError, match=r"only a plain nn\.Linear can be scaled, but a ScaledLinear"):
        ScaledLinear(model[4])


# --------------------------------------------------------------------------------------------------- frozen


def trained(model, steps=3):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(steps):
        model.train()  # as every epoch of a training loop does
        optimizer.zero_grad()
        F.cross_entropy(model(inputs()), torch.arange(32) % 3).backward()
        optimizer.step()
    return model.state_dict()


def test_a_frozen_trunk_stays_to_the_bit_statistics_too():
    model = network()
    trained(model)  # statistics worth keeping
    before = copy.deepcopy(model.state_dict())
    freeze_trunk(model)
    after = trained(model)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"4.weight", "4.bias"}


def test_frozen_batch_norm_normalises_by_its_statistics():
    model = network()
    trained(model)
    model[3].p = 0.0
    freeze_trunk(model)
    model.train()
    one = model(inputs())
    torch.testing.assert_close(model(inputs()[:4]), one[:4])  # a row does not see its batch
    model.eval()
    torch.testing.assert_close(model(inputs()), one)


def test_the_authors_drift():
    model = network()
    before = copy.deepcopy(model.state_dict())
    freeze_trunk(model, freeze_bn=False)
    after = trained(model)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"4.weight", "4.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}


def test_undone_all_is_as_before():
    model = network()
    model[0].bias.requires_grad_(False)  # frozen by the user, and to stay so
    undo = freeze_trunk(model)
    trained(model)
    undo()
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["0.bias"]
    before = copy.deepcopy(model.state_dict())
    after = trained(model)
    assert not torch.equal(after["1.running_mean"], before["1.running_mean"])
    assert model[1].training


def test_dropout_goes_on():
    model = network()
    freeze_trunk(model)
    model.train()
    assert not torch.equal(model(inputs()), model(inputs()))


def test_a_frozen_trunk_can_be_copied():
    model = network()
    freeze_trunk(model)
    before = copy.deepcopy(model.state_dict())
    assert torch.equal(trained(copy.deepcopy(model))["1.running_mean"], before["1.running_mean"])


# ---------------------------------------------------------------------------------------------------- means


@pytest.mark.parametrize("normalize", ["cl2n", "l2n", "none"])
def test_class_means_twin(normalize):
    x, y = inputs(30, 4, torch.float64), torch.arange(30) % 3
    held = inputs(7, 4, torch.float64, seed=1)

    def prepared(row):
        if normalize == "cl2n":
            row = [v - m for v, m in zip(row, x.mean(0).tolist())]
        length = 1.0 if normalize == "none" else math.sqrt(sum(v * v for v in row))
        return [v / length for v in row]

    centres = []
    for c in range(3):
        rows = [prepared(row) for row, label in zip(x.tolist(), y.tolist()) if label == c]
        centres.append([sum(column) / len(rows) for column in zip(*rows)])
    expected = [
        [-sum((a - b) ** 2 for a, b in zip(prepared(row), centre)) for centre in centres]
        for row in held.tolist()
    ]
    scores = NearestClassMean(4, 3, normalize).double().fit(x, y)(held)
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float64))


def test_the_size_of_a_class_plays_no_part():
    x, y = inputs(30, 4), torch.arange(30) % 3
    held = inputs(50, 4, seed=1)
    repeated = torch.cat([torch.arange(30), *[torch.where(y == 0)[0]] * 20])
    one = NearestClassMean(4, 3, "l2n").fit(x, y)(held)
    two = NearestClassMean(4, 3, "l2n").fit(x[repeated], y[repeated])(held)
    torch.testing.assert_close(one, two)


def test_shift_and_scale_of_features_play_no_part_under_cl2n():
    x, y, held = inputs(30, 4), torch.arange(30) % 3, inputs(9, 4, seed=1)
    one = NearestClassMean(4, 3).fit(x, y)(held)
    two = NearestClassMean(4, 3).fit(5 * x + 2, y)(5 * held + 2)
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_absent_classes_are_never_nearest_and_gradients_flow():
    x, y = inputs(30, 4), torch.arange(30) % 3
    model = NearestClassMean(4, 5).fit(x, y)
    assert set(model(x).argmax(1).tolist()) <= {0, 1, 2}
    assert torch.isneginf(model(x)[:, 3:]).all()
    features = x.clone().requires_grad_()
    model(features)[:, :3].sum().backward()
    assert torch.isfinite(features.grad).all()


def test_class_means_state_goes_round_and_refusals():
    x, y = inputs(30, 4), torch.arange(30) % 3
    old, new = NearestClassMean(4, 3).fit(x, y), NearestClassMean(4, 3)
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(x), old(x))
    with pytest.raises(ValueError, match=r"features must be \(30, 4\).*\(30, 5\)"):
        NearestClassMean(4, 3).fit(inputs(30, 5), y)
    with pytest.raises(ValueError, match="normalize='x' is unknown; use 'cl2n', 'l2n', 'none'"):
        NearestClassMean(4, 3, "x")


# --------------------------------------------------------------------------------------------------- shifts


@pytest.mark.parametrize("make", ["biased", "bare", "scaled"])
def test_scores_are_shifted_whatever_the_head(make):
    model = network().eval()
    if make == "bare":
        replace_head(model, nn.Linear(8, 3, bias=False))
    if make == "scaled":
        replace_head(model, ScaledLinear(last_linear(model)))
        model[4].scale.data *= 2
    names = list(model.state_dict())
    before, shift = model(inputs()), torch.tensor([0.5, -1.0, 2.0])
    assert shift_logits(model, shift) is model
    torch.testing.assert_close(model(inputs()), before + shift)
    assert (list(model.state_dict()) == names) == (make == "biased")
    assert isinstance(model[4], ShiftedLogits) == (make != "biased")
    assert last_linear(model).in_features == 8
    shift_logits(model, -shift)
    torch.testing.assert_close(model(inputs()), before)


def test_impossible_shifts_are_refused():
    for bad in ([0.0, 1.0], [0.0, 1.0, float("inf")]):
        with pytest.raises(ValueError, match="the shift must be 3 finite numbers"):
            shift_logits(network(), bad)
