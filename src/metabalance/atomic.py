"""Files that appear whole or not at all: written beside their goal, synced, renamed. Every writer goes through here."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["replacing", "sync_folder"]


@contextlib.contextmanager
def replacing(path: Path, beside: str | None = None) -> Iterator[Path]:
    """A path to be written to, which takes the place of the goal at the end of the block.

    Killed at any moment, the goal is the old file or the new one. An exception leaves the old one, and nothing beside it.

    Args:
        path: The goal, in a folder that is there.
        beside: Name of the file that is written; by default one of this process's own, ``.NAME.PID.tmp``. Whatever lies
            there goes first, and so nothing is written through a link that somebody planted.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.

    >>> import tempfile
    >>> goal = Path(tempfile.mkdtemp()) / "goal"
    >>> with replacing(goal) as place:
    ...     written = place.write_text("all of it")
    ...     goal.exists()
    False
    >>> goal.read_text()
    'all of it'
    """
    place = path.with_name(beside or f".{path.name}.{os.getpid()}.tmp")
    try:
        place.unlink(missing_ok=True)
        yield place
        with place.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(place, path)
    except BaseException:  # Ctrl-C too leaves no half file
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path, strict: bool = False) -> None:
    """Names in a folder are on the disk too. A file system that cannot promise it is no reason to stop, unless strict."""
    if os.name != "posix":
        return
    with contextlib.nullcontext() if strict else contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
