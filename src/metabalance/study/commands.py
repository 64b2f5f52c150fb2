"""What the commands do, with the terminal as their only reader."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from metabalance.data.errors import DataError
from metabalance.study.candidates import DEFAULT_RECIPES, check_options, parse_candidates
from metabalance.study.compare import Plan, Progress, Run, Table, run_comparison
from metabalance.study.load import load_table, parse_duration, parse_prior
from metabalance.study.workers import default_workers


def compare_command(
    *, data: Path, target: str, positive: str | None, recipes: str | None, folds: int, seeds: int, metric: str,
    cost: str | None, groups: str | None, time: str | None, budget: str | None, fit_limit: str | None, out: Path,
    workers: int | None, epochs: int, batch_size: int | None, dedupe: bool, header: bool, delimiter: str | None,
    keep: str | None, drop: str | None, command: str,
) -> dict[str, Any]:  # fmt: skip
    """Compares recipes on a table; prints the table and the advice, writes the run folder."""
    from metabalance.study.summary import summarise, write_results

    console = Console()
    with _as_data_errors():
        candidates = tuple(parse_candidates(recipes or DEFAULT_RECIPES))
    metric = _known_metric(metric)
    limits = parse_duration(budget, "--budget"), parse_duration(fit_limit, "--fit-limit")
    table = load_table(
        data, target, header=header, delimiter=delimiter, positive=positive, groups=groups, time=time,
        keep=_names(keep), drop=_names(drop),
    )  # fmt: skip
    matrix = _cost(cost, table)
    if metric == "expected_cost" and matrix is None:
        raise DataError("--metric expected_cost needs --cost, for instance --cost fn=50,fp=1")
    plan = Plan(
        candidates, folds=folds, seeds=seeds, metric=metric, cost=matrix,
        network={"epochs": epochs, "batch_size": batch_size or default_batch_size(len(table.target))},
        workers=workers or default_workers(), budget=limits[0], fit_limit=limits[1], dedupe=dedupe,
    )  # fmt: skip
    show_table(console, table)
    run = compare_with_progress(console, table, plan, out)
    result = summarise(run, command)
    write_results(result, out)
    show_result(console, result)
    console.print(f"\nReport: {out / 'report.html'}", soft_wrap=True, highlight=False)
    return result


def compare_with_progress(console: Console, table: Table, plan: Plan, out: Path) -> Run:
    """Runs a comparison under a progress bar with the remaining time."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    for candidate in plan.candidates if any(c.options for c in plan.candidates) else ():
        with _as_data_errors():
            check_options(candidate)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        line = bar.add_task("fits", total=None, eta="")

        def report(p: Progress) -> None:
            eta = "" if p.eta is None else f"{p.eta:.0f} s to go"
            bar.update(line, completed=p.done, total=p.total, eta=eta)
            if p.status == "stored" and p.done:
                console.print(f"{p.done} of {p.total} fits were finished before; going on.", highlight=False)
            if p.status not in ("ok", "stored"):
                console.print(
                    f"[yellow]{escape(p.label)}: {p.status}: {escape(p.message)}[/]", soft_wrap=True
                )

        return run_comparison(table, plan, out, report)


def fit_command(
    *, data: Path, target: str, recipe: str, positive: str | None, cost: str | None, objective: str | None,
    prior: str | None, holdout: float, metric: str, seed: int, groups: str | None, time: str | None, out: Path,
    overwrite: bool, missing_columns: str, epochs: int, batch_size: int | None, header: bool, delimiter: str | None,
    keep: str | None, drop: str | None,
) -> None:  # fmt: skip
    """Trains one recipe on a table and saves the model folder."""
    console = Console()
    if missing_columns not in ("error", "impute"):
        raise DataError(f"--missing-columns {missing_columns!r} is unknown; use error or impute")
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists; choose another --out, or --overwrite to replace it")
    with _as_data_errors():
        parse_candidates(recipe)
    metric = _known_metric(metric)
    table = load_table(
        data, target, header=header, delimiter=delimiter, positive=positive, groups=groups, time=time,
        keep=_names(keep), drop=_names(drop),
    )  # fmt: skip
    matrix = _cost(cost, table)
    objective = objective or ("cost" if matrix is not None else "f1")
    if objective not in ("cost", "f1", "balanced_accuracy") or (objective == "cost" and matrix is None):
        raise DataError(
            f"--objective {objective!r} must be f1, balanced_accuracy, or cost together with --cost"
        )
    goal = parse_prior(prior, table.classes, table.positive)
    show_table(console, table)
    from metabalance.study.train import train_table

    with _as_data_errors(), console.status(f"training {recipe} ..."):
        training = train_table(
            table, recipe, seed=seed, metric=metric, cost=matrix, objective=objective, prior=goal, holdout=holdout,
            network={"epochs": epochs, "batch_size": batch_size or default_batch_size(len(table.target))},
            missing_columns="impute" if missing_columns == "impute" else "error",
        )  # fmt: skip
    model = training.model
    model.save(out, overwrite=overwrite)
    console.print(f"\n{recipe}, trained in {model.record['training_seconds']:.1f} s.", highlight=False)
    for name, value in model.record["validation"].items():
        console.print(f"validation {name}: {value:.4f} (used for choices, hence optimistic)", highlight=False)
    for name, value in training.metrics.items():
        console.print(f"held-out {name}: {value}", highlight=False)
    for note in model.record["notes"]:
        console.print(f"note: {escape(note)}", highlight=False)
    console.print(f"decision ({objective}): {escape(str(model.decision))}", highlight=False, soft_wrap=True)
    console.print(f"Model: {out}", highlight=False, soft_wrap=True)


