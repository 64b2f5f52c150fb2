"""What the commands do, with the terminal as their only reader."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.study.candidates import DEFAULT_RECIPES, check_options, parse_candidates
from metabalance.study.compare import Plan, Progress, Run, run_comparison
from metabalance.study.engines import EngineChoice
from metabalance.study.given import (
    as_data_errors,
    check_goal,
    cost_matrix,
    known_metric,
    known_objective,
    names_of,
    rule_of,
)
from metabalance.study.load import beyond_memory, load_data, parse_duration, parse_prior
from metabalance.study.showing import show_result, show_streamed, show_table, told_search
from metabalance.study.sources import Source
from metabalance.study.terminal import Console

IMAGE_NETWORKS = ("convnet", "resnet32", "wideresnet", "mlp")
IMAGE_BATCH = 128


def compare_command(
    *, data: Path, target: str | None, positive: str | None, recipes: str | None, folds: int, seeds: int, metric: str,
    cost: str | None, groups: str | None, time: str | None, budget: str | None, fit_limit: str | None, out: Path,
    workers: int | None, epochs: int, batch_size: int | None, dedupe: bool, header: bool, delimiter: str | None,
    keep: str | None, drop: str | None, command: str, image_size: str | None = None, module: str | None = None,
    augment: bool = False, skip_broken: bool = False, track: str | None = None, engine: str = "local",
    address: str | None = None, gpus_per_fit: float = 0.0, tune: int | None = None, precision: str | None = None,
    accumulate: int = 1, compiled: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Compares recipes on a table or on images; prints the table and the advice, writes the run folder."""
    from metabalance.study.search import import_optuna
    from metabalance.study.summary import summarise, write_results
    from metabalance.study.tracking import logged_comparison, parse_track

    console = Console()
    tracker = parse_track(track)
    with as_data_errors():
        candidates = tuple(parse_candidates(recipes or DEFAULT_RECIPES))
    if tune:
        import_optuna()
    metric = known_metric(metric)
    limits = parse_duration(budget, "--budget"), parse_duration(fit_limit, "--fit-limit")
    where = EngineChoice(engine, address, gpus_per_fit)
    where.check()
    table = load_data(
        data, target, image_size=image_size, skip_broken=skip_broken, header=header, delimiter=delimiter,
        positive=positive, groups=groups, time=time, keep=names_of(keep), drop=names_of(drop),
    )  # fmt: skip
    network = _network(table, epochs, batch_size, module, augment)
    network |= _way(candidates, precision, accumulate, compiled)
    matrix = cost_matrix(cost, table)
    if metric == "expected_cost" and matrix is None:
        raise DataError("--metric expected_cost needs --cost, for instance --cost fn=50,fp=1")
    plan = Plan(
        candidates, folds=folds, seeds=seeds, metric=metric, cost=matrix,
        network=network,
        workers=workers, engine=where, budget=limits[0], fit_limit=limits[1], dedupe=dedupe, tune=tune or 0,
    )  # fmt: skip
    show_table(console, table)
    run = compare_with_progress(console, table, plan, out)
    result = summarise(run, command)
    write_results(result, out)
    show_result(console, result)
    console.print(f"\nReport: {escape(str(out / 'report.html'))}", soft_wrap=True, highlight=False)
    if tracker is not None:
        console.print(
            f"Tracked by {escape(tracker.log(logged_comparison(result, out)))}",
            soft_wrap=True,
            highlight=False,
        )
    if run.failures and not any(recipe["fits"] for recipe in result["recipes"]):
        raise DataError(f"no fit succeeded: {next(iter(run.failures.values()))[1]}")
    return result


