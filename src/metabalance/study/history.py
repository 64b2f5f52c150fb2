"""A list of dated entries in a JSON file that grows by one at a time and never loses one."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json
from metabalance.study.store import write_atomically

__all__ = ["append_entry", "read_entries"]


def read_entries(path: Path) -> list[dict[str, Any]]:
    """The entries so far; none of a file that is not there.

    Raises:
        DataError: The file is damaged or something else; it is left as it is.
    """
    path = Path(path)
    if not path.exists():
        return []
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read as a history ({' '.join(str(error).split())[:80]}); it was left as it is, so mend it or "
            "choose another --json"
        ) from error
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "when" in e for e in entries):
        raise DataError(
            f"{path} is JSON but no list of dated entries; it was left as it is, choose another --json"
        )
    return entries


def append_entry(path: Path, entry: dict[str, Any]) -> int:
    """Adds an entry, the file being the old one or the new one at every moment, and returns how many there are.

    Two processes that add at the same time wait for each other.

    Args:
        path: Made if it is missing.
        entry: JSON values, with ``"when"``.

    Raises:
        DataError: See :func:`read_entries`; or the file cannot be written.
    """
    path = Path(path)
    with _held(path):
        entries = [*read_entries(path), entry]
        write_atomically(path, (json.dumps(entries, indent=1, allow_nan=False) + "\n").encode())
    return len(entries)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Holds the file's folder; the lock goes with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        yield
        return
    folder = path.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
