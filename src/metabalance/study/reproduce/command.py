"""What ``metabalance reproduce`` does, with the terminal as its only reader."""

import os
from pathlib import Path
from typing import Any

from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.methods import get_method, nearest
from metabalance.study.reproduce.base import Claim, Experiment
from metabalance.study.reproduce.claims import CLAIMS, EXPERIMENTS, VALUE_CLAIMS
from metabalance.study.reproduce.experiment import file_of
from metabalance.study.reproduce.places import is_here, name_of
from metabalance.study.terminal import Console
from metabalance.study.workers import default_workers

ALL = "all"


def reproduce_command(
    *, name: str | None, full: bool, seeds: int | None, workers: int | None, data: Path | None, out: Path
) -> None:  # fmt: skip
    """Lists the claims, or runs one or all of them; the verdict is printed and is no failure."""
    folder = data or (Path(os.environ["METABALANCE_DATA"]) if os.environ.get("METABALANCE_DATA") else None)
    if data is not None and not data.is_dir():
        raise DataError(f"{data} is no folder; --data names the folder of the images and tables")
    console = Console()
    if name is None:
        list_claims(console, folder)
        return
    chosen = list(every().values()) if name == ALL else [find(name)]
    failed = []
    for claim in chosen:
        try:
            run_one(console, claim, folder, full, seeds, workers, out)
        except DataError as error:
            if name != ALL:
                raise
            failed.append(claim.name)
            console.print(f"[yellow]{escape(str(error.args[0]))}[/]", soft_wrap=True, highlight=False)
    if failed:
        raise DataError(
            f"{len(failed)} of {len(chosen)} claims could not be judged: {', '.join(failed)}; the reasons are above"
        )


def every() -> dict[str, Claim | Experiment]:
    """All claims by name: those that train, and those about measures."""
    return {**CLAIMS, **VALUE_CLAIMS, **EXPERIMENTS}


def find(name: str) -> Claim | Experiment:
    """The claim of that name."""
    claims = every()
    if name not in claims:
        near = nearest(name, claims)
        hint = f"did you mean {' or '.join(near)}?" if near else "`metabalance reproduce` lists them all"
        raise DataError(f"the claim {name!r} is unknown; {hint}")
    return claims[name]


def list_claims(console: Console, folder: Path | None) -> None:
    """Every claim, its paper, and what it would run on here."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("claim", "paper", "what the paper says", "figures", "runs on"):
        table.add_column(column, overflow="fold")
    for claim in every().values():
        table.add_row(
            claim.name,
            get_method(claim.paper).papers[0].short,
            claim.statement,
            claim.published.status,
            where_it_runs(claim, folder),
        )
    console.print(table)


def where_it_runs(claim: Claim | Experiment, folder: Path | None) -> str:
    """The data that a claim would run on here."""
    if isinstance(claim, Experiment):
        lacking = [c for c in claim.needs if file_of(claim, c, folder) is None]
        kept = [c for c in claim.conditions if c not in lacking]
        return ", ".join([*kept, *(claim.fallback if lacking else ())])
    wanted = ", ".join(dict.fromkeys(map(name_of, claim.small.values())))
    if all(is_here(setup, folder) for setup in claim.small.values()):
        return wanted
    fallback = ", ".join(dict.fromkeys(map(name_of, claim.fallback.values())))
    return fallback or f"{wanted} (not there)"


def run_one(
    console: Console,
    claim: Claim | Experiment,
    folder: Path | None,
    full: bool,
    seeds: int | None,
    workers: int | None,
    out: Path,
) -> dict[str, Any]:
    """Runs a claim under a progress bar and prints its result."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from metabalance.study.reproduce.experiment import run_experiment
    from metabalance.study.reproduce.page import show
    from metabalance.study.reproduce.run import Progress, reproduce

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        line = bar.add_task(escape(claim.name), total=None, eta="")

        def report(p: Progress) -> None:
            eta = "" if p.eta is None else f"{p.eta:.0f} s to go"
            bar.update(line, completed=p.done, total=p.total, eta=eta)
            if p.status == "stored" and p.done:
                console.print(f"{p.done} of {p.total} fits were finished before.", highlight=False)

        if isinstance(claim, Experiment):
            result = run_experiment(claim, out, data=folder, seeds=seeds, full=full, report=report)
        else:
            result = reproduce(
                claim,
                out,
                data=folder,
                full=full,
                seeds=seeds,
                workers=workers or default_workers(),
                report=report,
            )
    show(console, result)
    console.print(
        f"\nWritten: {escape(str(out / claim.name))}{'-full' if full else ''}.json and .md",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    return result
