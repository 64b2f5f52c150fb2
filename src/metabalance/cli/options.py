"""Options that mean the same in every command."""

from pathlib import Path
from typing import Annotated

import typer

DataArgument = Annotated[
    Path,
    typer.Argument(
        help="A table: CSV, TSV, Parquet, Feather, Arrow, NPZ or ARFF; .gz, .xz, .bz2 and .zst too; also a folder of "
        "them, or a pattern in quotes, 'data/*.parquet'. Or images: a folder with a sub-folder for each class, IDX or NPZ."
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        help="The target column of a table: its name, or its position (-1 is the last); several quantities with commas between. "
        "Images need none.",
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
    str | None,
    typer.Option(
        help="The metric that decides, e.g. average_precision (the default), roc_auc, f1; of a quantity bmae (the default), mae, "
        "mae@few, rmse, r2.",
        show_default=False,
    ),
]

TaskOption = Annotated[
    str | None,
    typer.Option(help="classification or regression; by default the target tells.", show_default=False),
]

TrackOption = Annotated[
    str | None,
    typer.Option(
        help="Write to mlflow or tensorboard too, with :FOLDER for another place.", show_default=False
    ),
]
TuneOption = Annotated[
    int | None,
    typer.Option(
        help="Search the options in so many trainings, on the validation part; the same number for every recipe and "
        "baseline. Needs metabalance[search].",
        min=1, show_default=False,
    ),
]  # fmt: skip

PrecisionOption = Annotated[
    str | None,
    typer.Option(help="bf16-mixed for half precision in the network's layers.", show_default=False),
]
AccumulateOption = Annotated[
    int, typer.Option(help="Batches whose gradients make one update, for recipes of plain steps.", min=1)
]
CompileOption = Annotated[bool, typer.Option("--compile", help="Train networks through torch.compile.")]
DevicesOption = Annotated[
    int, typer.Option(help="Processes that train one network together, each on a GPU or on the CPU.", min=1)
]
