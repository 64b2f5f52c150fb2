"""Images from a folder with a sub-folder for each class, from IDX files, or from NPZ: read strictly, or refused.

A reader that skips what it cannot read changes the class counts, and in imbalanced data the rare class may
lose half its images without a word. Here every broken file is counted and named.
"""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metabalance.data.errors import DataError
from metabalance.data.limits import check_npz, read_file, read_limited
from metabalance.data.parts import holds_parts
from metabalance.data.pixels import SHOWN, decode_images, resized, to_pixels

__all__ = ["Images", "holds_images", "read_images"]

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
    ".pgm", ".ppm", ".pnm", ".pbm",
)  # fmt: skip
MAX_SIDE = 4096
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
# Pairs of arrays in NPZ files: of the training part, and of the test part where a file holds both.
_PIXELS = ("x", "images", "X", "data", "image", "imgs")
_LABELS = ("y", "labels", "label", "target", "Y", "targets")
_PAIRS = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("X_train", "y_train")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels"), ("X_test", "y_test")),
}

Part = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Images:
    """Images with, if they are known, their classes.

    Attributes:
        pixels: ``(N, C, H, W)``, uint8; one channel is grey, three are red, green and blue.
        labels: Class indices ``(N,)``, or None.
        classes: Names of the classes, sorted; empty without labels.
        names: Where each image comes from ``(N,)``: its file within the folder, or its number.
        sizes: Height and width before resizing ``(N, 2)``.
        left_out: Files that were not read, since they are no images or belong to the other part.
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    classes: tuple[Any, ...]
    names: tuple[str, ...]
    sizes: np.ndarray
    left_out: tuple[str, ...] = ()


def read_images(
    path: Any,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    part: Part = "train",
    labelled: bool = True,
    skip_broken: bool = False,
) -> Images:
    """Reads labelled images; what the path holds tells the format.

    ==============================  ====================================================================
    folder of folders               a sub-folder for each class, with images at any depth: PNG, JPEG, BMP,
                                    GIF, TIFF, WebP, PGM and PPM; hidden files are ignored
    ``*images-idx3-ubyte[.gz]``     the format of MNIST, its labels file beside it; or a folder of such files
    ``.npz``                        ``x`` with ``y`` (or ``images, labels``, ``x_train, y_train``, ...); or
                                    ``data, offsets, label``: the bytes of JPEG files, one after another
    ==============================  ====================================================================

    Args:
        path: The folder or file.
        size: Height and width, or one number for both; every image is stretched to it. Needed when the images
            are of different sizes.
        channels: 1 (grey) or 3 (colour); by default 1 when all are grey.
        part: Which of a training and a test part to read, where a file or an IDX folder holds both.
        labelled: Whether sub-folders are classes. Without, every image below a folder is read, and one image
            file is enough.
        skip_broken: Leaves out what cannot be read, and lists it in ``left_out``, instead of refusing it all.

    Raises:
        DataError: Nothing to read, broken files (counted and named), different sizes without ``size``, images
            without a class, a class without images.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "digits.npz"
    >>> np.savez(file, x=np.zeros((4, 8, 8)), y=[3, 5, 3, 3])
    >>> images = read_images(file)
    >>> images.pixels.shape, images.classes, images.labels
    ((4, 1, 8, 8), (3, 5), array([0, 1, 0, 0]))
    """
    path = Path(path)
    shape = _size(size)
    if channels not in (None, 1, 3):
        raise DataError(f"channels must be 1 (grey) or 3 (colour), but {channels!r} was given")
    if not path.exists():
        raise DataError(f"there is no file or folder {path}; check the path")
    if path.is_dir():
        idx = _idx_in(path)
        if not idx:
            return _read_folder(path, shape, channels, labelled, skip_broken)
        return _read_idx(*_choose_idx(path, idx, part), shape, channels, labelled)
    if _is_idx(path):
        return _read_idx(path, (), shape, channels, labelled)
    if path.suffix.lower() == ".npz":
        return _read_npz(path, shape, channels, part, labelled, skip_broken)
    if path.suffix.lower() in SUFFIXES:
        if labelled:
            raise DataError(f"{path} is a single image; name a folder with a sub-folder for each class")
        return _decode_files([path], [path.name], None, (), shape, channels, skip_broken, ())
    raise DataError(
        f"{path.name} is of an unknown format; images come as a folder with a sub-folder for each class, as IDX or as NPZ"
    )


def holds_images(path: Any) -> bool:
    """Whether a path is meant as images rather than as a table: a folder, an image, IDX, or NPZ with images.

    A folder with tables and no image in it is a table.

    >>> holds_images("data.csv")
    False
    """
    path = Path(path)
    if path.is_dir():
        images = any(file.suffix.lower() in SUFFIXES for file in _walk(path)) or bool(_idx_in(path))
        return images or not holds_parts(path)
    if _is_idx(path) or path.suffix.lower() in SUFFIXES:
        return True
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            found = [name.removesuffix(".npy") for name in archive.namelist()]
            if {"data", "offsets"} <= set(found):
                return True
            named = [x for x, _ in _PAIRS["train"]] + list(_PIXELS)
            key = next((name for name in named if name in found), None)
            if key is None:
                return False
            with archive.open(f"{key}.npy") as member:
                version = np.lib.format.read_magic(member)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                return len(read(member)[0]) in (3, 4)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error):
        return False


# --------------------------------------------------------------------------------------------- folders


def _read_folder(
    folder: Path, size: tuple[int, int] | None, channels: int | None, labelled: bool, skip_broken: bool
) -> Images:
    files: list[Path] = []
    ignored: list[Path] = []
    for file in _walk(folder):
        (files if file.suffix.lower() in SUFFIXES else ignored).append(file)
    left_out = [str(file.relative_to(folder)) for file in ignored]
    if not files:
        what = (
            f", but {left_out[0]!r}"
            if left_out
            else " and no other file"
            if not any(folder.iterdir())
            else ""
        )
        raise DataError(
            f"the folder {folder} holds no image{what}; images lie in a sub-folder for each class, and a table is named itself"
        )
    names = [file.relative_to(folder).as_posix() for file in files]
    if not labelled:
        return _decode_files(files, names, None, (), size, channels, skip_broken, left_out)
    classes = _classes(folder, files, names)
    place = {label: i for i, label in enumerate(classes)}
    labels = np.array([place[name.split("/")[0]] for name in names], dtype=np.int64)
    return _decode_files(files, names, labels, classes, size, channels, skip_broken, left_out)


def _walk(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Files below a folder in sorted order, nothing hidden; links are followed, but not in circles."""
    if folder.resolve() in above:
        return
    above = (*above, folder.resolve())
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"the folder {folder} cannot be read ({error.strerror}); check its permissions"
        ) from error
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_dir():
            yield from _walk(entry, above)
        elif entry.name not in ("Thumbs.db", "desktop.ini"):
            yield entry


