"""Every stream by its name: what it shows, and the class prior it stands for."""

import pytest
import torch

from metabalance.streams import STREAMS, Task, stream

TARGET = torch.tensor([0] * 90 + [1] * 30)
INPUTS = torch.randn(120, 3, generator=torch.Generator().manual_seed(0)) + TARGET[:, None]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_shows_its_classes_in_the_shares_it_names(name):
    task = Task(INPUTS, TARGET, num_classes=2, batch_size=16)
    loader, prior, _ = stream(task, name)
    seen = torch.cat([batch[1] for batch in loader])
    shares = torch.bincount(seen, minlength=2) / len(seen)
    # Square-root sampling draws; all others deal.
    torch.testing.assert_close(shares.double(), prior, atol=0.1 if name == "square_root" else 0.02, rtol=0)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_its_seed(name):
    task = Task(INPUTS, TARGET, num_classes=2, batch_size=16)
    first, again, other = ([b[0] for b in stream(task, name, seed=s)[0]] for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, other))


def test_whole_weights_are_copies_and_others_are_none():
    from metabalance.streams import whole_copies

    assert whole_copies(torch.tensor([0.5, 1.0, 1.5])).tolist() == [0, 1, 1, 2, 2, 2]
    assert whole_copies(torch.tensor([1.0, 1.3])) is None
    assert whole_copies(None) is None
