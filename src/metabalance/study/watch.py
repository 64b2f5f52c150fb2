"""The ``monitor`` command: reads model and rows, says what was found, keeps a history, and answers with a status."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table as Grid

from metabalance.data.errors import DataError
from metabalance.study.history import append_entry, read_entries
from metabalance.study.monitor import Monitored, monitor_rows
from metabalance.study.opening import load_model
from metabalance.study.reference import Reference, make_reference
from metabalance.study.ship import TrainedModel
from metabalance.study.terminal import Console
from metabalance.study.values.ship import TrainedRegressor

__all__ = ["FINE", "FOUND", "monitor_command"]

FINE, FOUND = 0, 1
KINDS = ("drift", "prior", "performance")
SHOWN = 10
NO_REFERENCE = (
    "{} was written by a release that kept no reference rows; name a table of old rows with --reference, or fit the model "
    "again"
)


def monitor_command(
    *, model: Path, data: Path, target: str | None, reference: Path | None, history: Path | None, fail_on: str | None,
    level: float, tolerance: float, header: bool, delimiter: str | None, skip_broken: bool = False,
) -> int:  # fmt: skip
    """Compares new rows with those the model was judged on; 1 when an alarm was found, else 0."""
    wanted = _kinds(fail_on)
    if history is not None:
        read_entries(history)  # what cannot be gone on with is refused before the work
    trained = load_model(model)
    options = {"header": header, "delimiter": delimiter, "skip_broken": skip_broken}
    watching: Any = _watch_classes
    if isinstance(trained, TrainedRegressor):
        from metabalance.study.values.watch import watch_values

        watching = watch_values
    found, show = watching(trained, model, data, target, reference, options, level, tolerance)
    alarms = found.alarms(wanted)
    status = FOUND if alarms else FINE
    if history is not None:
        entry = found.to_dict() | {
            "model": str(model),
            "data": str(data),
            "status": status,
            "fail_on": list(wanted),
        }
        entries = append_entry(history, entry)
    show()
    if history is not None:
        say(f"History: {history} ({entries} {'entry' if entries == 1 else 'entries'})")
    return status


def _watch_classes(
    trained: TrainedModel, folder: Path, data: Path, target: str | None, reference: Path | None, options: dict[str, Any],
    level: float, tolerance: float,
) -> tuple[Monitored, Callable[[], None]]:  # fmt: skip
    """The answers, and what prints them."""
    old = _reference(trained, reference, target, options) if reference else trained.reference
    if old is None:
        raise DataError(NO_REFERENCE.format(folder))
    rows, classes = _read(trained, data, target, options)
    found = monitor_rows(trained, rows, classes, reference=old, level=level, tolerance=tolerance)
    return found, lambda: _show(found, trained, old.part)


def _kinds(text: str | None) -> tuple[str, ...]:
    if text is None:
        return KINDS
    kinds = tuple(part.strip() for part in text.replace("|", ",").split(",") if part.strip())
    if kinds == ("nothing",):
        return ()
    if not kinds or set(kinds) - set(KINDS):
        raise DataError(f"--fail-on {text!r} must name {', '.join(KINDS)}, several with commas, or nothing")
    return kinds


def _reference(trained: TrainedModel, path: Path, target: str | None, options: dict[str, Any]) -> Reference:
    rows, classes = _read(trained, path, target, options, optional=True)
    if classes is not None:
        known = classes >= 0
        rows, classes = rows[known], classes[known]
        if len(np.unique(classes)) < len(trained.classes):
            raise DataError(
                f"{path} lacks a class of the model; a reference with the target needs rows of each"
            )
    return make_reference(trained, rows, classes, "reference")


def _read(
    trained: TrainedModel, path: Path, target: str | None, options: dict[str, Any], optional: bool = False
) -> tuple[Any, np.ndarray | None]:
    """Rows as the preprocessor takes them, and class indices, -1 where unknown; or None."""
    from metabalance.data.tables import read_table, resolve_column

    if trained.image_shape is not None:
        return _read_images(trained, path, target, options["skip_broken"])
    frame = read_table(path, header=options["header"], delimiter=options["delimiter"])
    if not len(frame):
        raise DataError(f"{path} has no rows; there is nothing to compare")
    if target is None or (optional and target not in frame.columns):
        return frame, None
    column = resolve_column(frame.columns, target)
    return frame.drop(columns=column), class_indices(frame[column], trained.classes, column)


def _read_images(
    trained: TrainedModel, path: Path, target: str | None, skip_broken: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    from metabalance.data.images import holds_images, read_images

    assert trained.image_shape is not None
    channels, height, width = trained.image_shape
    if not holds_images(path):
        raise DataError(f"the model was trained on images, but {path} holds none; name a folder, IDX or NPZ")
    images = read_images(
        path, (height, width), channels, labelled=target is not None, skip_broken=skip_broken
    )
    if target is None or images.labels is None:
        return images.pixels, None
    import pandas as pd

    labels = pd.Series([images.classes[i] for i in images.labels], dtype=object)
    return images.pixels, class_indices(labels, trained.classes, "class")


def class_indices(labels: Any, classes: tuple[Any, ...], column: str) -> np.ndarray:
    """Places ``(N,)`` of labels among the classes, as text or as numbers; -1 where a label is missing.

    Raises:
        DataError: A label that the model does not know.

    >>> import pandas as pd
    >>> class_indices(pd.Series([1.0, None, 0.0]), (0, 1), "y")
    array([ 1, -1,  0])
    """
    from metabalance.data.encoders import as_texts

    codes, texts = as_texts(labels)
    places = {_word(c): i for i, c in enumerate(classes)}
    unknown = [text for text in texts if text not in places]
    if unknown:
        raise DataError(
            f"the column {column!r} holds {unknown[0]!r}, but the model's classes are "
            f"{', '.join(map(str, classes[:20]))}; leave the cell empty where the class is not known yet"
        )
    return np.array([places[text] for text in texts] + [-1])[codes]


def _word(label: Any) -> str:
    whole = isinstance(label, float) and label.is_integer()
    return str(int(label) if whole else label).strip()


def _show(found: Monitored, trained: TrainedModel, part: str) -> None:
    names, before = found.prior["classes"], found.prior["model"]
    classes = [trained.positive] if len(names) == 2 else list(np.argsort(before)[:SHOWN])
    grid = grid_of("class", "share in the model", "now, by EM", "now, by BBSE")
    for c in classes:
        grid.add_row(
            escape(names[c]), f"{before[c]:.4g}", *(_share(found.prior.get(m), c) for m in ("em", "bbse"))
        )
    say(f"{found.rows:,} rows, against the {part} rows of the model.")
    console = Console()
    console.print(grid, highlight=False)
    say(f"scores: KS {found.score['distance']:.3f}, PSI {found.score['psi']:.3f}, p {found.score['p']:.2g}.")
    show_columns(found.columns)
    say("expected without labels: " + "; ".join(f"{n} {v}" for n, v in found.expected.items()) + ".")
    for one in found.kept:
        say(f"{one.metric}: {one.now}, promised {one.promised}: {one.verdict}.")
    show_findings(found)


def show_columns(columns: list[dict[str, Any]]) -> None:
    """The columns that moved most."""
    moved = sorted(columns, key=lambda d: -d["effect"])[:SHOWN]
    if not moved:
        return
    grid = grid_of("column", "distance", "PSI", "missing", "p (Holm)")
    for d in moved:
        gone = "" if d["missing"] == (0.0, 0.0) else f"{d['missing'][0]:.1%} -> {d['missing'][1]:.1%}"
        grid.add_row(escape(d["name"]), f"{d['distance']:.3f}", f"{d['psi']:.3f}", gone, f"{d['p_holm']:.2g}")
    Console().print(grid, highlight=False)


def show_findings(found: Any) -> None:
    """Notes, alarms, and a word where there is none."""
    for note in found.notes:
        say(f"note: {note}.")
    for finding in found.findings:
        say(("ALARM " if finding.alarm else "note: ") + f"{finding.kind}: {finding.message}.")
    if not found.alarms():
        say("No alarm: nothing has moved beyond chance and by enough to matter.")


def _share(estimate: dict[str, Any] | None, c: int) -> str:
    if estimate is None:
        return "(no classes in the reference)"
    return f"{estimate['prior'][c]:.4g} [{estimate['low'][c]:.4g}, {estimate['high'][c]:.4g}]"


def grid_of(*titles: str) -> Grid:
    """A table without lines, its first column of words."""
    grid = Grid(box=None, pad_edge=False, padding=(0, 1))
    for i, title in enumerate(titles):
        grid.add_column(title, justify="right" if i else "left", overflow="fold")
    return grid


def say(text: str) -> None:
    """Prints a line as it is."""
    Console().print(escape(text), highlight=False, soft_wrap=True)
