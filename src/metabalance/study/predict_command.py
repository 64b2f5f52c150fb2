"""``predict``: rows or images scored with a saved model, into a file or into a folder of parts."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.study.given import check_goal
from metabalance.study.load import beyond_memory
from metabalance.study.showing import SHOWN_CLASSES
from metabalance.study.terminal import Console


def predict_command(
    *,
    model: Path,
    data: Path,
    out: Path,
    prior: str | None,
    overwrite: bool,
    header: bool,
    delimiter: str | None,
    prefix: str = "",
    skip_broken: bool = False,
    interval: float | None = None,
    interval_by: str | None = None,
) -> None:
    """Scores a table, or images, with a saved model."""
    from metabalance.data.tables import read_table
    from metabalance.study.opening import load_model
    from metabalance.study.scores import scores_of
    from metabalance.study.store import write_table

    options: dict[str, Any] = {
        "prior": prior, "interval": interval, "interval_by": interval_by, "prefix": prefix,
    }  # fmt: skip
    if out.is_dir() or not out.suffix:
        _predict_parts(model, data, out, overwrite, options)
        return
    if out.suffix not in (".parquet", ".csv", ".tsv", ".feather"):
        raise DataError(
            f"--out {out} must end in .parquet, .csv, .tsv or .feather, or be a folder for scores in parts"
        )
    check_goal(out, overwrite)
    if (size := beyond_memory(data)) is not None:
        raise DataError(f"{data} {size}; let --out be a folder, and it is scored in parts")
    if out.exists() and data.exists() and out.samefile(data):
        raise DataError(f"--out {out} is the table to be scored; choose another --out")
    trained = load_model(model)
    scores = scores_of(trained, **options)
    if trained.image_shape is None:
        if skip_broken:
            raise DataError(f"--skip-broken is for images, but {model} is a model of tables")
        rows: Any = read_table(data, header=header, delimiter=delimiter)
        scored = rows.reset_index(drop=True)
    else:
        scored, rows = _read_images(trained, data, skip_broken)
    columns = scores.columns(rows)
    if taken := [n for n in scores.names if n in scored.columns]:
        raise DataError(f"{data} already has a column {taken[0]!r}; --prefix new_ names the added ones apart")
    for name, column in zip(scores.names, columns):
        scored[name] = column
    write_table(scored, out)
    kind = "images" if trained.image_shape else "rows"
    share = scores.told(scores.count(columns[-1]), len(scored))
    text = f"{len(scored):,} {kind} scored{share}.\nScores: {out}"
    Console().print(escape(text), highlight=False, soft_wrap=True)


def _predict_parts(model: Path, data: Path, out: Path, overwrite: bool, options: dict[str, Any]) -> None:
    """Scores Parquet into a folder of parts."""
    import shutil

    from metabalance.study.opening import load_model
    from metabalance.study.predict_parts import RECORD, predict_parts
    from metabalance.study.scores import scores_of

    if overwrite and out.is_dir():
        if any(out.iterdir()) and not (out / RECORD).is_file():
            raise DataError(f"{out} holds no scores and is not overwritten; choose another --out")
        shutil.rmtree(out)
    trained = load_model(model)
    if trained.image_shape is not None:
        raise DataError(
            f"scores in parts are of tables, but {model} is a model of images; let --out be a file"
        )
    scores = scores_of(trained, **options)
    rows, counted, ready = predict_parts(scores, model, data, out)
    before = f"{ready} parts were there already.\n" if ready else ""
    text = f"{before}{rows:,} rows scored{scores.told(counted, rows)}.\nScores: {out}"
    Console().print(escape(text), highlight=False, soft_wrap=True)


def _read_images(trained: Any, data: Path, skip_broken: bool) -> tuple[Any, np.ndarray]:
    """Names of the files, and their pixels; says what was done to the images on the way."""
    import pandas as pd

    from metabalance.data.images import holds_images, read_images

    if not holds_images(data):
        raise DataError(
            f"the model was trained on images, but {data} is none; name a folder, an image, IDX or NPZ"
        )
    channels, *size = trained.image_shape
    images = read_images(data, tuple(size), channels, labelled=False, skip_broken=skip_broken)
    other = int((images.sizes != size).any(axis=1).sum())
    for note in (
        f"{other:,} {'image was' if other == 1 else 'images were'} brought to {size[0]}x{size[1]}, the size that the model knows"
        if other
        else "",
        f"left out: {', '.join(images.left_out[:SHOWN_CLASSES])}" if images.left_out else "",
    ):
        if note:
            Console().print(escape(note), highlight=False, soft_wrap=True)
    return pd.DataFrame({"file": images.names}), images.pixels
