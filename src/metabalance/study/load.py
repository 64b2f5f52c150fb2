"""From a file on disk to a checked table, or to checked images, or one sentence that says why not."""

from pathlib import Path
from typing import Any

import numpy as np

from metabalance.data.checks import apply_findings, check_images, check_table
from metabalance.data.dates import date_format
from metabalance.data.errors import DataError
from metabalance.data.images import Images, holds_images, read_images
from metabalance.data.limits import machine_memory
from metabalance.data.parts import PARQUET, ParquetParts, holds_parts, list_parts
from metabalance.data.tables import read_table, resolve_column, to_pandas
from metabalance.data.target import encode_target
from metabalance.data.value_checks import check_value_table
from metabalance.data.values import encode_values, target_kind
from metabalance.study.given import check_task, names_of, parse_size
from metabalance.study.sources import ImageTable, Table, ValueTable

__all__ = [
    "beyond_memory",
    "load_data",
    "load_images",
    "load_table",
    "make_images",
    "make_table",
    "make_values",
]


# A frame, what is made of it and copies on the way: this many times eight bytes for a value.
COPIES = 4
MEMORY_SHARE = 0.25


def beyond_memory(path: Path) -> str | None:
    """Why a table should not be read at once: it would take over a quarter of the memory. None if it may.

    Only Parquet tells its size beforehand.
    """
    if not (holds_parts(path) or Path(path).suffix.lower() in PARQUET) or holds_images(path):
        return None
    if list_parts(path)[1][0].suffix.lower() not in PARQUET:
        return None
    parts = ParquetParts(path)
    needed = parts.rows * len(parts.names) * 8 * COPIES
    memory = machine_memory()
    if memory is None or needed <= MEMORY_SHARE * memory:
        return None
    return (
        f"has {parts.rows:,} rows and would take about {needed / 2**30:.1f} GiB, more than a quarter of the "
        f"{memory / 2**30:.1f} GiB of memory"
    )


def load_data(
    path: Path, target: str | None, *, image_size: str | None = None, skip_broken: bool = False,
    positive: str | None = None, header: bool = True, delimiter: str | None = None, task: str | None = None,
    **columns: Any,
) -> Table | ValueTable | ImageTable:  # fmt: skip
    """A table or images, as the path tells; see :func:`load_table` and :func:`load_images`.

    Args:
        path: A table's file, or images as :func:`~metabalance.data.images.read_images` takes them.
        target: The target column of a table, or several. Images have their folders' names.
        image_size: ``64`` or ``48x64``; see :func:`parse_size`.
        skip_broken: Leaves out images that cannot be read.
        positive: The positive class; by default the rarest.
        header: Of a text table.
        delimiter: Of a text table.
        task: ``classification`` or ``regression``; by default the target tells.
        columns: ``groups``, ``time``, ``keep`` and ``drop`` of :func:`make_table`.

    Raises:
        DataError: The data cannot be used, or an option is for the other kind of data.
    """
    check_task(task)
    if holds_images(path):
        if task == "regression":
            raise DataError(
                f"--task regression is for tables, but {path} holds images; MetaBalanceRegressor takes images and values"
            )
        for option, given in (*columns.items(), ("delimiter", delimiter)):
            if given:
                raise DataError(f"--{option} is for the columns of a table, but {path} holds images")
        return load_images(path, size=parse_size(image_size), skip_broken=skip_broken, positive=positive)
    for option, given in (("--image-size", image_size), ("--skip-broken", skip_broken)):
        if given:
            raise DataError(f"{option} is for images, but {path} is a table")
    if target is None:
        raise DataError(
            f"missing option '--target': {path} is a table, so name the column that is to be predicted; --help tells more"
        )
    frame = read_table(path, header=header, delimiter=delimiter)
    if kind_asked(frame, target, task, positive) == "values":
        return make_values(frame, target, name=Path(path).name, **columns)
    return make_table(frame, target, name=Path(path).name, positive=positive, **columns)


def target_columns(frame: Any, target: str) -> list[str]:
    """The columns that ``--target`` names: one, or several with commas between."""
    if target in map(str, frame.columns) or "," not in target:
        return [resolve_column(frame, target)]
    names = [resolve_column(frame, name) for name in names_of(target)]
    if len(set(names)) < len(names):
        raise DataError(f"--target {target!r} names a column twice")
    return names


def kind_asked(frame: Any, target: str, task: str | None, positive: str | None = None) -> str:
    """``"classes"`` or ``"values"``, as the user says or, if that is plain, as the target tells.

    Raises:
        DataError: The target may be either, or what was said does not go together.
    """
    names = target_columns(frame, target)
    if task == "classification" or (task is None and positive is not None):
        if len(names) > 1:
            raise DataError(
                f"--target {target!r} names {len(names)} columns, but classes have one; give --task regression"
            )
        return "classes"
    if positive is not None:
        raise DataError("--positive is for classes, and --task regression has none; leave one of the two out")
    if task == "regression" or len(names) > 1:
        return "values"
    column = to_pandas(frame)[names[0]]
    kind = target_kind(column)
    if kind == "either":
        raise DataError(
            f"the target {names[0]!r} holds {column.nunique()} different whole numbers, which may be classes or a quantity; "
            "say which with --task classification or --task regression"
        )
    return kind


def load_images(
    path: Path, *, size: tuple[int, int] | None = None, skip_broken: bool = False, positive: str | None = None
) -> ImageTable:
    """Reads images and checks them; see :func:`~metabalance.data.images.read_images` and :func:`make_images`."""
    images = read_images(path, size, skip_broken=skip_broken)
    return make_images(images, name=Path(path).resolve().name, positive=positive)


