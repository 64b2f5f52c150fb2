"""How much a file may claim: sizes are looked at before memory is taken, in files from anybody.

A few kilobytes can stand for terabytes: a bomb of a gzip file, an array whose header says 10^12 rows, a column that
is one value a billion times over. What would take more than half of this machine's memory is refused in one
sentence; the environment variable ``METABALANCE_MAX_BYTES`` sets another limit.
"""

import contextlib
import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from metabalance.data.errors import DataError

__all__ = [
    "byte_limit",
    "check_npz",
    "check_size",
    "machine_memory",
    "parse_json",
    "read_file",
    "read_limited",
]

VARIABLE = "METABALANCE_MAX_BYTES"
CHUNK = 1 << 20
_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int | None:
    """Bytes of memory of this machine, or of the container that we are in; None where nobody tells."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has no such call
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for name in _CONTAINER:
        try:
            found.append(int(Path(name).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(found, default=None)


def byte_limit() -> int | None:
    """Bytes that one file may take in memory; None is no limit.

    Raises:
        DataError: ``METABALANCE_MAX_BYTES`` is no positive whole number.

    >>> os.environ["METABALANCE_MAX_BYTES"] = "1000000"
    >>> byte_limit()
    1000000
    >>> del os.environ["METABALANCE_MAX_BYTES"]
    """
    given = os.environ.get(VARIABLE)
    if not given:
        memory = machine_memory()
        return None if memory is None else memory // 2
    if not given.isascii() or not given.isdigit() or not int(given):
        raise DataError(f"{VARIABLE}={given!r} is no size; give a number of bytes, such as 8000000000")
    return int(given)


def check_size(need: int, what: str) -> None:
    """Refuses what would take too much memory.

    Args:
        need: Bytes, at least.
        what: Subject of the message.

    Raises:
        DataError: More than :func:`byte_limit`.
    """
    limit = byte_limit()
    if limit is not None and need > limit:
        raise DataError(
            f"{what} would take at least {_shown(need)} of memory, more than the limit of {_shown(limit)}; use less of it, "
            f"or set {VARIABLE} if you trust it"
        )


def read_limited(stream: BinaryIO | Any, what: str) -> bytes:
    """All bytes of a stream, decompressed on the way or not, as long as they stay within the limit.

    Args:
        stream: Anything with ``read(size)``.
        what: Subject of the message.

    Raises:
        DataError: There are more bytes than the limit allows.
    """
    limit = byte_limit()
    chunks: list[bytes] = []
    total = 0
    while chunk := stream.read(CHUNK):
        chunks.append(chunk)
        total += len(chunk)
        if limit is not None and total > limit:
            check_size(total, what)
    return b"".join(chunks)


def check_npz(file: BinaryIO, name: str, wanted: Iterable[str] | None = None) -> None:
    """Looks at the headers of the arrays in an NPZ file; the stream is back at its begin.

    Args:
        file: Open for reading.
        name: What messages call it.
        wanted: Names of the arrays that will be read; by default all.

    Raises:
        DataError: They would not fit, or a header promises more than the file holds.
        zipfile.BadZipFile: It is no NPZ file.
    """
    wanted = None if wanted is None else set(wanted)
    total = 0
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if wanted is not None and member.filename.removesuffix(".npy") not in wanted:
                continue
            total += member.file_size
            check_size(total, f"the content of {name}")
            with archive.open(member) as stream:
                claimed = _claimed(stream)
            if claimed > member.file_size:
                raise DataError(
                    f"{name} is damaged: the array {member.filename.removesuffix('.npy')!r} claims {_shown(claimed)}, but "
                    f"holds {_shown(member.file_size)}; check or download it again"
                )
    file.seek(0)


def _claimed(stream: Any) -> int:
    """Bytes of the array that an NPY header promises; 0 for what is no array, which its reader refuses."""
    formats = np.lib.format
    try:
        version = formats.read_magic(stream)
        read = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
        shape, _, dtype = read(stream)
    except ValueError:
        return 0
    size = dtype.itemsize
    for length in shape:
        size *= int(length)
    return size


def parse_json(text: str | bytes) -> Any:
    """JSON, whose nesting is limited by Python.

    Raises:
        ValueError: It is no JSON, or nested too deeply.

    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
        ...
    ValueError: it is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_file(path: Path) -> bytes:
    """A whole file, whose size is looked at first.

    Raises:
        DataError: It is too large.
        OSError: It cannot be read.
    """
    check_size(path.stat().st_size, path.name)
    with path.open("rb") as file:
        return file.read() if path.is_file() else read_limited(file, path.name)


def _shown(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size:,} bytes"
