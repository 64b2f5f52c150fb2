"""The ``metabalance`` command: thin, one function a command.

Nothing heavy is imported before a command needs it: ``metabalance --help`` answers at once.
"""

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from metabalance import __version__


class _Commands(typer.core.TyperGroup):
    """Wrong usage is one line on stderr, like all other bad input, instead of typer's framed page."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        standalone_mode = kwargs.pop("standalone_mode", True)
        try:
            status = super().main(*args, **(kwargs | {"standalone_mode": False}))
        except Exception as error:
            if not (standalone_mode and hasattr(error, "format_message")):
                raise
            if error.format_message():  # empty when the help was asked for by giving nothing
                command = getattr(getattr(error, "ctx", None), "command_path", "metabalance")
                message = error.format_message().rstrip(".")
                _say(f"error: {message[:1].lower()}{message[1:]}; {command} --help tells what is allowed")
            sys.exit(INPUT_ERROR)
        if standalone_mode:
            sys.exit(status if isinstance(status, int) else 0)
        return status


app = typer.Typer(
    cls=_Commands,
    name="metabalance",
    help="Deep learning for imbalanced data: find the remedy that works on your table or your images, train it, ship it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

INPUT_ERROR, INTERRUPTED = 2, 130


def main() -> None:
    """Entry point: bad input is one sentence and exit status 2, Ctrl-C is 130."""
    app()


def _guarded(command: Callable) -> Callable:
    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            kept = "Finished fits are kept: run the same command again to go on."
            _say(
                f"Interrupted. {kept if command.__name__ in ('compare', 'demo', 'reproduce') else 'Nothing was written.'}"
            )
            raise typer.Exit(INTERRUPTED) from None
        except MemoryError:
            _say(
                "error: the data do not fit into memory; use fewer rows, columns or pixels, or a larger machine"
            )
            raise typer.Exit(INPUT_ERROR) from None
        except BrokenPipeError:  # the reader of a pipe has had enough: typer ends quietly
            raise
        except OSError as error:
            # What is foreseen names a cure; this is the rest: a full disk, a folder taken away.
            if error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename else ""
            _say(f"error: {where}{error.strerror}; check the disk and the permissions, then run again")
            raise typer.Exit(INPUT_ERROR) from None
        except (ValueError, KeyError) as error:
            if not _is_input_error(error):
                raise
            _say(f"error: {error.args[0] if error.args else error}")
            raise typer.Exit(INPUT_ERROR) from None

    return run


def _is_input_error(error: Exception) -> bool:
    from metabalance.data.errors import DataError
    from metabalance.methods import UnknownName

    return isinstance(error, (DataError, UnknownName))


def _say(text: str) -> None:
    print(" ".join(text.split()), file=sys.stderr)


# ------------------------------------------------------------------------------------------ shared options

DataArgument = Annotated[
    Path,
    typer.Argument(
        help="A table: CSV, TSV, Parquet, Feather, Arrow, NPZ or ARFF; .gz, .xz, .bz2 and .zst too. Or images: a folder "
        "with a sub-folder for each class, IDX or NPZ."
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        help="The target column of a table: its name, or its position (-1 is the last). Images need none.",
        show_default=False,
    ),
]
ImageSizeOption = Annotated[
    str | None,
    typer.Option(
        help="Images are brought to this size: 64, or 48x64 for height x width.", show_default=False
    ),
]
NetworkOption = Annotated[
    str | None,
    typer.Option(help="For images: convnet (the default), resnet32, wideresnet or mlp.", show_default=False),
]
AugmentOption = Annotated[
    bool, typer.Option("--augment/--no-augment", help="Random crops and mirroring of training images.")
]
SkipBrokenOption = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out images that cannot be read, and say which.")
]
PositiveOption = Annotated[
    str | None, typer.Option(help="The positive class; by default the rarest.", show_default=False)
]
GroupsOption = Annotated[
    str | None, typer.Option(help="Column whose groups stay on one side of every split.")
]
TimeOption = Annotated[str | None, typer.Option(help="Column of times: the test part is always later.")]
HeaderOption = Annotated[
    bool, typer.Option("--header/--no-header", help="Whether the first row names the columns.")
]
DelimiterOption = Annotated[
    str | None, typer.Option(help="Separator of a text table; found by itself otherwise.")
]
CostOption = Annotated[
    str | None,
    typer.Option(
        help="Costs such as fn=50,fp=1, or a JSON file with a matrix (rows true, columns predicted)."
    ),
]
KeepOption = Annotated[
    str | None, typer.Option(help="Columns to keep though a check would drop them, a,b,c.")
]
DropOption = Annotated[str | None, typer.Option(help="Columns to leave out, a,b,c.")]
MetricOption = Annotated[
    str, typer.Option(help="The metric that decides, e.g. average_precision, roc_auc, f1.")
]

TrackOption = Annotated[
    str | None,
    typer.Option(
        help="Write to mlflow or tensorboard too, with :FOLDER for another place.", show_default=False
    ),
]


@app.command()
@_guarded
def audit(
    data: DataArgument,
    target: TargetOption = None,
    positive: PositiveOption = None,
    groups: GroupsOption = None,
    time: TimeOption = None,
    folds: Annotated[int, typer.Option(help="Folds that are planned.", min=2)] = 5,
    metric: MetricOption = "average_precision",
    half_width: Annotated[
        float, typer.Option(help="Half-width that the metric's 95 % interval is to have.")
    ] = 0.05,
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
    )  # fmt: skip
    if strict and stands:
        raise typer.Exit(1)


@app.command()
@_guarded
def compare(
    data: DataArgument,
    target: TargetOption = None,
    positive: PositiveOption = None,
    recipes: Annotated[
        str | None,
        typer.Option(
            help="What to compare, e.g. smote, focal(gamma=2), erm(lr=0.001|0.01), with commas between; several "
            "values are tuned on the validation part. By default eleven."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of each repetition.", min=2)] = 5,
    seeds: Annotated[int, typer.Option(help="Repetitions with new shuffles.", min=1)] = 3,
    metric: MetricOption = "average_precision",
    cost: CostOption = None,
    groups: GroupsOption = None,
    time: TimeOption = None,
    budget: Annotated[str | None, typer.Option(help="Time for everything, e.g. 90s, 10m, 2h.")] = None,
    fit_limit: Annotated[
        str | None, typer.Option(help="Time for one fit; what takes longer is reported.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run folder; an unfinished run in it goes on.")] = Path("run"),
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.", min=1)] = None,
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
    track: TrackOption = None,
) -> None:
    """Which remedy works on these data? Every recipe on the same splits, beside an untouched baseline."""
    from metabalance.study.commands import compare_command

    compare_command(
        data=data, target=target, positive=positive, recipes=recipes, folds=folds, seeds=seeds, metric=metric, cost=cost,
        groups=groups, time=time, budget=budget, fit_limit=fit_limit, out=out, workers=workers, epochs=epochs,
        batch_size=batch_size, dedupe=dedupe, header=header, delimiter=delimiter, keep=keep, drop=drop,
        command=shlex.join(["metabalance", *sys.argv[1:]]), image_size=image_size, module=network, augment=augment,
        skip_broken=skip_broken, track=track,
    )  # fmt: skip


@app.command()
@_guarded
def fit(
    data: DataArgument,
    target: TargetOption = None,
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
        str,
        typer.Option(help="bias_corrected, temperature, vector, isotonic, beta, sigmoid or none."),
    ] = "bias_corrected",
    prior: Annotated[
        str | None,
        typer.Option(
            help="The class shares where the model will work: 0.00173 for the positive class, or a=0.2,b=0.8."
        ),
    ] = None,
    holdout: Annotated[
        float, typer.Option(help="Share of rows kept aside for an honest final figure.", min=0, max=0.9)
    ] = 0.0,
    metric: MetricOption = "average_precision",
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
    track: TrackOption = None,
) -> None:
    """Train one recipe, calibrate it, choose its threshold, and save a model folder that runs no code when loaded."""
    from metabalance.study.commands import fit_command

    fit_command(
        data=data, target=target, recipe=recipe, positive=positive, cost=cost, objective=objective, prior=prior,
        holdout=holdout, metric=metric, seed=seed, groups=groups, time=time, out=out, overwrite=overwrite,
        missing_columns=missing_columns, epochs=epochs, batch_size=batch_size, header=header, delimiter=delimiter,
        keep=keep, drop=drop, image_size=image_size, module=network, augment=augment, skip_broken=skip_broken,
        calibration=calibration,
        command=shlex.join(["metabalance", *sys.argv[1:]]), track=track,
    )  # fmt: skip


@app.command()
@_guarded
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
@_guarded
def predict(
    model: Annotated[Path, typer.Argument(help="A model folder written by metabalance fit.")],
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="Scored table: .parquet, .csv, .tsv or .feather.")] = Path(
        "scored.parquet"
    ),
    prior: Annotated[
        str | None, typer.Option(help="Class shares of these data, in place of the model's.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
    prefix: Annotated[
        str, typer.Option(help="Put before the names of the added columns.", show_default=False)
    ] = "",
    skip_broken: SkipBrokenOption = False,
) -> None:
    """Score new rows or images with a saved model: calibrated probabilities and decisions."""
    from metabalance.study.commands import predict_command

    predict_command(
        model=model, data=data, out=out, prior=prior, overwrite=overwrite, header=header, delimiter=delimiter,
        prefix=prefix, skip_broken=skip_broken,
    )  # fmt: skip


@app.command()
@_guarded
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
        typer.Option("--stream", help="Parquet that does not fit into memory: one pass, without bootstrap."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing JSON file.")] = False,
    header: HeaderOption = True,
    delimiter: DelimiterOption = None,
) -> None:
    """How good are these scores? Metrics with intervals, for each class and each group."""
    from metabalance.study.judging import judge_command

    judge_command(
        data=data, target=target, score=score, positive=positive, decision=decision, metrics=metrics, cost=cost,
        groups=groups, weight=weight, json_path=json, level=level, resamples=resamples, seed=seed, stream=stream,
        overwrite=overwrite, header=header, delimiter=delimiter, against=against,
    )  # fmt: skip


@app.command()
@_guarded
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
) -> None:
    """One offline HTML page on a run, a model or a scored file, with a threshold to move."""
    from metabalance.study.report.command import report_command

    report_command(
        source=source, data=data, target=target, score=score, decision=decision, weight=weight, groups=groups,
        positive=positive, cost=cost, out=out, overwrite=overwrite, header=header, delimiter=delimiter,
        command=shlex.join(["metabalance", *sys.argv[1:]]),
    )  # fmt: skip


@app.command()
@_guarded
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """A model as one file for other runtimes: preprocessing, network, calibration and decision in one graph."""
    from metabalance.study.export import export_command

    export_command(model=model, form=form, out=out, overwrite=overwrite, pixels=pixels)


@app.command()
@_guarded
def monitor(
    model: Annotated[Path, typer.Argument(help="A model folder written by metabalance fit.")],
    data: DataArgument,
    target: Annotated[
        str | None,
        typer.Option(
            help="Column of the true classes, where some are known by now; for images any word.",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        Path | None, typer.Option("--json", help="Add a dated entry to this JSON file.", show_default=False)
    ] = None,
    level: Annotated[float, typer.Option(help="Level of intervals and tests.", min=0.5, max=0.9999)] = 0.95,
    tolerance: Annotated[
        float, typer.Option(help="A loss of a metric that does not matter.", min=0, max=1)
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


@app.command()
@_guarded
def methods(
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Every method: where it acts, who published it, what it works on."""
    from metabalance.study.listing import methods_command

    methods_command(stage=stage, markdown=markdown, as_json=as_json)


@app.command()
@_guarded
def cite(name: Annotated[str, typer.Argument(help="A method's name.")]) -> None:
    """Print the BibTeX entry of a method."""
    from metabalance.methods import bibtex

    print(bibtex(name))


@app.command()
@_guarded
def demo(
    out: Annotated[Path, typer.Option(help="Where the run and the model go.")] = Path("metabalance-demo"),
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.", min=1)] = None,
) -> None:
    """The whole story in under two minutes, on digits that ship with scikit-learn, made imbalanced."""
    from metabalance.study.demo import demo_command

    demo_command(out=out, workers=workers)


@app.command()
@_guarded
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


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)
    ] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


if __name__ == "__main__":
    main()
