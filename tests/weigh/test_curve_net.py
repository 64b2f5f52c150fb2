"""CurveNet: what its weights may depend on, what is recorded, and that it tells noise from rarity."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.engine import Objective, plain_step
from metabalance.weigh import (
    CurveNetStep,
    CurveWeigher,
    CurveWeightNet,
    LossCurveRecorder,
    cyclic_probe_schedule,
    normalized_curves,
)

DOUBLE = torch.float64
OBJECTIVE = Objective(nn.CrossEntropyLoss(reduction="none"))


def some_curves(n=40, epochs=7, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (n,), generator=generator)
    return torch.rand(n, epochs, dtype=DOUBLE, generator=generator), target


# ------------------------------------------------------------------------------------------------ curves


def test_the_mean_of_a_class_is_zero_in_every_epoch():
    curves, target = some_curves()
    found = normalized_curves(curves, target)
    for c in range(3):
        torch.testing.assert_close(found[target == c].mean(0), torch.zeros(7, dtype=DOUBLE))


def test_naive_twin_of_the_normalisation():
    curves, target = some_curves(12, 6)
    found = normalized_curves(curves, target, 1, -1)
    for i in range(12):
        for t in range(1, 5):
            same = [curves[j, t].item() for j in range(12) if target[j] == target[i]]
            assert found[i, t - 1].item() == pytest.approx(
                curves[i, t].item() - sum(same) / len(same), abs=1e-12
            )


def test_a_constant_curve_of_a_class_leaves_the_weights_alone():
    curves, target = some_curves()
    net = CurveWeightNet(7, 3).double()
    moved = curves + (target == 1)[:, None] * torch.linspace(-4, 9, 7, dtype=DOUBLE)
    weights = [net(normalized_curves(c, target), target) for c in (curves, moved)]
    torch.testing.assert_close(weights[0], weights[1])


def test_equal_curves_give_weights_of_the_class_alone():
    _, target = some_curves()
    curves = torch.rand(3, 7, dtype=DOUBLE)[target]
    weights = CurveWeightNet(7, 3).double()(normalized_curves(curves, target), target)
    for c in range(3):
        assert weights[target == c].unique().numel() == 1
    assert weights.unique().numel() == 3


def test_an_unknown_loss_counts_for_nothing():
    curves, target = some_curves(6)
    curves[0, 2] = float("nan")
    curves[5] = float("nan")
    found = normalized_curves(curves, target)
    assert found[0, 2] == 0
    assert bool((found[5] == 0).all())
    assert bool(torch.isfinite(found).all())


# --------------------------------------------------------------------------------------------------- net


def test_weights_start_near_one():
    torch.manual_seed(0)
    weights = CurveWeightNet(294, 10)(torch.randn(500, 294), torch.randint(10, (500,)))
    assert abs(weights.mean() - 1.009) < 0.005
    assert (weights - weights.mean()).abs().max() < 0.02


def test_weights_stay_in_their_range():
    torch.manual_seed(0)
    net = CurveWeightNet(5, 2)
    with torch.no_grad():
        net.weight[-1].bias.zero_()
    weights = net(1e4 * torch.randn(300, 5), torch.randint(2, (300,)))
    assert weights.min() >= 0.02
    assert weights.max() <= 1.02
    assert weights.max() - weights.min() > 0.9
    assert (
        CurveWeightNet(5, 2, factor=3.0, bias=1.0, init_logit=0.0)(torch.zeros(1, 5), torch.tensor([1])) > 2
    )


def test_naive_twin_of_the_net():
    net = CurveWeightNet(4, 2, hidden=3).double()
    curve = torch.tensor([0.5, -1.0, 0.2, 2.0], dtype=DOUBLE)

    def layer(linear, x):
        return [
            sum(w * v for w, v in zip(row, x)) + b
            for row, b in zip(linear.weight.tolist(), linear.bias.tolist())
        ]

    def relu(x):
        return [max(v, 0.0) for v in x]

    h = relu(layer(net.curve[4], relu(layer(net.curve[2], relu(layer(net.curve[0], curve.tolist()))))))
    h = [a + 2 * b for a, b in zip(h, net.embedding.weight[1].tolist())]
    (logit,) = layer(net.weight[4], relu(layer(net.weight[2], relu(layer(net.weight[0], h)))))
    expected = 1 / (1 + torch.tensor(-logit).exp()) + 0.02
    found = net(curve[None], torch.tensor([1]))
    torch.testing.assert_close(found[0].float(), expected.float())


def test_a_gradient_reaches_every_parameter():
    torch.manual_seed(0)
    net = CurveWeightNet(7, 3)
    curves, target = some_curves()
    net(curves.float(), target).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())


def test_compiled_is_the_same():
    net = CurveWeightNet(7, 3).double()
    curves, target = some_curves()
    torch.testing.assert_close(torch.compile(net, backend="eager")(curves, target), net(curves, target))


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="must be at least 1, but 0, 2 and 64 were given"):
        CurveWeightNet(0, 2)


# ---------------------------------------------------------------------------------------------- schedule


def test_the_published_schedule():
    rates = [cyclic_probe_schedule(epoch) for epoch in range(300)]
    assert rates[:120] == [0.1] * 120
    assert rates[120:165] == [0.01] * 15 + [0.001] * 15 + [0.01] * 15
    assert rates[285:] == [0.001] * 15
    with pytest.raises(ValueError, match="period must be at least 1"):
        cyclic_probe_schedule(0, period=0)


# ---------------------------------------------------------------------------------------------- recorder


def linear():
    model = nn.Linear(3, 2)
    nn.init.constant_(model.weight, 0.1)
    nn.init.zeros_(model.bias)
    return model


def batch(rows, weighted=False):
    generator = torch.Generator().manual_seed(0)
    inputs, target = torch.randn(6, 3, generator=generator), torch.tensor([0, 1, 0, 1, 0, 0])
    weight = torch.linspace(0.5, 1.5, 6) if weighted else torch.ones(6)
    rows = torch.tensor(rows)
    return inputs[rows], target[rows], weight[rows], rows


def test_recording_is_the_plain_step_and_writes_losses_of_before_it():
    recorder = LossCurveRecorder(6, epochs=2)
    models = [linear(), linear()]
    for model, step in zip(models, (recorder, plain_step)):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        values = [
            step(model, batch(rows, weighted=True), OBJECTIVE, optimizer) for rows in ([0, 1, 2], [5, 3, 4])
        ]
    torch.testing.assert_close(models[0].weight, models[1].weight)
    fresh = F.cross_entropy(linear()(batch([0, 1, 2])[0]), batch([0, 1, 2])[1], reduction="none")
    torch.testing.assert_close(recorder.losses[:3, 0], fresh.detach())
    assert bool(recorder.losses[:, 0].isfinite().all())
    assert bool(recorder.losses[:, 1].isnan().all())
    assert values[0].dim() == 0


def test_curves_fill_epochs_that_missed_a_row():
    recorder = LossCurveRecorder(3, epochs=5)
    for epoch, rows in enumerate(([0], [0, 1], [0], [1, 1])):
        recorder.record(torch.tensor(rows), torch.arange(len(rows)) + 10.0 * epoch)
        recorder.update(epoch=epoch)
    expected = [[0.0, 10, 20, 20], [11, 11, 11, 31], [float("nan")] * 4]
    torch.testing.assert_close(recorder.curves(), torch.tensor(expected), equal_nan=True)


def test_a_recorder_goes_on_where_it_was_saved():
    recorder = LossCurveRecorder(2, epochs=2)
    recorder.record(torch.tensor([1]), torch.tensor([3.0]))
    recorder.update()
    other = LossCurveRecorder(2, epochs=2)
    other.load_state_dict(recorder.state_dict())
    other.record(torch.tensor([0, 1]), torch.tensor([1.0, 2.0]))
    other.update()
    assert torch.equal(other.curves(), torch.tensor([[1.0, 1.0], [3.0, 2.0]]))
    with pytest.raises(ValueError, match="room for 2 epochs"):
        other.record(torch.tensor([0]), torch.tensor([1.0]))


def test_recorder_refusals():
    model = linear()
    with pytest.raises(ValueError, match=r"batches must be \(inputs, target, weight, index\)"):
        LossCurveRecorder(6, 1)(model, batch([0])[:2], OBJECTIVE, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="num_samples and epochs must be at least 1"):
        LossCurveRecorder(0, 1)


# -------------------------------------------------------------------------------------------------- step


def curve_step(**settings):
    torch.manual_seed(0)
    weigher = CurveWeigher(CurveWeightNet(4, 2), torch.randn(6, 4))
    meta = [(torch.eye(3)[:2], torch.tensor([0, 1]))]
    return CurveNetStep(weigher, meta, **settings)


def parameters_of(step):
    return [p.detach().clone() for p in step.weigher.net.parameters()]


def test_weights_are_frozen_after_so_many_epochs():
    step, model = curve_step(freeze_after=1), linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = parameters_of(step)
    step(model, batch([0, 1, 2, 3]), OBJECTIVE, optimizer)
    learned = parameters_of(step)
    assert any(not torch.equal(a, b) for a, b in zip(before, learned))
    step.update(epoch=0)
    last = step.weigher.last.clone()
    assert last[4:].tolist() == [1.0, 1.0]  # not seen: as at the start
    assert (last[:4] != 1).all()
    inputs, target, weight, rows = batch([0, 5], weighted=True)
    losses = F.cross_entropy(model(inputs), target, reduction="none")
    value = step(model, (inputs, target, weight, rows), OBJECTIVE, optimizer)
    torch.testing.assert_close(value, (losses * last[rows] * weight).mean().detach())
    assert all(torch.equal(a, b) for a, b in zip(learned, parameters_of(step)))
    assert torch.equal(step.weigher.last, last)


def test_the_last_weight_is_the_one_that_was_used():
    step, model = curve_step(), linear()
    b = batch([0, 1, 2, 3])
    losses = F.cross_entropy(model(b[0]), b[1], reduction="none")
    value = step(model, b, OBJECTIVE, torch.optim.SGD(model.parameters(), lr=0.1))
    torch.testing.assert_close(value, (losses * step.weigher.last[b[3]]).mean().detach())
    torch.testing.assert_close(
        step.weigher.last[b[3]], step.weigher.net(step.weigher.curves[b[3]], b[1]).detach()
    )


def two_layers():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def meta_gradient(freeze_modules):
    """The gradient of the weight network's last bias, once by the step and once by central differences."""
    found = []

    class Kept(torch.optim.SGD):
        def step(self):
            found.append(bias.grad.item())

    b = tuple(x.double() if x.is_floating_point() else x for x in batch([0, 1, 2, 3, 4, 5]))
    meta = b[0].flip(0)[:4], torch.tensor([1, 0, 1, 0])
    weigher = CurveWeigher(CurveWeightNet(4, 2), torch.randn(6, 4)).double()
    bias, model = weigher.net.weight[-1].bias, two_layers()
    settings = {"inner_lr": 0.5, "optimizer": lambda p: Kept(p, lr=0.1), "freeze_modules": freeze_modules}
    step = CurveNetStep(weigher, [meta], **settings)
    step(model, b, OBJECTIVE, torch.optim.SGD(model.parameters(), lr=0.0))
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())

    def judged(shift):
        model = two_layers()
        for name in freeze_modules:
            model.get_submodule(name).eval().requires_grad_(False)
        with torch.no_grad():
            weights = weigher.net(weigher.curves, b[1])
            weights = (torch.logit(weights - 0.02) + shift).sigmoid() + 0.02
        free = [p for p in model.parameters() if p.requires_grad]
        loss = (F.cross_entropy(model(b[0]), b[1], reduction="none") * weights).mean()
        with torch.no_grad():
            for p, g in zip(free, torch.autograd.grad(loss, free)):
                p -= 0.5 * g
            return F.cross_entropy(model(meta[0]), meta[1]).item()

    return found[0], (judged(1e-4) - judged(-1e-4)) / 2e-4


