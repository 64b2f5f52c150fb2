"""Momentum contrast: the logits by hand, the queue as a ring, the key encoder as an average, the state."""

import io
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from metabalance.represent import MoCoStep, Projector
from metabalance.represent.moco import follow, moco_logits


def unit(rows, dim=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, dim, generator=g), dim=1)


def views(rows=4, dim=5, seed=0):
    x = torch.randn(2 * rows, dim, generator=torch.Generator().manual_seed(seed))
    return x, torch.zeros(2 * rows)


def network(seed=0, **layers):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), Projector(6, (6, 3)))


def run(step, model, seeds, lr=0.1):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return [step(model, views(seed=seed), None, optimizer).item() for seed in seeds]


def test_equal_query_and_key_give_one_over_the_temperature():
    z, queue = unit(4), unit(7, seed=1)
    logits = moco_logits(z, z, queue, 0.2)
    assert logits.shape == (4, 8)
    torch.testing.assert_close(logits[:, 0], torch.full((4,), 5.0))
    for i in range(4):
        for k in range(7):
            expected = sum(a * b for a, b in zip(z[i].tolist(), queue[k].tolist())) / 0.2
            assert logits[i, 1 + k].item() == pytest.approx(expected, abs=1e-5)


def test_first_loss_by_hand():
    model = nn.Linear(5, 3)
    step = MoCoStep(queue_size=6, seed=4)
    batch = views()
    with torch.no_grad():
        q, k = (F.normalize(model(half), dim=1) for half in batch[0].chunk(2))
    queue = F.normalize(torch.randn(6, 3, generator=torch.Generator().manual_seed(4)), dim=1)
    expected = 0.0
    for i in range(4):
        own = math.exp(float(q[i] @ k[i]) / 0.2)
        rest = sum(math.exp(float(q[i] @ row) / 0.2) for row in queue)
        expected -= math.log(own / (own + rest)) / 4
    loss = step(model, batch, None, torch.optim.SGD(model.parameters(), lr=0.0))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert not loss.requires_grad


def test_the_queue_is_a_ring():
    model = nn.Linear(5, 3)
    step = MoCoStep(queue_size=6, momentum=1.0)
    keys = []
    for seed in range(4):
        with torch.no_grad():
            keys.append(F.normalize(model(views(seed=seed)[0][4:]), dim=1))
        run(step, model, [seed], lr=0.0)
        ring = torch.cat(keys)
        newest = {i % 6: ring[i] for i in range(len(ring))}
        for at, row in newest.items():
            torch.testing.assert_close(step.queue[at], row)
        assert step.position == len(ring) % 6


def test_a_batch_larger_than_the_queue_leaves_its_last_keys():
    model = nn.Linear(5, 3)
    step = MoCoStep(queue_size=3, momentum=1.0)
    with torch.no_grad():
        keys = F.normalize(model(views(rows=5)[0][5:]), dim=1)
    step(model, views(rows=5), None, torch.optim.SGD(model.parameters(), lr=0.0))
    torch.testing.assert_close(step.queue, keys[-3:])


def test_momentum_1_freezes_the_keys_and_0_copies():
    for momentum in (1.0, 0.0):
        model = network()
        start = [p.detach().clone() for p in model.parameters()]
        step = MoCoStep(8, momentum)
        run(step, model, range(3))
        after_two = [p.detach().clone() for p in model.parameters()]
        step(model, views(), None, torch.optim.SGD(model.parameters(), lr=0.1))
        expected = start if momentum else after_two
        assert all(torch.equal(k, e) for k, e in zip(step.encoder.parameters(), expected))


def test_follow_is_a_moving_average():
    slow, fast = nn.Linear(2, 1), nn.Linear(2, 1)
    expected = 0.9 * slow.weight.detach() + 0.1 * fast.weight.detach()
    follow(slow, fast, 0.9)
    torch.testing.assert_close(slow.weight.detach(), expected)


def test_no_gradient_reaches_the_key_encoder_and_one_reaches_every_query_parameter():
    model = network()
    step = MoCoStep(8)
    run(step, model, [0])
    assert all(p.grad is None and not p.requires_grad for p in step.encoder.parameters())
    # The bias in front of batch norm is taken out again by it: its gradient is zero but for rounding.
    assert all(p.grad is not None for p in model.parameters())
    assert all(p.grad.abs().sum() > 1e-6 for name, p in model.named_parameters() if name != "0.bias")


def test_labels_play_no_part():
    losses = []
    for fill in (0.0, 1.0):
        model, step = network(), MoCoStep(8)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses.append(
            [step(model, (views()[0], views()[1] + fill), None, optimizer).item() for _ in range(3)]
        )
    assert losses[0] == losses[1]


def test_training_finds_the_twins():
    torch.manual_seed(0)
    model, step = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 8)), MoCoStep(32, 0.9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    g = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(150):
        x = torch.randn(32, 5, generator=g)
        views = torch.cat([x + 0.05 * torch.randn(32, 5, generator=g) for _ in range(2)])
        losses.append(step(model, (views, torch.zeros(64)), None, optimizer).item())
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


@pytest.mark.parametrize("seen", [False, True])
def test_a_run_goes_on_to_the_same_bits(seen):
    whole, whole_step = network(), MoCoStep(10)
    expected = run(whole_step, whole, range(6))
    model, step = network(), MoCoStep(10)
    losses = run(step, model, range(3))
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "step": step.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again, again_step = network(seed=1), MoCoStep(10)
    if seen:
        run(again_step, again, [9])
    again.load_state_dict(saved["model"])
    again_step.load_state_dict(saved["step"])
    assert losses + run(again_step, again, range(3, 6)) == expected
    assert torch.equal(again_step.queue, whole_step.queue)


def test_an_untouched_step_has_a_state_too():
    step = MoCoStep(4)
    fresh = MoCoStep(4)
    fresh.load_state_dict(step.state_dict())
    assert run(fresh, network(), [0]) == run(MoCoStep(4), network(), [0])


def test_refusals():
    with pytest.raises(ValueError, match="queue_size must be at least 1, but 0"):
        MoCoStep(0)
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\], but 1.5"):
        MoCoStep(4, 1.5)
    with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
        MoCoStep(4, temperature=0)
    model = nn.Linear(5, 3)
    with pytest.raises(ValueError, match="the 3 rows are not two stacked views"):
        MoCoStep(4)(model, (torch.zeros(3, 5), torch.zeros(3)), None, torch.optim.SGD(model.parameters()))
