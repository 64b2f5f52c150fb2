"""Many files as one table: a folder, partitioned or not, or a pattern such as ``data/*.parquet``."""

import glob
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from metabalance.data.errors import DataError

__all__ = ["ParquetParts", "Unit", "holds_parts", "list_parts"]

PARQUET = (".parquet", ".pq")
KINDS = {
    **dict.fromkeys(PARQUET, "parquet"),
    **dict.fromkeys((".feather", ".arrow", ".ipc"), "feather"),
    **dict.fromkeys((".csv", ".tsv"), "text"),
}
COMPRESSED = (".gz", ".xz", ".bz2", ".zst")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
BLOCK = 65_536


def holds_parts(path: Any) -> bool:
    """Whether a path is a pattern, or a folder with tables in it.

    >>> holds_parts("data/*.parquet"), holds_parts("data.parquet")
    (True, False)
    """
    path = Path(path)
    if path.is_dir():
        return any(_kind(file) for file in _below(path))
    return not path.exists() and glob.has_magic(str(path))


def list_parts(path: Any) -> tuple[Path, list[Path]]:
    """The folder that partitions are named from, and the files in order of their names.

    Files and folders that begin with a dot or an underscore are left out, and so is what is no table.

    Raises:
        DataError: There is no table, or there are tables of several formats.
    """
    path = Path(path)
    if path.is_dir():
        base, found = path, [file for file in _walk(path) if _kind(file)]
    elif path.is_file():
        base, found = path.parent, [path]
    elif not glob.has_magic(str(path)):
        raise DataError(f"{path} does not exist; check the path")
    else:
        named = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        found = [f for one in named for f in (_walk(one) if one.is_dir() else [one]) if _kind(f)]
        # Partitions are those below the last folder that is named without a pattern.
        folders = path.parts
        first = next((i for i, part in enumerate(folders) if glob.has_magic(part)), len(folders) - 1)
        base = Path(*folders[:first])
    if not found:
        known = " ".join(KINDS)
        raise DataError(f"{path} holds no table; its files must end in {known}, and not begin with . or _")
    kinds = {_kind(file): file for file in reversed(found)}
    if len(kinds) > 1:
        one, other = list(kinds.values())[:2]
        raise DataError(
            f"{path} holds tables of several formats ({other.name}, {one.name}); name one kind by a pattern, "
            f"{path if path.is_dir() else path.parent}/*{found[0].suffix}"
        )
    return base, found


@dataclass(frozen=True)
class Unit:
    """A row group: what is read at once.

    Args:
        file: Index of its file.
        group: Its number in the file.
        rows: Its rows.
    """

    file: int
    group: int
    rows: int


