"""Intervals beside their peers, as ratios in one run: ``OMP_NUM_THREADS=1 python benchmarks/judging.py``.

The bootstrap of ROC AUC and average precision on a table as long as the credit-card frauds', next to a loop over
scikit-learn and to scipy.stats.bootstrap; DeLong on a million rows. Writes docs/results/speed-judging.md. One
thread, processor seconds; the peers' loops are timed on fewer resamples, whose cost is proportional.
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.utils import resample

from metabalance.judge import (
    bootstrap_interval,
    compare_models,
    delong_difference,
    delong_interval,
    paired_bootstrap,
)

ROOT = Path(__file__).parents[1]
ROWS, POSITIVES, RESAMPLES = 285_000, 492, 1000
LONG = 1_000_000


def table(rows: int = ROWS, positives: int = POSITIVES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.permutation((np.arange(rows) < positives).astype(np.int64))
    return rng.normal(size=rows) + 2.5 * y, y


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Median processor seconds of one call, after one that warms up."""
    times = []
    for repeat in range(repeats + 1):
        start = time.process_time()
        run()
        if repeat or not repeats:
            times.append(time.process_time() - start)
    return statistics.median(times)


def looping(count: int) -> float:
    """Processor seconds of RESAMPLES turns of the loop that users write, from ``count`` of them."""
    s, y = table()
    start = time.process_time()
    values = []
    for seed in range(count):
        labels, scores = resample(y, s, stratify=y, random_state=seed)
        values.append((roc_auc_score(labels, scores), average_precision_score(labels, scores)))
    return (time.process_time() - start) * RESAMPLES / count


def scipys(count: int) -> float:
    """Likewise for scipy.stats.bootstrap, of the two classes as two samples."""
    s, y = table()

    def both(positive: np.ndarray, negative: np.ndarray) -> float:
        labels = np.repeat([1, 0], [len(positive), len(negative)])
        scores = np.concatenate([positive, negative])
        return roc_auc_score(labels, scores) + average_precision_score(labels, scores)

    start = time.process_time()
    stats.bootstrap(
        (s[y == 1], s[y == 0]), both, n_resamples=count, method="percentile", vectorized=False, rng=0
    )
    return (time.process_time() - start) * RESAMPLES / count


def ours(method: str) -> None:
    s, y = table()
    bootstrap_interval("roc_auc", s, y, n_boot=RESAMPLES, method=method)
    bootstrap_interval("average_precision", s, y, n_boot=RESAMPLES, method=method)


def _peak(name: str, queue: multiprocessing.Queue) -> None:
    s, y = table()
    if name == "ours":
        ours("bca")
    elif name == "paired":
        other = s + np.random.default_rng(1).normal(size=ROWS)
        paired_bootstrap("average_precision", s, other, y, n_boot=RESAMPLES, method="bca")
    elif name == "loop":
        looping(2)
    status = Path("/proc/self/status").read_text()  # VmHWM and not ru_maxrss, which is inherited. Linux only.
    queue.put(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def peak(name: str) -> float:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_peak, args=(name, queue))
    process.start()
    value = queue.get(timeout=600)
    process.join()
    return value


def bootstraps(repeats: int, turns: int) -> list[str]:
    # Taken in turns, so that a busy minute of the machine falls on all of them.
    loops, scipy_loops, bca, percentile = [], [], [], []
    for _ in range(repeats):
        loops.append(looping(turns))
        scipy_loops.append(scipys(turns))
        bca.append(seconds(lambda: ours("bca"), 0))
        percentile.append(seconds(lambda: ours("percentile"), 0))
    rows = {
        "metabalance, percentile": percentile, "metabalance, BCa": bca, "scikit-learn in a loop": loops,
        "scipy.stats.bootstrap of scikit-learn, percentile": scipy_loops,
    }  # fmt: skip
    median = {name: statistics.median(values) for name, values in rows.items()}
    first = median["metabalance, percentile"]
    return [
        f"## {RESAMPLES:,} stratified resamples of ROC AUC and average precision, {ROWS:,} rows, {POSITIVES} positives",
        "",
        "| | s | times the first row |",
        "|---|---:|---:|",
        *(f"| {name} | {value:.2f} | {value / first:.0f} |" for name, value in median.items()),
        "",
        f"The last two from {turns} resamples, times {RESAMPLES / turns:.0f}. scipy's BCa would call the metric once more for each row.",
        "",
    ]


