"""Public images with a made-to-measure imbalance: training, validation and test rows for one seed.

Validation rows come from the images that the official training set leaves over, never from the test set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from metabalance.data import imbalance
from metabalance.data.errors import DataError
from metabalance.data.images import read_images
from metabalance.data.noise import proportional_noise
from metabalance.data.pixels import decode_images
from metabalance.data.unlabeled import make_unlabeled
from metabalance.study.reproduce.base import Data

__all__ = ["Source", "Split", "count_groups", "is_there", "make_split", "open_source"]

NUM_CLASSES = 10
DIGITS_TEST, DIGITS_SEED = 50, 2**31 - 1
# The test rows are the same for every seed, and so is the part of them that a small run uses.
TEST_SEED = 2**31 - 2

_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CIFAR = tuple(f"data_batch_{i}.bin" for i in range(1, 6)) + ("test_batch.bin",)
# Folders as torchvision and the data sets' own pages leave them.
_PLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mnist": (("mnist", "MNIST/raw"), _IDX),
    "fashion-mnist": (("fashion-mnist", "FashionMNIST/raw"), _IDX),
    "cifar10": (("cifar10", "cifar-10-batches-bin", "."), _CIFAR),
    "cifar10-jpeg": (("cifar10-jpeg", "."), ("cifar10_jpeg.npz",)),
}


@dataclass(frozen=True)
class Source:
    """Labels of a data set, and how its images are read.

    Args:
        train: Classes of the official training images ``(N,)``.
        test: Classes of the test images ``(M,)``.
        read: ``(part, rows) -> uint8 (n, channels, H, W)``, where ``part`` is ``train`` or ``test``.
        white: The value of the brightest pixel.
    """

    train: np.ndarray
    test: np.ndarray
    read: Callable[[str, np.ndarray], np.ndarray]
    white: float = 255.0

    def images(self, part: str, rows: np.ndarray) -> Tensor:
        """Images ``(n, channels, H, W)``, float32 from 0 to 1."""
        return torch.from_numpy(np.ascontiguousarray(self.read(part, rows))).float() / self.white


@dataclass(frozen=True)
class Split:
    """Rows of one seed: images ``(n, channels, H, W)`` and classes ``(n,)`` of each part, class counts ``(C,)``."""

    train: tuple[Tensor, np.ndarray]
    validation: tuple[Tensor, np.ndarray]
    test: tuple[Tensor, np.ndarray]
    counts: np.ndarray
    unlabeled: Tensor | None = None


def is_there(name: str, folder: Path | None) -> bool:
    """Whether the images can be read."""
    return name == "digits" or _place(name, folder) is not None


def open_source(name: str, folder: Path | None) -> Source:
    """The images of that name.

    Raises:
        DataError: The files are not in the folder, or there is none.
    """
    if name == "digits":
        return _digits()
    place = _place(name, folder)
    if place is None:
        places, files = _PLACES[name]
        raise DataError(
            f"the images {name!r} are not there: {', '.join(files)} are looked for in {' or '.join(places)} under "
            f"{folder or 'a folder'}; name the folder with --data or in the environment variable METABALANCE_DATA"
        )
    return {"cifar10": _read_cifar, "cifar10-jpeg": _read_jpegs}.get(name, _read_idx)(place)


def make_split(data: Data, seed: int, folder: Path | None) -> Split:
    """The training, validation and test rows of one seed.

    Raises:
        DataError: The images are not there.
        ValueError: A profile for which a class has too few images.
    """
    source = open_source(data.images, folder)
    order = list(range(NUM_CLASSES))
    if data.order == "random":
        order = np.random.default_rng([seed, NUM_CLASSES]).permutation(NUM_CLASSES).tolist()
    held = imbalance.take_counts(source.train, dict.fromkeys(order, data.validation), seed)
    rest = np.setdiff1d(np.arange(len(source.train)), held)
    y = source.train[rest]
    picked = imbalance.take_counts(y, _profile(data, order), seed)
    train = rest[picked]
    every = np.bincount(source.test, minlength=NUM_CLASSES)
    most = every if data.test is None else np.minimum(every, data.test)
    if data.profile == "binary":  # positives as rare as in training
        negatives = sum(int(most[c]) for c in order[:-1])
        most[order[-1]] = min(int(most[order[-1]]), round(negatives / data.ratio))
    test = imbalance.take_counts(source.test, {c: int(most[c]) for c in order}, TEST_SEED)
    unlabeled = None
    if data.unlabeled:
        free = make_unlabeled(y, picked, data.unlabeled_ratio, data.unlabeled, seed)
        unlabeled = source.images("train", rest[free])

    def part(name: str, rows: np.ndarray) -> tuple[Tensor, np.ndarray]:
        labels = (source.train if name == "train" else source.test)[rows]
        if data.profile == "binary":
            labels = (labels == order[-1]).astype(np.int64)
        return source.images(name, rows), labels

    fit = part("train", train)
    if data.noise:
        fit = fit[0], proportional_noise(fit[1], data.noise, seed=seed)[0]
    return Split(fit, part("train", held), part("test", test), np.bincount(fit[1]), unlabeled)


def _profile(data: Data, order: Sequence[int]) -> dict[int, int]:
    n, ratio = data.n_max, data.ratio
    small = int(n / ratio + 1e-6)
    if data.profile == "binary":
        share, extra = divmod(n, len(order) - 1)
        return {c: share + (i < extra) for i, c in enumerate(order[:-1])} | {order[-1]: small}
    counts = {
        "long_tail": lambda: imbalance.long_tail_counts(NUM_CLASSES, n, ratio),
        "linear": lambda: imbalance.linear_counts(NUM_CLASSES, n, ratio),
        "step": lambda: imbalance.step_counts(NUM_CLASSES, n, ratio, data.minority),
        "one_vs_rest": lambda: [n] + [small] * (NUM_CLASSES - 1),
        "balanced": lambda: [n] * NUM_CLASSES,
    }[data.profile]()
    return dict(zip(order, counts))


def count_groups(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Class indices of ``many``, ``medium`` and ``few``: the thirds of the range of log counts.

    On a long tail of ten classes these are 3, 4 and 3 classes, as in Xie et al. 2023 (ARB); under step imbalance
    there are many and few; balanced classes are in no group.

    >>> {name: index.tolist() for name, index in count_groups(np.array([100, 32, 10, 1])).items()}
    {'many': [0, 1], 'medium': [2], 'few': [3]}
    """
    n = np.log(np.maximum(counts, 1))
    span = n.max() - n.min()
    if span < 1e-9:
        return dict.fromkeys(("many", "medium", "few"), np.array([], dtype=int))
    height = (n - n.min()) / span
    # Counts that were rounded down lie beside the thirds, not on them.
    many, few = height > 2 / 3 + 0.05, height < 1 / 3 - 0.05
    return {
        "many": np.flatnonzero(many),
        "medium": np.flatnonzero(~many & ~few),
        "few": np.flatnonzero(few),
    }


