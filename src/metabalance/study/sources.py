"""What is studied, a table or images, classes or values: a study asks its rows the same few questions."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

__all__ = ["ImageTable", "Source", "Studied", "Table", "ValueTable", "load_rows", "open_rows"]

TARGET = "target.npy"
SAMPLES = 3  # images of a class that the report shows
SAMPLE_CLASSES = 20
SAMPLE_SIDE = 64  # pixels at most


class Studied(Protocol):
    """What splits, workers and the store ask of any data.

    Attributes:
        name: For titles.
        target: ``(N, ...)``: class indices, or values.
        target_name: What is predicted.
        groups: ``(N,)`` or None: rows of one group stay on one side.
        time: ``(N,)`` or None: the test part is later than the training part.
        findings: What the checks found.
    """

    @property
    def kind(self) -> str:
        """``"classes"`` or ``"values"``, see :mod:`metabalance.study.kinds`."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> np.ndarray: ...
    @property
    def target_name(self) -> str: ...
    @property
    def groups(self) -> np.ndarray | None: ...
    @property
    def time(self) -> np.ndarray | None: ...
    @property
    def findings(self) -> tuple[Any, ...]: ...

    @property
    def rows(self) -> Any:
        """A frame, or hashes ``(N,)``, in which equal rows can be found."""

    @property
    def fingerprint(self) -> str:
        """A hash of everything that a result depends on."""

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """``(channels, height, width)``, or None for a table."""

    @property
    def described(self) -> str:
        """Size and kind of the rows, in words."""

    def facts(self) -> dict[str, Any]:
        """What the report tells about the rows."""

    def take(self, index: np.ndarray) -> Any:
        """Rows as a preprocessor wants them."""

    def preprocessor(self, missing_columns: str = "error") -> Any:
        """One to be fitted on training rows."""

    def write(self, folder: Path) -> Path:
        """Writes rows and target for :func:`load_rows`, which the engines call."""


class Source(Studied, Protocol):
    """Data whose target is a class.

    Attributes:
        classes: Labels ``(C,)``.
        positive: Index of the positive class.
    """

    @property
    def classes(self) -> tuple[Any, ...]: ...
    @property
    def positive(self) -> int: ...


class _Frame:
    """What tables have in common, whatever their target is."""

    frame: Any
    target: np.ndarray
    groups: np.ndarray | None
    time: np.ndarray | None

    image_shape = None

    @property
    def rows(self) -> Any:
        return self.frame

    @property
    def fingerprint(self) -> str:
        """A hash of every value, the column names and the target."""
        import pandas as pd

        digest = hashlib.sha256()
        digest.update(repr([str(c) for c in self.frame.columns]).encode())
        digest.update(pd.util.hash_pandas_object(self.frame, index=False).to_numpy().tobytes())
        for array in (self.target, self.groups, self.time):
            if array is not None:
                digest.update(pd.util.hash_array(np.asarray(array).ravel()).tobytes())
        return digest.hexdigest()[:32]

    @property
    def described(self) -> str:
        columns = self.frame.shape[1]
        return f"{len(self.target):,} rows, {columns} feature{'s' * (columns != 1)}"

    def facts(self) -> dict[str, Any]:
        return {"columns": self.frame.shape[1]}

    def take(self, index: np.ndarray) -> Any:
        return self.frame.iloc[index]

    def preprocessor(self, missing_columns: Any = "error") -> Any:
        from metabalance.data.preprocess import TablePreprocessor

        return TablePreprocessor(missing_columns=missing_columns)

    def write(self, folder: Path) -> Path:
        frame = self.frame.reset_index(drop=True).copy(deep=False)
        frame.columns = [str(c) for c in frame.columns]
        np.save(folder / TARGET, self.target)
        frame.to_feather(folder / "table.feather")
        return folder / "table.feather"


@dataclass(frozen=True)
class Table(_Frame):
    """A checked table, ready to be split.

    Args:
        name: For titles.
        frame: Features ``(N, D)``, a pandas frame; the target, groups and time are not in it.
        target: Class indices ``(N,)``.
        classes: Labels ``(C,)``.
        positive: Index of the positive class.
        target_name: Of the target column.
        groups: ``(N,)`` or None: rows of one group stay on one side.
        time: ``(N,)`` or None: the test part is later than the training part.
        findings: What the checks found.
    """

    name: str
    frame: Any
    target: np.ndarray
    classes: tuple[Any, ...]
    positive: int
    target_name: str
    groups: np.ndarray | None = None
    time: np.ndarray | None = None
    findings: tuple[Any, ...] = ()

    kind = "classes"


