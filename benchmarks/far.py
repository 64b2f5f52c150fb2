"""How far one driver goes: a simulation of ``compare --engine ray`` on many GPUs, ``python benchmarks/far.py``.

What the driver does for each fit is serial: it sends a task, takes the result and stores it (measured here, on this
disk). Fits last a lognormal time around ``--fit`` seconds, a fold has to be prepared before its fits, and tasks are
handed out in the order of the run. Prints, for growing clusters, the share of the GPUs' time that fits used.
"""

import argparse
import heapq
import tempfile
import time
from pathlib import Path

import numpy as np

from metabalance.study.store import save_fit


def storing(rows: int, classes: int = 2, repeats: int = 20) -> float:
    """Median wall seconds to store the probabilities of one fit."""
    scores = np.random.default_rng(0).random((rows, classes), dtype=np.float32)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(repeats):
            started = time.perf_counter()
            save_fit(Path(folder) / f"{i % 3}.npz", {"label": "erm"}, scores)
            seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def simulate(
    gpus: int,
    fits: int,
    per_fold: int,
    fit: float,
    spread: float,
    prepare: float,
    driver: float,
    seed: int = 0,
) -> tuple[float, float]:
    """Makespan in seconds, and the share of the GPUs' time that fits used.

    >>> simulate(1, 10, 5, fit=1.0, spread=0.0, prepare=0.0, driver=0.0)
    (10.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    lasts = fit * np.exp(spread * rng.standard_normal(fits) - spread**2 / 2)
    ready = [prepare * (1 + i // 16) for i in range(-(-fits // per_fold))]  # sixteen CPUs prepare folds
    free = [0.0] * gpus
    clock = 0.0  # of the driver
    end = 0.0
    for i, last in enumerate(lasts):
        start = max(heapq.heappop(free), ready[i // per_fold], clock)
        clock = max(clock, start - last) + driver  # results and tasks go through one process
        done = max(start, clock) + last
        heapq.heappush(free, done)
        end = max(end, done)
    return float(end), float(lasts.sum() / (end * gpus))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", type=float, default=60.0, help="seconds of one fit")
    parser.add_argument(
        "--dispatch", type=float, default=0.005, help="seconds of the driver for one task of Ray"
    )
    parser.add_argument("--rows", type=int, default=200_000, help="test rows of a fold")
    given = parser.parse_args()
    store = storing(given.rows)
    driver = store + given.dispatch
    recipes, folds, seeds = 60, 5, 10
    print(
        f"one result of {given.rows:,} rows x 2 classes is stored in {1000 * store:.1f} ms; driver {1000 * driver:.1f} ms a fit"
    )
    print("| GPUs | fits | hours | GPUs' time used |\n|---:|---:|---:|---:|")
    for gpus in (1, 8, 64, 256, 1024, 4096):
        fits = recipes * folds * seeds
        end, used = simulate(gpus, fits, recipes, given.fit, 0.5, 20.0, driver)
        print(f"| {gpus:,} | {fits:,} | {end / 3600:.2f} | {100 * used:.0f} % |")


if __name__ == "__main__":
    main()
