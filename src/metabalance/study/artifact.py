"""A model folder that is safe to open: a JSON manifest, safetensors weights and plain files, no pickle.

The manifest states the size and SHA-256 of every other file and of itself, so what was changed or cut short
is refused instead of half believed. A folder is written beside its final place and then renamed: there is a
whole artifact under the name, or none.
"""

import ctypes
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from metabalance import __version__
from metabalance.atomic import sync_folder
from metabalance.data.errors import DataError
from metabalance.data.limits import check_size, parse_json, read_file

__all__ = ["exchange", "read_artifact", "sweep_writes", "write_artifact"]

FORMAT = "metabalance-model"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"

_RECORDED = (
    "torch",
    "numpy",
    "scikit-learn",
    "pandas",
    "safetensors",
    "lightgbm",
    "xgboost-cpu",
)


def write_artifact(
    folder: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    files: Mapping[str, bytes],
    *,
    overwrite: bool = False,
) -> Path:
    """Writes a model folder, whole or not at all.

    Args:
        folder: Where; its parents are made.
        manifest: What the reader needs to rebuild the model, JSON values only (NaN and infinity are not).
        tensors: Arrays by name, of any shape.
        files: Further files by plain name (no folders), such as ``lightgbm.txt``.
        overwrite: Replaces a model folder of that name. Anything else there is never replaced.

    Returns:
        The folder.

    Raises:
        DataError: The folder exists and may not be replaced, or cannot be written (read-only, disk full).
        ValueError: The manifest is not JSON, a file name is not plain, or a tensor's type cannot be stored.

    >>> with tempfile.TemporaryDirectory() as tmp:
    ...     folder = write_artifact(f"{tmp}/model", {"recipe": "erm"}, {"w": np.ones(2)}, {})
    ...     read_artifact(folder)[0]
    {'recipe': 'erm'}
    """
    target = Path(folder).absolute()
    contents = _contents(tensors, files)
    document = _document(manifest, contents)
    _refuse_to_replace(target, overwrite)
    with _clear_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # A sibling, because a rename is atomic only within one file system.
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            # mkdtemp gives 0700; the model is as open as a folder made in the ordinary way.
            temporary.chmod(0o777 & ~_umask())
            for name, data in contents.items():
                _write(temporary / name, data)
            _write(temporary / MANIFEST, document)
            sync_folder(temporary, strict=True)
            _move_into_place(temporary, target, overwrite)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def read_artifact(
    folder: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, bytes]]:
    """Reads a model folder and checks every byte of it; runs no code from it.

    Returns:
        The manifest, tensors and files given to :func:`write_artifact`.

    Raises:
        DataError: Not a model folder, written by a newer release, or any file missing, changed or cut short.
    """
    folder = Path(folder)
    with _clear_errors(folder, "read"):
        document = _read_document(folder)
        names = set(document["files"])
        if missing := sorted(names - {entry.name for entry in folder.iterdir()}):
            raise DataError(
                f"the model folder {folder} lacks the file {missing[0]}; copy the whole folder again"
            )
        check_size(sum(stated["bytes"] for stated in document["files"].values()), f"the model in {folder}")
        contents = {name: _read_checked(folder / name, document["files"][name]) for name in sorted(names)}
    try:
        tensors = load(contents.pop(WEIGHTS))
    except (KeyError, SafetensorError, ValueError, TypeError) as error:
        raise DataError(
            f"{folder / WEIGHTS} is not a file of weights ({error}); the folder is damaged"
        ) from error
    return document["content"], tensors, contents


# -------------------------------------------------------------------------------------------- writing


def _contents(tensors: Mapping[str, np.ndarray], files: Mapping[str, bytes]) -> dict[str, bytes]:
    for name in files:
        if (
            name in {MANIFEST, WEIGHTS, "", ".", ".."}
            or name != Path(name).name
            or "\\" in name
            or "\0" in name
        ):
            raise ValueError(
                f"{name!r} cannot name a file of a model folder; use a plain name such as 'trees.txt'"
            )
    try:
        # safetensors stores memory as it lies: without order="C" a transposed array comes back wrong.
        weights = save({name: np.asarray(array, order="C") for name, array in tensors.items()})
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"the tensors cannot be stored ({error}); give arrays of numbers or booleans"
        ) from error
    return {WEIGHTS: weights} | {name: bytes(data) for name, data in files.items()}


def _document(manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> bytes:
    body = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"metabalance": __version__} | _versions(),
        "files": {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in contents.items()},
        "content": dict(manifest),
    }
    try:
        document = _sealed(body)
        # JSON would quietly turn a tuple into a list, and the key 1 into "1".
        if parse_json(document)["content"] != body["content"]:
            raise TypeError("tuples, and keys that are not text, would not come back as they were")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the manifest cannot be written as JSON: {error}") from error
    return document