@dataclass(frozen=True)
class ValueTable(_Frame):
    """A checked table with a continuous target, ready to be split.

    Args:
        name: For titles.
        frame: Features ``(N, D)``, a pandas frame; targets, groups and time are not in it.
        target: ``(N, T)``, float64.
        names: Of the target columns ``(T,)``.
        groups: ``(N,)`` or None: rows of one group stay on one side.
        time: ``(N,)`` or None: the test part is later than the training part.
        findings: What the checks found.
    """

    name: str
    frame: Any
    target: np.ndarray
    names: tuple[str, ...]
    groups: np.ndarray | None = None
    time: np.ndarray | None = None
    findings: tuple[Any, ...] = ()

    kind = "values"

    @property
    def target_name(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Checked images, ready to be split.

    Args:
        name: For titles.
        pixels: ``(N, C, H, W)``, uint8.
        target: Class indices ``(N,)``.
        classes: Labels ``(C,)``.
        positive: Index of the positive class.
        target_name: What the classes are called.
        groups: ``(N,)`` or None: images of one group (a patient, a scene) stay on one side.
        time: ``(N,)`` or None: the test part is later than the training part.
        findings: What the checks found.
        names: Where each image comes from ``(N,)``.
    """

    name: str
    pixels: np.ndarray
    target: np.ndarray
    classes: tuple[Any, ...]
    positive: int
    target_name: str = "class"
    groups: np.ndarray | None = None
    time: np.ndarray | None = None
    findings: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()

    kind = "classes"

    @property
    def rows(self) -> np.ndarray:
        from metabalance.data.pixels import image_hashes

        return image_hashes(self.pixels)

    @property
    def fingerprint(self) -> str:
        """A hash of every pixel, the size and the target."""
        digest = hashlib.sha256(repr((self.pixels.shape, self.classes)).encode())
        for array in (self.pixels, self.target, self.groups, self.time):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:32]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @property
    def described(self) -> str:
        channels, height, width = self.image_shape
        return f"{len(self.target):,} images, {height}x{width}, {'grey' if channels == 1 else 'colour'}"

    def facts(self) -> dict[str, Any]:
        counts = np.bincount(self.target, minlength=len(self.classes))
        shown = np.argsort(counts, kind="stable")[:SAMPLE_CLASSES]
        return {
            "image": list(self.image_shape),
            "samples": {
                str(self.classes[c]): [
                    _data_uri(self.pixels[i]) for i in np.flatnonzero(self.target == c)[:SAMPLES]
                ]
                for c in shown
            },
        }

    def take(self, index: np.ndarray) -> np.ndarray:
        return self.pixels[index]

    def preprocessor(self, missing_columns: Any = "error") -> Any:
        from metabalance.data.pixels import ImagePreprocessor

        return ImagePreprocessor(self.image_shape)

    def write(self, folder: Path) -> Path:
        np.save(folder / TARGET, self.target)
        np.save(folder / "images.npy", self.pixels)
        return folder / "images.npy"


def load_rows(path: Path) -> tuple[Any, np.ndarray]:
    """What :meth:`Studied.write` wrote: the rows, a frame or pixels mapped from the file, and the target ``(N, ...)``."""
    target = np.load(path.with_name(TARGET))
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r"), target
    import pandas as pd

    return pd.read_feather(path), target


def open_rows(rows: Any, target: np.ndarray) -> tuple[Callable[[np.ndarray], Any], np.ndarray, Any]:
    """What :func:`load_rows` gave: how to take rows, the target ``(N, ...)``, and an unfitted preprocessor."""
    if isinstance(rows, np.ndarray):
        from metabalance.data.pixels import ImagePreprocessor

        return rows.__getitem__, target, ImagePreprocessor(rows.shape[1:])
    from metabalance.data.preprocess import TablePreprocessor

    return rows.iloc.__getitem__, target, TablePreprocessor()


def _data_uri(pixels: np.ndarray) -> str:
    """A small PNG ``(C, H, W)`` that can stand in a page."""
    import base64
    import io

    from PIL import Image

    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1))
    image.thumbnail((SAMPLE_SIDE, SAMPLE_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
