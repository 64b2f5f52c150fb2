"""Seconds of an audit on large tables, one run: ``OMP_NUM_THREADS=1 python benchmarks/audit.py``.

Reads ADBench's http, cover and smtp from METABALANCE_DATA, and makes a wide table of normal numbers. Times are wall
and processor seconds of one call of ``audit_table``, reading not included, and the memory that the process reached.
Writes docs/results/speed-audit.md.
"""

import datetime
import os
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import sklearn.ensemble

from metabalance.data import read_table
from metabalance.study.audit import audit_table

ROOT = Path(__file__).parents[1]
SETS = {"http (ADBench)": "16_http.npz", "cover (ADBench)": "10_cover.npz", "smtp (ADBench)": "34_smtp.npz"}
MODEL = ("MB019", "MB022", "MB029", "MB031")


def wide(rows: int = 567_498, columns: int = 30) -> pd.DataFrame:
    """Normal numbers, 0.4 % positives a little aside, and 100 near copies."""
    rng = np.random.default_rng(0)
    y = (rng.random(rows) < 0.004).astype(int)
    x = rng.normal(size=(rows, columns)) + 0.5 * y[:, None]
    x[:100] = x[1000:1100] + 1e-4 * rng.normal(size=(100, columns))
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(columns)]).assign(y=y)


def seconds(frame: pd.DataFrame, mute: tuple[str, ...] = ()) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    report = audit_table(frame, "y", mute=mute)
    assert report.summary
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    folder = Path(os.environ.get("METABALANCE_DATA", "../shared/data")) / "adbench-tabular"
    if not folder.is_dir():
        sys.exit(f"no real data in {folder}; set METABALANCE_DATA")
    tables = {name: read_table(folder / file) for name, file in SETS.items()}
    tables["normal numbers, 30 columns"] = wide()
    rows = []
    for name, frame in tables.items():
        whole, without = seconds(frame), seconds(frame, MODEL)
        rows.append(
            f"| {name} | {len(frame):,} x {frame.shape[1] - 1} | {whole[0]:.1f} | {whole[1]:.1f} | {without[1]:.1f} |"
        )
        print(rows[-1], flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    text = f"""# Speed of the audit

Measured on {datetime.date.today()} by `OMP_NUM_THREADS=1 python benchmarks/audit.py`: one run, one thread of {os.cpu_count()} shared
cores ({platform.machine()}), Python {platform.python_version()}, scikit-learn {sklearn.__version__}. Seconds of one audit with all
checks, reading the file not included; wall seconds depend on what else the machine does.

| table | rows x columns | wall s | processor s | processor s without the quick model |
|---|---:|---:|---:|---:|
{chr(10).join(rows)}

The process reached {peak:.2f} GiB, all four tables in memory. Nothing compares all rows with all: equal and nearly equal rows
are found by hashing and sorting, the quick model sees at most 20,000 rows (`--model-rows`) and fewer of wide tables, and
neighbours are looked up for at most 2,000 rows, in a tree up to 15 columns and otherwise among at most 5,000,000 values.
"""
    (ROOT / "docs" / "results" / "speed-audit.md").write_text(text)


if __name__ == "__main__":
    main()
