"""The run folder: every finished fit is stored at once, whole or not at all, and never repeated.

``run.json`` says what is being compared on which data; ``fits/`` holds one file a fit. Each file appears by an
atomic rename, so that a run killed at any moment leaves only whole results, and the next run goes on.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.atomic import replacing
from metabalance.data.errors import DataError
from metabalance.data.limits import check_npz, parse_json
from metabalance.study.changes import changes

# What runs of earlier releases did not say, since there was no other.
UNSAID = {"tune": 0}

__all__ = ["RunStore", "save_fit", "write_atomically", "write_table"]

DATA = "data"  # in run.json: the columns, for people; the fingerprint decides


def write_atomically(path: Path, content: bytes) -> None:
    """Writes beside the goal, syncs, renames: the file is old or new, never half.

    Raises:
        DataError: The disk is full or the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as place, place.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> DataError:
    """A full disk or a read-only folder, in one sentence."""
    reason = error.strerror or str(error)
    return DataError(f"{path} cannot be written ({reason}); free space or choose another folder with --out")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a run folder for this process alone; the lock goes with the process, however it ends.

    Raises:
        DataError: Another process works in the folder.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"another process works in {folder}; wait for it, or choose another --out"
            ) from None
        except OSError:  # a file system without locks
            pass
        if not _still_there(descriptor, folder):
            raise DataError(
                f"another process has just finished in {folder} and removed it; look at its result"
            )
        yield
    finally:
        os.close(descriptor)


def _still_there(descriptor: int, folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    return False


class RunStore:
    """The finished fits of one comparison.

    Args:
        folder: Created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def open(self, protocol: dict[str, Any], data: dict[str, Any] | None = None) -> None:
        """Starts a run or goes on with one.

        Args:
            protocol: What must not change between a run and its continuation.
            data: See :func:`~metabalance.study.changes.describe`: so that a change can be told in words.

        Raises:
            DataError: The folder holds something else, or a run of another protocol; says what differs.
        """
        path = self.folder / "run.json"
        if self.folder.exists() and not self.folder.is_dir():
            raise DataError(f"{self.folder} is a file; --out needs a folder")
        if path.exists():
            try:
                before = parse_json(path.read_text())
            except (ValueError, OSError) as error:
                raise DataError(
                    f"{path} cannot be read ({error}); remove the folder or choose another --out"
                ) from error
            before = UNSAID | before
            changed = [key for key in protocol if before.get(key) != protocol[key]]
            if changed:
                said = " and ".join(_difference(key, before, protocol, data) for key in changed)
                restore = "restore the data, " if "data_fingerprint" in changed else ""
                raise DataError(
                    f"{self.folder} holds a run with {said}; {restore}choose another --out, or remove the folder "
                    "to start anew"
                )
            return
        # A run killed while it wrote its first file leaves that file's beginning.
        if self.folder.exists() and any(
            not fnmatch(entry.name, ".run.json.*.tmp") for entry in self.folder.iterdir()
        ):
            raise DataError(f"{self.folder} is not empty and holds no run; choose another --out")
        content = protocol if data is None else protocol | {DATA: data}
        write_atomically(path, json.dumps(content, indent=2).encode())

    def sweep(self) -> None:
        """Removes what a killed run was writing; only for who holds the folder."""
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        for half in [*self.folder.glob(".*.tmp"), *self.folder.glob("fits/.*.tmp")]:
            half.unlink(missing_ok=True)

    def path(self, label: str, seed: int, fold: int) -> Path:
        """Where the fit of a candidate on one split lies."""
        name = "".join(c if c.isalnum() else "_" for c in label)[:60]
        digest = hashlib.sha256(label.encode()).hexdigest()[:10]
        return self.folder / "fits" / f"{name}-{digest}-seed{seed}-fold{fold}.npz"

    def files(self, label: str, seed: int, fold: int) -> tuple[Path, Path]:
        """Where that fit lies, and the trials of its search."""
        fit = self.path(label, seed, fold)
        return fit, self.folder / "tuning" / f"{fit.stem}.db"

    def has(self, label: str, seed: int, fold: int) -> bool:
        return self.path(label, seed, fold).exists()

    def load(self, label: str, seed: int, fold: int) -> dict[str, Any] | None:
        """The stored fit, or None."""
        path = self.path(label, seed, fold)
        if not path.exists():
            return None
        try:
            # Opened here, not by numpy, which leaves a damaged file open.
            with path.open("rb") as raw:
                check_npz(raw, path.name)
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                # Runs of earlier releases have another name, and no digest.
                record, outputs = (
                    str(file["record"]),
                    file["outputs" if "outputs" in file else "probabilities"],
                )
                stated = str(file["sha256"]) if "sha256" in file else None
            if stated is not None and stated != _digest(record, outputs):
                raise ValueError("its content is not what was written")
            return parse_json(record) | {"outputs": outputs}
        # A damaged archive claims anything: encryption, unknown compression, a huge size.
        except Exception as error:
            raise DataError(f"{path} cannot be read ({error}); remove it and run again") from error

    def all(
        self, labels: list[str], splits: list[tuple[int, int]]
    ) -> Iterator[tuple[str, int, int, dict[str, Any]]]:
        """Every stored fit of these candidates on these splits."""
        for seed, fold in splits:
            for label in labels:
                record = self.load(label, seed, fold)
                if record is not None:
                    yield label, seed, fold, record


def save_fit(path: Path, record: dict[str, Any], outputs: np.ndarray) -> None:
    """Stores one fit: a JSON record and what it gives for the test rows."""
    buffer = io.BytesIO()
    text = json.dumps(record)
    digest = np.array(_digest(text, outputs))
    np.savez(buffer, record=np.array(text), outputs=outputs, sha256=digest)
    write_atomically(path, buffer.getvalue())


def _digest(record: str, outputs: np.ndarray) -> str:
    digest = hashlib.sha256(record.encode())
    digest.update(repr((outputs.dtype.str, outputs.shape)).encode())
    digest.update(np.ascontiguousarray(outputs).tobytes())
    return digest.hexdigest()


def _difference(key: str, before: dict[str, Any], now: dict[str, Any], data: dict[str, Any] | None) -> str:
    told = f"{before.get(key)!r}, now {now[key]!r}"
    if key == "data_fingerprint" and data is not None and isinstance(before.get(DATA), dict):
        told = changes(before[DATA], data) or told
    elif isinstance(before.get(key), dict) and isinstance(now[key], dict):
        was, is_ = before[key], now[key]
        told = ", ".join(
            f"{name} {was.get(name)!r}, now {is_.get(name)!r}"
            for name in {**was, **is_}
            if was.get(name) != is_.get(name)
        )
    return f"another {key.replace('_', ' ')} ({told})"


def write_table(frame: Any, path: Path) -> None:
    """Writes a frame as .parquet, .csv, .tsv or .feather, atomically.

    Raises:
        DataError: Another suffix, or the file cannot be written.
    """
    buffer = io.BytesIO()
    writers: dict[str, Any] = {
        ".parquet": lambda: frame.to_parquet(buffer, index=False),
        ".feather": lambda: frame.to_feather(buffer),
        ".csv": lambda: frame.to_csv(buffer, index=False),
        ".tsv": lambda: frame.to_csv(buffer, index=False, sep="\t"),
    }
    if path.suffix not in writers:
        raise DataError(f"{path} has the suffix {path.suffix!r}; tables are written as {', '.join(writers)}")
    writers[path.suffix]()
    write_atomically(path, buffer.getvalue())
