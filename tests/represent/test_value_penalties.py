"""ConR and RankSim: the published fixtures, identities, loops from the papers, bad input."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from metabalance.data.augment import FeatureNoise, TwoViews
from metabalance.represent import ConRLoss, RankSimLoss
from metabalance.represent.ranksim import one_of_each, ranks


def at_angles(degrees, norms=None, dtype=torch.float64):
    a = torch.tensor(degrees, dtype=dtype).deg2rad()
    return torch.stack([a.cos(), a.sin()], 1) * (
        1 if norms is None else torch.tensor(norms, dtype=dtype)[:, None]
    )


# The five points of the card.
FEATURES = at_angles([0.0, 10, 30, 90, 100], [1.0, 2, 0.5, 1, 3])
Y = torch.tensor([20.0, 20.5, 21, 40, 41], dtype=torch.float64)
GUESS = torch.tensor([20.0, 21, 30, 20.5, 31], dtype=torch.float64)
ETA = torch.tensor([1.0, 1, 1, 2, 2], dtype=torch.float64)


def batch(rows=10, width=None, dim=4, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    shape = (rows,) if width is None else (rows, width)
    z = torch.randn(rows, dim, generator=g, dtype=dtype).requires_grad_()
    y = torch.rand(shape, generator=g, dtype=dtype) * 4
    guess = torch.rand(shape, generator=g, dtype=dtype) * 4
    return z, y, guess, torch.rand(rows, generator=g, dtype=dtype) + 0.5


def conr_twin(z, y, guess, eta, w, tau, e, push="exp", leak=False, anchors=False):
    """Keramati et al., row by row."""

    def far(a, b):
        return math.dist(np.atleast_1d(a), np.atleast_1d(b))

    n, total, count = len(z), 0.0, 0
    each = []
    for i in range(n):
        s = [float(np.dot(z[i], z[j]) / np.linalg.norm(z[i]) / np.linalg.norm(z[j]) / tau) for j in range(n)]
        positive = [j for j in range(n) if j != i and far(y[i], y[j]) <= w]
        negative = [j for j in range(n) if far(y[i], y[j]) > w and far(guess[i], guess[j]) <= w]
        value = 0.0
        if negative and positive:
            count += 1
            bottom = sum(math.exp(s[k]) for k in positive)
            for q in negative:
                d = far(y[i], y[q])
                bottom += eta[i] * (math.exp(e * d) if push == "exp" else e * d) * math.exp(s[q])
            bottom += n - len(positive) if leak else 0
            value = -sum(math.log(math.exp(s[j]) / bottom) for j in positive) / len(positive)
        each.append(value)
        total += (eta[i] if push == "exp" else 1) * value
    return total / (max(count, 1) if anchors else n), each


@pytest.mark.parametrize(
    ("tau", "leak", "wanted", "each"),
    [
        (0.5, False, 0.942175, [0.791188, 0.812289, 0.876835, 0.599221, 0.516061]),
        (0.5, True, 1.275679, [0.984822, 0.989878, 1.063451, 0.866572, 0.803551]),
        (0.07, False, 0.517456, [1.016713, 0.744203, 0.825811, 0.000024, 0.000251]),
    ],
)
def test_published_fixture(tau, leak, wanted, each):
    loss = ConRLoss(1.0, tau, 0.01, leak=leak)
    assert float(loss(FEATURES, Y, GUESS, ETA)) == pytest.approx(wanted, abs=1e-6)
    twin = conr_twin(FEATURES.numpy(), Y.numpy(), GUESS.numpy(), ETA.numpy(), 1.0, tau, 0.01, leak=leak)
    assert twin[0] == pytest.approx(wanted, abs=1e-6)
    assert twin[1] == pytest.approx(each, abs=1e-6)


@pytest.mark.parametrize("push", ["exp", "linear"])
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize("width", [None, 1, 2])
@pytest.mark.parametrize("anchors", [False, True])
def test_conr_in_loops(push, leak, width, anchors):
    z, y, guess, eta = batch(width=width)
    found = ConRLoss(1.0, 0.5, 0.3, push, "anchors" if anchors else "all", leak)(z, y, guess, eta)
    rows = (z.detach().numpy(), y.numpy(), guess.numpy(), eta.numpy())
    wanted = conr_twin(*rows, 1.0, 0.5, 0.3, push, leak, anchors)[0]
    assert wanted > 0
    assert found.item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("width", [None, 2])
@pytest.mark.parametrize("push", ["exp", "linear"])
def test_conr_gradient(width, push):
    z, y, guess, eta = batch(10, width)
    loss = ConRLoss(1.0, 0.5, 0.1, push)
    assert torch.autograd.gradcheck(lambda f: loss(f, y, guess, eta), z)
    value = loss(z, y, guess, eta)
    value.backward()
    assert (z.grad != 0).any()
    assert loss(z.detach() - 1e-3 * z.grad, y, guess, eta) < value


def test_no_gradient_through_predictions():
    z, y, guess, _ = batch()
    guess.requires_grad_()
    ConRLoss()(z, y, guess).backward()
    assert guess.grad is None


def test_right_predictions_or_near_targets_cost_nothing():
    z, y, guess, _ = batch()
    assert ConRLoss()(z, y, y).item() == 0
    assert ConRLoss(window=100.0)(z, y, guess).item() == 0
    assert ConRLoss()(z, torch.ones_like(y), guess).item() == 0


@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize("anchor_mean", ["all", "anchors"])
def test_without_positives_it_is_zero_with_a_zero_gradient(leak, anchor_mean):
    z = torch.randn(4, 3, requires_grad=True)
    value = ConRLoss(leak=leak, anchor_mean=anchor_mean)(
        z, torch.tensor([1.0, 10, 20, 30]), torch.full((4,), 5.0), torch.tensor([0.0, 1, 1, 1])
    )
    assert value.item() == 0
    value.backward()
    assert z.grad.tolist() == torch.zeros(4, 3).tolist()


def test_scale_of_features_and_order_of_rows_do_not_matter():
    z, y, guess, eta = batch()
    loss = ConRLoss(temperature=0.3)
    value = loss(z, y, guess, eta)
    scale = torch.rand(10, 1, dtype=torch.float64) + 0.1
    torch.testing.assert_close(loss(z * scale, y, guess, eta), value)
    order = torch.randperm(10)
    torch.testing.assert_close(loss(z[order], y[order], guess[order], eta[order]), value)


def test_a_window_around_everything_confused_is_contrast_with_all_others():
    """S = 1 and all others confused: the supervised contrastive loss of two classes."""
    from metabalance.represent import SupConLoss

    z, *_ = batch()
    y = torch.tensor([0.0, 1.0] * 5, dtype=torch.float64)
    found = ConRLoss(0.5, 0.5, push_scale=0.0)(z, y, torch.zeros_like(y))
    torch.testing.assert_close(found, SupConLoss(0.5)(z, y.long()))


def test_each_anchor_pays_at_least_the_logarithm_of_its_positives():
    z, y, guess, _ = batch(14)
    _, each = conr_twin(z.detach().numpy(), y.numpy(), guess.numpy(), np.ones(14), 1.0, 0.1, 0.01)
    positives = ((y[:, None] - y).abs() <= 1).sum(1) - 1
    assert all(v == 0 or v >= math.log(p) - 1e-12 for v, p in zip(each, positives.tolist()))


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_targets_of_wild_scale_stay_finite(scale, dtype):
    z, y, guess, _ = batch(dtype=dtype)
    for push in ("exp", "linear"):
        f = z.detach().clone().requires_grad_()
        value = ConRLoss(scale, push=push)(f, y * scale, guess * scale)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(f.grad).all()


def test_half_precision_compile_and_another_distance():
    z, y, guess, eta = batch(dtype=torch.float32)
    loss = ConRLoss(temperature=0.5)
    low = loss(z.detach().bfloat16(), y, guess, eta)
    assert low.item() == pytest.approx(loss(z, y, guess, eta).item(), rel=0.05)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(z, y, guess, eta), loss(z, y, guess, eta))
    same = ConRLoss(temperature=0.5, label_distance=lambda a, b: (a - b.T).abs())
    torch.testing.assert_close(same(z, y, guess, eta), loss(z, y, guess, eta))


def test_two_views_give_every_row_a_positive():
    rows, y = torch.randn(6, 3), torch.arange(6.0) * 10
    views, targets = TwoViews(FeatureNoise(0.1))(rows, y, torch.Generator().manual_seed(0))
    views.requires_grad_()
    assert ConRLoss()(views[:6], y, torch.zeros(6)).item() == 0
    value = ConRLoss()(views, targets, torch.zeros(12))
    assert value > 0


def test_confused_features_move_apart_and_near_targets_together():
    z, y, _, _ = batch(12)
    far = (y[:, None] - y).abs() > 1
    near = ~far & ~torch.eye(12, dtype=torch.bool)
    optimizer = torch.optim.Adam([z], lr=0.05)
    seen = []
    for _ in range(100):
        unit = torch.nn.functional.normalize(z.detach(), dim=1)
        cosine = unit @ unit.T
        seen.append((float(cosine[far].mean()), float(cosine[near].mean())))
        optimizer.zero_grad()
        ConRLoss(1.0, 0.2)(z, y, torch.zeros_like(y)).backward()
        optimizer.step()
    assert seen[-1][0] < seen[0][0] - 0.2
    assert seen[-1][1] > seen[0][1] + 0.2


# ---------------------------------------------------------------------------------------------------- RankSim


def ranks_twin(row):
    return [1 + sum(b > a for b in row) + sum(b == a for b in row) / 2 - 0.5 for a in row]


def ranksim_twin(z, y, interpolation=2.0):
    """Gong et al., row by row: the value, and the gradient at the cosines."""
    m = len(z)
    unit = [v / np.linalg.norm(v) for v in z]
    total, grads = 0.0, np.zeros((m, m))
    for i in range(m):
        sigma = [float(unit[i] @ u) for u in unit]
        wanted = ranks_twin([-math.dist(np.atleast_1d(y[i]), np.atleast_1d(v)) for v in y])
        found = ranks_twin(sigma)
        error = [(a - b) / m for a, b in zip(found, wanted)]
        total += sum(e * e for e in error) / m
        moved = ranks_twin([s + interpolation * 2 * e / m for s, e in zip(sigma, error)])
        grads[i] = [-(a - b) / m / (interpolation + 1e-8) for a, b in zip(found, moved)]
    return total, grads


def test_fixture_without_ties_by_hand():
    features, y = at_angles([0.0, 20, 70, 44]), torch.tensor([1.0, 2.2, 4.7, 8])
    assert RankSimLoss()(features, y).item() == pytest.approx(0.125)
    assert RankSimLoss(reduction="mean")(features, y).item() == pytest.approx(0.03125)
    cosines = features @ features.T
    assert (ranks(cosines)[0] / 4).tolist() == [0.25, 0.5, 1, 0.75]


@pytest.mark.parametrize("width", [None, 2])
@pytest.mark.parametrize("interpolation", [0.1, 2.0, 50.0])
def test_ranksim_in_loops(width, interpolation):
    z, y, *_ = batch(9, width)
    value = RankSimLoss(interpolation)(z, y)
    value.backward()
    total, at_cosines = ranksim_twin(z.detach().numpy(), y.numpy(), interpolation)
    assert value.item() == pytest.approx(total)
    f = z.detach().clone().requires_grad_()
    unit = torch.nn.functional.normalize(f, dim=1)
    (unit @ unit.T * torch.from_numpy(at_cosines)).sum().backward()
    torch.testing.assert_close(z.grad, f.grad)


def test_perfect_order_costs_nothing_even_with_ties():
    even = torch.arange(7.0)
    # Equal steps on both sides are tied in both worlds; up to rounding of the cosines, hence exact integers.
    assert torch.equal(ranks(-(even[:, None] - even).abs()), ranks(-(3 * even[:, None] - 3 * even).abs()))
    features = at_angles([0.0, 10, 21, 33, 46])
    assert RankSimLoss()(features, torch.tensor([0.0, 10, 21, 33, 46])).item() == 0
    assert (
        RankSimLoss()(
            features * torch.tensor([[1.0], [9], [0.1], [2], [3]]), torch.tensor([0.0, 10, 21, 33, 46])
        ).item()
        == 0
    )


def test_a_step_puts_neighbours_in_order():
    torch.manual_seed(0)
    z = torch.randn(12, 3, requires_grad=True)
    y = torch.arange(12.0) ** 1.1
    loss = RankSimLoss()
    before = loss(z, y).item()
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss(z, y).backward()
        optimizer.step()
    assert loss(z, y).item() < 0.5 * before


def test_no_gradient_where_nothing_changes_places():
    z, y, *_ = batch(6)
    RankSimLoss(1e-9)(z, y).backward()
    assert z.grad.abs().max() == 0


def test_of_equal_targets_one_is_drawn():
    y = torch.tensor([3.0, 1, 3, 2, 1, 3])[:, None]
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        rows = one_of_each(y)
        assert sorted(y[rows, 0].tolist()) == [1, 2, 3]
        seen |= set(rows.tolist())
    assert seen == set(range(6))
    z = torch.randn(6, 3, requires_grad=True)
    value = RankSimLoss()(z, torch.ones(6))
    value.backward()
    assert value.item() == 0
    assert z.grad.abs().max() == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_ranks_are_those_of_loops(row):
    assert ranks(torch.tensor([row], dtype=torch.float64))[0].tolist() == ranks_twin(row)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 4))
def test_both_are_finite_and_not_negative(seed, rows, values):
    z, y, guess, eta = batch(rows, seed=seed, dtype=torch.float32)
    y = (y * values / 4).round()
    for value in (ConRLoss()(z, y, guess, eta), RankSimLoss()(z, y)):
        assert torch.isfinite(value)
        assert value >= -1e-6


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda z: ConRLoss(window=-1.0), "window and push_scale"),
        (lambda z: ConRLoss(temperature=0.0), "temperature"),
        (lambda z: ConRLoss(push="cubic"), "push must be"),
        (lambda z: ConRLoss(anchor_mean="some"), "anchor_mean"),
        (lambda z: ConRLoss()(z, torch.tensor([1.0, float("nan"), 2.0]), torch.zeros(3)), "values of the target are missing"),
        (lambda z: ConRLoss()(z, torch.zeros(3), torch.full((3,), float("inf"))), "values of the prediction"),
        (lambda z: ConRLoss()(z, torch.zeros(3), torch.zeros(3, 2)), "must have one shape"),
        (lambda z: ConRLoss()(z, torch.zeros(2), torch.zeros(2)), r"target must be \(3,\)"),
        (lambda z: ConRLoss()(z[0], torch.zeros(3), torch.zeros(3)), r"features must be \(B, D\)"),
        (lambda z: RankSimLoss(0.0), "interpolation must be"),
        (lambda z: RankSimLoss(reduction="none"), "reduction 'sum' or 'mean'"),
        (lambda z: RankSimLoss()(z, torch.full((3,), float("nan"))), "values of the target are missing"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call(torch.randn(3, 2))
