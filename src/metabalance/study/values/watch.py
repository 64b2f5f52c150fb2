"""What the ``monitor`` command does for a model of values: reads the rows, and prints the answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.judge.regions import GROUPS
from metabalance.study.terminal import Console
from metabalance.study.values.monitor import MonitoredValues, monitor_values
from metabalance.study.values.promise import told
from metabalance.study.values.reference import ValueReference, make_value_reference
from metabalance.study.values.ship import TrainedRegressor
from metabalance.study.watch import NO_REFERENCE, grid_of, say, show_columns, show_findings

__all__ = ["known_values", "watch_values"]


def watch_values(
    trained: TrainedRegressor, folder: Path, data: Path, target: str | None, reference: Path | None,
    options: dict[str, Any], level: float, tolerance: float,
) -> tuple[MonitoredValues, Callable[[], None]]:  # fmt: skip
    """The answers, and what prints them.

    Raises:
        DataError: The rows, or the targets, cannot be read; or there is no reference.
    """
    if trained.image_shape is not None:
        raise DataError(
            "a model of values on images is watched in Python: metabalance.study.values.monitor.monitor_values takes pixels"
        )
    old = _reference(trained, reference, target, options) if reference else trained.reference
    if old is None:
        raise DataError(NO_REFERENCE.format(folder))
    frame, values = _read(trained, data, target, options)
    found = monitor_values(trained, frame, values, reference=old, level=level, tolerance=tolerance)
    return found, lambda: _show(found, old.part)


def known_values(frame: Any, names: list[str]) -> np.ndarray:
    """Columns as numbers ``(N, T)``, NaN where the cell is empty.

    Raises:
        DataError: A word, or an infinite number.
    """
    import pandas as pd

    columns = []
    for name in names:
        column = frame[name]
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.flatnonzero((np.isnan(values) & column.notna().to_numpy()) | np.isinf(values))
        if len(wrong):
            raise DataError(
                f"the column {name!r} holds {column.iloc[wrong[0]]!r} in row {wrong[0] + 1}, but the model's target is a "
                "number; leave the cell empty where the value is not known yet"
            )
        columns.append(values)
    return np.column_stack(columns)


def _reference(
    trained: TrainedRegressor, path: Path, target: str | None, options: dict[str, Any]
) -> ValueReference:
    frame, values = _read(trained, path, target, options, optional=True)
    if values is not None:
        known = np.isfinite(values).all(axis=1)
        frame, values = frame[known], values[known]
        if not known.any():
            raise DataError(
                f"no row of {path} has a value of the target; leave out --target, or name other rows"
            )
    return make_value_reference(trained, frame, values, "reference")


def _read(
    trained: TrainedRegressor, path: Path, target: str | None, options: dict[str, Any], optional: bool = False
) -> tuple[Any, np.ndarray | None]:
    from metabalance.data.tables import read_table
    from metabalance.study.given import names_of
    from metabalance.study.load import target_columns

    frame = read_table(path, header=options["header"], delimiter=options["delimiter"])
    if not len(frame):
        raise DataError(f"{path} has no rows; there is nothing to compare")
    if target is None or (optional and not set(names_of(target)) & set(map(str, frame.columns))):
        return frame, None
    names = target_columns(frame, target)
    if len(names) != len(trained.names):
        raise DataError(
            f"--target {target!r} names {len(names)} columns, but the model has {len(trained.names)} targets: "
            f"{', '.join(trained.names)}"
        )
    if set(names) == set(trained.names):
        names = list(trained.names)
    return frame.drop(columns=names), known_values(frame, names)


def _show(found: MonitoredValues, part: str) -> None:
    say(f"{found.rows:,} rows, against the {part} rows of the model.")
    grid = grid_of("share of rows", *(f"{group}, before -> now" for group in GROUPS))
    for what, lines in found.regions.items():
        for line in lines:
            name = f"{what} of {line['target']}" if len(lines) > 1 else what
            grid.add_row(escape(name), *(f"{line['before'][g]:.3g} -> {line['now'][g]:.3g}" for g in GROUPS))
    Console().print(grid, highlight=False)
    for drift in found.predictions:
        of = f" of {drift['name']}" if len(found.predictions) > 1 else ""
        say(f"predictions{of}: KS {drift['distance']:.3f}, PSI {drift['psi']:.3f}, p {drift['p_holm']:.2g}.")
    show_columns(found.columns)
    for one in found.kept:
        say(f"{one.metric}: {told(one.now)}, promised {told(one.promised)}: {one.verdict}.")
    for line in found.coverage:
        of = f" of {line['target']}" if len(found.coverage) > 1 else ""
        by = ", ".join(
            f"{g} {v['value']:.3f} [{v['low']:.3f}, {v['high']:.3f}]"
            for g, v in line["regions"].items()
            if v["value"] == v["value"]
        )
        say(f"inside the {line['promised']:g} intervals, by the region of the target{of}: {by}.")
    show_findings(found)