# ------------------------------------------------------------------------------------------------- files


def _place(name: str, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    places, files = _PLACES[name]
    found = (folder / place for place in places if all(_either(folder / place / file) for file in files))
    return next(found, None)


def _either(path: Path) -> Path | None:
    """The file, or its gzipped form."""
    return next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)


@lru_cache(maxsize=2)
def _read_idx(folder: Path) -> Source:
    parts = {name: _labelled(folder, name) for name in ("train", "test")}
    pixels = {name: found[0] for name, found in parts.items()}
    return Source(parts["train"][1], parts["test"][1], lambda part, rows: pixels[part][rows])


def _labelled(folder: Path, part: Literal["train", "test"]) -> tuple[np.ndarray, np.ndarray]:
    found = read_images(folder, part=part)
    assert found.labels is not None
    return found.pixels, found.labels


@lru_cache(maxsize=1)
def _read_cifar(folder: Path) -> Source:
    """The official files of the binary version, one label and 3 × 1024 pixels a row."""
    batches = [np.fromfile(folder / name, dtype=np.uint8).reshape(-1, 3073) for name in _CIFAR]
    parts = {"train": np.concatenate(batches[:-1]), "test": batches[-1]}

    def read(part: str, rows: np.ndarray) -> np.ndarray:
        return parts[part][rows, 1:].reshape(-1, 3, 32, 32)

    train, test = (parts[part][:, 0].astype(np.int64) for part in ("train", "test"))
    return Source(train, test, read)


@lru_cache(maxsize=1)
def _read_jpegs(folder: Path) -> Source:
    """All images as JPEG files in one array: image i is ``data[offsets[i] : offsets[i + 1]]``."""
    with np.load(folder / "cifar10_jpeg.npz", allow_pickle=False) as file:
        content, offsets = file["data"], file["offsets"]
        label, is_test = file["label"].astype(np.int64), file["is_test"].astype(bool)
    where = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}

    def read(part: str, rows: np.ndarray) -> np.ndarray:
        index = where[part][rows]
        files = [content[offsets[i] : offsets[i + 1]].tobytes() for i in index]
        pixels, _, broken = decode_images(files, [f"image {i}" for i in index], (32, 32), channels=3)
        if broken:
            raise DataError(
                f"{folder}: {len(broken)} images of cifar10_jpeg.npz cannot be read; get it again"
            )
        return pixels

    return Source(label[where["train"]], label[where["test"]], read)


@lru_cache(maxsize=1)
def _digits() -> Source:
    """scikit-learn's 8×8 digits; 50 of each class are the test set, the same for every seed."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    test = imbalance.take_counts(digits.target, dict.fromkeys(range(NUM_CLASSES), DIGITS_TEST), DIGITS_SEED)
    where = {"test": test, "train": np.setdiff1d(np.arange(len(digits.target)), test)}
    labels = {part: digits.target[rows].astype(np.int64) for part, rows in where.items()}
    pixels = digits.images.astype(np.uint8)[:, None]
    return Source(labels["train"], labels["test"], lambda part, rows: pixels[where[part][rows]], white=16.0)
