"""Parquet of any length scored part by part: each part appears whole, and a killed run goes on after the last."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metabalance.atomic import replacing
from metabalance.data.errors import DataError
from metabalance.data.parts import BLOCK, ParquetParts
from metabalance.data.tables import plain_frame
from metabalance.study.artifact import MANIFEST
from metabalance.study.scores import ClassScores, ValueScores
from metabalance.study.store import cannot_write, locked, write_atomically

__all__ = ["predict_parts"]

# Whole blocks of the size that the network takes at once: so the scores are those of the table in memory, to the bit.
PART = 4 * BLOCK
RECORD, DONE = "_manifest.json", "_SUCCESS"


def predict_parts(
    scores: ClassScores | ValueScores, model: Path, data: Path, out: Path
) -> tuple[int, int, int]:
    """Scores Parquet into ``part-00000.parquet``, ``part-00001.parquet``, ... of 262,144 rows.

    Args:
        scores: What the model gives for rows.
        model: Its folder.
        data: A Parquet file, a folder or a pattern.
        out: A folder: new, or one that this has been writing before. ``_SUCCESS`` in it says that all is done.

    Returns:
        Rows scored in all, those that ``scores`` counts, and parts that were there already.

    Raises:
        DataError: The folder holds the scores of another model, or of other data or settings; or see
            :meth:`~metabalance.study.ship.TrainedModel.predict_proba`.
    """
    parts = ParquetParts(data)
    if taken := [name for name in scores.names if name in parts.names]:
        raise DataError(f"{data} already has a column {taken[0]!r}; --prefix new_ names the added ones apart")
    if out.is_file():
        raise DataError(f"{out} is a file; --out needs a folder")
    protocol = {
        "model": hashlib.sha256((model / MANIFEST).read_bytes()).hexdigest(),
        "data": parts.hashes,
        "rows": parts.rows,
        "columns": scores.names,
        **scores.settings,
        "part_rows": PART,
    }
    _open(out, protocol)
    with locked(out):
        for half in out.glob(".*.tmp"):
            half.unlink(missing_ok=True)
        number = -(-parts.rows // PART)
        sizes = [min(PART, parts.rows - PART * i) for i in range(number)]
        ready = [_rows(out / _name(i)) == size for i, size in enumerate(sizes)]
        first = ready.index(False) if False in ready else number
        blocks = parts.blocks(BLOCK, start=first * PART)
        for i in range(first, number):
            pieces = [next(blocks) for _ in range(-(-sizes[i] // BLOCK))]
            if not ready[i]:
                _write(out / _name(i), (_scored(scores, piece) for piece in pieces))
        write_atomically(out / DONE, b"")
    last = scores.names[-1]
    counted = sum(
        scores.count(pq.read_table(out / _name(i), columns=[last]).column(0).to_pandas())
        for i in range(number)
    )
    return parts.rows, counted, sum(ready)


def _open(out: Path, protocol: dict[str, Any]) -> None:
    """Starts a folder, or goes on with one of the same model, data and settings."""
    path = out / RECORD
    if not path.exists():
        if out.exists() and any(out.iterdir()):
            raise DataError(f"{out} is not empty and holds no scores; choose another --out")
        write_atomically(path, json.dumps(protocol, indent=1).encode())
        return
    try:
        before = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); remove the folder or choose another --out"
        ) from error
    if before == protocol:
        return
    what = next(key for key in protocol if before.get(key) != protocol[key])
    told = {
        "part_rows": "size of parts",
        "columns": "names of the added columns",
        "interval": "level of intervals",
        "interval_by": "promise of intervals",
    }.get(what, what)
    if what == "data":
        was, now = before.get("data", {}), protocol["data"]
        gone, new = sorted(was.keys() - now.keys()), sorted(now.keys() - was.keys())
        changed = sorted(name for name in was.keys() & now.keys() if was[name] != now[name])
        told = "data: " + "; ".join(
            f"{word} {', '.join(files[:3])}{', ...' if len(files) > 3 else ''}"
            for word, files in (("changed", changed), ("missing", gone), ("new", new))
            if files
        )
    raise DataError(
        f"{out} holds scores of another {told}; choose another --out, or --overwrite to start anew"
    )


def _scored(scores: ClassScores | ValueScores, block: pa.Table) -> pa.Table:
    columns = scores.columns(plain_frame(block.unify_dictionaries()))
    for i, field in enumerate(block.schema):
        if pa.types.is_dictionary(
            field.type
        ):  # a partition: every part is written with a type of its own otherwise
            block = block.set_column(i, field.name, block.column(i).cast(field.type.value_type))
    for name, column in zip(scores.names, columns):
        block = block.append_column(name, pa.array(column))
    return block


def _write(path: Path, tables: Any) -> None:
    """Writes a part, whole or not at all."""
    try:
        with replacing(path) as place, contextlib.ExitStack() as stack:
            writer = None
            for table in tables:
                if writer is None:
                    writer = stack.enter_context(pq.ParquetWriter(place, table.schema))
                writer.write_table(table)
    except OSError as error:
        raise cannot_write(path, error) from error


def _name(i: int) -> str:
    return f"part-{i:05}.parquet"


def _rows(path: Path) -> int:
    """Rows of a finished part; -1 where there is none."""
    try:
        return pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return -1