@pytest.mark.parametrize("freeze_modules", [(), ("0", "1"), ("1",)])
def test_the_look_ahead_skips_frozen_modules(freeze_modules):
    found, expected = meta_gradient(freeze_modules)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-12)
    assert abs(expected) > 1e-7


def test_skipping_layers_changes_the_gradient_and_nothing_else():
    assert meta_gradient(("0", "1"))[0] != meta_gradient(())[0]


def test_plain_epochs_come_first():
    step, model = curve_step(start_epoch=1, freeze_modules=["0"]), linear()
    before = parameters_of(step)
    step(model, batch([0, 1]), OBJECTIVE, torch.optim.SGD(model.parameters(), lr=0.1))
    assert all(torch.equal(a, b) for a, b in zip(before, parameters_of(step)))


def test_curves_need_rows():
    step, model = curve_step(), linear()
    with pytest.raises(ValueError, match=r"batches must be \(inputs, target, weight, index\)"):
        step(model, batch([0])[:2], OBJECTIVE, torch.optim.SGD(model.parameters(), lr=0.1))


def test_a_step_goes_on_where_it_was_saved():
    def run(cut):
        step, model = curve_step(freeze_after=2), linear()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for epoch in range(4):
            if epoch == cut:
                state, step = step.state_dict(), curve_step(freeze_after=2)
                step.load_state_dict(state)
            for rows in ([0, 1, 2], [3, 4, 5]):
                step(model, batch(rows), OBJECTIVE, optimizer)
            step.update(epoch=epoch)
        return [*model.parameters(), *parameters_of(step), step.weigher.last]

    for cut in (1, 3):
        for a, b in zip(run(None), run(cut)):
            assert torch.equal(a, b)