def compare_with_progress(console: Console, table: Source, plan: Plan, out: Path) -> Run:
    """Runs a comparison under a progress bar with the remaining time."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    for candidate in (c for c in plan.candidates if c.options):
        from metabalance.study.fitting import rehearse

        with as_data_errors():
            check_options(candidate)
            rehearse(candidate, table.image_shape, plan.network)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        line = bar.add_task("fits", total=None, eta="")
        told = set()

        def report(p: Progress) -> None:
            eta = "" if p.eta is None else f"{p.eta:.0f} s to go"
            bar.update(line, completed=p.done, total=p.total, eta=eta)
            if p.status == "stored" and p.done:
                rest = "going on" if p.done < p.total else "nothing is left to fit"
                console.print(f"{p.done} of {p.total} fits were finished before; {rest}.", highlight=False)
            # Once is enough: what fails on one split mostly fails on all.
            if p.status not in ("ok", "stored") and (p.label, p.message) not in told:
                told.add((p.label, p.message))
                console.print(
                    f"[yellow]{escape(p.label)}: {p.status}: {escape(p.message)}[/]",
                    soft_wrap=True, highlight=False,
                )  # fmt: skip

        return run_comparison(table, plan, out, report)


def fit_command(
    *, data: Path, target: str | None, recipe: str, positive: str | None, cost: str | None, objective: str | None,
    prior: str | None, holdout: float, metric: str, seed: int, groups: str | None, time: str | None, out: Path,
    overwrite: bool, missing_columns: str, epochs: int, batch_size: int | None, header: bool, delimiter: str | None,
    keep: str | None, drop: str | None, image_size: str | None = None, module: str | None = None, augment: bool = False,
    skip_broken: bool = False, calibration: str = "bias_corrected", command: str = "", track: str | None = None,
    tune: int | None = None, stream: bool | None = None, precision: str | None = None, accumulate: int = 1,
    compiled: bool = False, devices: int = 1,
) -> None:  # fmt: skip
    """Trains one recipe on a table or on images and saves the model folder."""
    from metabalance.study.artifact import sweep_writes
    from metabalance.study.changes import describe
    from metabalance.study.search import import_optuna
    from metabalance.study.tracking import logged_training, parse_track
    from metabalance.study.train import fit_protocol, train_table
    from metabalance.study.unfinished import identity, may_be_saved, unfinished, was_saved, where_it_stands

    console = Console()
    tracker = parse_track(track)
    if missing_columns not in ("error", "impute"):
        raise DataError(f"--missing-columns {missing_columns!r} is unknown; use error or impute")
    left = not overwrite and may_be_saved(out, command)
    if not left:
        check_goal(out, overwrite)
    if overwrite and out.exists() and not (out / "manifest.json").is_file():
        raise DataError(f"{out} is no model folder and is not overwritten; choose another --out")
    from metabalance.adjust import get_calibration

    with as_data_errors():
        candidates = parse_candidates(recipe)
        get_calibration(calibration)
    if tune:
        import_optuna()
    metric = known_metric(metric)
    way = _way(candidates, precision, accumulate, compiled, devices)
    beyond = beyond_memory(data) if stream is None else None
    streamed = bool(stream or beyond)
    if streamed:
        if tune:
            raise DataError(
                "--tune and --stream do not go together; tune on a sample of the rows, then name the options"
            )
        if way:
            raise DataError(
                "--stream does not go together with --precision, --accumulate, --compile and --devices; leave them out"
            )
        if beyond:
            console.print(escape(f"{data} {beyond}: it is streamed."), highlight=False, soft_wrap=True)
        table: Any = _open_streamed(
            data, target, recipe, groups=groups, time=time, positive=positive, keep=names_of(keep), drop=names_of(drop),
            holdout=holdout, seed=seed, missing_columns=missing_columns,
        )  # fmt: skip
        size = batch_size or default_batch_size(table.labelled.parts.rows)
        network: dict[str, Any] = {"epochs": epochs, "batch_size": size}
    else:
        table = load_data(
            data, target, image_size=image_size, skip_broken=skip_broken, header=header, delimiter=delimiter,
            positive=positive, groups=groups, time=time, keep=names_of(keep), drop=names_of(drop),
        )  # fmt: skip
        network = _network(table, epochs, batch_size, module, augment) | way
    matrix = cost_matrix(cost, table)
    objective = known_objective(
        objective or ("cost" if matrix is not None else "f1"), len(table.classes), matrix
    )
    goal = parse_prior(prior, table.classes, table.positive)
    if streamed:
        show_streamed(console, table)
    else:
        show_table(console, table)
    options: dict[str, Any] = {
        "seed": seed, "metric": metric, "cost": matrix, "objective": objective, "prior": goal, "holdout": holdout,
        "calibration": calibration, "network": network,
    }  # fmt: skip
    shown = table.table if streamed else table
    protocol = fit_protocol(shown, recipe, options | {"missing_columns": missing_columns, "tune": tune or 0})
    if streamed:
        protocol["files"] = table.labelled.parts.hashes
    if left:
        if was_saved(out, protocol):
            console.print(
                f"The model was saved before.\nModel: {escape(str(out))}", highlight=False, soft_wrap=True
            )
            return
        check_goal(out, overwrite)
    with unfinished(out, protocol, describe(shown)) as folder:
        sweep_writes(out)
        with as_data_errors():
            if going_on := where_it_stands(folder):
                console.print(f"{going_on}.", highlight=False)
            with console.status(f"training {escape(recipe)} ..."):
                if streamed:
                    from metabalance.study.train_streamed import train_streamed

                    training = train_streamed(table, recipe, checkpoint=folder, **options)
                else:
                    policy: Literal["error", "impute"] = "impute" if missing_columns == "impute" else "error"
                    training = train_table(
                        table, recipe, tune=tune or 0, checkpoint=folder, missing_columns=policy, **options
                    )
        model = training.model
        model.record |= {"command": command, "fit": identity(protocol)}
        model.save(out, overwrite=overwrite)
    lines = [
        f"{recipe}, trained in {model.record['training_seconds']:.1f} s.",
        *told_search(model.record),
        *(f"validation {name}: {value:.4f} (used for choices, hence optimistic)"
          for name, value in model.record["validation"].items()),
        *(f"held-out {name}: {value}" + (f" ({value.reason})" if value.reason else "")
          for name, value in training.metrics.items()),
        *(f"note: {note}" for note in (*model.record["notes"], *filter(None, [model.decision.note]))),
        f"decision: {rule_of(model)}",
        f"Model: {out}",
    ]  # fmt: skip
    if tracker is not None:
        lines.append(f"Tracked by {tracker.log(logged_training(training, shown.name, out))}")
    console.print("\n" + escape("\n".join(lines)), highlight=False, soft_wrap=True)


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
    for candidate in parse_candidates(recipe):
        check_streamed(candidate)
    return open_streamed(data, target, **options)


def _network(
    table: Source, epochs: int, batch_size: int | None, module: str | None, augment: bool
) -> dict[str, Any]:
    """Settings of every network."""
    from importlib.util import find_spec

    network: dict[str, Any] = {"epochs": epochs}
    if table.image_shape is None:
        if module not in (None, "mlp") or augment:
            option = "--augment" if augment else f"--network {module}"
            raise DataError(f"{option} is for images, but {table.name} is a table; leave it out")
        return network | {"batch_size": batch_size or default_batch_size(len(table.target))}
    if module not in (None, *IMAGE_NETWORKS):
        raise DataError(f"--network {module!r} is unknown; use one of {', '.join(IMAGE_NETWORKS)}")
    if augment and find_spec("kornia") is None:
        raise DataError("--augment needs kornia; pip install 'metabalance[images]' brings it")
    return network | {
        "batch_size": batch_size or IMAGE_BATCH, "module": module or IMAGE_NETWORKS[0], "augment": augment,
    }  # fmt: skip


def _way(
    candidates: Iterable[Any], precision: str | None, accumulate: int, compiled: bool, devices: int = 1
) -> dict[str, Any]:
    """How the networks are trained, as far as it is not the usual way; what does not go together is refused."""
    usual = {"precision": None, "accumulate": 1, "compile": False, "devices": 1}
    asked = {"precision": precision, "accumulate": accumulate, "compile": compiled, "devices": devices}
    way = {name: value for name, value in asked.items() if value != usual[name]}
    if not way:
        return way
    from metabalance.study.strategies_table import refuse_unfit

    if precision not in (None, "32-true", "bf16-mixed"):
        raise DataError(f"--precision {precision!r} is not supported; use bf16-mixed or 32-true")
    with as_data_errors():
        refuse_unfit(candidates, way)
    return way


def default_batch_size(rows: int) -> int:
    """256 up to 10,000 rows, then doubling with the size up to 2048: small tables need steps, large ones speed."""
    return next(
        (size for size, most in ((256, 10_000), (512, 50_000), (1024, 200_000)) if rows <= most), 2048
    )
