"""The whole story on data that ship with scikit-learn: compare, train, score, in under two minutes."""

from pathlib import Path

from rich.markup import escape

from metabalance.data.errors import DataError
from metabalance.study.terminal import Console

RARE_DIGIT, RARE_ROWS, NEW_ROWS = 8, 48, 400
TAIL_LARGEST, TAIL_RATIO, NEW_IMAGES = 100, 10, 100
RECIPES = (
    "erm,class_weight,oversample,smote,focal,logit_adjustment,metabalance,"
    "metabalance(order=2,inner_lr=0.1,leak=0.005),logistic"
)


def demo_table(seed: int = 0):
    """Handwritten digits as a table, "is it an 8?", with all but 48 of the eights removed.

    Returns:
        ``(table, new_rows)``, two pandas frames with 64 pixel columns and the column ``is_eight``.
    """
    import numpy as np
    import pandas as pd
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(digits.target))
    new, known = order[:NEW_ROWS], order[NEW_ROWS:]
    eights = known[digits.target[known] == RARE_DIGIT]
    known = np.setdiff1d(known, eights[RARE_ROWS:])
    frame = pd.DataFrame(digits.data, columns=[f"pixel_{i // 8}_{i % 8}" for i in range(64)])
    frame["is_eight"] = np.where(digits.target == RARE_DIGIT, "yes", "no")
    return frame.iloc[known].reset_index(drop=True), frame.iloc[new].reset_index(drop=True)


def demo_images(folder: Path, new: Path, seed: int = 0) -> None:
    """Writes the digits as images: a long tail with a folder for each class, and new ones in a flat folder."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    from metabalance.data.imbalance import long_tail

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    known = long_tail(digits.target, ratio=TAIL_RATIO, n_max=TAIL_LARGEST, seed=seed)
    rest = np.setdiff1d(np.arange(len(pixels)), known)
    files = {i: folder / str(digits.target[i]) / f"{i:04}.png" for i in known}
    files |= {i: new / f"{i:04}.png" for i in np.random.default_rng(seed).permutation(rest)[:NEW_IMAGES]}
    for i, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i]).save(file)


def demo_command(*, out: Path, workers: int | None) -> None:
    """Writes the data, runs ``compare``, ``fit`` and ``predict`` on them, and says where everything lies."""
    from metabalance.study.commands import compare_command
    from metabalance.study.fit_command import fit_command
    from metabalance.study.predict_command import predict_command
    from metabalance.study.store import write_atomically

    console = Console()
    if out.exists() and not (out / "digits.csv").exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty and holds no demo; choose another --out")
    table, new = demo_table()
    write_atomically(out / "digits.csv", table.to_csv(index=False).encode())
    demo_images(out / "digits", out / "new_digits")
    write_atomically(out / "new.csv", new.drop(columns="is_eight").to_csv(index=False).encode())
    write_atomically(out / "outcomes.csv", new.to_csv(index=False).encode())

    def say(command: str) -> None:
        console.print(f"\n[bold]$ metabalance {escape(command)}[/]", soft_wrap=True, highlight=False)

    run, model, scores = out / "run", out / "model", out / "scored.parquet"
    compare = f'compare {out}/digits.csv --target is_eight --recipes "{RECIPES}" --seeds 1 --cost fn=20,fp=1 --out {run}'
    say(compare)
    result = compare_command(
        data=out / "digits.csv", target="is_eight", positive=None, recipes=RECIPES, folds=5, seeds=1,
        metric="average_precision", cost="fn=20,fp=1", groups=None, time=None, budget=None, fit_limit=None, out=run,
        workers=workers, epochs=50, batch_size=None, dedupe=False, header=True, delimiter=None, keep=None, drop=None,
        command=f"metabalance {compare}",
    )  # fmt: skip
    recipe = result["advice"]["winner"] or "erm"
    say(
        f'fit {out}/digits.csv --target is_eight --recipe "{recipe}" --cost fn=20,fp=1 --out {model} --overwrite'
    )
    fit_command(
        data=out / "digits.csv", target="is_eight", recipe=recipe, positive=None, cost="fn=20,fp=1", objective=None,
        prior=None, holdout=0.0, metric="average_precision", seed=0, groups=None, time=None, out=model, overwrite=True,
        missing_columns="error", epochs=50, batch_size=None, header=True, delimiter=None, keep=None, drop=None,
    )  # fmt: skip
    say(f"predict {model} {out}/new.csv --out {scores} --overwrite")
    predict_command(
        model=model, data=out / "new.csv", out=scores, prior=None, overwrite=True, header=True, delimiter=None
    )
    console.print(
        f"\nThe same digits as images, long-tailed, lie in {escape(str(out / 'digits'))}: metabalance compare takes them too.",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    console.print(
        f"\nThe report of the comparison lies at {escape(str(run / 'report.html'))}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