def make_images(
    images: Images, *, name: str = "images", positive: Any = None, groups: Any = None, time: Any = None
) -> ImageTable:
    """Checks labelled images.

    Args:
        images: From :func:`~metabalance.data.images.read_images`, or made by hand.
        name: For titles.
        positive: The positive class; by default the rarest.
        groups: Labels ``(N,)``: images of one group (a patient, a scene) stay on one side of every split.
        time: Sortable numbers ``(N,)``: the test part is later than the training part.

    Raises:
        DataError: The images have no labels, or these cannot be used.
    """
    if images.labels is None:
        raise DataError("the images have no classes; read them with labelled=True")
    import pandas as pd

    labels = pd.Series([images.classes[i] for i in images.labels], name="class")
    encoded = encode_target(labels, positive)
    return ImageTable(
        name, images.pixels, encoded.index, encoded.classes, encoded.positive,
        groups=None if groups is None else _codes(pd.Series(groups, name="groups")),
        time=None if time is None else np.asarray(time),
        findings=tuple(check_images(images, encoded)), names=images.names,
    )  # fmt: skip


def load_table(
    path: Path, target: str, *, header: bool = True, delimiter: str | None = None, **options: Any
) -> Table:
    """Reads a file and checks it; see :func:`make_table`."""
    return make_table(
        read_table(path, header=header, delimiter=delimiter), target, name=Path(path).name, **options
    )


def make_table(
    frame: Any,
    target: str,
    *,
    name: str = "table",
    positive: str | None = None,
    groups: str | None = None,
    time: str | None = None,
    keep: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
) -> Table:
    """Checks a frame and separates the target.

    Args:
        frame: All columns, a pandas or polars frame.
        target: The target's name or position.
        name: For titles.
        positive: The positive class; by default the rarest.
        groups: Column whose groups stay on one side of every split; no feature.
        time: Column of times; no feature.
        keep: Columns to keep though a check would drop them.
        drop: Columns to leave out.

    Raises:
        DataError: The table cannot be used; one sentence says why and what to do.
    """
    frame = to_pandas(frame)
    column = resolve_column(frame, target)
    encoded = encode_target(frame[column], positive)
    extra = _roles(frame, [column], groups, time, keep, drop)
    findings = check_table(
        frame.drop(columns=[c for c in drop if c in frame.columns and c != column]),
        str(column),
        encoded,
        **extra,
    )
    features = frame.drop(columns=[column, *extra.values()])
    features = apply_findings(features, findings, keep=keep, drop=drop)
    return Table(
        name, features, encoded.index, encoded.classes, encoded.positive, str(column),
        groups=_codes(frame[extra["groups"]]) if groups else None,
        time=_ordinal(frame[extra["time"]], extra["time"]) if time else None,
        findings=tuple(findings),
    )  # fmt: skip


def make_values(
    frame: Any,
    target: str,
    *,
    name: str = "table",
    groups: str | None = None,
    time: str | None = None,
    keep: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
) -> ValueTable:
    """Checks a frame and separates a continuous target; arguments and errors as for :func:`make_table`.

    Args:
        target: The target's name or position, or several names with commas between.
    """
    frame = to_pandas(frame)
    columns = target_columns(frame, target)
    values = encode_values(frame[columns])
    extra = _roles(frame, columns, groups, time, keep, drop)
    findings = check_value_table(
        frame.drop(columns=[c for c in drop if c in frame.columns and c not in columns]), values, **extra
    )
    features = apply_findings(frame.drop(columns=[*columns, *extra.values()]), findings, keep=keep, drop=drop)
    return ValueTable(
        name, features, values.table, values.names,
        groups=_codes(frame[extra["groups"]]) if groups else None,
        time=_ordinal(frame[extra["time"]], extra["time"]) if time else None,
        findings=tuple(findings),
    )  # fmt: skip


def _roles(
    frame: Any,
    targets: list[str],
    groups: str | None,
    time: str | None,
    keep: tuple[str, ...],
    drop: tuple[str, ...],
) -> dict[str, str]:
    """The columns of groups and time; what cannot be is refused."""
    extra = {
        role: resolve_column(frame, given) for role, given in (("groups", groups), ("time", time)) if given
    }
    for role, name in extra.items():
        if name in targets:
            raise DataError(f"the target column {name!r} cannot also be the {role} column")
    for name in (*keep, *drop):
        if name in (*targets, *extra.values()):
            raise DataError(
                f"{name!r} is no feature but the target, groups or time column; neither keep nor drop it"
            )
    if both := set(keep) & set(drop):
        raise DataError(f"the column {both.pop()!r} cannot be both kept and dropped")
    return extra


def _codes(series: Any) -> np.ndarray:
    import pandas as pd

    if series.isna().any():
        raise DataError(
            f"the groups column {series.name!r} has {int(series.isna().sum())} missing values; give each row a group"
        )
    return pd.factorize(series)[0]


def _ordinal(series: Any, name: str) -> np.ndarray:
    """Times as sortable numbers."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(series):
        # One format for the whole column: guessed value by value, 05/02 would be May and 13/02 February.
        text = series.astype(object)
        form = None if series.dtype.kind == "M" else date_format(text)
        parsed = pd.to_datetime(text, errors="coerce", format=form or "ISO8601", utc=True)
        bad = parsed.isna()
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"the time column {name!r} has no readable time in row {row + 1}: {series.iloc[row]!r}"
            )
        return parsed.astype("int64").to_numpy()
    values = series.to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(values).all():
        raise DataError(
            f"the time column {name!r} has {int((~np.isfinite(values)).sum())} missing or infinite values; "
            "give each row a time"
        )
    return series.to_numpy()
