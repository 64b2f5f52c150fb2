"""Know what you use: methods, cite, demo, reproduce."""

from pathlib import Path
from typing import Annotated

import typer

from metabalance.cli.application import app, guarded


@app.command()
@guarded
def methods(
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    strategies: Annotated[
        bool,
        typer.Option("--strategies", help="Which recipe goes with DDP, FSDP, bf16, accumulation, compile."),
    ] = False,
) -> None:
    """Every method: where it acts, who published it, what it works on."""
    from metabalance.study.listing import methods_command

    methods_command(stage=stage, markdown=markdown, as_json=as_json, strategies=strategies)


@app.command()
@guarded
def cite(name: Annotated[str, typer.Argument(help="A method's name.")]) -> None:
    """Print the BibTeX entry of a method."""
    from metabalance.methods import bibtex

    print(bibtex(name))


@app.command()
@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Where the run and the model go.")] = Path("metabalance-demo"),
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.", min=1)] = None,
) -> None:
    """The whole story in under two minutes, on digits that ship with scikit-learn, made imbalanced."""
    from metabalance.study.demo import demo_command

    demo_command(out=out, workers=workers)


@app.command()
@guarded
def reproduce(
    name: Annotated[
        str | None,
        typer.Argument(help="A claim, or all; without it the claims are listed.", show_default=False),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="At the paper's scale, for a machine that can.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(help="Training runs of each arm; by default the claim's.", min=2)
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.", min=1)] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the images; by default METABALANCE_DATA.", show_default=False),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The run folder; finished fits in it are used, by every claim.")
    ] = Path("reproduced"),
) -> None:
    """Run a paper's central claim at a small size: its figures, ours with intervals, and a verdict."""
    from metabalance.study.reproduce.command import reproduce_command

    reproduce_command(name=name, full=full, seeds=seeds, workers=workers, data=data, out=out)