def predict_command(
    *,
    model: Path,
    data: Path,
    out: Path,
    prior: str | None,
    overwrite: bool,
    header: bool,
    delimiter: str | None,
) -> None:
    """Scores a table with a saved model."""
    from metabalance.data.tables import read_table
    from metabalance.study.ship import TrainedModel
    from metabalance.study.store import write_table

    if out.exists() and not overwrite:
        raise DataError(f"{out} exists; choose another --out, or --overwrite to replace it")
    if out.suffix not in (".parquet", ".csv", ".tsv", ".feather"):
        raise DataError(f"--out {out} must end in .parquet, .csv, .tsv or .feather")
    trained = TrainedModel.load(model)
    goal = parse_prior(prior, trained.classes, trained.positive)
    frame = read_table(data, header=header, delimiter=delimiter)
    probabilities = trained.predict_proba(frame, goal)
    scored = frame.reset_index(drop=True)
    names = [f"probability_{c}" for c in trained.classes]
    taken = [n for n in (*names, "decision") if n in scored.columns]
    if taken:
        raise DataError(f"{data} already has a column {taken[0]!r}; rename it first")
    for name, column in zip(names, probabilities.T):
        scored[name] = column
    scored["decision"] = trained.decide(probabilities)
    write_table(scored, out)
    share = float(np.mean(scored["decision"].astype(str) == str(trained.classes[trained.positive])))
    Console().print(
        f"{len(scored)} rows scored; {100 * share:.2f} % decided {trained.classes[trained.positive]!r}.\nScores: {out}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def show_table(console: Console, table: Table) -> None:
    """What was read, and what the checks found."""
    counts = np.bincount(table.target, minlength=len(table.classes))
    console.print(
        f"[bold]{escape(table.name)}[/]: {len(table.target):,} rows, {table.frame.shape[1]} columns, target "
        f"{escape(table.target_name)}: " + ", ".join(f"{escape(str(c))} {n:,}" for c, n in list(zip(table.classes, counts))[:12])
        + f"; positive: {escape(str(table.classes[table.positive]))}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    for finding in table.findings:
        console.print(f"[yellow]{finding.code}[/] {escape(finding.message)}", highlight=False, soft_wrap=True)


def show_result(console: Console, result: dict[str, Any]) -> None:
    """The closing table and the advice."""
    from metabalance.study.summary import shown, signed

    metric = result["protocol"]["metric"]
    better = "higher" if result["metrics"][metric]["greater_is_better"] else "lower"
    level = f"{100 * result['protocol']['level']:.0f} %"
    grid = Grid(box=None, pad_edge=False, padding=(0, 1))
    grid.add_column("recipe", overflow="fold")
    for title in ("value", "difference to erm", "p", "s/fit"):
        grid.add_column(title, justify="right", no_wrap=True)
    sign = 1 if better == "higher" else -1
    order = sorted(
        result["recipes"], key=lambda r: -np.nan_to_num(sign * r["metrics"][metric]["value"], nan=-np.inf)
    )
    for recipe in order:
        if recipe["status"] not in ("ok", "partial"):
            grid.add_row(escape(recipe["label"]), recipe["status"], "", "", "")
            continue
        gap = recipe["difference"].get(metric)
        grid.add_row(
            escape(recipe["label"]),
            escape(shown(recipe["metrics"][metric])),
            "" if gap is None else escape(signed(gap)),
            "" if gap is None else f"{gap['p_holm']:.3f}",
            f"{recipe['seconds']['mean']:.1f}",
        )
    console.print(
        f"\n{result['metrics'][metric]['title']} ({better} is better), mean over test parts with {level} interval; "
        "differences are paired, p is Holm's.",
        highlight=False,
    )  # fmt: skip
    console.print(grid, highlight=False)
    console.print()
    console.print(f"[bold]{escape(result['advice']['headline'])}[/]", highlight=False, soft_wrap=True)
    for detail in result["advice"]["details"]:
        console.print(f"  {escape(detail)}", highlight=False, soft_wrap=True)


def default_batch_size(rows: int) -> int:
    """256 up to 10,000 rows, then doubling with the size up to 2048: small tables need steps, large ones speed."""
    return next(
        (size for size, most in ((256, 10_000), (512, 50_000), (1024, 200_000)) if rows <= most), 2048
    )


def _cost(text: str | None, table: Table) -> tuple[tuple[float, ...], ...] | None:
    from metabalance.adjust import parse_cost, read_cost_matrix

    if text is None:
        return None
    with _as_data_errors():
        if "=" in text or (len(table.classes) == 2 and not Path(text).exists()):
            if len(table.classes) != 2:
                raise DataError(
                    f"--cost {text!r} is for two classes, but there are {len(table.classes)}; give a JSON file"
                )
            return parse_cost(text, table.positive)
        return read_cost_matrix(text, [str(c) for c in table.classes])


def _known_metric(name: str, cost: Any = ((0, 1), (1, 0))) -> str:
    """The metric's own name."""
    from metabalance.judge.metrics import get_metric

    with _as_data_errors():
        return get_metric(name, cost=cost).name


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


@contextlib.contextmanager
def _as_data_errors() -> Iterator[None]:
    """A ValueError about what the user gave is told as such."""
    try:
        yield
    except DataError:
        raise
    except (ValueError, KeyError) as error:
        raise DataError(str(error.args[0]) if error.args else str(error)) from error
