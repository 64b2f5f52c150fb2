"""``predict``: rows or images scored with a saved model, into a file or into a folder of parts."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.study.given import check_goal
from metabalance.study.load import beyond_memory, parse_prior
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
) -> None:
    """Scores a table, or images, with a saved model."""
    from metabalance.data.tables import read_table
    from metabalance.study.ship import TrainedModel
    from metabalance.study.store import write_table

    if out.is_dir() or not out.suffix:
        _predict_parts(model, data, out, prior, overwrite, prefix)
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
    trained = TrainedModel.load(model)
    goal = parse_prior(prior, trained.classes, trained.positive)
    if trained.image_shape is None:
        if skip_broken:
            raise DataError(f"--skip-broken is for images, but {model} is a model of tables")
        frame = read_table(data, header=header, delimiter=delimiter)
        probabilities = trained.predict_proba(frame, goal)
        scored = frame.reset_index(drop=True)
    else:
        scored, probabilities = _score_images(trained, data, goal, skip_broken)
    names = [f"{prefix}probability_{c}" for c in trained.classes] + [f"{prefix}decision"]
    taken = [n for n in names if n in scored.columns]
    if taken:
        raise DataError(f"{data} already has a column {taken[0]!r}; --prefix new_ names the added ones apart")
    for name, column in zip(names, probabilities.T):
        scored[name] = column
    scored[names[-1]] = decided = trained.decide(probabilities)
    write_table(scored, out)
    positive = trained.classes[trained.positive]
    kind = "images" if trained.image_shape else "rows"
    text = f"{len(scored):,} {kind} scored; {np.mean(decided == positive):.2%} decided {positive!r}.\nScores: {out}"
    Console().print(escape(text), highlight=False, soft_wrap=True)


def _predict_parts(
    model: Path, data: Path, out: Path, prior: str | None, overwrite: bool, prefix: str
) -> None:
    """Scores Parquet into a folder of parts."""
    import shutil

    from metabalance.study.predict_parts import RECORD, predict_parts
    from metabalance.study.ship import TrainedModel

    if overwrite and out.is_dir():
        if any(out.iterdir()) and not (out / RECORD).is_file():
            raise DataError(f"{out} holds no scores and is not overwritten; choose another --out")
        shutil.rmtree(out)
    trained = TrainedModel.load(model)
    if trained.image_shape is not None:
        raise DataError(
            f"scores in parts are of tables, but {model} is a model of images; let --out be a file"
        )
    goal = parse_prior(prior, trained.classes, trained.positive)
    names = [f"{prefix}probability_{c}" for c in trained.classes] + [f"{prefix}decision"]
    rows, decided, ready = predict_parts(trained, model, data, out, names, goal)
    share = f"; {decided / rows:.2%} decided {trained.classes[trained.positive]!r}" if rows else ""
    before = f"{ready} parts were there already.\n" if ready else ""
    text = f"{before}{rows:,} rows scored{share}.\nScores: {out}"
    Console().print(escape(text), highlight=False, soft_wrap=True)


def _score_images(trained: Any, data: Path, prior: Any, skip_broken: bool) -> tuple[Any, np.ndarray]:
    """Files with the model's probabilities; says what was done to the images on the way."""
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
    probabilities = trained.predict_proba(images.pixels, prior)
    return pd.DataFrame({"file": images.names}), probabilities
