"""Tables from files: CSV, Parquet, Feather, Arrow, NPZ and ARFF, compressed or not, read strictly.

A reader that guesses leniently costs a study: a short row padded with blanks, a Latin-1 file with half its
names garbled, a semicolon file read as one column. Here each of them is one clear :class:`DataError`.
"""

import bz2
import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from scipy.sparse import issparse

from metabalance.data.arff import parse_arff
from metabalance.data.errors import DataError
from metabalance.data.limits import check_npz, check_size, read_file, read_limited
from metabalance.data.parts import ParquetParts, holds_parts, list_parts

__all__ = ["read_table", "resolve_column", "to_pandas"]

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "NULL", "null", "None", "?")
CATEGORY_LEVELS = 40  # a column with more different values than this is no list of codes
WORDS_IN_NUMBERS = 0.05  # up to this share of words is a mistake in a number column, above it is text


def read_table(path: Any, *, header: bool = True, delimiter: str | None = None) -> pd.DataFrame:
    """Reads a table; the suffix tells the format.

    ===========================================  =========================================================
    ``.csv .tsv .tab .txt .data``                delimited text, UTF-8
    ``.parquet .pq``                             Parquet
    ``.feather .arrow .ipc``                     Feather, Arrow IPC (file or stream)
    ``.npz``                                     arrays ``X (N, D)``: ``x0, x1, ...``; and ``y (N,)``: ``y``
    ``.arff .dat``                               ARFF, and KEEL's dialect of it
    any of them + ``.gz .xz .bz2 .zst``          the same, compressed (``.zst`` needs ``metabalance[zstd]``)
    ===========================================  =========================================================

    In delimited text, empty cells and the usual words (``NA``, ``NaN``, ``NULL``, ``None``, ``?``) are
    missing values. A column of numbers and words is text, except when at most 5 % of its values are words
    and more than 40 different values occur: then it is a quantity with mistakes in it, and refused.

    A folder of Parquet, Feather or delimited files, or a pattern such as ``data/*.parquet``, is one table; its
    ``key=value`` folders are columns.

    Args:
        path: The file, folder or pattern.
        header: Whether the first line of delimited text holds the names; otherwise they are ``c0, c1, ...``.
        delimiter: One character, ``" "`` meaning any run of blanks; by default found among comma, tab,
            semicolon and pipe.

    Returns:
        A frame with unique text labels and a plain row index.

    Raises:
        DataError: The file is missing, empty, damaged, of unknown format, ragged, not UTF-8, has no rows,
            one column only, columns of the same name, or a number column with words in it.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "loans.csv"
    >>> _ = file.write_text("amount;bad\\n100;0\\n 250;1\\n")
    >>> read_table(file)["amount"].tolist()
    [100, 250]
    """
    path = Path(path)
    if holds_parts(path):
        return _read_parts(path, header, delimiter)
    kind, compression = _format(path)
    data = _bytes(path, compression)
    if kind == "text":
        frame = _read_text(data, path, header, delimiter)
    elif kind == "npz":
        frame = _read_npz(data, path)
    elif kind == "arff":
        frame = parse_arff(_decoded(data, path), str(path.name))
    else:
        frame = _read_arrow(data, path, kind)
    if not len(frame):
        raise DataError(f"{path.name} has column names but no rows; a table needs rows")
    return frame


def _read_parts(path: Path, header: bool, delimiter: str | None) -> pd.DataFrame:
    """All files of a folder or pattern as one frame."""
    _, files = list_parts(path)
    if files[0].suffix.lower() in (".parquet", ".pq"):
        parts = ParquetParts(path)
        if not parts.rows:
            raise DataError(f"{path} has column names but no rows; a table needs rows")
        return plain_frame(parts.table())
    frames = [read_table(file, header=header, delimiter=delimiter) for file in files]
    first = frames[0]
    for file, frame in zip(files, frames):
        odd = set(frame.columns) ^ set(first.columns)
        other = [c for c in first if c in frame and is_text(frame[c].dtype) != is_text(first[c].dtype)]
        if odd or other:
            name = sorted(map(str, odd or other))[0]
            does = "is text in one and not in the other" if not odd else "is in one and not in the other"
            raise DataError(
                f"{file.name}: the column {name!r} {does}, compared with {files[0].name}; write all files alike"
            )
    return pd.concat([frame[first.columns] for frame in frames], ignore_index=True)