def _classes(folder: Path, files: list[Path], names: list[str]) -> tuple[str, ...]:
    loose = [name for name in names if "/" not in name]
    classes = tuple(sorted({name.split("/")[0] for name in names if "/" in name}))
    if not classes:
        raise DataError(
            f"{folder} holds {len(loose)} images but no sub-folder for each class; sort them into folders named after "
            "their classes"
        )
    if loose:
        raise DataError(
            f"{folder} holds {_counted(len(loose), 'image')} beside its class folders ({_listed(loose)}); move them into one"
        )
    if {label.lower() for label in classes} <= SPLITS:
        raise DataError(
            f"{folder} holds the folders {', '.join(classes)}, which look like parts and not like classes; "
            f"name one of them, {folder / classes[-1 if 'train' in classes[-1].lower() else 0]}"
        )
    empty = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in (*classes, "__MACOSX")
    )
    if empty:
        raise DataError(f"the folder {folder / empty[0]} holds no image; fill it, or remove it")
    if len(classes) == 1:
        deeper = sorted({name.split("/")[1] for name in names if name.count("/") > 1})
        hint = (
            f"name {folder / classes[0]} if its sub-folders are the classes"
            if len(deeper) > 1
            else "at least two are needed"
        )
        raise DataError(f"{folder} holds the one class {classes[0]!r}; {hint}")
    return classes


