"""Epochs of a fixed length: nothing skipped, nothing twice within a pass, and resumed at the very next batch."""

import pytest
import torch

from metabalance.data.batches import BatchLoader
from metabalance.data.cycle import Cycle
from metabalance.sample import ShuffleSampler

ROWS = 10


def cycle(length, batch_size=2):
    rows = torch.arange(ROWS)
    return Cycle(BatchLoader((rows, rows), batch_size, ShuffleSampler(rows)), length)


def epoch(loader, number=0):
    loader.set_epoch(number)
    return [batch[0].tolist() for batch in loader]


@pytest.mark.parametrize("length", [1, 3, 5, 12])
def test_an_epoch_has_that_many_batches_and_passes_go_on_across_epochs(length):
    loader = cycle(length)
    taken = [batch for number in range(10) for batch in epoch(loader, number)]
    assert len(loader) == length
    assert len(taken) == 10 * length
    rows = [row for batch in taken for row in batch]
    passes = [rows[i : i + ROWS] for i in range(0, len(rows) - ROWS + 1, ROWS)]
    assert all(sorted(one) == list(range(ROWS)) for one in passes)
    assert len({tuple(one) for one in passes}) == len(passes)  # each pass in an order of its own


def test_passes_are_the_loaders_epochs():
    loader, inner = cycle(5), cycle(5).loader
    for number in range(3):
        inner.set_epoch(number)
        assert epoch(loader, number) == [batch[0].tolist() for batch in inner]


@pytest.mark.parametrize("stop", range(8))
def test_resumes_at_the_very_next_batch(stop):
    whole, first, second = cycle(4), cycle(4), cycle(4)
    expected = epoch(whole, 0) + epoch(whole, 1)
    iterator, seen = iter(first), []
    for _ in range(stop):
        batch = next(iterator, None)
        if batch is None:
            iterator = iter(first)
            batch = next(iterator)
        seen.append(batch[0].tolist())
    second.load_state_dict(first.state_dict())
    rest = epoch(second)
    rest += epoch(second) if len(seen) + len(rest) < 8 else []
    assert seen + rest == expected


def test_what_can_never_fill_an_epoch_is_refused():
    with pytest.raises(ValueError, match="length must be at least 1, but 0 was given"):
        cycle(0)
    rows = torch.arange(3)
    with pytest.raises(ValueError, match="gives no batch"):
        Cycle(BatchLoader((rows,), 4, drop_last=True), 2)
