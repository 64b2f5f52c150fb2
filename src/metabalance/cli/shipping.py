"""Ship a model and watch it: export, monitor."""

from pathlib import Path
from typing import Annotated

import typer

from metabalance.cli.application import app, guarded
from metabalance.cli.options import DataArgument, DelimiterOption, HeaderOption, SkipBrokenOption


@app.command()
@guarded
def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="A model folder written by metabalance fit; for evidently a run folder or monitor's JSON."
        ),
    ],
    form: Annotated[
        str,
        typer.Option("--format", help="onnx, torch for a torch.export program, or evidently for figures."),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file, .onnx, .pt2 or .json; by default the folder's name.", show_default=False
        ),
    ] = None,
    pixels: Annotated[
        str, typer.Option(help="For images: uint8, or float32 for values from 0 to 1.")
    ] = "uint8",
    interval: Annotated[
        float | None,
        typer.Option(
            help="Of a model of values: the level of low and high; by default 0.9.", show_default=False
        ),
    ] = None,
    interval_by: Annotated[
        str | None,
        typer.Option(
            help="Of a model of values: whether low and high hold their share of rows in each region of the prediction, "
            "or, wider, of the target; by default prediction.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """A model as one file for other runtimes: from raw columns to decisions, or to values and intervals, in one graph."""
    from metabalance.study.export import export_command

    export_command(
        model=model,
        form=form,
        out=out,
        overwrite=overwrite,
        pixels=pixels,
        interval=interval,
        interval_by=interval_by,
    )


@app.command()
@guarded
def monitor(
    model: Annotated[Path, typer.Argument(help="A model folder written by metabalance fit.")],
    data: DataArgument,
    target: Annotated[
        str | None,
        typer.Option(
            help="Column of the true classes or values, where some are known by now; for images any word.",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        Path | None, typer.Option("--json", help="Add a dated entry to this JSON file.", show_default=False)
    ] = None,
    level: Annotated[float, typer.Option(help="Level of intervals and tests.", min=0.5, max=0.9999)] = 0.95,
    tolerance: Annotated[
        float,
        typer.Option(
            help="A loss of a metric that does not matter; of an error, that share of it.", min=0, max=1
        ),
    ] = 0.02,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="What makes the status 1: drift, prior, performance, or nothing; by default all.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Old rows to compare with, in place of those the model remembers.", show_default=False
        ),
    ] = None,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
    skip_broken: SkipBrokenOption = False,
) -> None:
    """Are new rows still those the model knows, and is it as good as promised? Status 0: fine, 1: alarm, 2: bad input."""
    from metabalance.study.watch import monitor_command

    status = monitor_command(
        model=model, data=data, target=target, reference=reference, history=history, fail_on=fail_on, level=level,
        tolerance=tolerance, header=header, delimiter=delimiter, skip_broken=skip_broken,
    )  # fmt: skip
    if status:
        raise typer.Exit(status)
