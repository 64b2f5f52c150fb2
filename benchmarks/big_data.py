"""Fit, predict and judge on Parquet that is generated part by part: memory and time against rows.

`python benchmarks/big_data.py [--rows 100000 1000000 10000000] [--recipe metabalance]`

Each command runs in a process of its own; its peak memory is what the system says of it (ru_maxrss).
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILE = 1_000_000
GROUP = 200_000
NUMBERS = 17
SHARE = 0.005


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--recipe", default="metabalance")
    given = parser.parse_args()
    print(f"{'rows':>10} {'on disk':>8}  {'command':<8} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9}")
    for rows in given.rows:
        folder = Path(tempfile.mkdtemp())
        try:
            one_size(folder, rows, given.recipe)
        finally:
            shutil.rmtree(folder)


def one_size(folder: Path, rows: int, recipe: str) -> None:
    """Makes the data, and runs the three commands on them."""
    data = folder / "data"
    generate(data, rows)
    size = sum(file.stat().st_size for file in data.iterdir())
    commands = {
        "fit": [
            "fit",
            data,
            "--target",
            "y",
            "--stream",
            "--recipe",
            recipe,
            "--epochs",
            "1",
            "--out",
            folder / "model",
        ],
        "predict": ["predict", folder / "model", data, "--out", folder / "scored"],
        "judge": ["judge", folder / "scored", "--target", "y", "--stream"],
    }
    for name, command in commands.items():
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        peak = measured(command)
        wall = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"{rows:>10,} {size / 2**20:>6.0f} M  {name:<8} {wall:>8.1f} {cpu:>8.1f} {peak / 2**10:>9.0f}",
            flush=True,
        )


def measured(command: list) -> int:
    """Runs a command and gives its peak memory in KiB."""
    code = (
        "import resource, sys\nfrom metabalance.cli import app\n"
        "try:\n    app(sys.argv[1:])\n"
        "finally:\n    print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return int(done.stderr.rsplit("PEAK", 1)[1])


def generate(folder: Path, rows: int) -> None:
    """Numbers, two columns of codes and a rare class, in files of a million rows."""
    folder.mkdir()
    weights = np.random.default_rng(0).normal(size=NUMBERS)
    for i, start in enumerate(range(0, rows, FILE)):
        n = min(FILE, rows - start)
        rng = np.random.default_rng([1, i])
        x = rng.normal(size=(n, NUMBERS))
        shop, kind = rng.integers(0, 12, n), rng.integers(0, 5, n)
        risk = x @ weights / np.linalg.norm(weights) + 0.5 * np.sin(3 * x[:, 0]) + 0.4 * (shop == 3)
        y = rng.random(n) < SHARE * np.exp(1.5 * risk - 1.2)
        table = {f"x{j}": x[:, j] for j in range(NUMBERS)}
        table |= {"shop": pa.array(shop).cast(pa.string()), "kind": pa.array(kind).cast(pa.string())}
        pq.write_table(
            pa.table(table | {"y": y.astype(np.int8)}), folder / f"{i:04}.parquet", row_group_size=GROUP
        )


if __name__ == "__main__":
    main()
