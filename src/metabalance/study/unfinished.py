"""A fit that a killed process left: its folder beside the goal, from which the same command goes on.

``OUT.unfinished`` holds ``run.json`` (the data and every option), checkpoints of the network in training and, where
options have several values, what the finished ones were worth. It goes when the model is saved.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json, read_file
from metabalance.study.artifact import MANIFEST
from metabalance.study.store import RunStore, cannot_write, locked, write_atomically

__all__ = [
    "TUNING",
    "Points",
    "identity",
    "may_be_saved",
    "unfinished",
    "was_saved",
    "where_it_stands",
    "working_folder",
]

POINTS = "points.json"
TUNING = "tuning.db"  # trials of a search
SECONDS_BETWEEN = 1.0  # writes of the points, which cost a few milliseconds
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


def working_folder(out: Path) -> Path:
    """Where the fit of a goal keeps what is unfinished: on the same file system, beside it."""
    goal = Path(out).absolute()
    return goal.with_name(f"{goal.name}.unfinished")


def identity(protocol: dict[str, Any]) -> str:
    """A short digest of the data and all options."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:32]


@contextlib.contextmanager
def unfinished(out: Path, protocol: dict[str, Any], data: dict[str, Any]) -> Iterator[Path]:
    """Holds the working folder of a goal; removes it at the end, or when there is nothing in it to go on from.

    Args:
        out: The goal.
        protocol: What must not change between a start and a continuation, JSON values.
        data: See :func:`~metabalance.study.changes.describe`.

    Raises:
        DataError: The folder holds the fit of other data or options, another process is at work in it, or it
            cannot be written.
    """
    folder = working_folder(out)
    store = RunStore(folder)
    store.open(protocol, data)
    with locked(folder):
        store.sweep()
        try:
            yield folder
        except BaseException as error:
            if not _worth_keeping(folder):
                _remove(folder)
            if isinstance(error, OSError) and error.errno in _STORAGE:
                raise cannot_write(folder, error) from error
            raise
        _remove(folder)


def may_be_saved(out: Path, command: str) -> bool:
    """Whether the model at the goal may be that of this very fit: a working folder is beside it, or it tells the command.

    Cheap, and no more than a reason to look closer, see :func:`was_saved`.
    """
    if not out.exists():
        return False
    if working_folder(out).exists():
        return True
    try:
        return parse_json(read_file(out / MANIFEST))["content"].get("command") == command
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def was_saved(out: Path, protocol: dict[str, Any]) -> bool:
    """Whether the model at the goal is that of this very fit, killed when it was saved; a working folder is removed."""
    from metabalance.study.opening import load_model

    try:
        same = load_model(out).record.get("fit") == identity(protocol)
    except DataError:
        return False
    if same and working_folder(out).exists():
        with locked(working_folder(out)):
            _remove(working_folder(out))
    return same


def where_it_stands(folder: Path) -> str:
    """What an earlier process left, in words; empty if it left nothing.

    Raises:
        ValueError: A checkpoint is damaged.
    """
    from metabalance import checkpoint

    finished = len(Points(folder).finished)
    said = [f"after {finished} finished value{'s' * (finished > 1)} of the options"] if finished else []
    found = {}
    for file in folder.glob("checkpoint-*"):
        name = re.fullmatch(r"checkpoint-(\d+)(?:\.phase(\d+))?", file.name)
        if name and int(name[1]) >= finished:
            found[int(name[1]), int(name[2] or 1)] = file
    if found:
        (_, phase), file = max(found.items())
        said.append(f"from epoch {checkpoint.load(file)['counters']['epoch'] + 1}")
        if phase > 1:
            said.append(f"of phase {phase}")
    return f"going on {' '.join(said)}" if said else ""


def checkpoint_name(point: int) -> str:
    """Of the network in training with the grid's options of this number; later phases add to it."""
    return f"checkpoint-{point}"


class Points:
    """What the values of a candidate's options were worth, kept so that no finished one is trained again.

    Only the best one's checkpoint is kept: should it win after an interruption, its training ends once more, to
    the same bits.

    Args:
        folder: The working folder, or None to keep nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.written = folder, time.monotonic()
        self.finished: list[dict[str, Any]] = []
        path = None if folder is None else folder / POINTS
        if path is not None and path.exists():
            try:
                self.finished = json.loads(path.read_text())
            except ValueError as error:
                raise DataError(
                    f"{path} cannot be read ({error}); remove {folder} to start the fit anew"
                ) from error

    def add(self, value: float, notes: tuple[str, ...]) -> None:
        """A point is finished."""
        self.finished.append({"value": value, "notes": list(notes)})
        if self.folder is None or time.monotonic() - self.written < SECONDS_BETWEEN:
            return
        write_atomically(self.folder / POINTS, json.dumps(self.finished).encode())
        self.written = time.monotonic()
        values = [point["value"] for point in self.finished]
        best = values.index(max(values))
        for number in set(range(len(values))) - {best}:
            for file in self.folder.glob(f"{checkpoint_name(number)}*"):
                if file.name.removeprefix(checkpoint_name(number))[:1] in ("", "."):
                    file.unlink(missing_ok=True)


def _worth_keeping(folder: Path) -> bool:
    return any(folder.glob("checkpoint-*")) or (folder / POINTS).exists() or (folder / TUNING).exists()


def _remove(folder: Path) -> None:
    """``run.json`` goes last: a folder half removed is one that nothing was trained in."""
    with contextlib.suppress(OSError):
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == "run.json"):
            entry.unlink()
        os.rmdir(folder)
