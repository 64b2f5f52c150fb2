"""Fits per second of the local engine beside Ray's, with 1 and 2 workers, in one run: `python benchmarks/engines.py`.

Prints Markdown. The data are made, so that the page needs no files.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
from sklearn.datasets import make_classification

from metabalance.study.candidates import parse_candidates
from metabalance.study.compare import Plan, run_comparison
from metabalance.study.engines import EngineChoice
from metabalance.study.load import make_table
from metabalance.study.ray_engine import run_on_ray
from metabalance.study.workers import Task, run_tasks

RECIPES = "erm,oversample,smote,focal,logistic"


def table(rows: int):
    X, y = make_classification(rows, n_features=20, n_informative=6, weights=[0.95], random_state=0)
    return make_table(pd.DataFrame(X, columns=[f"x{i}" for i in range(20)]).assign(y=y), "y", name="made")


def start_and_end(name: str, workers: int) -> float:
    started = time.monotonic()
    list((run_tasks if name == "local" else run_on_ray)([Task("a", time.sleep, (0.0,))], workers=workers))
    return time.monotonic() - started


def whole(data, plan: Plan) -> float:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run_comparison(data, plan, Path(folder) / "run")
    return time.monotonic() - started


def main() -> None:
    rows, folds, epochs = (int(a) for a in sys.argv[1:4]) if len(sys.argv) > 3 else (10_000, 4, 5)
    data = table(rows)
    engines = [(name, workers) for workers in (1, 2) for name in ("local", "ray")]
    starts = {key: start_and_end(*key) for key in engines}
    plan = Plan(
        tuple(parse_candidates(RECIPES)), folds=folds, seeds=1, network={"epochs": epochs, "batch_size": 256}
    )
    fits = folds * len(plan.candidates)
    times = {
        (name, workers): whole(data, replace(plan, workers=workers, engine=EngineChoice(name)))
        for name, workers in engines
    }
    print(
        f"{fits} fits on {rows:,} rows and 20 columns, {epochs} epochs; one empty task is start-up and end alone.\n"
    )
    print(
        "| engine | workers | one empty task, s | whole comparison, s | fits/s | time beside local, 1 worker |"
    )
    print("|---|---|---|---|---|---|")
    base = times["local", 1]
    for name, workers in engines:
        spent = times[name, workers]
        print(
            f"| {name} | {workers} | {starts[name, workers]:.1f} | {spent:.1f} | {fits / spent:.2f} | {spent / base:.2f} |"
        )


if __name__ == "__main__":
    main()
