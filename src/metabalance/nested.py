"""Nested states as bytes and back without pickle: tensors in safetensors format, what holds them in JSON.

A pickle is a program, and readers that allow only parts of it have been broken more than once (CVE-2025-32434,
CVE-2026-24747, both in ``torch.load(weights_only=True)``). Here only the values named below can come out of a file.
"""

import base64
import hashlib
import json
import math
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

__all__ = ["pack", "unpack"]

DEPTH = 100  # of containers in containers
TREE = "tree"  # the tensor that holds the JSON; the others are numbered
_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.bool: "BOOL",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
_KINDS = {"dict": dict, "ordered": OrderedDict, "counter": Counter}
_MAPS: dict[str, Callable[[Any], Any]] = {
    "dict": dict,
    "ordered": OrderedDict,
    "counter": lambda pairs: Counter(dict(pairs)),
}


def pack(content: Any) -> Iterator[memoryview]:
    """The bytes of a state, part by part and without copies of the tensors: a SHA-256, then a safetensors file.

    Dictionaries keep their order and lists, tuples, ``OrderedDict`` and ``Counter`` their type; a tensor that occurs
    twice is written once. Tensors come back on the CPU and without gradient.

    Args:
        content: None, booleans, whole numbers of any size, floats, text, bytes, dense tensors; and lists, tuples and
            dictionaries of them.

    Raises:
        ValueError: Something else is in it (NumPy's own numbers are), or it is nested too deeply.

    >>> import io
    >>> content = {"step": 2, "betas": (0.9, float("inf")), 7: torch.eye(2)}
    >>> unpack(io.BytesIO(b"".join(pack(content))))
    {'step': 2, 'betas': (0.9, inf), 7: tensor([[1., 0.],
            [0., 1.]])}
    """
    packer = _Packer()
    text = json.dumps(packer.tree(content, 0), separators=(",", ":"), allow_nan=False).encode()
    parts: list[Any] = [np.frombuffer(text, dtype=np.uint8), *map(_bytes_of, packer.tensors)]
    kinds = [("U8", [len(text)]), *((_NAMES[t.dtype], list(t.shape)) for t in packer.tensors)]
    header: dict[str, Any] = {}
    start = 0
    for name, (kind, shape), part in zip((TREE, *map(str, range(len(kinds)))), kinds, parts):
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, start + part.nbytes]}
        start += part.nbytes
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    digest = hashlib.sha256(struct.pack("<Q", len(told)) + told)
    for part in parts:
        digest.update(part)
    yield memoryview(digest.digest() + struct.pack("<Q", len(told)) + told)
    for part in parts:
        yield memoryview(part)


def unpack(file: BinaryIO) -> Any:
    """What :func:`pack` was given.

    Args:
        file: Open for reading, at its begin.

    Raises:
        ValueError: The bytes are damaged, or were not written by :func:`pack`.
    """
    stated, payload = file.read(32), file.read()
    if hashlib.sha256(payload).digest() != stated:
        raise ValueError("its checksum does not match")
    try:
        tensors = safetensors.torch.load(payload)
        tree = json.loads(tensors.pop(TREE).numpy().tobytes())
        return _value(tree, tensors, 0)
    except (SafetensorError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"it holds no state ({error})") from error


class _Packer:
    """Turns a state into JSON values, and gathers its tensors."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.places: dict[Any, int] = {}

    def tree(self, value: Any, depth: int) -> Any:
        if depth > DEPTH:
            raise ValueError(f"it is nested more than {DEPTH} deep")
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, float):  # NumPy's float64 is one
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, Tensor):
            return self._tensor(value)
        if type(value) is list:
            return [self.tree(v, depth + 1) for v in value]
        if type(value) in (tuple, torch.Size):
            return {"tuple": [self.tree(v, depth + 1) for v in value]}
        if type(value) is bytes:
            return {"bytes": base64.b64encode(value).decode()}
        name = next((name for name, kind in _KINDS.items() if type(value) is kind), None)
        if name is None:
            raise ValueError(f"a {type(value).__module__}.{type(value).__qualname__} cannot be kept")
        told = {name: [[self.tree(k, depth + 1), self.tree(v, depth + 1)] for k, v in value.items()]}
        # The versions of the layers, which torch hangs onto the state_dict of a module.
        if metadata := getattr(value, "_metadata", None):
            told["metadata"] = self.tree(metadata, depth + 1)
        return told

    def _tensor(self, tensor: Tensor) -> Any:
        plain = type(tensor) in (Tensor, torch.nn.Parameter, torch.nn.Buffer)
        if not plain or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise ValueError(f"a {type(tensor).__name__} of layout {tensor.layout} cannot be kept")
        if tensor.is_complex():
            return {"complex": self.tree(torch.view_as_real(tensor.detach().resolve_conj()), 0)["tensor"]}
        if tensor.dtype not in _NAMES:
            raise ValueError(f"a tensor of {tensor.dtype} cannot be kept")
        key = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        place = self.places.get(key) if tensor.numel() else None
        if place is None:
            place = self.places[key] = len(self.tensors)
            self.tensors.append(tensor.detach().cpu().resolve_neg().contiguous())
        return {"tensor": place}


def _bytes_of(tensor: Tensor) -> np.ndarray:
    return tensor.reshape(-1).view(torch.uint8).numpy()


def _value(told: Any, tensors: dict[str, Tensor], depth: int) -> Any:
    if depth > DEPTH:
        raise ValueError(f"it is nested more than {DEPTH} deep")
    if isinstance(told, list):
        return [_value(v, tensors, depth + 1) for v in told]
    if not isinstance(told, dict):
        return told
    name: str = next(iter(told), "")
    inner: Any = told.get(name)
    if name == "tuple":
        return tuple(_value(v, tensors, depth + 1) for v in inner)
    if name == "tensor":
        return tensors[str(inner)]
    if name == "complex":
        return torch.view_as_complex(tensors[str(inner)])
    if name == "float":
        return float(inner)
    if name == "bytes":
        return base64.b64decode(inner, validate=True)
    made = _MAPS[name]((_value(k, tensors, depth + 1), _value(v, tensors, depth + 1)) for k, v in inner)
    if "metadata" in told:
        made._metadata = _value(told["metadata"], tensors, depth + 1)
    return made
