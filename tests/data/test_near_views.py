"""Views for continuous targets: how far they go, and what they leave alone."""

import pytest
import torch

from metabalance.data.augment import FeatureNoise, NearMix, TwoViews


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_is_in_units_of_the_columns():
    rows = torch.randn(4000, 3, generator=generator()) * torch.tensor([1.0, 100.0, 0.0]) + 5
    target = torch.arange(4000.0)
    moved, same = FeatureNoise(0.1)(rows, target, generator(1))
    assert torch.equal(same, target)
    change = (moved - rows).std(0)
    torch.testing.assert_close(change, torch.tensor([0.1, 10.0, 0.0]), rtol=0.05, atol=1e-6)
    assert torch.equal(FeatureNoise(0.0)(rows, target, generator())[0], rows)
    assert torch.equal(FeatureNoise(0.1)(rows, target, generator(1))[0], moved)


@pytest.mark.parametrize("width", [None, 2])
def test_mixing_goes_towards_the_row_with_the_nearest_target(width):
    rows = torch.randn(9, 3, generator=generator())
    target = torch.rand(9 if width is None else (9, width), generator=generator(2))
    moved, same = NearMix(0.3)(rows, target, generator(1))
    assert torch.equal(same, target)
    y = target.reshape(9, -1)
    for i in range(9):
        j = min((j for j in range(9) if j != i), key=lambda j: float((y[i] - y[j]).norm()))
        u = (moved[i] - rows[i]) / (rows[j] - rows[i])
        assert float(u.max() - u.min()) < 1e-3
        assert -1e-6 <= float(u[0]) <= 0.3 + 1e-6
    assert torch.equal(NearMix(0.0)(rows, target, generator())[0], rows)
    assert torch.equal(NearMix()(rows[:1], target[:1], generator())[0], rows[:1])


def test_two_different_views_of_images_too():
    images = torch.rand(4, 1, 5, 5, generator=generator())
    for view in (FeatureNoise(), NearMix()):
        views, target = TwoViews(view)(images, torch.arange(4.0), generator())
        assert views.shape == (8, 1, 5, 5)
        assert target.tolist() == [0, 1, 2, 3] * 2
        assert not torch.equal(views[:4], views[4:])


def test_impossible_settings():
    with pytest.raises(ValueError, match="scale must be finite and at least 0"):
        FeatureNoise(-1.0)
    with pytest.raises(ValueError, match=r"share must be at least 0 and below 0\.5"):
        NearMix(0.5)
