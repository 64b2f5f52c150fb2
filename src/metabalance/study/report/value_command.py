"""``metabalance report`` of predicted values: a table of them, or a model folder."""

from pathlib import Path
from typing import Any

from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json
from metabalance.study.given import as_data_errors
from metabalance.study.report.command import fingerprint_of, now, options_of
from metabalance.study.report.page import write_page
from metabalance.study.report.value_single import value_single_view
from metabalance.study.values.evidence import values_evidence
from metabalance.study.values.scored import ScoredValues, scored_values

__all__ = ["report_model", "report_scored"]


def report_scored(frame: Any, path: Path, out: Path, command: str, **columns: Any) -> None:
    """The page of a table of predicted values.

    Args:
        frame: The table.
        path: Its file.
        out: The page.
        command: What reproduces it.
        columns: As for :func:`~metabalance.study.values.scored.scored_values`.
    """
    scored = scored_values(frame, name=path.name, **columns)
    digest = fingerprint_of(path)
    view = value_single_view(
        [(scored.name, _evidence(scored))],
        kind="predicted values",
        title=f"{scored.name} · target {', '.join(scored.names)}",
        source=scored.source,
        created=now(),
        made=[
            ("created", now()),
            ("file", str(path)),
            ("rows", f"{len(scored.target):,}"),
            ("regions", scored.source),
            ("data fingerprint", digest),
        ],
        command=command,
        fingerprint=digest,
    )
    write_page("values_single", view, out)


def report_model(
    folder: Path, data: Path | None, target: str | None, weight: str | None, out: Path, command: str, **reading: Any
) -> None:  # fmt: skip
    """The page of a model of values: what was recorded when it was fitted, and new rows where there are any.

    Args:
        folder: The model's.
        data: Rows it has not seen, with their true values.
        target: Their columns, where they have other names than in training.
        weight: Column of weights.
        out: The page.
        command: What reproduces it.
        reading: Of the table of new rows.
    """
    from metabalance.study.values.ship import TrainedRegressor

    model = TrainedRegressor.load(folder)
    document = parse_json((folder / "manifest.json").read_bytes())
    record, names = model.record, ", ".join(model.names)
    parts = [] if data is None else [(data.name, _predicted(model, data, target, weight, **reading))]
    kept = [(n, model.evidence.get(k)) for n, k in (("held-out", "held_out"), ("validation", "validation"))]
    parts += [(n, e) for n, e in kept if e]
    if not parts:
        raise DataError(f"{folder} has no figures recorded; give --data with rows and their true values")
    split, about = record.get("split", {}), record.get("data", {})
    made = [
        ("created", document.get("created", "")),
        ("recipe", f"{record['recipe']} {options_of(record.get('options', {}))}".strip()),
        ("data", f"{about.get('name', '')}, {about.get('rows', 0):,} rows, fingerprint {about.get('fingerprint', '')}"),
        ("rows to fit, validate, hold out", ", ".join(f"{split.get(k, 0):,}" for k in ("fit", "validation", "held_out"))),
        ("seed", str(record.get("seed", ""))),
        ("notes", "; ".join(record.get("notes", ()))),
        ("fitted with", ", ".join(f"{k} {v}" for k, v in document.get("versions", {}).items())),
    ]  # fmt: skip
    view = value_single_view(
        parts, kind="model",
        title=f"{folder.resolve().name} · {record['recipe']} · target {names}" + ("" if data is None else f" · {data.name}"),
        training=model.evidence.get("training"), findings=record.get("findings", []), made=made,
        command="\n".join(filter(None, [record.get("command", ""), command])), recipe=record["recipe"],
        created=document.get("created", ""), fingerprint=about.get("fingerprint", ""),
    )  # fmt: skip
    write_page("values_single", view, out)


def _predicted(
    model: Any, data: Path, target: str | None, weight: str | None, **reading: Any
) -> dict[str, Any]:
    """Evidence of new rows, predicted by the model."""
    import pandas as pd

    from metabalance.data.tables import read_table

    if model.image_shape is not None:
        raise DataError("--data is for models of tables so far, but this is a model of images; leave it out")
    frame = read_table(data, **reading)
    prediction, limits = model.outputs(frame)
    # Names that no column of the user's has.
    prefix = "of the model: "
    while any(str(c).startswith(prefix) for c in frame.columns):
        prefix = f"_{prefix}"
    added = pd.DataFrame(prediction, columns=[f"{prefix}{i}" for i in range(len(model.names))])
    wanted = target if target is not None else _quoted(model.names)
    scored = scored_values(
        pd.concat([frame.reset_index(drop=True), added], axis=1), target=wanted,
        prediction=_quoted(added.columns), weight=weight, name=data.name,
    )  # fmt: skip
    level = None if limits is None else model.conformal.known(None)
    with as_data_errors():
        return values_evidence(
            scored.prediction,
            scored.target,
            model.regions,
            model.names,
            limits,
            weight=scored.weight,
            level=level,
        )


def _evidence(scored: ScoredValues) -> dict[str, Any]:
    with as_data_errors():
        return values_evidence(
            scored.prediction,
            scored.target,
            scored.regions,
            scored.names,
            scored.limits,
            weight=scored.weight,
        )


def _quoted(names: Any) -> str:
    """Names as ``a,"b, c"``, as options have them; a single one as it is."""
    names = [str(n) for n in names]
    if len(names) == 1:
        return names[0]
    return ",".join('"' + n.replace('"', '""') + '"' for n in names)
