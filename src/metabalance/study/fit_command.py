"""What ``fit`` does, with the terminal as its only reader."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.study.candidates import check_names, parse_candidates
from metabalance.study.commands import default_batch_size, network_settings, way_of_training
from metabalance.study.given import (
    as_data_errors,
    check_goal,
    cost_matrix,
    known_objective,
    names_of,
    parse_prior,
    rule_of,
)
from metabalance.study.kinds import kind_of
from metabalance.study.load import beyond_memory, load_data
from metabalance.study.showing import show_streamed, show_table, told_search
from metabalance.study.terminal import Console

__all__ = ["fit_command"]

CALIBRATION = "bias_corrected"


@dataclass(frozen=True)
class Wish:
    """One training, ready to begin.

    Args:
        protocol: What must not change between a killed fit and its continuation.
        train: ``(working folder) -> training``.
        told: What to say of the trained model and its worth, line by line.
        logged: ``(training, name, folder)``, for a tracker.
    """

    protocol: dict[str, Any]
    train: Callable[[Path], Any]
    told: Callable[[Any], list[str]]
    logged: Callable[[Any, str, Path], Any]


def fit_command(
    *, data: Path, target: str | None, recipe: str, positive: str | None, cost: str | None, objective: str | None,
    prior: str | None, holdout: float, metric: str | None, seed: int, groups: str | None, time: str | None, out: Path,
    overwrite: bool, missing_columns: str, epochs: int, batch_size: int | None, header: bool, delimiter: str | None,
    keep: str | None, drop: str | None, image_size: str | None = None, module: str | None = None, augment: bool = False,
    skip_broken: bool = False, calibration: str | None = None, command: str = "", track: str | None = None,
    tune: int | None = None, stream: bool | None = None, precision: str | None = None, accumulate: int = 1,
    compiled: bool = False, devices: int = 1, task: str | None = None,
) -> None:  # fmt: skip
    """Trains one recipe on a table or on images and saves the model folder."""
    from metabalance.study.artifact import sweep_writes
    from metabalance.study.changes import describe
    from metabalance.study.search import import_optuna
    from metabalance.study.tracking import parse_track
    from metabalance.study.unfinished import identity, may_be_saved, unfinished, was_saved, where_it_stands

    console = Console()
    tracker = parse_track(track)
    if missing_columns not in ("error", "impute"):
        raise DataError(f"--missing-columns {missing_columns!r} is unknown; use error or impute")
    policy: Literal["error", "impute"] = "impute" if missing_columns == "impute" else "error"
    left = not overwrite and may_be_saved(out, command)
    if not left:
        check_goal(out, overwrite)
    if overwrite and out.exists() and not (out / "manifest.json").is_file():
        raise DataError(f"{out} is no model folder and is not overwritten; choose another --out")
    if calibration is not None:
        from metabalance.adjust import get_calibration

        with as_data_errors():
            get_calibration(calibration)
    with as_data_errors():
        check_names(recipe)
    if tune:
        import_optuna()
    beyond = beyond_memory(data) if stream is None else None
    streamed = bool(stream or beyond)
    columns: dict[str, Any] = {
        "positive": positive,
        "groups": groups,
        "time": time,
        "keep": names_of(keep),
        "drop": names_of(drop),
    }
    way = precision, accumulate, compiled, devices
    if streamed:
        if tune:
            raise DataError(
                "--tune and --stream do not go together; tune on a sample of the rows, then name the options"
            )
        if way != (None, 1, False, 1):
            raise DataError(
                "--stream does not go together with --precision, --accumulate, --compile and --devices; leave them out"
            )
        if task == "regression":
            raise DataError(
                "--stream is for classes; fit a quantity on rows that fit into memory, with --no-stream"
            )
        if beyond:
            console.print(escape(f"{data} {beyond}: it is streamed."), highlight=False, soft_wrap=True)
        table: Any = _open_streamed(
            data, target, recipe, holdout=holdout, seed=seed, missing_columns=missing_columns, **columns
        )
        size = batch_size or default_batch_size(table.labelled.parts.rows)
        network: dict[str, Any] = {"epochs": epochs, "batch_size": size}
        show_streamed(console, table)
    else:
        table = load_data(
            data, target, image_size=image_size, skip_broken=skip_broken, header=header, delimiter=delimiter, task=task,
            **columns,
        )  # fmt: skip
        kind = kind_of(table.kind)
        kind.refuse({"cost": cost, "objective": objective, "prior": prior, "calibration": calibration})
        with as_data_errors():
            candidates = parse_candidates(recipe, kind.name)
        network = network_settings(table, epochs, batch_size, module, augment)
        network |= way_of_training(candidates, *way, kind=kind.name)
    shown = table.table if streamed else table
    kind = kind_of(shown.kind)
    options: dict[str, Any] = {
        "seed": seed, "metric": kind.known_metric(metric or kind.metric), "holdout": holdout, "network": network,
    }  # fmt: skip
    unsaid: dict[str, Any] = {"missing_columns": policy, "tune": tune or 0}
    if kind.name == "values":
        wish = _values(table, recipe, options | unsaid)
    else:
        matrix = cost_matrix(cost, table)
        options |= {
            "cost": matrix,
            "objective": known_objective(
                objective or ("cost" if matrix is not None else "f1"), len(table.classes), matrix
            ),
            "prior": parse_prior(prior, table.classes, table.positive),
            "calibration": calibration or CALIBRATION,
        }
        wish = _classes(table, shown, recipe, options, unsaid, streamed)
    if not streamed:
        show_table(console, table)
    if left:
        if was_saved(out, wish.protocol):
            console.print(
                f"The model was saved before.\nModel: {escape(str(out))}", highlight=False, soft_wrap=True
            )
            return
        check_goal(out, overwrite)
    with unfinished(out, wish.protocol, describe(shown)) as folder:
        sweep_writes(out)
        with as_data_errors():
            if going_on := where_it_stands(folder):
                console.print(f"{going_on}.", highlight=False)
            with console.status(f"training {escape(recipe)} ..."):
                training = wish.train(folder)
        model = training.model
        model.record |= {"command": command, "fit": identity(wish.protocol)}
        model.save(out, overwrite=overwrite)
    lines = [
        f"{recipe}, trained in {model.record['training_seconds']:.1f} s.",
        *told_search(model.record),
        *(f"validation {name}: {value:.4g} (used for choices, hence optimistic)"
          for name, value in model.record["validation"].items()),
        *wish.told(training),
        f"Model: {out}",
    ]  # fmt: skip
    if tracker is not None:
        lines.append(f"Tracked by {tracker.log(wish.logged(training, shown.name, out))}")
    console.print("\n" + escape("\n".join(lines)), highlight=False, soft_wrap=True)


def _classes(
    table: Any, shown: Any, recipe: str, options: dict[str, Any], unsaid: dict[str, Any], streamed: bool
) -> Wish:
    from metabalance.study.tracking import logged_training
    from metabalance.study.train import fit_protocol, train_table

    protocol = fit_protocol(shown, recipe, options | unsaid)
    if streamed:
        protocol["files"] = table.labelled.parts.hashes

    def train(folder: Path) -> Any:
        if streamed:
            from metabalance.study.train_streamed import train_streamed

            return train_streamed(table, recipe, checkpoint=folder, **options)
        return train_table(table, recipe, checkpoint=folder, **options, **unsaid)

    def told(training: Any) -> list[str]:
        model = training.model
        return [
            *(f"held-out {name}: {value}" + (f" ({value.reason})" if value.reason else "")
              for name, value in training.metrics.items()),
            *(f"note: {note}" for note in (*model.record["notes"], *filter(None, [model.decision.note]))),
            f"decision: {rule_of(model)}",
        ]  # fmt: skip

    return Wish(protocol, train, told, logged_training)


def _values(table: Any, recipe: str, options: dict[str, Any]) -> Wish:
    from metabalance.study.tracking import logged_values
    from metabalance.study.values.train import HELD_OUT, train_values, value_protocol

    def train(folder: Path) -> Any:
        return train_values(table, recipe, checkpoint=folder, **options)

    def told(training: Any) -> list[str]:
        model = training.model
        held = (model.evidence["held_out"] or {}).get("estimates", [])
        promise = model.promise(None, None)
        return [
            *(f"held-out {row['name']}: {_interval(row)}" for row in held if row["name"] in HELD_OUT),
            *(f"note: {note}" for note in model.record["notes"]),
            "intervals: none"
            if promise is None
            else f"intervals: {100 * promise[1]:g} % of the rows, for each region of the {promise[0]}",
        ]

    return Wish(value_protocol(table, recipe, options), train, told, logged_values)


def _interval(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return f"nan ({row['reason']})"
    ends = [format(float("nan") if row[end] is None else row[end], ".4g") for end in ("low", "high")]
    return f"{row['value']:.4g} [{', '.join(ends)}]" + (f" ({row['reason']})" if row["reason"] else "")


def _open_streamed(
    data: Path, target: str | None, recipe: str, *, groups: str | None, time: str | None, **options: Any
) -> Any:
    """Parquet to be streamed; what cannot be done with it is said before it is read."""
    from metabalance.study.train_streamed import check_streamed, open_streamed

    for option, given in (("groups", groups), ("time", time)):
        if given:
            raise DataError(f"--{option} needs all rows in memory at once; leave it out, or give --no-stream")
    if target is None:
        raise DataError("missing option '--target': name the column of the classes; --help tells more")
    with as_data_errors():
        candidates = parse_candidates(recipe)
    for candidate in candidates:
        check_streamed(candidate)
    return open_streamed(data, target, **options)