def to_pandas(frame: Any) -> pd.DataFrame:
    """A pandas frame from a pandas, polars or other frame that narwhals knows, or from a matrix ``(N, D)``.

    Labels become text; a matrix gets ``x0, x1, ...``. Pandas frames are not copied.

    Raises:
        DataError: Something else, or a sparse matrix, was given, or two columns have the same name.

    >>> list(to_pandas(np.zeros((3, 2))).columns)
    ['x0', 'x1']
    """
    if not isinstance(frame, pd.DataFrame):
        import narwhals as nw

        try:
            table = nw.from_native(frame)
        except TypeError:
            return _matrix(frame)
        frame = (table.collect() if isinstance(table, nw.LazyFrame) else table).to_pandas()
    if not all(isinstance(label, str) for label in frame.columns):
        frame = frame.set_axis([str(label) for label in frame.columns], axis=1)
    _refuse_duplicates(list(frame.columns), "the table")
    return frame


def _matrix(array: Any) -> pd.DataFrame:
    if issparse(array):
        raise DataError("sparse input is not supported; pass a dense matrix (.toarray()) or a frame")
    array = np.asarray(array)
    if array.ndim != 2:
        raise DataError(
            f"a frame or a matrix (rows, columns) is needed, but an array of shape {array.shape} was given. "
            "Reshape your data: .reshape(-1, 1) for one column"
        )
    return pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])


def resolve_column(columns: Any, column: str | int) -> str:
    """The label that a user means by a name, or by a position (from 0; ``-1`` is the last).

    Args:
        columns: A frame, or its labels.
        column: A label, a position, or a position in text form. A label wins over a position.

    Raises:
        DataError: There is no such column; the nearest names are suggested.

    >>> resolve_column(["age", "bad"], "-1")
    'bad'
    """
    labels = [str(label) for label in getattr(columns, "columns", columns)]
    if column in labels:
        return str(column)
    if re.fullmatch(r"-?\d+", str(column)):
        if -len(labels) <= int(column) < len(labels):
            return labels[int(column)]
        raise DataError(
            f"there is no column {column}: positions go from 0 to {len(labels) - 1}, or -1 for the last"
        )
    raise DataError(f"there is no column {str(column)!r}; {_nearest(str(column), labels, 'the columns are')}")


