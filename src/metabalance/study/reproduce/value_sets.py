"""Public tables with a continuous target, and how they are divided: few of every value are kept for testing.

The division is that of the age benchmarks of Yang et al., ICML 2021, arXiv 2102.09554: of the rows of each bin of the
target a third, and never more than a fixed number, are for testing, and as many for choices. So the test rows are
nearly balanced over the target, as far as there are rows. A set with published parts keeps them.
"""

import csv
import io
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.data.arff import parse_arff
from metabalance.data.errors import DataError
from metabalance.data.limits import read_limited
from metabalance.study.reproduce.sentences import read_similarities
from metabalance.study.reproduce.values import ValueData

__all__ = ["TABLES", "ValueSplit", "ValueTable", "age_labels", "is_there", "make_value_split", "open_values"]

Array = NDArray[Any]
FOLDER = "imbalanced-regression"


@dataclass(frozen=True)
class Rows:
    """What a file holds: features ``(N, D)``, target ``(N,)``, and the published part of each row, if any."""

    X: Array
    target: Array
    part: Array | None = None


@dataclass(frozen=True)
class ValueTable:
    """A table: where it lies, how it is read, and the bins of its target.

    Args:
        file: Below the folder of data; empty for what ships with scikit-learn.
        read: From the file's path.
        unit: Of the target, in words.
        bin_width: Of its bins; None for ``num_bins`` from the smallest training value to the largest.
        num_bins: See there.
        few: Training rows below which a bin is few-shot; many-shot is above 100.
        most: Test rows of a bin at most, and validation rows.
        features: What the columns are, in words, where they were made.
    """

    file: str
    read: Callable[[Path], Rows]
    unit: str
    bin_width: float | None = None
    num_bins: int = 50
    few: int = 20
    most: int = 30
    features: str = ""


