"""Size and latency of exported models against Python: `python benchmarks/export.py > docs/results/speed-export.md`.

One thread each; medians of repeated calls within one run.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from metabalance.study.export import FORMATS, _onnx_run, _torch_run, export_model
from metabalance.study.inputs import inputs_of
from metabalance.study.load import make_table
from metabalance.study.train import train_table

ROWS = 100_000


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=ROWS) for i in range(28)})
    frame["city"] = rng.choice(list("abcdefgh"), ROWS)
    y = frame["x0"] + frame["x1"] + rng.normal(size=ROWS) > 3
    frame["y"] = np.where(y, "bad", "good")
    table = make_table(frame.head(20_000), "y")
    model = train_table(table, "erm", network={"epochs": 3, "batch_size": 512}).model
    rows = frame.drop(columns="y")
    with tempfile.TemporaryDirectory() as tmp:
        model.save(Path(tmp) / "model")
        sizes = {"Python": sum(p.stat().st_size for p in (Path(tmp) / "model").iterdir())}
    runs = {"Python, from the table": lambda part: (model.predict_proba(part),)}
    for form in FORMATS:
        made = export_model(model, form)
        sizes[form] = len(made.content)
        runner = (
            _onnx_run(made.content)
            if form == "onnx"
            else _torch_run(torch.export.load(_buffer(made.content)))
        )
        runs[f"{form}, from matrices"] = lambda part, run=runner: run(part)
    print("# Speed of exported models\n")
    print(
        "`python benchmarks/export.py`: 28 numbers and a category, an MLP of 64 and 64 units, one thread; medians in one run.\n"
    )
    print("| how | size | one row | 100,000 rows | largest difference to Python |\n|---|---|---|---|---|")
    expected = model.predict_proba(rows)
    for name, run in runs.items():
        one, many = (rows.iloc[:1], rows) if name.startswith("Python") else (
            inputs_of(model.preprocessor, rows.iloc[:1]), inputs_of(model.preprocessor, rows),
        )  # fmt: skip
        size = sizes[name.split(",")[0]]
        gap = abs(run(many)[0] - expected).max()
        print(
            f"| {name} | {size / 1024:.0f} KiB | {1e3 * timed(run, one, 200):.3f} ms | {1e3 * timed(run, many, 5):.0f} ms | {gap:.1e} |"
        )
    filled = timed(lambda part: inputs_of(model.preprocessor, part), rows, 5)
    print(f"\nFilling the matrices from a data frame (`inputs_of`) takes another {1e3 * filled:.0f} ms for 100,000 rows, "
          "and the row of Python includes as much.")  # fmt: skip


def _buffer(content: bytes):
    import io

    return io.BytesIO(content)


def timed(run, part, times: int) -> float:
    run(part)
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run(part)
        found.append(time.perf_counter() - start)
    return statistics.median(found)


if __name__ == "__main__":
    main()
