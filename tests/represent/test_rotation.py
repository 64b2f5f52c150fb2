"""Rotation as a pretext: a group of four, balanced in every batch, blind to labels."""

import pytest
import torch

from metabalance.represent import RotationTransform, rotate_batch


def images(rows=10, size=5, seed=0):
    return torch.rand(rows, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 11])
def test_turns_are_as_balanced_as_the_batch_allows(rows):
    for seed in range(10):
        _, turns = rotate_batch(images(rows), torch.Generator().manual_seed(seed))
        counts = turns.bincount(minlength=4)
        assert counts.sum() == rows
        assert counts.max() - counts.min() <= 1


def test_the_remainder_falls_to_every_turn():
    generator = torch.Generator().manual_seed(0)
    seen = {int(rotate_batch(images(1), generator)[1]) for _ in range(60)}
    assert seen == {0, 1, 2, 3}


def test_each_image_is_turned_counter_clockwise_pixel_by_pixel():
    x = images()
    rotated, turns = rotate_batch(x, torch.Generator().manual_seed(0))
    assert set(turns.tolist()) == {0, 1, 2, 3}
    size = x.shape[2]
    for image, result, k in zip(x, rotated, turns.tolist()):
        expected = image
        for _ in range(k):
            turned = torch.empty_like(expected)
            for row in range(size):
                for column in range(size):
                    turned[:, size - 1 - column, row] = expected[:, row, column]
            expected = turned
        assert torch.equal(result, expected)


def test_four_turns_are_none():
    x = images()
    rotated, turns = rotate_batch(x)
    back = torch.stack([torch.rot90(image, (4 - int(k)) % 4, (1, 2)) for image, k in zip(rotated, turns)])
    assert torch.equal(back, x)


def test_the_transform_is_blind_to_labels_and_repeats_with_its_generator():
    x, transform = images(), RotationTransform()
    results = [transform(x, target, torch.Generator().manual_seed(3)) for target in (torch.arange(10), None)]
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][1], transform(x, None, torch.Generator().manual_seed(4))[1])


def test_the_inputs_are_left_alone():
    x = images()
    before = x.clone()
    rotate_batch(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("shape", [(4, 10), (4, 3, 5, 6), (4, 5, 5)])
def test_anything_but_square_images_is_refused(shape):
    with pytest.raises(ValueError, match=r"need square images \(B, channels, S, S\)"):
        rotate_batch(torch.zeros(shape))