def _format(path: Path) -> tuple[str, str]:
    """The format and the compression (``""``: none) by suffix; refuses what cannot be opened at all."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in _OPEN else ""
    kind = _KINDS.get(suffixes[-1] if suffixes else "")
    if path.is_dir():
        raise DataError(
            f"{path} is a folder without a table in it; name the table file, or a folder of Parquet files"
        )
    if not path.exists():
        folder = path.parent
        if not folder.is_dir():
            raise DataError(f"there is no file {path}, nor a folder {folder}")
        here = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
        raise DataError(f"there is no file {path}; {_nearest(path.name, here, 'the folder holds')}")
    if kind is None:
        raise DataError(
            f"{path.name} is of an unknown format; known suffixes are {' '.join(_KINDS)}, "
            f"each also with {' '.join(_OPEN)}"
        )
    return kind, compression


def _bytes(path: Path, compression: str) -> bytes:
    try:
        data = read_file(path)
        data = _OPEN[compression](data, f"the content of {path.name}") if compression else data
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        if isinstance(error, DataError):
            raise
        what = f"damaged or not a {compression} file" if compression else "unreadable"
        raise DataError(f"{path.name} is {what} ({error}); check or download it again") from error
    if not data.strip():
        raise DataError(f"{path.name} is empty")
    return data


def _unzstd(data: bytes, what: str) -> bytes:
    try:
        import zstandard
    except ImportError:
        raise DataError(".zst files need one more package: pip install 'metabalance[zstd]'") from None
    try:
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
            content = read_limited(stream, what)
        # The reader takes a truncated frame for its end; the size that the frame announces, if any, tells.
        announced = zstandard.frame_content_size(data)
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from error
    if len(content) < announced or not content:
        raise OSError("the file ends too early")
    return content


_OPEN: dict[str, Callable[[bytes, str], bytes]] = {
    ".gz": lambda data, what: read_limited(gzip.GzipFile(fileobj=io.BytesIO(data)), what),
    ".xz": lambda data, what: read_limited(lzma.open(io.BytesIO(data)), what),  # noqa: SIM115 (of bytes)
    ".bz2": lambda data, what: read_limited(bz2.BZ2File(io.BytesIO(data)), what),
    ".zst": _unzstd,
}
_KINDS = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt", ".data"), "text"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".feather", ".arrow", ".ipc"), "ipc"),
    ".npz": "npz",
    **dict.fromkeys((".arff", ".dat"), "arff"),
}


def _decoded(data: bytes, path: Path) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path.name} is encoded in UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path.name} is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x}; "
            "save it as UTF-8 (it may be Latin-1 or Windows-1252)"
        ) from None
    if "\0" in text:
        raise DataError(f"{path.name} holds NUL bytes and is no text; check the file")
    return text


def _read_text(data: bytes, path: Path, header: bool, delimiter: str | None) -> pd.DataFrame:
    text = _decoded(data, path)
    if delimiter is None:
        delimiter = _sniff(text, path)
    elif len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise DataError(
            f"the delimiter must be one plain character such as ',' or ';', but {delimiter!r} was given"
        )
    if delimiter == " ":
        text = "\n".join(" ".join(line.split()) for line in _lines(text))
    table = _parse(text.lstrip("\r\n").encode(), delimiter, header, path)
    names = list(table.column_names)
    if len(names) == 1:
        first = _lines(text.lstrip("\r\n"))[0]
        other = next((d for d in DELIMITERS if d != delimiter and d in first), None)
        hint = (
            f"its first line holds {other!r}: pass that as the delimiter"
            if other
            else "a table needs at least two"
        )
        raise DataError(f"{path.name} has one single column with the delimiter {delimiter!r}; {hint}")
    if header:
        _refuse_headless(names, path)
        names = [name.strip() or f"c{i}" for i, name in enumerate(names)]
        _refuse_duplicates(
            names, path.name, "; if its first line holds data, say so (--no-header, header=False)"
        )
    else:
        names = [f"c{i}" for i in range(len(names))]
    return _settle_text_columns(
        plain_frame(table.rename_columns(names)), path, decimal_comma=delimiter == ";"
    )


def _sniff(text: str, path: Path) -> str:
    """The delimiter that splits each of the first lines into equally many cells, the more the better."""
    sample = _lines(text[: 1 << 16])[:50]
    if len(text) > 1 << 16:
        sample = sample[:-1] or sample
    lines = [line for line in sample if line.strip()]
    if not lines:
        raise DataError(f"{path.name} begins with nothing but blanks; check the file")
    widths = {d: [len(cells) for cells in csv.reader(lines, delimiter=d) if cells] for d in DELIMITERS}
    even = {d: width[0] for d, width in widths.items() if len(set(width)) == 1 and width[0] > 1}
    if even:
        return max(even, key=lambda d: even[d])
    first = {d: width[0] for d, width in widths.items() if width[0] > 1}
    if first:  # ragged: the parser will name the line
        return max(first, key=lambda d: first[d])
    if len({len(line.split()) for line in lines}) == 1 and len(lines[0].split()) > 1:
        raise DataError(f"{path.name} seems to be separated by blanks; pass delimiter=' '")
    raise DataError(
        f"{path.name} has one single column: no {' or '.join(DELIMITERS.values())} separates its first line; "
        "a table needs a target and a feature, so name the delimiter (--delimiter) if there is another"
    )


def _lines(text: str) -> list[str]:
    """Lines; str.splitlines would also break at separators that are content, such as U+2028."""
    return re.split(r"\r\n?|\n", text)


def _parse(data: bytes, delimiter: str, header: bool, path: Path) -> pa.Table:
    def parse(threads: bool, on_invalid: Any = None) -> pa.Table:
        return pyarrow.csv.read_csv(
            io.BytesIO(data),
            pyarrow.csv.ReadOptions(
                use_threads=threads,
                autogenerate_column_names=not header,
                # One block: types are inferred from the first block, and a rare word may come late.
                block_size=min(max(len(data) + 1, 1 << 16), 2**31 - 1),
            ),
            pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_invalid
            ),
            pyarrow.csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True),
        )

    try:
        return parse(threads=True)
    except pa.ArrowInvalid as error:
        bad: list[Any] = []

        def note(row: Any) -> str:
            bad.append(row)
            return "skip"

        try:  # once more, in order, to name the line
            parse(threads=False, on_invalid=note)
        except pa.ArrowInvalid:
            bad.clear()
        if bad:
            row = bad[0]
            raise DataError(
                f"{path.name} is ragged: row {row.number} has {row.actual_columns} cells instead of "
                f"{row.expected_columns} ({row.text[:60]!r}); correct it, or name the delimiter (--delimiter)"
            ) from None
        raise DataError(f"{path.name} cannot be read as text separated by {delimiter!r}: {error}") from None


def plain_frame(table: pa.Table) -> pd.DataFrame:
    """Arrow to pandas with plain types: no decimals, dates as datetimes, no nested values."""
    for i, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            raise DataError(
                f"the column {field.name!r} holds {field.type} values; a cell must hold one value"
            )
        if pa.types.is_decimal(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(pa.float64()))
        elif pa.types.is_time(field.type) or pa.types.is_null(field.type):
            kind = pa.float64() if pa.types.is_null(field.type) else pa.string()
            table = table.set_column(i, field.name, table.column(i).cast(kind))
    return table.to_pandas(date_as_object=False)


def _settle_text_columns(frame: pd.DataFrame, path: Path, decimal_comma: bool) -> pd.DataFrame:
    """Text columns that hold numbers become numbers; numbers with a few mistakes are refused."""
    changed: dict[str, pd.Series] = {}
    for name in frame.columns[[is_text(dtype) for dtype in frame.dtypes]]:
        column = frame[name]
        levels = column.dropna().unique()
        # Arrow keeps ' NA ' and ' 12 ' beside words as text; and ';' files often write 1,5 for 1.5.
        values = pd.Series(levels, index=levels, dtype=object).astype(str).str.strip()
        if decimal_comma:
            values = values.where(~values.str.fullmatch(r"[-+]?\d*,\d+"), values.str.replace(",", "."))
        missing = values.isin(MISSING)
        numbers = pd.to_numeric(values.mask(missing), errors="coerce")
        words = numbers.isna() & ~missing
        if words.all():
            continue
        if not words.any():
            changed[name] = column.map(numbers)
            continue
        is_word = column.isin(levels[words.to_numpy()])
        share = is_word.sum() / max(int((~column.isna() & ~column.isin(levels[missing.to_numpy()])).sum()), 1)
        if share <= WORDS_IN_NUMBERS and len(levels) > CATEGORY_LEVELS:
            row = int(np.flatnonzero(is_word)[0])
            raise DataError(
                f"{path.name}, row {row + 1}, column {name!r}: {column.iloc[row]!r} is no number, but "
                f"{1 - share:.1%} of the column are; correct it, or leave the cell empty if it is missing"
            )
    return frame.assign(**changed) if changed else frame


def is_text(dtype: Any) -> bool:
    """Whether a column of this dtype holds text or mixed Python objects."""
    return bool(pd.api.types.is_object_dtype(dtype)) or isinstance(dtype, pd.StringDtype)


def _read_npz(data: bytes, path: Path) -> pd.DataFrame:
    try:
        check_npz(stream := io.BytesIO(data), path.name, ("X", "y"))
        with np.load(stream, allow_pickle=False) as file:
            names = list(file.files)
            arrays = {name: file[name] for name in names if name in ("X", "y")}
    except DataError:
        raise
    except Exception as error:  # a damaged archive breaks its readers anywhere, in any way
        raise DataError(
            f"{path.name} is damaged, or holds Python objects, which are never loaded ({error}); "
            "save plain arrays with numpy.savez"
        ) from error
    if len(arrays) < 2:
        raise DataError(
            f"{path.name} must hold the arrays X and y, but it holds {', '.join(names) or 'none'}"
        )
    X, y = arrays["X"], arrays["y"]
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if X.ndim != 2 or y.ndim != 1 or len(X) != len(y):
        raise DataError(
            f"{path.name} must hold X (rows, columns) and y (rows), but they are {X.shape} and {y.shape}"
        )
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    return pd.concat([frame, pd.Series(y, name="y")], axis=1)


def _read_arrow(data: bytes, path: Path, kind: str) -> pd.DataFrame:
    buffer = pa.BufferReader(data)
    try:
        if kind == "parquet":
            told = pyarrow.parquet.ParquetFile(buffer)
            _check_rows(told.metadata.num_rows, told.schema_arrow, path)
            table = pyarrow.parquet.read_table(pa.BufferReader(data))
        elif data[:6] == b"ARROW1":
            file = pyarrow.ipc.open_file(buffer)
            table = _batches((file.get_batch(i) for i in range(file.num_record_batches)), file.schema, path)
        else:
            stream = pyarrow.ipc.open_stream(buffer)
            table = _batches(stream, stream.schema, path)
        table.validate(full=True)
        _refuse_duplicates(list(table.column_names), path.name)
        # Without pandas' notes in the file: the frame is what the columns say.
        return plain_frame(table.replace_schema_metadata(None))
    except DataError:
        raise
    except Exception as error:  # a damaged file breaks its readers anywhere, in any way
        raise DataError(f"{path.name} is damaged or no {kind} file ({error})") from error


def _batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> pa.Table:
    """All batches, as long as they fit; one that a file names many times is counted many times."""
    kept, rows = [], 0
    for batch in batches:
        kept.append(batch)
        rows += batch.num_rows
        _check_rows(rows, schema, path)
    return pa.Table.from_batches(kept, schema)


def _check_rows(rows: int, schema: pa.Schema, path: Path) -> None:
    """A column that is one value over and over takes nothing in the file, but not in memory."""
    widths = [getattr(field.type, "bit_width", 8) if _fixed(field.type) else 8 for field in schema]
    check_size(rows * sum(max(width // 8, 1) for width in widths), f"the table in {path.name}")


def _fixed(kind: pa.DataType) -> bool:
    return pa.types.is_primitive(kind) and not pa.types.is_null(kind)


def _refuse_headless(names: Sequence[str], path: Path) -> None:
    """Names that are mostly numbers are a first row of data; but 2001, 2002, ... is a fair header."""
    numbers = pd.to_numeric(pd.Series(list(names), dtype=object), errors="coerce")
    rising = bool(numbers.is_monotonic_increasing) and bool((numbers % 1 == 0).all())
    if numbers.notna().mean() > 0.5 and not rising:
        raise DataError(
            f"{path.name} seems to have no header: its first line is {', '.join(names[:3])}, ...; "
            "say so (--no-header, header=False)"
        )


def _refuse_duplicates(names: Sequence[str], where: str, advice: str = "; rename one of them") -> None:
    if len(set(names)) == len(names):
        return
    twice = next(name for i, name in enumerate(names) if name in names[:i])
    raise DataError(f"{where} has two columns named {twice!r}{advice}")


def _nearest(name: str, names: Sequence[str], otherwise: str) -> str:
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(map(repr, close)) + "?"
    listed = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
    return f"{otherwise} {listed}" if names else f"{otherwise} nothing"
