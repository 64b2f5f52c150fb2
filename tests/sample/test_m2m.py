"""M2m: the card's truths, a twin in loops, and batches that are left alone."""

import copy

import pytest
import torch
from torch import nn

from metabalance.engine import Objective
from metabalance.sample import MajorToMinor
from metabalance.sample.m2m import generation_probability, translate, translation_probability
from metabalance.steps import TransformStep

COUNTS = torch.tensor([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], dtype=torch.float64)


def network(seed=0, features=4, classes=3, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(features, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, classes)
        ).to(dtype)


def images(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).double()


def batch(rows=30, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(rows, 4, generator=g, dtype=dtype), torch.arange(rows) % 3


def linear_generator(classes=3):
    """Reaches any class within a step: its logits are 50 times the first inputs."""
    g = nn.Linear(4, classes, bias=False).double()
    nn.init.zeros_(g.weight)
    with torch.no_grad():
        g.weight[:, :classes] = 50 * torch.eye(classes)
    return g


def test_translation_probabilities_of_long_tailed_cifar():
    p = translation_probability(COUNTS, 0.999)
    published = [0.993, 0.948, 0.826, 0.642, 0.449, 0.286, 0.166, 0.085, 0.032, 0]
    assert p[9].tolist() == pytest.approx(published, abs=5e-4)
    assert (p[0] == 0).all(), "the largest class is no target"
    assert (p.triu() == 0).all(), "a source is larger than its target"
    for k in range(10):
        for k0 in range(10):
            assert float(p[k, k0]) == pytest.approx(1 - 0.999 ** max(float(COUNTS[k0] - COUNTS[k]), 0))


def test_generation_probabilities():
    assert generation_probability(COUNTS).tolist() == pytest.approx([1 - float(n) / 5000 for n in COUNTS])
    # the largest class need not be the first one
    assert generation_probability(COUNTS.flip(0))[-1] == 0


@pytest.mark.parametrize("settings", [{}, {"gamma": 0.0, "lam": 0.0, "beta": 0.0}])
def test_equal_counts_leave_the_batch_alone(settings):
    inputs, target = batch()
    extra = torch.rand(30)
    out = MajorToMinor(network(1), [7, 7, 7], **settings)(network(), (inputs, target, extra))
    assert out[0] is inputs
    assert out[1] is target
    assert out[2] is extra


def test_a_threshold_above_one_accepts_nothing():
    inputs, target = batch()
    out = MajorToMinor(linear_generator(), [1000, 100, 10], gamma=1.01)(network(), (inputs, target))
    assert torch.equal(out[0], inputs)


def test_what_is_translated_reaches_the_class_and_stays_in_range():
    inputs, target = batch(300)
    g = linear_generator()
    model, counts = network(), [5000, 500, 50]
    translated = 0
    for seed in range(3):
        x, y = MajorToMinor(g, counts, seed=seed)(model, (inputs, target))
        assert y is target
        changed = (x != inputs).any(1)
        assert (g(x[changed]).softmax(1).gather(1, y[changed, None]) >= 0.9).all()
        assert float(x.min()) >= 0
        assert float(x.max()) <= 1
        assert not (changed & (y == 0)).any(), "the largest class is never generated"
        translated += int(changed.sum())
    assert translated > 100


def test_without_thresholds_rows_are_replaced_as_often_as_marked():
    """beta and gamma out of the way: small rows change with probability 1 - n / max n."""
    inputs, target = batch(3000)
    x, _ = MajorToMinor(network(1), [1000, 400, 100], beta=0.0, gamma=0.0)(network(), (inputs, target))
    changed = (x != inputs).any(1).double()
    for c, p in enumerate([0.0, 0.6, 0.9]):
        assert abs(float(changed[target == c].mean()) - p) <= 4 * (p * (1 - p) / 1000) ** 0.5


@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_steps_have_the_length_that_is_asked_for(clip):
    inputs, target = batch()
    source = (target + 1) % 3
    x = inputs
    for steps in (1, 2, 10):
        x, _ = translate(network(), network(1), inputs, target, source, steps=steps, clip=clip)
        length = (x - inputs).norm(dim=1)
        assert (length <= 0.1 * steps + 1e-12).all()
        if steps == 1 and clip is None:
            torch.testing.assert_close(length, torch.full_like(length, 0.1))
    assert float(length.max()) > 0.3


def test_translate_twin():
    """Gradients by hand: linear networks."""
    f, g = nn.Linear(4, 3).double(), nn.Linear(4, 3).double()
    inputs, target = batch(6)
    source = (target + 1) % 3
    found, probability = translate(f, g, inputs, target, source, lam=0.7, step_size=0.2, steps=3, clip=None)
    for i in range(6):
        x = inputs[i].clone()
        for _ in range(3):
            logits = g.weight @ x + g.bias
            p = logits.exp() / logits.exp().sum()
            slope = (
                sum((p[c] - float(c == target[i])) * g.weight[c] for c in range(3))
                + 0.7 * f.weight[source[i]]
            )
            x = x - 0.2 * slope / slope.pow(2).sum().sqrt()
        torch.testing.assert_close(found[i], x.detach())
        p = (g.weight @ x + g.bias).softmax(0)
        torch.testing.assert_close(probability[i], p[target[i]].detach())


def test_the_source_s_logit_falls_and_the_target_s_probability_rises():
    inputs, target = batch(60)
    source = (target + 1) % 3
    f, g = network().eval(), network(1).eval()
    x, after = translate(f, g, inputs, target, source, clip=None)
    before = g(inputs).softmax(1).gather(1, target[:, None])[:, 0]
    assert (after > before).double().mean() > 0.9
    without, _ = translate(f, g, inputs, target, source, lam=0.0, clip=None)
    logit = [f(z).gather(1, source[:, None]).mean() for z in (x, without, inputs)]
    assert logit[0] < logit[1]


def test_networks_are_left_as_they_were():
    f, g = network(), network(1)
    f.train()
    g.train()
    states = [copy.deepcopy(n.state_dict()) for n in (f, g)]
    MajorToMinor(g, [1000, 100, 10], gamma=0.0)(f, batch())
    for net, state in zip((f, g), states):
        assert all(module.training for module in net.modules())
        assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), state.values()))
        assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("shape", [(64, 3, 8, 8), (64, 5)])