def _sealed(body: Mapping[str, Any]) -> bytes:
    """The manifest's bytes: the body, and the digest of the body in one canonical spelling."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    document = {**body, "manifest_sha256": _sha256(canonical)}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _refuse_to_replace(target: Path, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
        return  # an empty folder: nothing to lose
    if target.is_symlink() or not _is_artifact(target):
        raise DataError(f"{target} exists and is not a model folder; choose another name")
    if not overwrite:
        raise DataError(f"the model folder {target} exists; choose another name or ask to overwrite it")


def _is_artifact(folder: Path) -> bool:
    """Whether every entry is one that a manifest of ours names: nothing of the user's may be lost."""
    try:
        document = parse_json((folder / MANIFEST).read_bytes())
        named = {MANIFEST, *document["files"]}
        return document["format"] == FORMAT and {entry.name for entry in folder.iterdir()} <= named
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _move_into_place(temporary: Path, target: Path, overwrite: bool) -> None:
    # Checked again: someone may have made the folder while we wrote.
    _refuse_to_replace(target, overwrite)
    if target.exists() and exchange(temporary, target):
        pass  # the old one lies under the temporary name now
    elif target.exists():
        # A folder cannot be renamed over a full one. The old one steps aside, and returns if that fails.
        aside = temporary.with_name(f"{temporary.name}-old")
        os.replace(target, aside)
        try:
            os.replace(temporary, target)
        except OSError:
            os.replace(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.replace(temporary, target)
    sync_folder(target.parent, strict=True)


def exchange(one: Path, other: Path) -> bool:
    """Two folders take each other's name in one step; False where the system has no such call."""
    libc: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(libc, "renameat2"):  # Linux
        here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        return libc.renameat2(here, names[0], here, names[1], swap) == 0
    if hasattr(libc, "renamex_np"):  # macOS
        return libc.renamex_np(*names, 2) == 0
    return False


def sweep_writes(folder: str | os.PathLike[str]) -> None:
    """Removes what killed processes were writing for this name; only for who holds the name.

    Where two folders cannot change names in one step, a killed process may have left the old model aside: it
    returns to its name.
    """
    target = Path(folder).absolute()
    pattern = re.compile(rf"\.{re.escape(target.name)}-[a-z0-9_]{{8}}(-old)?")
    for left in [entry for entry in target.parent.glob(f".*{glob.escape(target.name)}-*") if entry.is_dir()]:
        if not pattern.fullmatch(left.name) or left.is_symlink():
            continue
        if left.name.endswith("-old") and not target.exists() and _is_artifact(left):
            os.replace(left, target)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


# -------------------------------------------------------------------------------------------- reading


def _read_document(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that `metabalance fit` wrote")
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder} is not a model folder: it has no {MANIFEST}")
    damaged = f"{path} is damaged or was edited; copy the folder again or fit the model anew"
    raw = read_file(path)
    try:
        document = parse_json(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(damaged) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(f"{folder} is not a model folder: its {MANIFEST} does not say format {FORMAT!r}")
    found = document.get("format_version")
    if isinstance(found, int) and found > FORMAT_VERSION:
        raise DataError(
            f"{folder} has format version {found}, but this release reads up to {FORMAT_VERSION}; "
            "upgrade metabalance"
        )
    if not _intact(document, raw):
        raise DataError(damaged)
    return document


def _intact(document: dict[str, Any], raw: bytes) -> bool:
    """Whether writing the manifest anew gives the very bytes that were read, digest included."""
    body = {key: value for key, value in document.items() if key != "manifest_sha256"}
    try:
        files = body["files"].values()
        stated = all(type(file["bytes"]) is int and type(file["sha256"]) is str for file in files)
        ours = body["format_version"] == FORMAT_VERSION and type(body["content"]) is dict
        return stated and ours and _sealed(body) == raw
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return False


def _read_checked(path: Path, stated: Mapping[str, Any]) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise DataError(f"{path} is not a plain file; copy the whole folder again")
    size = path.stat().st_size
    if size != stated["bytes"]:
        raise DataError(
            f"{path} has {size} bytes, but its manifest says {stated['bytes']}; copy the whole folder again"
        )
    data = read_file(path)
    if _sha256(data) != stated["sha256"]:
        raise DataError(f"{path} was changed after it was written; copy the whole folder again")
    return data


# --------------------------------------------------------------------------------------------- shared


@contextmanager
def _clear_errors(folder: Path, verb: str = "written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EROFS: "the file system is read-only; choose another place",
            errno.EACCES: "permission is denied; choose another place or change its permissions",
            errno.EPERM: "permission is denied; choose another place or change its permissions",
        }.get(error.errno or 0, error.strerror or str(error))
        raise DataError(f"the model folder {folder} cannot be {verb}: {reason}") from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _umask() -> int:
    # There is no way to read it without setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _versions() -> dict[str, str]:
    found = {}
    for package in _RECORDED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
