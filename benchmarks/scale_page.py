"""Makes docs/results/scale.md of what benchmarks/scale.py stored: ``python benchmarks/scale_page.py scale.json``.

Text that no measurement writes (engines, data larger than memory, how far it goes) stands in docs/results/scale-notes.md
and is put behind the tables.
"""

import argparse
import datetime
import json
import os
import platform
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1] / "docs" / "results"
FLOOR = 0.01  # seconds: what is faster has hardly begun


def exponent(sizes: list[int], values: list[float], floor: float = FLOOR) -> float:
    """Slope of log value on log size over what is above the floor; NaN with fewer than two sizes.

    >>> exponent([1, 10, 100], [1.0, 10.0, 100.0])
    1.0
    """
    kept = [(s, v) for s, v in zip(sizes, values) if v >= floor]
    if len(kept) < 2:
        return float("nan")
    x, y = np.log(np.array(kept)).T
    return float(round(np.polyfit(x, y, 1)[0], 10))


def by_size(found: list[dict[str, Any]], part: str, key: str) -> str:
    """A table: one row for each thing, one column for each size."""
    chosen = [f for f in found if f["part"] == part]
    sizes = sorted({f[key] for f in chosen})
    head = f"| {key} | " + " | ".join(f"{s:,}" for s in sizes) + " | exponent | MiB at the largest |"
    lines = [head, "|---|" + "---:|" * (len(sizes) + 2)]
    for what, group in groupby(chosen, key=lambda f: f["what"]):
        points = {f[key]: f for f in group}
        cells = [
            ""
            if s not in points
            else points[s].get("error")
            or (f"{points[s]['seconds']:.2f}" if points[s]["seconds"] >= 0.005 else "<.01")
            for s in sizes
        ]
        good = [(s, f["seconds"]) for s, f in points.items() if "error" not in f]
        slope = exponent(*map(list, zip(*good))) if good else float("nan")
        largest = points[max(s for s, _ in good)] if good else {"gained": float("nan")}
        lines.append(
            f"| {what} | {' | '.join(cells)} | {'' if np.isnan(slope) else f'{slope:.2f}'} | {largest['gained']:,.0f} |"
        )
    return "\n".join(lines)


def recipes(found: list[dict[str, Any]]) -> str:
    """One epoch of each recipe, in epochs of ``erm``, and how the cost grows."""
    chosen: dict[str, dict[int, dict[str, Any]]] = {}
    for f in (f for f in found if f["part"] == "recipes"):
        chosen.setdefault(f["what"].split()[1].rstrip(","), {})[f["rows"]] = f
    few, many = sorted({n for points in chosen.values() for n in points})
    rows = []
    for name, points in chosen.items():
        errors = [p["error"] for p in points.values() if "error" in p]
        if errors:
            rows.append((np.inf, f"| {name} | {errors[0]} | | |"))
            continue
        ratio = points[many]["seconds"] / chosen["erm"][many]["seconds"]
        slope = exponent([few, many], [points[few]["seconds"], points[many]["seconds"]])
        rows.append((ratio, f"| {name} | {points[many]['seconds']:.2f} | {ratio:.1f} | {slope:.2f} |"))
    lines = [f"| recipe | s, {many:,} rows | times erm | exponent from {few:,} |", "|---|---:|---:|---:|"]
    return "\n".join(lines + [line for _, line in sorted(rows, key=lambda r: r[0])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    found = json.loads(parser.parse_args().store.read_text())
    starts = "\n".join(
        f"| `{f['what']}` | {f['seconds']:.2f} | {f['peak']:.0f} |" for f in found if f["part"] == "startup"
    )
    text = f"""# How it scales

Measured on {datetime.date.today()} by `OMP_NUM_THREADS=1 python benchmarks/scale.py`, its points one after the other beside other light work, one thread of {os.cpu_count()} shared cores
({platform.machine()}), Python {platform.python_version()}, torch {torch.__version__.split("+")[0]}. Processor seconds of the work alone, each point in a
process of its own; the exponent is the slope of log seconds on log size over the sizes that take at least {FLOOR} s: 1 is linear, below 1
fixed costs still show. MiB is what the process gained above the data it works on.

## Rows

20 columns of numbers, two classes, 1 % positives; SMOTE on a class of a quarter of the rows.

{by_size(found, "rows", "rows")}

## Columns

10,000 rows.

{by_size(found, "features", "features")}

## Classes

50,000 rows, 20 columns, a long tail of ratio 100 (two classes: 1 % positives).

{by_size(found, "classes", "classes")}

## Recipes

One epoch, 20 columns, two classes, 1 % positives, batches of 256, what the recipe does before training included;
{len({f["what"] for f in found if f["part"] == "recipes"})} of the recipes have been measured.

{recipes(found)}

## Starting

| | processor s | MiB |
|---|---:|---:|
{starts}

{(ROOT / "scale-notes.md").read_text().split("-->", 1)[-1].strip()}
"""
    (ROOT / "scale.md").write_text(text)


if __name__ == "__main__":
    main()
