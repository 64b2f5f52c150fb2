"""Adversarial training: what holds for every attack, exact worst cases, and the tension under imbalance."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import norm
from torch import nn

from metabalance.optimize import SAM, AdversarialStep, PGDAttack


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)
    )


def images(rows=16, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(rows, 3, 2, 2, generator=g), torch.randint(3, (rows,), generator=g)


def objective(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def length(delta, kind):
    flat = delta.flatten(1)
    return flat.abs().amax(1) if kind == "linf" else flat.norm(dim=1)


@pytest.mark.parametrize("kind", ["linf", "l2"])
@pytest.mark.parametrize("random_start", [True, False])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_the_attack_stays_in_its_ball_and_hurts(kind, random_start, clip):
    model, (x, y) = network(), images()
    attack = PGDAttack(0.2, steps=5, random_start=random_start, norm=kind, clip=clip)
    out = attack(model, x, y)
    assert out.shape == x.shape
    assert not out.requires_grad
    assert (length(out - x, kind) <= 0.2 + 1e-6).all()
    if clip:
        assert 0 <= out.min() <= out.max() <= 1
    model.eval()
    assert objective(model, (out, y)) > objective(model, (x, y)) + 0.01


@pytest.mark.parametrize("kind", ["linf", "l2"])
def test_random_starts_fill_the_ball(kind):
    x = torch.zeros(4000, 2)
    starts = PGDAttack(1.0, norm=kind)._start(x, torch.Generator().manual_seed(0))
    r = length(starts, kind)
    assert (r <= 1 + 1e-6).all()
    # uniform in an area: half of the points lie outside the radius of half the area
    assert float((r > math.sqrt(0.5)).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float(starts.mean()) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("kind", ["linf", "l2"])
def test_one_long_step_is_the_exact_worst_case_of_a_binary_linear_model(kind):
    g = torch.Generator().manual_seed(0)
    w, x = torch.randn(6, generator=g), torch.randn(20, 6, generator=g)
    y = torch.arange(20) % 2
    model = nn.Linear(6, 2, bias=False)
    model.weight.data = torch.stack([torch.zeros(6), w])
    sign = (2.0 * y - 1)[:, None]
    worst = x - sign * 0.3 * (w.sign() if kind == "linf" else w / w.norm())
    out = PGDAttack(0.3, step_size=1.0, steps=1, random_start=False, norm=kind)(model, x, y)
    torch.testing.assert_close(out, worst)
    # and no start, no number of steps leads anywhere worse
    with torch.no_grad():
        losses = F.cross_entropy(model(PGDAttack(0.3, steps=20, norm=kind)(model, x, y)), y, reduction="none")
        most = F.cross_entropy(model(worst), y, reduction="none")
    assert (losses <= most + 1e-6).all()
    assert (losses > 0.97 * most).all()


def test_a_twin_with_finite_differences():
    """Sign steps with slopes measured by moving one value at a time."""
    model = network().double().eval()
    x, y = images(rows=2)
    x = x.double()
    out = PGDAttack(0.1, step_size=0.04, steps=3, random_start=False, clip=(0, 1))(model, x, y)
    for row in range(2):
        here = x[row].reshape(-1).tolist()
        start = list(here)

        def loss(values, row=row):
            with torch.no_grad():
                z = model(torch.tensor(values, dtype=torch.float64).view(1, 3, 2, 2))[0].tolist()
            return math.log(sum(math.exp(v) for v in z)) - z[int(y[row])]

        for _ in range(3):
            slopes = []
            for d in range(12):
                up, down = list(here), list(here)
                up[d] += 1e-6
                down[d] -= 1e-6
                slopes.append(loss(up) - loss(down))
            for d in range(12):
                moved = here[d] + 0.04 * ((slopes[d] > 0) - (slopes[d] < 0))
                here[d] = min(max(moved, start[d] - 0.1, 0.0), start[d] + 0.1, 1.0)
        torch.testing.assert_close(out[row].reshape(-1), torch.tensor(here, dtype=torch.float64))


def test_modes_statistics_and_gradients_are_left_as_they_were():
    model, (x, y) = network(), images()
    model.train()
    model[4].eval()  # a module that stands in evaluation mode on purpose
    state = copy.deepcopy(model.state_dict())
    PGDAttack(0.1)(model, x, y)
    assert [m.training for m in model] == [True, True, True, True, False, True]
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert not x.requires_grad

    def fails(_):
        raise RuntimeError("stop")

    model[1].register_forward_hook(lambda *_: fails(0))
    with pytest.raises(RuntimeError, match="stop"):
        PGDAttack(0.1)(model, x, y)
    assert model.training


def test_rows_do_not_depend_on_each_other_and_class_weights_do_not_matter():
    model, (x, y) = network(), images()
    attack = PGDAttack(0.1, random_start=False)
    torch.testing.assert_close(attack(model, x, y)[:4], attack(model, x[:4], y[:4]))


@pytest.mark.parametrize("attack", [PGDAttack(0.0), PGDAttack(0.3, steps=0)])
def test_no_radius_or_no_steps_give_the_inputs_and_plain_training(attack):
    x, y = images()
    one, two = network(), network()
    assert torch.equal(attack(one, x, y), x)
    a, b = (torch.optim.SGD(m.parameters(), lr=0.1) for m in (one, two))
    torch.manual_seed(7)
    loss = AdversarialStep(attack)(one, (x, y), objective, a)
    torch.manual_seed(7)
    plain = objective(two, (x, y))
    plain.backward()
    b.step()
    assert torch.equal(loss, plain)
    assert all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())


def test_the_same_generator_gives_the_same_attack():
    model, (x, y) = network(), images()
    draws = [PGDAttack(0.1, steps=1)(model, x, y, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_soft_targets_and_inference_mode_outside():
    model, (x, y) = network().eval(), images()
    attack = PGDAttack(0.1, random_start=False)
    hard = attack(model, x, y)
    with torch.no_grad():
        soft = attack(model, x, F.one_hot(y, 3).float())
    torch.testing.assert_close(hard, soft)


def test_the_step_composes_and_hands_weights_on():
    seen = []

    def objective(model, batch):
        seen.append(batch)
        return (F.cross_entropy(model(batch[0]), batch[1], reduction="none") * batch[2]).mean()

    model, (x, y) = network(), images()
    step = AdversarialStep(PGDAttack(0.1), SAM(0.05))
    loss = step(
        model, (x, y, torch.ones(16), torch.arange(16)), objective, torch.optim.SGD(model.parameters(), 0.1)
    )
    assert torch.isfinite(loss)
    assert len(seen) == 2  # SAM's two passes see the same attacked inputs
    assert torch.equal(seen[0][0], seen[1][0])
    assert not torch.equal(seen[0][0], x)
    assert torch.equal(seen[0][3], torch.arange(16))
    assert step.state_dict() == {}
    step.load_state_dict({})


def test_the_tension_toy_of_the_paper():
    """Up-weighting the rare class costs the large one the more, the worse the classes are separable.

    Gaussians N(±eta, sigma): at weight w the best threshold lies (sigma^2 / 2 eta) log(K / w) into the rare class,
    and an attack of radius eps makes eta of a linear classifier eta - eps. The closed form, then the same by
    training a classifier on the two densities.
    """

    def cost(s, k):
        return norm.cdf(-s) - norm.cdf(-s - math.log(k) / (2 * s))

    for s, expected in [(0.5, 0.309), (1, 0.158), (2, 0.022), (3, 0.001)]:
        assert cost(s, 100) == pytest.approx(expected, abs=1e-3)

    g = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 1, generator=g, dtype=torch.float64)
    x = torch.cat([x[:2000] - 2.0, x[2000:] + 2.0])
    y = torch.tensor([0] * 2000 + [1] * 2000)
    lost = {}
    for eps in (0.0, 1.0):
        recall = {}
        for weight in (0.01, 1.0):  # the rare class a hundredth as heavy as the large one, and as heavy
            model = nn.Linear(1, 2).double()
            nn.init.zeros_(model.weight)
            step = AdversarialStep(PGDAttack(eps, step_size=max(eps, 0.1), steps=1, random_start=False))
            w = torch.tensor([1.0, weight], dtype=torch.float64)
            loss = lambda m, b, w=w: (F.cross_entropy(m(b[0]), b[1], reduction="none") * w[b[1]]).mean()  # noqa: E731
            optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
            for _ in range(400):
                step(model, (x, y), loss, optimizer)
            with torch.no_grad():
                attacked = x[y == 0] + eps  # towards the rare class
                recall[weight] = float((model(attacked).argmax(1) == 0).double().mean())
        lost[eps] = recall[0.01] - recall[1.0]
    assert lost[0.0] == pytest.approx(cost(2, 100), abs=0.02)
    assert lost[1.0] == pytest.approx(cost(1, 100), abs=0.03)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"eps": -1}, "eps must be finite and not negative, but -1"),
        ({"eps": 1, "steps": -1}, "steps must be at least 0, but -1"),
        ({"eps": 1, "step_size": 0}, "step_size must be above 0"),
        ({"eps": 1, "norm": "l1"}, "norm='l1' is unknown; use 'linf' or 'l2'"),
        ({"eps": 1, "clip": (1, 0)}, "clip is a range"),
    ],
)
def test_refusals(settings, said):
    with pytest.raises(ValueError, match=said):
        PGDAttack(**settings)


def test_unsound_inputs_are_refused():
    model, (x, y) = network(), images()
    with pytest.raises(ValueError, match=r"leave clip=\(0, 1\)"):
        PGDAttack(0.1, clip=(0, 1))(model, x * 2, y)
    with pytest.raises(
        ValueError, match=r"only real-valued inputs can be attacked, but these are torch.int64"
    ):
        PGDAttack(0.1)(model, x.long(), y)
