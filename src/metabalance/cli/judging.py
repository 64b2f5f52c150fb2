"""Decide and judge: decide, predict, judge, report."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from metabalance.cli.application import app, guarded
from metabalance.cli.options import (
    CostOption,
    DataArgument,
    DelimiterOption,
    GroupsOption,
    HeaderOption,
    PositiveOption,
    SkipBrokenOption,
    TargetOption,
)

ValueTaskOption = Annotated[
    str | None,
    typer.Option(
        help="regression: the target is a quantity, and --score names its predicted values (by default prediction).",
        show_default=False,
    ),
]
TrainOption = Annotated[
    Path | None,
    typer.Option(
        help="For predicted values: the training rows' table, or the model's folder, says what is rare.",
        show_default=False,
    ),
]
BinWidthOption = Annotated[
    float | None,
    typer.Option(
        help="For predicted values: width of the bins that tell rare from frequent.", show_default=False
    ),
]


@app.command()
@guarded
def decide(
    data: Annotated[Path, typer.Argument(help="A scored table, such as metabalance predict writes.")],
    target: Annotated[str, typer.Option(help="The column of true classes.", show_default=False)],
    score: Annotated[
        str | None,
        typer.Option(help="The column of the positive class's probabilities; by default probability_CLASS."),
    ] = None,
    positive: PositiveOption = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="recall@precision>=0.9, precision@recall>=0.8, recall>=0.95, fpr<=0.001, alerts<=100, f1, f2, g_mean, "
            "balanced_accuracy or cost.",
            show_default=False,
        ),
    ] = None,
    cost: CostOption = None,
    cost_columns: Annotated[
        str | None, typer.Option(help="Costs of each row, by column or number: fn=amount,fp=5.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="The constraint must hold for rows to come with this probability.")
    ] = None,
    alerts: Annotated[float | None, typer.Option(help="At most so many alerts a day.", min=0)] = None,
    rows_per_day: Annotated[float | None, typer.Option(help="How many rows are scored a day.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column of row weights.")] = None,
    groups: GroupsOption = None,
    judge: Annotated[
        str,
        typer.Option(help="folds: every row is decided by what was chosen on the others; half: by halves."),
    ] = "folds",
    folds: Annotated[int, typer.Option(help="Number of folds.", min=2)] = 5,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Several classes: a multiplier for each one.")
    ] = False,
    level: Annotated[float, typer.Option(help="Level of all intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="The decision as JSON.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
) -> None:
    """Choose a threshold for a metric, a cost or a constraint, and judge it on rows it was not chosen on."""
    from metabalance.study.decide_command import decide_command

    decide_command(
        data=data, target=target, score=score, positive=positive, objective=objective, cost=cost,
        cost_columns=cost_columns, confidence=confidence, alerts=alerts, rows_per_day=rows_per_day, weight=weight,
        groups=groups, judge=judge, folds=folds, per_class=per_class, level=level, seed=seed, out=out,
        overwrite=overwrite, header=header, delimiter=delimiter,
    )  # fmt: skip


@app.command()
@guarded
def predict(
    model: Annotated[Path, typer.Argument(help="A model folder written by metabalance fit.")],
    data: DataArgument,
    out: Annotated[
        Path,
        typer.Option(
            help="Scored table: .parquet, .csv, .tsv or .feather. Or a folder: Parquet is then scored in parts, and a "
            "run that was stopped goes on."
        ),
    ] = Path("scored.parquet"),
    prior: Annotated[
        str | None, typer.Option(help="Class shares of these data, in place of the model's.")
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            help="Of a model of values: the level of low and high, 0.5, 0.8, 0.9, 0.95 or 0.99; by default 0.9.",
            show_default=False,
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file or folder of scores.")
    ] = False,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
    prefix: Annotated[
        str, typer.Option(help="Put before the names of the added columns.", show_default=False)
    ] = "",
    skip_broken: SkipBrokenOption = False,
) -> None:
    """Score new rows or images with a saved model: probabilities and decisions, or values and intervals."""
    from metabalance.study.predict_command import predict_command

    predict_command(
        model=model, data=data, out=out, prior=prior, overwrite=overwrite, header=header, delimiter=delimiter,
        prefix=prefix, skip_broken=skip_broken, interval=interval, interval_by=interval_by,
    )  # fmt: skip


@app.command()
@guarded
def judge(
    data: Annotated[Path, typer.Argument(help="A scored table, by metabalance predict or any other model.")],
    target: Annotated[str, typer.Option(help="The column of the true classes.")],
    score: Annotated[
        str | None,
        typer.Option(
            help="The column of the positive class's scores, or what the columns of all classes begin with; by default "
            "probability_.",
            show_default=False,
        ),
    ] = None,
    positive: PositiveOption = None,
    decision: Annotated[
        str | None,
        typer.Option(
            help="The column of decided classes; by default 'decision' where it is there, else the most probable class.",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Metrics such as average_precision,recall@precision=0.9,precision@100,lift@1%.",
            show_default=False,
        ),
    ] = None,
    cost: CostOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Columns with other scores of these rows, a,b: are they better or worse, or not distinguishable?",
            show_default=False,
        ),
    ] = None,
    priors: Annotated[
        str | None,
        typer.Option(
            help="Shares of positives, 10%,1%: what the figures would be there, by weighting the rows.",
            show_default=False,
        ),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Column of groups that are judged apart, too.", show_default=False)
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of row weights.", show_default=False)] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Writes everything to this file.", show_default=False)
    ] = None,
    level: Annotated[float, typer.Option(help="Nominal coverage of the intervals.")] = 0.95,
    resamples: Annotated[int, typer.Option(help="Of bootstrap intervals.", min=2)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resamples.", min=0)] = 0,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Parquet (a file, a folder or a pattern) that does not fit into memory: no bootstrap.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing JSON file.")] = False,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
    task: ValueTaskOption = None,
    train: TrainOption = None,
    bin_width: BinWidthOption = None,
) -> None:
    """How good are these scores? Metrics with intervals, for each class and each group."""
    from metabalance.study.judging import judge_command

    judge_command(
        data=data, target=target, score=score, positive=positive, decision=decision, metrics=metrics, cost=cost,
        groups=groups, weight=weight, json_path=json, level=level, resamples=resamples, seed=seed, stream=stream,
        overwrite=overwrite, header=header, delimiter=delimiter, against=against, priors=priors,
        task=task, train=train, bin_width=bin_width,
    )  # fmt: skip


@app.command()
@guarded
def report(
    source: Annotated[
        Path,
        typer.Argument(
            help="A run folder of compare, a model folder of fit, or a table of scores and true classes."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="With a model: rows it has not seen, with their classes.", show_default=False),
    ] = None,
    target: TargetOption = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="Column of the positive class's scores, or how the columns of all classes begin.",
            show_default=False,
        ),
    ] = None,
    decision: Annotated[
        str | None, typer.Option(help="Column of decided classes.", show_default=False)
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column of weights.", show_default=False)] = None,
    groups: Annotated[
        str | None, typer.Option(help="Column of groups to be looked at one by one.", show_default=False)
    ] = None,
    positive: PositiveOption = None,
    cost: CostOption = None,
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("report.html"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
    task: ValueTaskOption = None,
    train: TrainOption = None,
    bin_width: BinWidthOption = None,
) -> None:
    """One offline HTML page on a run, a model or a scored file, with a threshold to move."""
    from metabalance.study.report.command import report_command

    report_command(
        source=source, data=data, target=target, score=score, decision=decision, weight=weight, groups=groups,
        positive=positive, cost=cost, out=out, overwrite=overwrite, header=header, delimiter=delimiter,
        command=shlex.join(["metabalance", *sys.argv[1:]]),
        task=task, train=train, bin_width=bin_width,
    )  # fmt: skip