def _decode_files(
    files: list[Any], names: list[str], labels: np.ndarray | None, classes: tuple[Any, ...],
    size: tuple[int, int] | None, channels: int | None, skip_broken: bool, left_out: Any,
) -> Images:  # fmt: skip
    pixels, sizes, broken = decode_images(files, names, size, channels)
    left_out = tuple(left_out)
    if broken and (not skip_broken or len(broken) == len(files)):
        told = [f"{names[i]} ({broken[i]})" for i in sorted(broken)]
        raise DataError(
            f"{len(broken)} of {len(files)} files cannot be read as images: {_listed(told)}; repair or remove them, or "
            "leave them out with --skip-broken"
        )
    if broken:
        good = np.array([i for i in range(len(files)) if i not in broken])
        left_out += tuple(names[i] for i in sorted(broken))
        names, pixels, sizes = [names[i] for i in good], pixels[good], sizes[good]
        labels = None if labels is None else labels[good]
        if labels is not None and len(np.unique(labels)) < len(classes):
            gone = classes[np.setdiff1d(np.arange(len(classes)), labels)[0]]
            raise DataError(
                f"no image of the class {gone!r} can be read; repair its files, or remove its folder"
            )
    return Images(pixels, labels, classes, tuple(names), sizes, left_out)


# ------------------------------------------------------------------------------------------------- IDX


def _is_idx(path: Path) -> bool:
    return "idx3" in path.name.lower() and path.suffix.lower() not in (".npz", ".csv")


def _idx_in(folder: Path) -> list[Path]:
    return (
        sorted(entry for entry in folder.iterdir() if _is_idx(entry) and entry.is_file())
        if folder.is_dir()
        else []
    )


def _choose_idx(folder: Path, found: list[Path], part: Part) -> tuple[Path, tuple[str, ...]]:
    wanted = [file for file in found if ("train" in file.name.lower()) == (part == "train")]
    chosen = wanted if len(wanted) == 1 else found
    if len(chosen) > 1:
        raise DataError(
            f"{folder} holds {len(found)} files of images ({_listed([f.name for f in found])}); name one of them"
        )
    return chosen[0], tuple(file.name for file in found if file != chosen[0])


def _read_idx(
    path: Path, left_out: tuple[str, ...], size: tuple[int, int] | None, channels: int | None, labelled: bool
) -> Images:
    pixels = _idx_array(path)
    if pixels.ndim not in (3, 4):
        raise DataError(
            f"{path.name} holds an array of shape {pixels.shape}, but images have three dimensions"
        )
    pixels = to_pixels(pixels, path.name)
    values = None
    if labelled:
        values = _idx_array(_idx_labels(path))
    return _from_arrays(pixels, values, None, path.name, size, channels, left_out)


def _idx_labels(path: Path) -> Path:
    plain = path.name.removesuffix(".gz")
    name = plain.lower().replace("images", "labels").replace("image", "label").replace("idx3", "idx1")
    beside = {entry.name.lower(): entry for entry in path.parent.iterdir()}
    for wanted in (name, f"{name}.gz"):
        if wanted in beside and beside[wanted] != path:
            return beside[wanted]
    raise DataError(f"the labels of {path.name} are not beside it; put {name} into {path.parent}")


def _idx_array(path: Path) -> np.ndarray:
    try:
        data = read_file(path)
        if data[:2] == b"\x1f\x8b":
            data = read_limited(gzip.GzipFile(fileobj=io.BytesIO(data)), f"the content of {path.name}")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} cannot be read ({error}); check or download it again") from error
    if len(data) < 4 or data[:2] != b"\0\0" or not 1 <= data[3] <= 4 or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path.name} is no IDX file; check or download it again")
    if data[2] != 0x08:
        raise DataError(
            f"{path.name} holds numbers of IDX type 0x{data[2]:02x}, but images and labels are bytes (0x08)"
        )
    start = 4 + 4 * data[3]
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    if len(data) - start != int(np.prod(shape, dtype=np.float64)) or 0 in shape:
        raise DataError(
            f"{path.name} announces {' x '.join(map(str, shape))} bytes, but holds {len(data) - start:,}; download it again"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


# ------------------------------------------------------------------------------------------------- NPZ


def _read_npz(
    path: Path,
    size: tuple[int, int] | None,
    channels: int | None,
    part: Part,
    labelled: bool,
    skip_broken: bool,
) -> Images:
    try:
        # Opened here, not by numpy, which leaves a damaged file open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            roles = _roles(file.files, part, path, labelled)
            with path.open("rb") as again:
                check_npz(again, path.name, roles.values())
            arrays = {role: file[key] for role, key in roles.items()}
            other_part = tuple(
                x for pairs in _PAIRS.values() for x, _ in pairs if x in file.files and x != roles["pixels"]
            )
    except DataError:
        raise
    except (
        ValueError, TypeError, AttributeError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path.name} holds pickled objects, which may run code; save plain arrays"
            ) from error
        raise DataError(
            f"{path.name} is no readable NPZ file ({error}); check or download it again"
        ) from error
    names = arrays.get("class_names")
    values = arrays.get("labels")
    if "offsets" not in arrays:
        pixels = to_pixels(arrays["pixels"], f"the array of images in {path.name}")
        return _from_arrays(pixels, values, names, path.name, size, channels, other_part)
    data, offsets = arrays["pixels"], arrays["offsets"]
    if (
        data.ndim != 1 or data.dtype != np.uint8 or offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2
        or offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets.astype(np.int64)) < 0).any()
    ):  # fmt: skip
        raise DataError(
            f"{path.name}: data must be bytes and offsets rise within them, image i being data[offsets[i]:offsets[i + 1]]"
        )
    kept = np.arange(len(offsets) - 1)
    left_out: tuple[str, ...] = ()
    if "is_test" in arrays:
        other = arrays["is_test"].astype(bool).reshape(-1) != (part == "test")
        if len(other) != len(kept):
            raise DataError(f"{path.name} holds {len(kept)} images, but is_test has {len(other)} values")
        kept, left_out = (
            kept[~other],
            (f"{_counted(int(other.sum()), 'image')} of the other part",) if other.any() else (),
        )
    if values is not None:
        if len(values) != len(offsets) - 1:
            raise DataError(f"{path.name} holds {len(offsets) - 1} images, but {len(values)} labels")
        values = values[kept]
    labels, classes = _labels(values, names, path.name)
    files = [data[offsets[i] : offsets[i + 1]].tobytes() for i in kept]
    return _decode_files(
        files, [str(i) for i in kept], labels, classes, size, channels, skip_broken, left_out
    )


