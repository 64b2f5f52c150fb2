"""VICReg: each term alone, a loop from the formula, and what it is for: no collapse."""

import math

import pytest
import torch

from metabalance.represent import VICRegLoss
from metabalance.represent.vicreg import vicreg


def views(rows=9, dim=4, seed=0, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(2, rows, dim, generator=g, dtype=torch.float64)


def twin(z1, z2, a, b, c):
    rows, dim = z1.shape
    total = a * sum((x - y) ** 2 for x, y in zip(z1.flatten().tolist(), z2.flatten().tolist())) / (rows * dim)
    for z in (z1.tolist(), z2.tolist()):
        mean = [sum(row[j] for row in z) / rows for j in range(dim)]

        def cov(i, j, z=z, mean=mean):
            return sum((row[i] - mean[i]) * (row[j] - mean[j]) for row in z) / (rows - 1)

        total += b * sum(max(0.0, 1 - math.sqrt(cov(j, j) + 1e-4)) for j in range(dim)) / dim / 2
        total += c * sum(cov(i, j) ** 2 for i in range(dim) for j in range(dim) if i != j) / dim
    return total


@pytest.mark.parametrize("coefficients", [(25, 25, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
@pytest.mark.parametrize("scale", [0.2, 3.0])
def test_equals_the_loop(coefficients, scale):
    z1, z2 = views(scale=scale)
    assert vicreg(z1, z2, *coefficients).item() == pytest.approx(twin(z1, z2, *coefficients), rel=1e-9)


def test_zero_for_equal_views_of_spread_and_uncorrelated_dimensions():
    z = 2 * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert vicreg(z, z) == 0


def test_collapse_costs_all_of_the_variance_term():
    z = torch.full((6, 3), 0.7, dtype=torch.float64)
    assert vicreg(z, z).item() == pytest.approx(25 * (1 - 0.01))
    assert vicreg(z, z, variance=0.0) < 1e-30  # without that term collapse is free


def test_views_may_be_exchanged():
    z1, z2 = views()
    torch.testing.assert_close(vicreg(z1, z2), vicreg(z2, z1))


def test_one_example_leaves_only_invariance():
    z1, z2 = views(rows=1)
    torch.testing.assert_close(vicreg(z1, z2), 25 * (z1 - z2).square().mean())


def test_descent_undoes_a_collapse():
    g = torch.Generator().manual_seed(0)
    z = (torch.randn(40, 4, generator=g, dtype=torch.float64) * 0.01).repeat(2, 1).requires_grad_()
    optimizer = torch.optim.SGD([z], lr=0.2)
    loss = VICRegLoss()
    for _ in range(200):
        optimizer.zero_grad()
        loss(z, torch.arange(40).repeat(2)).backward()
        optimizer.step()
    assert z.detach().std(0).min() > 0.9


def test_labels_play_no_part():
    z = torch.cat(list(views()))
    values = [VICRegLoss()(z, torch.full((18,), c)) for c in (0, 3)]
    assert torch.equal(*values)


def test_rows_that_are_not_two_views_are_refused():
    with pytest.raises(ValueError, match="the 3 rows are not two stacked views"):
        VICRegLoss()(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="use a batch transform that gives"):
        VICRegLoss()(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))
