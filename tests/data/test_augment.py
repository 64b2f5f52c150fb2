"""Augmentation: the right values move, all from the given generator, and nothing else is touched."""

import sys

import pytest
import torch

from metabalance.data.augment import Augment, Corrupt, TwoViews, default_augment
from metabalance.streams import Task

kornia = pytest.importorskip("kornia.augmentation")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


IMAGES = torch.rand(8, 3, 12, 10, generator=generator())
TARGET = torch.arange(8)


def test_crops_are_shifts_with_zeros_and_flips_are_mirrors():
    moved, target = Augment(crop=2, flip=False)(IMAGES, TARGET, generator())
    assert torch.equal(target, TARGET)
    padded = torch.nn.functional.pad(IMAGES, (2, 2, 2, 2))
    for image, source in zip(moved, padded):
        shifts = [source[:, i : i + 12, j : j + 10] for i in range(5) for j in range(5)]
        assert any(torch.equal(image, shift) for shift in shifts)
    mirrored, _ = Augment(crop=0, flip=True)(IMAGES, TARGET, generator())
    same = [torch.equal(a, b) for a, b in zip(mirrored, IMAGES)]
    flipped = [torch.equal(a, b.flip(2)) for a, b in zip(mirrored, IMAGES)]
    assert all(a != b for a, b in zip(same, flipped))
    assert any(same)
    assert any(flipped)


def test_the_generator_decides_and_global_random_state_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, _ = Augment()(IMAGES, TARGET, generator(1))
    assert torch.equal(torch.rand(1), expected)
    again, _ = Augment()(IMAGES, TARGET, generator(1))
    other, _ = Augment()(IMAGES, TARGET, generator(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_pipeline_of_kornia_may_be_given():
    dark = Augment(pipeline=kornia.RandomErasing(p=1.0, scale=(1.0, 1.0), ratio=(1.0, 1.0)))
    assert dark(IMAGES[..., :10, :10], TARGET, generator())[0].shape == (8, 3, 10, 10)


def test_corrupted_values_stay_in_their_column_at_the_asked_rate():
    rows = torch.arange(3000.0).reshape(1000, 3)
    mixed, _ = Corrupt(0.3)(rows, torch.zeros(1000), generator())
    assert torch.equal(mixed % 3, rows % 3)
    # 3000 values at .3, of which a thousandth is replaced by itself: within 4 standard deviations
    assert abs(float((mixed != rows).float().mean()) - 0.3) < 0.034
    assert torch.equal(Corrupt(0.0)(rows, torch.zeros(1000), generator())[0], rows)


def test_two_views_differ_and_are_stacked():
    views, target = TwoViews(Corrupt(0.5))(torch.rand(6, 4), torch.arange(6), generator())
    assert views.shape == (12, 4)
    assert target.tolist() == [*range(6), *range(6)]
    assert not torch.equal(views[:6], views[6:])


def test_the_default_follows_the_inputs():
    assert isinstance(default_augment(Task(IMAGES, TARGET, 8)), Augment)
    assert isinstance(default_augment(Task(torch.rand(8, 2), TARGET, 8)), Corrupt)


def test_refusals(monkeypatch):
    with pytest.raises(ValueError, match="use Corrupt for the rows of a table"):
        Augment()(torch.rand(4, 3), TARGET, generator())
    with pytest.raises(ValueError, match=r"between 0 and 1, but 1\.5"):
        Corrupt(1.5)
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    with pytest.raises(ImportError, match=r"metabalance\[images\]"):
        Augment()(IMAGES, TARGET, generator())
