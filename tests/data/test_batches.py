"""BatchLoader: the same batches as a DataLoader, only faster, and it goes on where it stopped."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from metabalance.data.batches import BatchLoader
from metabalance.sample import ClassBalancedSampler, ShuffleSampler

X = torch.arange(46.0).view(23, 2)
Y = torch.tensor([0] * 20 + [1] * 3)
W = torch.linspace(0.5, 1.5, 23)


def flat(batches):
    return [[tensor.tolist() for tensor in batch] for batch in batches]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sampler", [None, ShuffleSampler(Y, seed=3), ClassBalancedSampler(Y), range(3, 19)])
def test_equals_a_data_loader(sampler, drop_last):
    ours = BatchLoader((X, Y, W), 5, sampler, drop_last)
    data = TensorDataset(X, Y, W)
    theirs = DataLoader(
        data, 5, sampler=sampler, shuffle=False if sampler is None else None, drop_last=drop_last
    )
    assert flat(ours) == flat(theirs)
    assert len(ours) == len(theirs) == len(list(ours))


def test_one_batch_is_the_tensors_themselves():
    batches = list(BatchLoader((X, Y), batch_size=100))
    assert len(batches) == 1
    assert batches[0][0] is X
    assert batches[0][1] is Y


def test_without_a_sampler_batches_are_views():
    first = next(iter(BatchLoader((X, Y), batch_size=4)))
    assert first[0].data_ptr() == X.data_ptr()


def test_an_epoch_repeats_and_epochs_differ():
    loader = BatchLoader((X, Y), 5, ShuffleSampler(Y))
    first = flat(loader)
    assert flat(loader) == first
    loader.set_epoch(1)
    assert flat(loader) != first
    loader.set_epoch(0)
    assert flat(loader) == first


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(0, 30),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["own", "torch", None]),
)
def test_resumes_at_the_next_batch(batch_size, stop, drop_last, set_epoch, kind):
    def make():
        sampler = {"own": ShuffleSampler(Y, seed=1), "torch": RandomSampler(Y), None: None}[kind]
        return BatchLoader((X, Y), batch_size, sampler, drop_last)

    loader = make()
    loader.set_epoch(2)
    iterator = iter(loader)
    for _ in range(min(stop, len(loader))):
        next(iterator)
    state = loader.state_dict()
    rest = flat(iterator)
    resumed = make()
    resumed.load_state_dict(state)
    assert resumed.state_dict().keys() == state.keys()
    assert resumed.state_dict()["position"] == min(stop, len(loader))
    if set_epoch:
        resumed.set_epoch(2)
    assert flat(resumed) == rest
    if kind != "torch":  # torch's sampler has no epochs to come back to
        assert flat(resumed) == flat(loader)  # and the pass after that is a whole one
    resumed.load_state_dict(state)
    resumed.set_epoch(3)
    assert len(flat(resumed)) == len(resumed)  # another epoch starts at its beginning


def test_state_counts_batches_handed_out():
    loader = BatchLoader((X, Y), 10)
    iterator = iter(loader)
    assert loader.state_dict()["position"] == 0
    next(iterator)
    assert loader.state_dict()["position"] == 1


@pytest.mark.parametrize(
    ("tensors", "size", "message"),
    [
        ((), 1, "one length"),
        ((X, Y[:5]), 1, r"lengths \[23, 5\]"),
        ((X, Y), 0, "batch_size must be at least 1, but 0"),
    ],
)
def test_bad_arguments(tensors, size, message):
    with pytest.raises(ValueError, match=message):
        BatchLoader(tensors, size)
