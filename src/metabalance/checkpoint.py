"""One file from which a killed run goes on: written whole or not at all, and reading it runs no code."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metabalance.atomic import replacing
from metabalance.nested import pack, unpack

__all__ = ["load", "random_state", "save", "set_random_state"]

_FORMAT = "metabalance-fit-2"
_ADVICE = "delete it to start anew, or name another file"


def save(path: str | os.PathLike, content: dict[str, Any], verify: bool = False) -> None:
    """Writes ``content`` (tensors, numbers, strings, and lists, tuples and dictionaries of them) to ``path``.

    It goes to a neighbouring file first, which then takes the place of the old one in one step: a run
    killed at any moment leaves the old file or the new one. There is no pickle in it (:mod:`metabalance.nested`).

    Args:
        path: The file; its folder is made if need be.
        content: What :func:`load` gives back.
        verify: Read the file back before it takes the place of the old one.

    Raises:
        ValueError: Something in ``content`` could not be read back.
    """
    path = Path(path)
    try:
        parts = list(pack({"format": _FORMAT, "content": content}))
    except ValueError as error:
        raise ValueError(
            "a state_dict of this run holds more than tensors, numbers, text and containers of them: it "
            f"could not be read back from a checkpoint ({error})"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for all processes: a killed one leaves no litter.
    with replacing(path, beside=f"{path.name}.part") as part:
        with part.open("xb") as file:
            for piece in parts:
                file.write(piece)
        if verify:
            load(part)


def load(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the content that :func:`save` wrote, onto the CPU.

    Raises:
        ValueError: The file is damaged, or no checkpoint of this library.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) == b"PK\x03\x04":
                raise ValueError("a file of torch.save, a pickle, which is never opened")
            file.seek(0)
            stored = unpack(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} is damaged or not a checkpoint ({error}); {_ADVICE}") from error
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT or "content" not in stored:
        raise ValueError(f"{os.fspath(path)} was not written by this version's fit(); {_ADVICE}")
    return stored["content"]


def random_state(generators: list[torch.Generator], device: torch.device) -> dict[str, Any]:
    """States of torch's, numpy's and Python's global generators, and of ``generators``."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (a data set's augmentation may draw from it)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": (kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "python": random.getstate(),
        "generators": [generator.get_state() for generator in generators],
    }


def set_random_state(state: dict[str, Any], generators: list[torch.Generator], device: torch.device) -> None:
    """Puts back what :func:`random_state` took."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["python"])
    for generator, saved in zip(generators, state["generators"]):
        generator.set_state(saved)