def _roles(found: list[str], part: Part, path: Path, labelled: bool) -> dict[str, str]:
    """Which array plays which role; what is not asked for is not even read."""
    pixels, labels = next(
        (pair for pair in _PAIRS[part] if pair[0] in found),
        (next((n for n in _PIXELS if n in found), None), next((n for n in _LABELS if n in found), None)),
    )
    if pixels is None:
        raise DataError(
            f"{path.name} holds the arrays {_listed(sorted(found)) or 'none'}, but images are called x, images or data"
        )
    roles = {"pixels": pixels}
    if labelled:
        if labels not in found:
            raise DataError(f"{path.name} holds images ({pixels!r}) but no labels; add an array y, or labels")
        roles["labels"] = str(labels)
    also = ("class_names", *(("offsets", "is_test") if pixels == "data" else ()))
    return roles | {name: name for name in also if name in found}


def _labels(values: Any, names: Any, what: str) -> tuple[np.ndarray | None, tuple[Any, ...]]:
    """Class indices and the names of the classes."""
    if values is None:
        return None, ()
    values = np.asarray(values).reshape(-1)
    if values.dtype.kind == "f" and (values == np.floor(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind not in "biuUS":
        raise DataError(f"the labels of {what} are {values.dtype}, but classes are whole numbers or text")
    found, index = np.unique(values.astype(str) if values.dtype.kind == "S" else values, return_inverse=True)
    labels = found.tolist()
    if names is not None and found.dtype.kind in "iu":
        if found.min() < 0 or found.max() >= len(names):
            raise DataError(f"{what} names {len(names)} classes, but holds the label {found.max()}")
        labels = [str(names[i]) for i in labels]
    return index.reshape(-1).astype(np.int64), tuple(labels)


def _from_arrays(
    pixels: np.ndarray, values: Any, names: Any, what: str, size: tuple[int, int] | None, channels: int | None,
    left_out: tuple[str, ...],
) -> Images:  # fmt: skip
    if values is not None and np.size(values) != len(pixels):
        raise DataError(f"{what} holds {len(pixels):,} images, but {np.size(values):,} labels")
    labels, classes = _labels(values, names, what)
    sizes = np.tile(np.array(pixels.shape[2:]), (len(pixels), 1))
    numbers = tuple(map(str, range(len(pixels))))
    return Images(resized(pixels, size, channels), labels, classes, numbers, sizes, left_out)


# ------------------------------------------------------------------------------------------------ words


def _size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    given = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(given) != 2 or not all(isinstance(n, (int, np.integer)) and 1 <= n <= MAX_SIDE for n in given):
        raise DataError(
            f"the image size must be a number of pixels or (height, width), up to {MAX_SIDE}, but {size!r} was given"
        )
    return int(given[0]), int(given[1])


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
