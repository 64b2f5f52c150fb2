"""The beta-NLL: torch's Gaussian likelihood at 0, the gradient of a squared error for the mean at 1."""

import pytest
import torch
import torch.nn.functional as F

from metabalance.loss import BetaNLLLoss

torch.manual_seed(0)
P, Y = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)


def test_beta_0_is_torchs_gaussian_likelihood():
    mean, variance = P[:, [0, 2]], P[:, [1, 3]].exp()
    expected = F.gaussian_nll_loss(mean, Y, variance, reduction="none").mean(1)
    torch.testing.assert_close(BetaNLLLoss(0.0, "none")(P, Y), expected)
    torch.testing.assert_close(BetaNLLLoss(0.0)(P, Y), expected.mean())


def test_beta_1_gives_the_mean_the_gradient_of_half_a_squared_error():
    p = P.clone().requires_grad_()
    BetaNLLLoss(1.0, "sum")(p, Y).backward()
    torch.testing.assert_close(p.grad[:, [0, 2]], (P[:, [0, 2]] - Y) / 2)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_variance_at_rest_is_the_squared_residual(beta):
    p = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    p[0, 1] = torch.tensor(3.0).log() * 2
    p.requires_grad_()
    BetaNLLLoss(beta)(p, torch.tensor([4.0], dtype=torch.float64)).backward()
    assert abs(float(p.grad[0, 1])) < 1e-6


def test_half_precision_and_wild_columns_stay_finite():
    wild = torch.tensor([[1.0, 500.0], [1.0, -500.0]])
    assert bool(torch.isfinite(BetaNLLLoss(reduction="none")(wild, torch.zeros(2))).all())
    assert BetaNLLLoss(reduction="none")(P.bfloat16(), Y).dtype == torch.float32


def test_shapes_and_settings_are_checked():
    with pytest.raises(ValueError, match="beta must lie between 0 and 1"):
        BetaNLLLoss(1.5)
    with pytest.raises(ValueError, match="a mean and a log-variance for each target"):
        BetaNLLLoss()(P, Y[:, 0])
