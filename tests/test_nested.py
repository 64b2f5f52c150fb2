"""A state comes back as it was, value by value and type by type, and nothing else can come out of a file."""

import hashlib
import io
import pickle
import struct
from collections import Counter, OrderedDict, namedtuple

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metabalance import checkpoint
from metabalance.nested import DEPTH, pack, unpack


def again(content):
    return unpack(io.BytesIO(b"".join(pack(content))))


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.complex64, torch.complex128,
    torch.float8_e4m3fn, torch.float8_e5m2,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (2, 3)], ids=str)
def test_tensors_of_every_type_and_shape(dtype, shape):
    tensor = (torch.rand(shape) * 3).to(dtype)
    found = again(tensor)
    assert found.dtype == dtype
    assert found.shape == shape
    assert found.flatten().view(torch.uint8).tolist() == tensor.flatten().view(torch.uint8).tolist()


def test_views_and_gradients():
    base = torch.arange(12.0, requires_grad=True).reshape(3, 4)
    for view in (base.T, base[1:, ::2], base.expand(2, 3, 4), base * 2, base.to(torch.complex64).conj()):
        assert torch.equal(again(view), view.detach())
        assert not again(view).requires_grad


def test_a_tensor_that_occurs_twice_is_kept_once():
    weight = torch.zeros(10_000)
    assert sum(map(len, pack({"a": weight, "b": weight}))) < 45_000
    found = again({"a": weight, "b": weight, "part": weight[:3]})
    found["a"][0] = 1
    assert found["b"][0] == 1
    assert found["part"][0] == 0


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
KEYS = st.integers() | st.text() | st.booleans() | st.tuples(st.text(), st.integers())
TREES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=150)
@given(TREES)
def test_any_tree_of_plain_values(tree):
    try:
        found = again(tree)
    except UnicodeEncodeError:
        pytest.fail("text must come back")
    assert repr(found) == repr(tree)  # types, order, signs of zero and NaN


def test_large_numbers_and_random_states():
    numbers = {"big": 2**200, "negative": -(10**30), "zero": -0.0, "tiny": 5e-324, "nan": float("nan")}
    assert repr(again(numbers)) == repr(numbers)
    state = checkpoint.random_state([torch.Generator()], torch.device("cpu"))
    found = again(state)
    assert found["python"] == state["python"]
    assert type(found["python"][1]) is tuple
    checkpoint.set_random_state(found, [torch.Generator()], torch.device("cpu"))


def test_what_torch_keeps_beside_the_values():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    found = again(model.state_dict())
    assert type(found) is OrderedDict
    assert found._metadata == model.state_dict()._metadata
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2, 2])
    kept = again(scheduler.state_dict())
    assert kept == scheduler.state_dict()
    assert type(kept["milestones"]) is Counter


@pytest.mark.parametrize(
    "value",
    [
        object(), {1, 2}, np.int64(1), np.ones(2), range(3), int, lambda: 0, b"x".__len__, namedtuple("P", "x")(1),
        torch.eye(2).to_sparse(), torch.empty(2, device="meta"), torch.device("cpu"), 1j,
        type("Mine", (torch.Tensor,), {})(),
    ],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_anything_else_is_refused_at_once(value):
    for content in (value, {"a": [value]}, (value,)):
        with pytest.raises(ValueError, match="cannot be kept"):
            list(pack(content))


def test_nesting_has_a_limit():
    deep = []
    for _ in range(DEPTH + 1):
        deep = [deep]
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        list(pack(deep))
    circular = []
    circular.append(circular)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        list(pack(circular))


def sealed(tree, **tensors):
    """A file with a fitting checksum, whatever it says."""
    payload = safetensors.torch.save(
        {"tree": torch.frombuffer(bytearray(tree.encode()), dtype=torch.uint8)} | tensors
    )
    return hashlib.sha256(payload).digest() + payload


@pytest.mark.parametrize(
    "tree",
    [
        '{"tensor": 3}', '{"os.system": "exit 1"}', '{"dict": 5}', '{"dict": [[[1], 2]]}', '{"float": "x"}', "{}",
        '{"bytes": "%"}', '{"tuple": 3}', '{"complex": 0}', '{"counter": [[1]]}', "[" * 200 + "]" * 200,
        "[" * 100_000, "nonsense", '{"dict": [], "metadata": 1}', "1" * 5000,
    ],
)  # fmt: skip
def test_a_hostile_file_with_a_fitting_checksum_is_refused(tree):
    with pytest.raises(ValueError):
        unpack(io.BytesIO(sealed(tree, **{"0": torch.zeros(3, dtype=torch.int64)})))


@pytest.mark.parametrize(
    "data",
    [b"", b"x" * 40, pickle.dumps({"a": 1}), bytes(32) + struct.pack("<Q", 2**60)],
    ids=["empty", "text", "pickle", "huge header"],
)
def test_what_is_no_state(data):
    with pytest.raises(ValueError, match="checksum"):
        unpack(io.BytesIO(data))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_one_flipped_bit_is_noticed(data):
    whole = b"".join(pack({"w": torch.arange(5.0), "step": 3}))
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    with pytest.raises(ValueError, match="checksum"):
        unpack(io.BytesIO(flipped))