@dataclass(frozen=True)
class ValueSplit:
    """Features in float32, standardised by the training rows, and targets in float64."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]


def cells(path: Path) -> list[list[str]]:
    """Rows of a CSV file without a header, ``.xz`` or plain."""
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as stream:
        content = read_limited(stream, f"the content of {path.name}").decode()
    return [row for row in csv.reader(io.StringIO(content, newline="")) if row]


def read_abalone(path: Path) -> Rows:
    """Sex as three columns, seven measures, and the rings."""
    rows = cells(path)
    sex = np.array([[row[0] == letter for letter in "MFI"] for row in rows], dtype=np.float64)
    numbers = np.array([row[1:] for row in rows], dtype=np.float64)
    return Rows(np.hstack([sex, numbers[:, :-1]]), numbers[:, -1])


def read_numbers(path: Path) -> Rows:
    """All columns are numbers, the last is the target."""
    numbers = np.array(cells(path), dtype=np.float64)
    return Rows(numbers[:, :-1], numbers[:, -1])


def read_boston(path: Path) -> Rows:
    """Without the column that was made from the share of Black residents."""
    rows = read_numbers(path)
    return Rows(np.delete(rows.X, 11, axis=1), rows.target)


def read_california(path: Path) -> Rows:
    """The value in units of 100,000 dollars."""
    with lzma.open(path) as stream:
        text = read_limited(stream, f"the content of {path.name}").decode()
    numbers = parse_arff(text, path.name).to_numpy(np.float64)
    return Rows(numbers[:, :-1], numbers[:, -1] / 1e5)


def read_similarity(path: Path) -> Rows:
    """Features made from the text by :mod:`~metabalance.study.reproduce.sentences`."""
    return Rows(*read_similarities(path))


def read_diabetes(path: Path) -> Rows:
    """The one table with a continuous target that ships with scikit-learn as a file."""
    from sklearn.datasets import load_diabetes

    return Rows(*load_diabetes(return_X_y=True, scaled=False))


TABLES = {
    "abalone": ValueTable(f"{FOLDER}/abalone.csv.xz", read_abalone, "rings", bin_width=1.0),
    "california": ValueTable(f"{FOLDER}/cal_housing.arff.xz", read_california, "100,000 dollars", most=60),
    "winequality-red": ValueTable(f"{FOLDER}/winequality-red.csv.xz", read_numbers, "points", 1.0, most=60),
    "winequality-white": ValueTable(
        f"{FOLDER}/winequality-white.csv.xz", read_numbers, "points", 1.0, most=60
    ),
    "boston": ValueTable(f"{FOLDER}/boston_housing.csv", read_boston, "1,000 dollars"),
    # Its published groups are those of 50 bins from 0 to 5, more than 100 and fewer than 30 training rows.
    "stsb-dir": ValueTable(
        f"{FOLDER}/stsb_dir.tar.xz",
        read_similarity,
        "points of 5",
        few=30,
        features="TF-IDF of words and character n-grams, reduced to 100 dimensions by a truncated SVD of the training "
        "sentences: u, v, |u - v| and u * v of a pair",
    ),
    "diabetes": ValueTable("", read_diabetes, "points of progression", num_bins=25),
}


def is_there(table: str, folder: Path | None) -> bool:
    """Whether a table can be read here."""
    file = TABLES[table].file
    return not file or (folder is not None and (folder / file).is_file())


def open_values(table: str, folder: Path | None) -> Rows:
    """A whole table.

    Raises:
        DataError: It is not there, or cannot be read.

    >>> open_values("diabetes", None).X.shape
    (442, 10)
    """
    if not is_there(table, folder):
        raise DataError(
            f"the table {table!r} is not there: {TABLES[table].file}, below the folder of --data or METABALANCE_DATA"
        )
    path = Path() if folder is None else folder / TABLES[table].file
    return _read(table, path)


@lru_cache(maxsize=8)
def _read(table: str, path: Path) -> Rows:
    try:
        return TABLES[table].read(path)
    except (OSError, ValueError, KeyError, IndexError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch the file again") from error


def age_labels(path: Path) -> tuple[Array, Array]:
    """Ages ``(N,)`` and parts ``(N,)`` of the AgeDB benchmark; there are no images."""
    rows = cells(path)
    return np.array([row[0] for row in rows[1:]], dtype=np.float64), np.array([row[2] for row in rows[1:]])


def make_value_split(data: ValueData, seed: int, folder: Path | None) -> ValueSplit:
    """Training, validation and test rows; the test rows are the same for all seeds.

    Args:
        data: Which table, and how many rows to train on.
        seed: Draws the validation and training rows, unless the parts are published.
        folder: Of the data.

    >>> split = make_value_split(ValueData("diabetes"), seed=0, folder=None)
    >>> len(split.train[1]), len(split.validation[1]), len(split.test[1])
    (160, 141, 141)
    """
    rows, table = open_values(data.table, folder), TABLES[data.table]
    rng = np.random.default_rng(seed)
    if rows.part is None:
        bins = target_bins(rows.target, table)
        most = np.minimum(np.bincount(bins) // 3, table.most)
        test = first_of_each(bins, most, np.random.default_rng(0))
        validation = first_of_each(bins, most, rng, but=test)
        train = ~(test | validation)
    else:
        train, validation, test = (rows.part == name for name in ("train", "dev", "test"))
    kept = np.flatnonzero(train)
    if data.rows is not None and data.rows < len(kept):
        kept = np.sort(rng.choice(kept, data.rows, replace=False))
    centre, spread = rows.X[kept].mean(axis=0), rows.X[kept].std(axis=0)
    X = ((rows.X - centre) / np.where(spread > 0, spread, 1.0)).astype(np.float32)
    parts = [(X[index], rows.target[index]) for index in (kept, validation, test)]
    return ValueSplit(*parts)


def target_bins(target: Array, table: ValueTable) -> Array:
    """The bin ``(N,)`` of each value, from 0."""
    low, width = target.min(), table.bin_width
    if width is None:
        place = (target - low) / (target.max() - low) * table.num_bins
    else:
        place = target / width + 1e-9 - np.floor(low / width + 1e-9)
    return np.minimum(place.astype(np.int64), int(place.max()) if width else table.num_bins - 1)


def first_of_each(bins: Array, most: Array, rng: np.random.Generator, but: Array | None = None) -> Array:
    """A mask ``(N,)`` of random rows, ``most[b]`` of bin b, none of them in ``but``.

    >>> int(first_of_each(np.array([0, 0, 0, 1, 1]), np.array([1, 2]), np.random.default_rng(0)).sum())
    3
    """
    order = rng.permutation(len(bins))
    order = order if but is None else order[~but[order]]
    order = order[np.argsort(bins[order], kind="stable")]
    sizes = np.bincount(bins[order], minlength=len(most))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.zeros(len(bins), dtype=bool)
    chosen[order[rank < most[bins[order]]]] = True
    return chosen
