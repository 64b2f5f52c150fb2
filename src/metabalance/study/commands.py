"""What ``compare`` does, with the terminal as its only reader."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.study.candidates import check_names, check_options, parse_candidates
from metabalance.study.compare import Plan, Progress, Run, run_comparison
from metabalance.study.engines import EngineChoice
from metabalance.study.given import (
    as_data_errors,
    cost_matrix,
    names_of,
    parse_duration,
)
from metabalance.study.kinds import kind_of
from metabalance.study.load import load_data
from metabalance.study.showing import show_result, show_table
from metabalance.study.sources import Studied
from metabalance.study.terminal import Console

IMAGE_NETWORKS = ("convnet", "resnet32", "wideresnet", "mlp")
IMAGE_BATCH = 128


def compare_command(
    *, data: Path, target: str | None, positive: str | None, recipes: str | None, folds: int, seeds: int, metric: str | None,
    cost: str | None, groups: str | None, time: str | None, budget: str | None, fit_limit: str | None, out: Path,
    workers: int | None, epochs: int, batch_size: int | None, dedupe: bool, header: bool, delimiter: str | None,
    keep: str | None, drop: str | None, command: str, image_size: str | None = None, module: str | None = None,
    augment: bool = False, skip_broken: bool = False, track: str | None = None, engine: str = "local",
    address: str | None = None, gpus_per_fit: float = 0.0, tune: int | None = None, precision: str | None = None,
    accumulate: int = 1, compiled: bool = False, task: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Compares recipes on a table or on images; prints the table and the advice, writes the run folder."""
    from metabalance.study.search import import_optuna
    from metabalance.study.summary import summarise, write_results
    from metabalance.study.tracking import logged_comparison, parse_track

    console = Console()
    tracker = parse_track(track)
    if tune:
        import_optuna()
    if recipes:
        with as_data_errors():
            check_names(recipes)
    limits = parse_duration(budget, "--budget"), parse_duration(fit_limit, "--fit-limit")
    where = EngineChoice(engine, address, gpus_per_fit)
    where.check()
    table = load_data(
        data, target, image_size=image_size, skip_broken=skip_broken, header=header, delimiter=delimiter,
        positive=positive, groups=groups, time=time, keep=names_of(keep), drop=names_of(drop), task=task,
    )  # fmt: skip
    kind = kind_of(table.kind)
    kind.refuse({"cost": cost})
    metric = kind.known_metric(metric or kind.metric)
    with as_data_errors():
        candidates = tuple(parse_candidates(recipes or kind.recipes, kind.name))
    network = network_settings(table, epochs, batch_size, module, augment)
    network |= way_of_training(candidates, precision, accumulate, compiled, kind=kind.name)
    matrix = cost_matrix(cost, table)  # type: ignore[arg-type]
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


def compare_with_progress(console: Console, table: Studied, plan: Plan, out: Path) -> Run:
    """Runs a comparison under a progress bar with the remaining time."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    kind = kind_of(table.kind)
    for candidate in (c for c in plan.candidates if c.options):
        with as_data_errors():
            check_options(candidate, kind.name)
            kind.rehearse(candidate, table, plan.network)
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


def network_settings(
    table: Studied, epochs: int, batch_size: int | None, module: str | None, augment: bool
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


def way_of_training(
    candidates: Iterable[Any],
    precision: str | None,
    accumulate: int,
    compiled: bool,
    devices: int = 1,
    kind: str = "classes",
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
        refuse_unfit(candidates, way, kind)
    return way


def default_batch_size(rows: int) -> int:
    """256 up to 10,000 rows, then doubling with the size up to 2048: small tables need steps, large ones speed."""
    return next(
        (size for size, most in ((256, 10_000), (512, 50_000), (1024, 200_000)) if rows <= most), 2048
    )