def test_noise_norms(shape):
    like = torch.zeros(shape, dtype=torch.float64)
    noise = MajorToMinor(network(), [1, 2], noise=0.5)._noise(like, torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise.reshape(64, -1).norm(dim=1), torch.full((64,), 0.5, dtype=torch.float64))
    made = MajorToMinor(network(), [1, 2], noise=0.5, noise_norm="published")
    noise = made._noise(like, torch.Generator().manual_seed(0))
    by_channel = noise.transpose(0, 1).reshape(shape[1], -1).norm(dim=1)
    torch.testing.assert_close(by_channel, torch.full((shape[1],), 0.5, dtype=torch.float64))


def test_published_noise_is_as_short_as_was_measured():
    like = torch.zeros(128, 3, 32, 32)
    made = MajorToMinor(network(), [1, 2], noise_norm="published")
    noise = made._noise(like, torch.Generator().manual_seed(0))
    assert float(noise.reshape(128, -1).norm(dim=1).mean()) == pytest.approx(0.077, abs=0.001)


def test_randomness_is_the_seed_s_and_goes_on_after_a_pause():
    data = batch()
    made = [MajorToMinor(network(1), [1000, 100, 10], gamma=0.0, seed=s) for s in (0, 0, 1)]
    state = torch.get_rng_state()
    first, again, other = (m(network(), data)[0] for m in made)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    second = made[0](network(), data)[0]
    assert not torch.equal(first, second)
    made[2].load_state_dict(made[1].state_dict())
    assert torch.equal(made[2](network(), data)[0], second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_a_training_step(dtype):
    step = TransformStep(MajorToMinor(network(1, dtype=dtype), [1000, 100, 10], gamma=0.0))
    model = network(dtype=dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = step(model, batch(dtype=dtype), Objective(nn.CrossEntropyLoss(reduction="none")), optimizer)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert step.state_dict() == {"transform": {"seed": 0, "batches": 1}}
    assert all(p.grad is not None for p in model.parameters())


def test_images():
    g = torch.Generator().manual_seed(0)
    inputs, target = torch.rand(12, 1, 8, 8, generator=g, dtype=torch.float64), torch.arange(12) % 3
    x, _ = MajorToMinor(images(1), [1000, 100, 10], gamma=0.0)(images(), (inputs, target))
    assert x.shape == inputs.shape
    assert not torch.equal(x, inputs)


def test_one_class_and_absent_classes():
    inputs = torch.rand(4, 4, dtype=torch.float64)
    made = MajorToMinor(network(1), [100, 0, 10], gamma=0.0)
    assert made(network(), (inputs, torch.tensor([2, 2, 2, 2])))[0] is inputs
    assert made(network(), (inputs[:1], torch.tensor([2])))[0].shape == (1, 4)


def test_bad_settings():
    with pytest.raises(ValueError, match="beta must be at least 0 and below 1, but 1"):
        MajorToMinor(network(), [1, 2], beta=1.0)
    with pytest.raises(ValueError, match="noise_norm='x' is unknown"):
        MajorToMinor(network(), [1, 2], noise_norm="x")