def others(repeats: int) -> list[str]:
    s, y = table()
    rng = np.random.default_rng(1)
    models = {f"model {k}": s + 0.3 * k * rng.normal(size=ROWS) for k in range(5)}
    a, b = models["model 0"], models["model 1"]
    p = 1 / (1 + np.exp(6 - 2 * s))
    weights = rng.random(ROWS)
    jobs: dict[str, Callable[[], object]] = {
        "paired bootstrap of average precision": lambda: paired_bootstrap("average_precision", a, b, y),
        "five models compared, average precision, 2,000 resamples": lambda: compare_models(models, y),
        "five models compared, ROC AUC (DeLong)": lambda: compare_models(models, y, "roc_auc"),
        "F1 at a threshold": lambda: bootstrap_interval("f1", (s > 3).astype(np.int64), y),
        "Brier score (rows are drawn)": lambda: bootstrap_interval("brier", p, y, method="percentile"),
        "ROC AUC with weights (rows are drawn)": lambda: bootstrap_interval(
            "roc_auc", s, y, weights, method="percentile"
        ),
    }
    lines = [
        f"## More on the same table, {RESAMPLES:,} resamples where not said",
        "",
        "| | s |",
        "|---|---:|",
    ]
    for name, job in jobs.items():
        lines.append(f"| {name} | {seconds(job, 0 if 'drawn' in name or 'five' in name else repeats):.2f} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def delong(repeats: int) -> list[str]:
    lines = [
        f"## DeLong on {LONG:,} rows",
        "",
        "| positives | interval, s | paired difference, s |",
        "|---:|---:|---:|",
    ]
    for positives in (2_000, LONG // 2):
        s, y = table(LONG, positives)
        other = s + np.random.default_rng(1).normal(size=LONG)
        one = seconds(lambda s=s, y=y: delong_interval(s, y), repeats)
        two = seconds(lambda s=s, y=y, other=other: delong_difference(s, other, y), repeats)
        lines.append(f"| {positives:,} | {one:.2f} | {two:.2f} |")
    return [*lines, ""]


def memory() -> list[str]:
    base = peak("nothing")
    lines = [
        "## Memory",
        "",
        "Peak of a process, less that of one that has only the scores, MiB.",
        "",
        "| | MiB |",
        "|---|---:|",
    ]
    for name, title in (
        ("ours", "both intervals, BCa"),
        ("paired", "paired bootstrap, BCa"),
        ("loop", "scikit-learn's loop"),
    ):
        lines.append(f"| {title} | {peak(name) - base:.0f} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--turns", type=int, default=10, help="resamples that the peers' loops are timed on")
    arguments = parser.parse_args()
    lines = [
        "# Speed of intervals",
        "",
        f"Measured on {time.strftime('%Y-%m-%d')} by `OMP_NUM_THREADS=1 python benchmarks/judging.py`: one run, one thread of "
        f"{os.cpu_count()} shared cores ({platform.machine()}),",
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}. "
        f"Processor seconds, medians of {arguments.repeats}; contestants take turns. Compare ratios.",
        "",
    ]
    for part in (
        bootstraps(arguments.repeats, arguments.turns), others(arguments.repeats), delong(arguments.repeats), memory()
    ):  # fmt: skip
        print("\n".join(part), flush=True)
        lines += part
    target = ROOT / "docs" / "results" / "speed-judging.md"
    target.write_text("\n".join(lines))
    print(target)


if __name__ == "__main__":
    main()