# ------------------------------------------------------------------------------- does it do what it is for?


def test_wrong_labels_of_the_head_weigh_less_than_right_ones_of_the_tail():
    """Two Gaussians, 20:1, and 30 % of labels flipped: the curves tell the two kinds of large losses apart."""
    generator = torch.Generator().manual_seed(0)

    def gaussians(counts):
        y = torch.repeat_interleave(torch.arange(2), torch.tensor(counts))
        return torch.randn(len(y), 2, generator=generator) + 2.5 * (2 * y[:, None] - 1), y

    x, truth = gaussians([600, 30])
    flipped = torch.rand(len(truth), generator=generator) < 0.3
    target = torch.where(flipped, 1 - truth, truth)
    meta = gaussians([50, 50])

    def net():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))

    def epochs(model, step, rate, n, size):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for epoch in range(n):
            optimizer.param_groups[0]["lr"] = rate(epoch)
            for rows in torch.randperm(len(x), generator=generator).split(size):
                step(model, (x[rows], target[rows], torch.ones(len(rows)), rows), OBJECTIVE, optimizer)
            step.update(epoch=epoch)

    recorder = LossCurveRecorder(len(x), epochs=20)
    epochs(net(), recorder, lambda e: cyclic_probe_schedule(e, 0.1, 8, 0.01, 0.001, 2), 20, 32)
    curves = normalized_curves(recorder.curves(), target)
    torch.manual_seed(0)
    weigher = CurveWeigher(CurveWeightNet(20, 2), curves)
    step = CurveNetStep(weigher, [meta], freeze_after=12, optimizer=lambda p: torch.optim.Adam(p, lr=3e-3))
    epochs(net(), step, lambda e: 0.1, 15, 64)
    noisy_head, clean_tail = flipped & (truth == 0), ~flipped & (truth == 1)
    assert weigher.last[clean_tail].mean() > 2 * weigher.last[noisy_head].mean()
