"""``metabalance report``: which of its three pages, and from what."""

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import UndefinedError
from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json, read_file
from metabalance.data.tables import read_table
from metabalance.study.given import as_data_errors, check_goal
from metabalance.study.terminal import Console
from metabalance.study.values.scored import are_values, refuse_for_values

__all__ = ["report_command"]


def report_command(
    *, source: Path, data: Path | None, target: str | None, score: str | None, decision: str | None, weight: str | None,
    groups: str | None, positive: str | None, cost: str | None, out: Path, overwrite: bool, header: bool,
    delimiter: str | None, command: str, task: str | None = None, train: Path | None = None,
    bin_width: float | None = None,
) -> None:  # fmt: skip
    """Writes the page of a run, a model or a scored file."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"--out {out} must end in .html")
    check_goal(out, overwrite)
    named = {
        "--data": data, "--target": target, "--score": score, "--decision": decision, "--weight": weight,
        "--groups": groups, "--positive": positive, "--cost": cost, "--train": train, "--bin-width": bin_width,
        "--task": task,
    }  # fmt: skip
    if source.is_dir() and (source / "run.json").is_file():
        _refuse(named, "a run, which knows its data")
        _run(source, out)
    elif source.is_dir() and (source / "manifest.json").is_file():
        _refuse({k: named[k] for k in ("--train", "--bin-width", "--task")}, "a table of predicted values")
        if data is None:
            _refuse(named, "a scored file, or goes with --data")
        elif score or decision or positive:
            _refuse(
                {k: named[k] for k in ("--score", "--decision", "--positive")},
                "a file that is scored already",
            )
        if _of_values(source):
            from metabalance.study.report.value_command import report_model

            _refuse({k: named[k] for k in ("--groups", "--cost")}, "a model of classes")
            report_model(source, data, target, weight, out, command, header=header, delimiter=delimiter)
        else:
            _model(
                source, data, target, weight, groups, cost, out, command, header=header, delimiter=delimiter
            )
    elif source.is_dir():
        raise DataError(
            f"{source} is neither a run (no run.json) nor a model (no manifest.json); name the folder that metabalance "
            "compare or fit wrote"
        )
    else:
        if data is not None:
            raise DataError(f"--data goes with a model folder, but {source} is none; leave it out")
        if target is None:
            raise DataError("missing option '--target': name the column of the true classes")
        frame = read_table(source, header=header, delimiter=delimiter)
        if are_values(frame, target, task):
            from metabalance.study.report.value_command import report_scored

            refuse_for_values({k: named[k] for k in ("--decision", "--positive", "--cost", "--groups")})
            report_scored(
                frame, source, out, command, target=target, prediction=score, weight=weight, train=train,
                bin_width=bin_width,
            )  # fmt: skip
        else:
            _refuse({k: named[k] for k in ("--train", "--bin-width")}, "predicted values (--task regression)")
            _scored(
                frame, source, target, cost, out, command, score=score, positive=positive, decision=decision,
                weight=weight, groups=groups,
            )  # fmt: skip
    Console().print(f"Report: {escape(str(out))}", soft_wrap=True, highlight=False)


def _refuse(named: dict[str, Any], what: str) -> None:
    for option, given in named.items():
        if given is not None:
            raise DataError(f"{option} is for {what}; leave it out")


def _run(folder: Path, out: Path) -> None:
    from metabalance.study.report import render_report
    from metabalance.study.summary import read_results

    results = read_results(folder)
    with _readable(folder, "metabalance compare"):
        render_report(results, out)


@contextlib.contextmanager
def _readable(folder: Path, command: str) -> Iterator[None]:
    """A folder that says other things than its command writes is named, wherever that comes to light."""
    try:
        yield
    except DataError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, UndefinedError) as error:
        raise DataError(
            f"{folder} does not hold what {command} writes ({' '.join(str(error).split())[:80]}); run it again"
        ) from error


def _of_values(folder: Path) -> bool:
    try:
        document = parse_json(read_file(folder / "manifest.json"))
    except (ValueError, RecursionError):
        return False  # whoever opens it says why not
    content = document.get("content") if isinstance(document, dict) else None
    return isinstance(content, dict) and content.get("kind") == "values"


def _scored(
    frame: Any, path: Path, target: str, cost: str | None, out: Path, command: str, **columns: Any
) -> None:
    from metabalance.study.report.page import write_page
    from metabalance.study.report.single import evidence_of, single_view
    from metabalance.study.scored import scored_table

    scored = scored_table(frame, target=target, name=path.name, **columns)
    matrix = cost_matrix(cost, scored)
    with as_data_errors():
        found, rule, threshold = evidence_of(scored, matrix)
    digest = fingerprint_of(path)
    view = single_view(
        [(scored.name, found)], kind="scored file", title=f"{scored.name} · target {scored.target_name}", decision=rule,
        threshold=threshold, cost=matrix, groups=columns["groups"] or "", created=now(),
        made=[("created", now()), ("file", str(path)), ("rows", f"{len(scored.target):,}"), ("data fingerprint", digest)],
        command=command, fingerprint=digest,
    )  # fmt: skip
    write_page("single", view, out)


def _model(
    folder: Path, data: Path | None, target: str | None, weight: str | None, groups: str | None, cost: str | None,
    out: Path, command: str, **reading: Any,
) -> None:  # fmt: skip
    from metabalance.study.given import rule_of
    from metabalance.study.report.page import write_page
    from metabalance.study.report.single import evidence_of, single_view
    from metabalance.study.ship import TrainedModel

    model = TrainedModel.load(folder)
    document = parse_json((folder / "manifest.json").read_bytes())
    record, parts = model.record, []
    matrix, name = record.get("cost"), ""
    if data is not None:
        scored = _predicted(model, data, target, weight, groups, **reading)
        matrix = cost_matrix(cost, scored) if cost else _flipped(matrix, scored, model)
        with as_data_errors():
            parts.append((f"{data.name}", evidence_of(scored, matrix)[0]))
        name = f" · {data.name}"
    kept = [(n, model.evidence.get(k)) for n, k in (("held-out", "held_out"), ("validation", "validation"))]
    parts += [(n, e) for n, e in kept if e]
    if not parts:
        raise DataError(
            f"{folder} was fitted by a release that recorded no figures; give --data with rows and their classes"
        )
    split = record.get("split", {})
    rule = rule_of(model)
    made = [
        ("created", document.get("created", "")),
        ("recipe", f"{record['recipe']} {options_of(record.get('options', {}))}".strip()),
        ("data", f"{record['data']['name']}, {record['data']['rows']:,} rows, fingerprint {record['data']['fingerprint']}"),
        ("rows to fit, validate, hold out", ", ".join(f"{split.get(k, 0):,}" for k in ("fit", "validation", "held_out"))),
        ("seed", str(record.get("seed", ""))),
        ("decision", rule),
        ("notes", "; ".join(record.get("notes", ()))),
        ("fitted with", ", ".join(f"{k} {v}" for k, v in document.get("versions", {}).items())),
    ]  # fmt: skip
    first = parts[0][1]
    same = list(first["classes"]) == [str(c) for c in model.classes]
    view = single_view(
        parts, kind="model", title=f"{folder.resolve().name} · {record['recipe']} · target {record['target']}{name}",
        decision=f"The model's decision: {rule}.", threshold=model.decision.threshold,
        cost=matrix if data is not None or same else None, groups=groups or "",
        training=model.evidence.get("training"), findings=record.get("findings", []), made=made,
        command="\n".join(filter(None, [record.get("command", ""), command])), recipe=record["recipe"],
        created=document.get("created", ""), fingerprint=record["data"]["fingerprint"],
    )  # fmt: skip
    write_page("single", view, out)


def _predicted(
    model: Any, data: Path, target: str | None, weight: str | None, groups: str | None, **reading: Any
) -> Any:
    """New rows with their classes, scored by the model."""
    import pandas as pd

    from metabalance.data.images import read_images
    from metabalance.data.tables import read_table
    from metabalance.study.scored import scored_table

    if model.image_shape is None:
        frame = read_table(data, **reading)
        probabilities = model.predict_proba(frame)
        target = target or model.record["target"]
    else:
        channels, *size = model.image_shape
        images = read_images(data, tuple(size), channels)
        if images.labels is None:
            raise DataError(f"{data} names no classes; give a folder with a sub-folder for each class")
        probabilities, target = model.predict_proba(images.pixels), "class"
        frame = pd.DataFrame({"class": [images.classes[i] for i in images.labels]})
    # Names that no column of the user's has.
    prefix = "of the model: "
    while any(prefix in str(c) for c in frame.columns):
        prefix = f"_{prefix}"
    decision = f"decision {prefix}"
    added: dict[str, Any] = {f"{prefix}{c}": p for c, p in zip(model.classes, probabilities.T)}
    added[decision] = np.asarray([str(c) for c in model.decide(probabilities)], dtype=object)
    frame = pd.concat([frame.reset_index(drop=True), pd.DataFrame(added)], axis=1)
    return scored_table(
        frame, target=target, score=prefix, positive=str(model.classes[model.positive]), decision=decision,
        weight=weight, groups=groups, name=data.name,
    )  # fmt: skip


def _flipped(cost: Any, scored: Any, model: Any) -> Any:
    """The model's cost matrix in the order of the scored classes."""
    if cost is None:
        return None
    order = [[str(c) for c in model.classes].index(label) for label in scored.classes]
    return np.asarray(cost)[np.ix_(order, order)].tolist()


def cost_matrix(text: str | None, scored: Any) -> Any:
    from metabalance.adjust import parse_cost, read_cost_matrix

    if text is None:
        return None
    with as_data_errors():
        if len(scored.classes) == 2 and not Path(text).exists():
            return parse_cost(text, scored.positive)
        return read_cost_matrix(text, list(scored.classes))


def options_of(options: dict[str, Any]) -> str:
    return "(" + ", ".join(f"{k}={v}" for k, v in options.items()) + ")" if options else ""


def fingerprint_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