class ParquetParts:
    """Parquet files of one schema, read block by block.

    ``key=value`` folders become columns of dictionary type, after those of the files.

    Args:
        path: A file, a folder or a pattern.

    Attributes:
        files: In order of their names.
        schema: Names and types of all columns.
        units: The row groups that have rows.
        rows: N.

    Raises:
        DataError: No Parquet, a damaged file, or files that do not fit together: the file and column are named.
    """

    def __init__(self, path: Any) -> None:
        self.path = Path(path)
        self.base, self.files = list_parts(path)
        if _kind(self.files[0]) != "parquet":
            raise DataError(
                f"{path} holds {self.files[0].suffix} files, and only Parquet can be read in parts; convert them, "
                "or leave --stream out"
            )
        self.units: list[Unit] = []
        self._keys = [_partition(file, self.base) for file in self.files]
        fields: dict[str, pa.DataType] = {}
        for i in range(len(self.files)):
            with self._open(i) as opened:
                schema = opened.schema_arrow
                self._add(fields, schema, i)
                sizes = [opened.metadata.row_group(g).num_rows for g in range(opened.num_row_groups)]
            self.units += [Unit(i, g, n) for g, n in enumerate(sizes) if n]
        self.schema = pa.schema(list(fields.items()))
        self.rows = sum(unit.rows for unit in self.units)

    @property
    def names(self) -> list[str]:
        return self.schema.names

    def read(self, unit: Unit, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The blocks of a row group, of at most 65,536 rows."""
        wanted = self.names if columns is None else list(columns)
        keys = self._keys[unit.file]
        with self._open(unit.file) as opened:
            own = [n for n in wanted if n in opened.schema_arrow.names]
            if own:
                blocks = opened.iter_batches(
                    BLOCK, row_groups=[unit.group], columns=own, use_threads=False, use_pandas_metadata=False
                )
            else:
                sizes = [min(BLOCK, unit.rows - at) for at in range(0, unit.rows, BLOCK)]
                blocks = ({None: size} for size in sizes)
            try:
                for block in blocks:
                    rows = block[None] if isinstance(block, dict) else block.num_rows
                    arrays = [
                        _cast(block.column(n), self.schema.field(n).type) if n in own else _constant(keys[n], rows)
                        for n in wanted
                    ]  # fmt: skip
                    yield pa.table(arrays, names=wanted)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(self.files[unit.file], error) from error

    def blocks(self, size: int, start: int = 0, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All rows from ``start`` on in blocks of exactly ``size``, whatever the row groups; the last is shorter."""
        held: list[pa.Table] = []
        number = 0
        for unit in self.units:
            if start >= unit.rows:
                start -= unit.rows
                continue
            for block in self.read(unit, columns):
                if start:
                    gone = min(start, block.num_rows)
                    block, start = block.slice(gone), start - gone
                held.append(block)
                number += block.num_rows
                while number >= size:
                    whole = pa.concat_tables(held)
                    yield whole.slice(0, size)
                    held, number = [whole.slice(size)], number - size
        if number:
            yield pa.concat_tables(held)

    def table(self) -> pa.Table:
        """All rows in memory."""
        blocks = [block for unit in self.units for block in self.read(unit)]
        return pa.concat_tables(blocks).unify_dictionaries() if blocks else self.schema.empty_table()

    @cached_property
    def hashes(self) -> dict[str, str]:
        """A SHA-256 of each file by its name below the folder; read once."""
        found = {}
        for file in self.files:
            with file.open("rb") as opened:
                name = str(file.relative_to(self.base)) if file.is_relative_to(self.base) else str(file)
                found[name] = hashlib.file_digest(opened, "sha256").hexdigest()
        return found

    @property
    def fingerprint(self) -> str:
        """A hash of every byte of all files, and of their names."""
        return hashlib.sha256(repr(sorted(self.hashes.items())).encode()).hexdigest()[:32]

    def _open(self, i: int) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.files[i], pre_buffer=False)
        except FileNotFoundError:
            raise DataError(f"{self.files[i]} does not exist; check the path") from None
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.files[i], error) from error

    def _add(self, fields: dict[str, pa.DataType], schema: pa.Schema, i: int) -> None:
        """Takes a file's columns into the common ones, or says why not."""
        keys = {n: pa.dictionary(pa.int32(), pa.string()) for n in self._keys[i] if n not in schema.names}
        here = {field.name: field.type for field in schema} | keys
        name, first = self._name(i), self._name(0)
        if len(schema.names) > len(set(schema.names)):
            twice = next(n for n in schema.names if schema.names.count(n) > 1)
            raise DataError(f"{name} has two columns named {twice!r}; rename one of them")
        for column, kind in here.items():
            if i and column not in fields:
                raise DataError(
                    f"{name} has a column {column!r}, which {first} has not; write all files with one schema"
                )
            common = _common(fields.get(column, kind), kind)
            if common is None:
                raise DataError(
                    f"{name}: the column {column!r} is of type {kind}, but {fields[column]} in the files before; write "
                    "all files with one schema"
                )
            fields[column] = common
        for column in fields:
            if column not in here:
                raise DataError(
                    f"{name} lacks the column {column!r} of {first}; write all files with one schema"
                )

    def _name(self, i: int) -> str:
        file = self.files[i]
        return str(file.relative_to(self.base)) if file.is_relative_to(self.base) else file.name


def _walk(folder: Path) -> list[Path]:
    """Files below a folder in order of their names, hidden ones left out."""
    return sorted(_below(folder))


def _below(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if not any(part[0] in "._" for part in file.relative_to(folder).parts) and file.is_file():
            yield file


def _kind(file: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return None if file.name[0] in "._" or not suffixes else KINDS.get(suffixes[-1])


def _partition(file: Path, base: Path) -> dict[str, str | None]:
    """The ``key=value`` folders between the base and a file."""
    folders = file.relative_to(base).parts[:-1] if file.is_relative_to(base) else ()
    pairs = [folder.partition("=") for folder in folders if "=" in folder]
    return {unquote(key): None if value == NO_VALUE else unquote(value) for key, _, value in pairs}


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that both can be read as: numbers are widened, and a column of nothing is of any type."""
    if one.equals(other) or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    one, other = (t.value_type if pa.types.is_dictionary(t) else t for t in (one, other))
    if all(pa.types.is_string(t) or pa.types.is_large_string(t) for t in (one, other)):
        return pa.string()
    if all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in (one, other)):
        both = pa.types.is_integer(one) and pa.types.is_integer(other)
        return pa.int64() if both else pa.float64()
    return one if one.equals(other) else None


def _cast(array: Any, kind: pa.DataType) -> Any:
    return array if array.type.equals(kind) else array.cast(kind, safe=False)


def _constant(value: str | None, rows: int) -> Any:
    indices = pa.array([None if value is None else 0], pa.int32()).take(pa.array([0] * rows, pa.int32()))
    return pa.DictionaryArray.from_arrays(indices, pa.array([] if value is None else [value], pa.string()))


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(
        f"{file.name} is damaged or no parquet file ({' '.join(str(error).split())}); write it again"
    )
