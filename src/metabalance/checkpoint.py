"""One file from which a killed run goes on: written whole or not at all, and reading it runs no code."""

import io
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["load", "random_state", "save", "set_random_state"]

_FORMAT = "metabalance-fit-1"


def save(path: str | os.PathLike, content: dict[str, Any], verify: bool = False) -> None:
    """Writes ``content`` (tensors, numbers, strings, and lists, tuples and dictionaries of them) to ``path``.

    It goes to a neighbouring file first, which then takes the place of the old one in one step: a run
    killed at any moment leaves the old file or the new one.

    Args:
        path: The file; its folder is made if need be.
        content: What :func:`load` gives back.
        verify: Read the bytes back before they are written.

    Raises:
        ValueError: With ``verify``, something in ``content`` could not be read back.
    """
    path = Path(path)
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, "content": content}, buffer)
    if verify:
        try:
            torch.load(io.BytesIO(buffer.getvalue()), weights_only=True, map_location="cpu")
        except Exception as error:
            raise ValueError(
                "a state_dict of this run holds more than tensors, numbers, text and containers of them: it "
                f"could not be read back from a checkpoint ({str(error).splitlines()[0]})"
            ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def load(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the content that :func:`save` wrote, onto the CPU.

    Raises:
        ValueError: The file is damaged, or no checkpoint of this library.
    """
    try:
        stored = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        # Truncated archives, pickles of anything, text: torch has a different exception for each.
        raise ValueError(
            f"{os.fspath(path)} is damaged or not a checkpoint; delete it to start anew, or name another file"
        ) from error
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise ValueError(
            f"{os.fspath(path)} was not written by this version's fit(); delete it to start anew, or name "
            "another file"
        )
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
