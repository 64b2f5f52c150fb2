"""Learning to reweight: the weights from their definition, and what they do to a minority."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from weighing_toys import CrossEntropy, batch, gaussians, mlp

from metabalance.weigh import LearningToReweight, reweight

OBJECTIVE = CrossEntropy()


class Spy(torch.optim.SGD):
    """Keeps the gradients it is stepped with."""

    def step(self, closure=None):
        self.seen = [None if p.grad is None else p.grad.clone() for p in self.param_groups[0]["params"]]
        return super().step(closure)


def from_the_paper(model: nn.Module, one, meta, eta: float) -> Tensor:
    """ε = 0, a look-ahead that keeps its graph, the derivative by ε, clipped and normalised row by row."""
    params = dict(model.named_parameters())
    epsilon = torch.zeros(len(one[1]), dtype=torch.float64, requires_grad=True)
    losses = F.cross_entropy(functional_call(model, params, (one[0],)), one[1], reduction="none")
    slope = torch.autograd.grad((epsilon * losses).sum(), list(params.values()), create_graph=True)
    ahead = {n: p - eta * g for (n, p), g in zip(params.items(), slope)}
    judged = F.cross_entropy(functional_call(model, ahead, (meta[0],)), meta[1])
    u = [-float(g) for g in torch.autograd.grad(judged, epsilon)[0]]
    clipped = [max(value, 0.0) for value in u]
    total = sum(clipped)
    return torch.tensor([value / (total if total else 1.0) for value in clipped], dtype=torch.float64)


@pytest.mark.parametrize("eta", [0.01, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_step_is_one_on_the_paper_s_weights_whatever_its_step_size(seed: int, eta: float) -> None:
    model, one, meta = mlp(), batch(seed), batch(10 + seed)
    twin = copy.deepcopy(model)
    weights = from_the_paper(twin, one, meta, eta)
    optimizer = Spy(model.parameters(), lr=0.1)
    loss = LearningToReweight([meta], inner_lr=eta)(model, one, OBJECTIVE, optimizer)
    expected = (weights * OBJECTIVE.losses(twin, one)).sum()
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), rtol=0, atol=1e-14)
    torch.testing.assert_close(optimizer.seen, [p.grad for p in twin.parameters()], rtol=0, atol=1e-13)
    assert 0 < (weights > 0).sum() < 8


def test_weights_sum_to_one_or_to_nothing() -> None:
    u = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert reweight(u).sum().item() == pytest.approx(1)
    assert reweight(-u.abs()).sum() == 0
    torch.testing.assert_close(reweight(u), reweight(1e-30 * u.double()).float())
    torch.testing.assert_close(reweight(u)[u > 0], u[u > 0] / u[u > 0].sum())
    assert torch.isfinite(reweight(torch.zeros(3))).all()


def test_a_batch_that_only_harms_moves_nothing() -> None:
    model = mlp()
    x, y = batch(0, rows=1)
    before = [p.clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = LearningToReweight([(x, (y + 1) % 3)])(model, (x, y), OBJECTIVE, optimizer)
    assert loss == 0
    torch.testing.assert_close(list(model.parameters()), before, rtol=0, atol=0)


def test_a_row_that_is_the_meta_set_counts() -> None:
    model, one = mlp(), batch(0)
    weights = from_the_paper(model, one, tuple(part[2:3] for part in one), 0.1)
    optimizer = Spy(model.parameters(), lr=0.1)
    LearningToReweight([tuple(part[2:3] for part in one)])(model, one, OBJECTIVE, optimizer)
    assert weights[2] > 0


def test_a_row_s_own_weight_is_a_number_of_copies() -> None:
    x, y = batch(0, rows=5)
    times = torch.tensor([1, 2, 3, 1, 2])
    found = []
    for rows in ((x, y, times.double()), (x.repeat_interleave(times, 0), y.repeat_interleave(times))):
        model = mlp()
        optimizer = Spy(model.parameters(), lr=0.1)
        LearningToReweight([batch(9)])(model, rows, OBJECTIVE, optimizer)
        found.append(optimizer.seen)
    torch.testing.assert_close(*found, rtol=0, atol=1e-14)


def test_a_balanced_meta_set_raises_the_minority_s_total_weight() -> None:
    x, y = gaussians(1000, 50, seed=0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    meta = gaussians(40, 20, seed=1)
    generator, shares = torch.Generator().manual_seed(2), []

    def note(weights: Tensor, target: Tensor) -> None:
        if weights.sum() > 0:  # not the pass that gives the weights
            shares.append(float(weights[target == 1].sum() / weights.sum()))

    class Watched(CrossEntropy):
        def losses(self, model, one):
            each = super().losses(model, one)
            if each.requires_grad and len(each) == 100:
                each.register_hook(lambda weights: note(weights.detach(), one[1]))
            return each

    step = LearningToReweight([meta])
    for _ in range(60):
        rows = torch.randint(len(y), (100,), generator=generator)
        step(model, (x[rows], y[rows]), Watched(), optimizer)
    assert len(shares) == 60
    assert sum(shares) / 60 > 0.2  # of 5 % of the rows


def test_it_goes_on_with_the_next_meta_batch() -> None:
    step = LearningToReweight([batch(20), batch(21)])
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step(model, batch(0), OBJECTIVE, optimizer)
    other, twin = LearningToReweight([batch(20), batch(21)]), copy.deepcopy(model)
    other.load_state_dict(step.state_dict())
    step(model, batch(1), OBJECTIVE, optimizer)
    other(twin, batch(1), OBJECTIVE, torch.optim.SGD(twin.parameters(), lr=0.1))
    for p, q in zip(model.parameters(), twin.parameters()):
        assert torch.equal(p, q)
