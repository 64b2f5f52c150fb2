"""Find and train the remedy: audit, compare, fit."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from metabalance.cli.application import app, guarded
from metabalance.cli.options import (
    AccumulateOption,
    AugmentOption,
    CompileOption,
    CostOption,
    DataArgument,
    DelimiterOption,
    DevicesOption,
    DropOption,
    GroupsOption,
    HeaderOption,
    ImageSizeOption,
    KeepOption,
    MetricOption,
    NetworkOption,
    PositiveOption,
    PrecisionOption,
    SkipBrokenOption,
    TargetOption,
    TaskOption,
    TimeOption,
    TrackOption,
    TuneOption,
)


@app.command()
@guarded
def audit(
    data: DataArgument,
    target: TargetOption = None,
    task: TaskOption = None,
    positive: PositiveOption = None,
    groups: GroupsOption = None,
    time: TimeOption = None,
    folds: Annotated[int, typer.Option(help="Folds that are planned.", min=2)] = 5,
    metric: Annotated[
        str | None,
        typer.Option(
            help="The metric that decides; by default average_precision, or bmae of a continuous target.",
            show_default=False,
        ),
    ] = None,
    half_width: Annotated[
        float | None,
        typer.Option(
            help="Half-width that the metric's 95 % interval is to have, by default 0.05; of a continuous target that share of "
            "the error among rare values, by default 0.1.",
            show_default=False,
        ),
    ] = None,
    mute: Annotated[
        str | None, typer.Option(help="Codes not to be told, MB007,MB010.", show_default=False)
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with status 1 when a warning or an error stands.")
    ] = False,
    json: Annotated[
        str | None,
        typer.Option(help="Write everything to this file; - is the terminal.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    model_rows: Annotated[
        int, typer.Option(help="At most so many rows for the checks that fit a quick model.", min=100)
    ] = 20_000,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.", min=0)] = 0,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
    drop: DropOption = None,
    image_size: ImageSizeOption = None,
    skip_broken: SkipBrokenOption = False,
) -> None:
    """Before training: what stands in the way, what looks wrong, and what these data can tell at all."""
    from metabalance.study.audit.command import audit_command

    stands = audit_command(
        data=data, target=target, positive=positive, groups=groups, time=time, folds=folds, metric=metric,
        half_width=half_width, mute=mute, json_path=json, overwrite=overwrite, model_rows=model_rows, seed=seed,
        header=header, delimiter=delimiter, drop=drop, image_size=image_size, skip_broken=skip_broken,
        task=task,
    )  # fmt: skip
    if strict and stands:
        raise typer.Exit(1)


@app.command()
@guarded
def compare(
    data: DataArgument,
    target: TargetOption = None,
    task: TaskOption = None,
    positive: PositiveOption = None,
    recipes: Annotated[
        str | None,
        typer.Option(
            help="What to compare, e.g. smote, focal(gamma=2), erm(lr=0.001|0.01), with commas between; several "
            "values are tuned on the validation part. By default eleven, of a quantity twelve."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of each repetition.", min=2)] = 5,
    seeds: Annotated[int, typer.Option(help="Repetitions with new shuffles.", min=1)] = 3,
    metric: MetricOption = None,
    tune: TuneOption = None,
    cost: CostOption = None,
    groups: GroupsOption = None,
    time: TimeOption = None,
    budget: Annotated[str | None, typer.Option(help="Time for everything, e.g. 90s, 10m, 2h.")] = None,
    fit_limit: Annotated[
        str | None, typer.Option(help="Time for one training; what takes longer is reported.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run folder; an unfinished run in it goes on.")] = Path("run"),
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.", min=1)] = None,
    engine: Annotated[
        str, typer.Option(help="local, processes of this machine, or ray, the workers of a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            help="The Ray cluster to join, auto or host:port; without it Ray is started on this machine.",
            show_default=False,
        ),
    ] = None,
    gpus_per_fit: Annotated[
        float, typer.Option(help="GPUs that a fit asks Ray for, e.g. 1 or 0.25.", min=0)
    ] = 0.0,
    epochs: Annotated[int, typer.Option(help="At most this many epochs per network.", min=1)] = 50,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Rows per batch; by default 256 to 2048 by size, and 128 images.", min=2),
    ] = None,
    dedupe: Annotated[
        bool, typer.Option("--dedupe", help="Keep equal rows on one side of every split.")
    ] = False,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
    keep: KeepOption = None,
    drop: DropOption = None,
    image_size: ImageSizeOption = None,
    network: NetworkOption = None,
    augment: AugmentOption = False,
    skip_broken: SkipBrokenOption = False,
    precision: PrecisionOption = None,
    accumulate: AccumulateOption = 1,
    compiled: CompileOption = False,
    track: TrackOption = None,
) -> None:
    """Which remedy works on these data? Every recipe on the same splits, beside an untouched baseline."""
    from metabalance.study.commands import compare_command

    compare_command(
        data=data, target=target, positive=positive, recipes=recipes, folds=folds, seeds=seeds, metric=metric, cost=cost,
        groups=groups, time=time, budget=budget, fit_limit=fit_limit, out=out, workers=workers, epochs=epochs,
        batch_size=batch_size, dedupe=dedupe, header=header, delimiter=delimiter, keep=keep, drop=drop,
        command=shlex.join(["metabalance", *sys.argv[1:]]), image_size=image_size, module=network, augment=augment,
        skip_broken=skip_broken, track=track, engine=engine, address=address, gpus_per_fit=gpus_per_fit, tune=tune,
        precision=precision, accumulate=accumulate, compiled=compiled, task=task,
    )  # fmt: skip


@app.command()
@guarded
def fit(
    data: DataArgument,
    target: TargetOption = None,
    task: TaskOption = None,
    recipe: Annotated[
        str, typer.Option(help="NAME or NAME(option=value); several values are tuned.")
    ] = "metabalance",
    positive: PositiveOption = None,
    cost: CostOption = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="What the threshold is chosen for: cost, f1, f2, balanced_accuracy, g_mean, recall@precision>=0.9, "
            "recall>=0.95, fpr<=0.001 or alert_rate<=1%."
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="bias_corrected (the default), temperature, vector, isotonic, beta, sigmoid or none.",
            show_default=False,
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            help="The class shares where the model will work: 0.00173 for the positive class, or a=0.2,b=0.8."
        ),
    ] = None,
    holdout: Annotated[
        float, typer.Option(help="Share of rows kept aside for an honest final figure.", min=0, max=0.9)
    ] = 0.0,
    metric: MetricOption = None,
    tune: TuneOption = None,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.", min=0)] = 0,
    groups: GroupsOption = None,
    time: TimeOption = None,
    out: Annotated[Path, typer.Option(help="The model folder.")] = Path("model"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing model folder.")] = False,
    missing_columns: Annotated[
        str, typer.Option(help="What predict does when a column is missing: error or impute.")
    ] = "error",
    epochs: Annotated[int, typer.Option(help="At most this many epochs.", min=1)] = 50,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Rows per batch; by default 256 to 2048 by size, and 128 images.", min=2),
    ] = None,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
    keep: KeepOption = None,
    drop: DropOption = None,
    image_size: ImageSizeOption = None,
    network: NetworkOption = None,
    augment: AugmentOption = False,
    skip_broken: SkipBrokenOption = False,
    precision: PrecisionOption = None,
    accumulate: AccumulateOption = 1,
    compiled: CompileOption = False,
    devices: DevicesOption = 1,
    track: TrackOption = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Parquet that does not fit into memory; by default beyond a quarter of it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train one recipe, calibrate it, choose its threshold, and save a model folder that runs no code when loaded."""
    from metabalance.study.fit_command import fit_command

    fit_command(
        data=data, target=target, recipe=recipe, positive=positive, cost=cost, objective=objective, prior=prior,
        holdout=holdout, metric=metric, seed=seed, groups=groups, time=time, out=out, overwrite=overwrite,
        missing_columns=missing_columns, epochs=epochs, batch_size=batch_size, header=header, delimiter=delimiter,
        keep=keep, drop=drop, image_size=image_size, module=network, augment=augment, skip_broken=skip_broken,
        calibration=calibration,
        command=shlex.join(["metabalance", *sys.argv[1:]]), track=track, tune=tune, stream=stream,
        precision=precision, accumulate=accumulate, compiled=compiled, task=task, devices=devices,
    )  # fmt: skip
