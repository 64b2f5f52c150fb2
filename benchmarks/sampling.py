"""Sampling beside its peers, as ratios in one run: ``OMP_NUM_THREADS=1 python benchmarks/sampling.py``.

Index generation next to torch's WeightedRandomSampler and to torchsampler, SMOTE next to imbalanced-learn's.
Writes docs/results/speed-sampling.md. Everything runs on one thread; times are processor seconds, which a busy
machine changes less than seconds on the wall. Contestants take turns, and figures are medians. torchsampler is
compared where it is installed.
"""

import argparse
import importlib.util
import multiprocessing
import os
import platform
import statistics
import sys
import time
import types
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import WeightedRandomSampler

from metabalance.sample import SMOTE, ClassBalancedSampler, OverSampler, PowerSampler, ShuffleSampler, nearest

ROOT = Path(__file__).parents[1]
LABELS = 10_000_000
ROWS, WIDTH = 200_000, 64
IMBALANCES = {
    "2 classes, 99 : 1": [0.99, 0.01],
    "1,000 classes, largest : smallest = 100 : 1": np.logspace(0, -2, 1000),
}


def race(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor seconds of one call, the contestants taking turns; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, run in contestants.items():
            start = time.process_time()
            run()
            if repeat:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def labels(shares: Any, size: int = LABELS) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.multinomial(
        torch.as_tensor(shares, dtype=torch.float64), size, replacement=True, generator=generator
    )


def weights(y: Tensor) -> Tensor:
    return (1 / torch.bincount(y).double())[y]


def torchsampler(y: Tensor) -> Any:
    """torchsampler's sampler on these labels, or None where it is not installed."""
    if importlib.util.find_spec("torchsampler") is None:
        return None
    if (
        "torchvision" not in sys.modules and importlib.util.find_spec("torchvision") is None
    ):  # it is imported to recognise its data sets, no more
        sys.modules["torchvision"] = types.ModuleType("torchvision")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchsampler import ImbalancedDatasetSampler
    return ImbalancedDatasetSampler(range(len(y)), labels=y.tolist())


def exhaust(sampler: Any) -> int:
    """Hands over every index as a Python number, as a DataLoader takes them."""
    count = 0
    for _ in sampler:
        count += 1
    return count


def index_generation(repeats: int) -> list[str]:
    out = [f"## Class-balanced indices for {LABELS:,} labels", ""]
    for title, shares in IMBALANCES.items():
        y = labels(shares)
        w, theirs = weights(y), torchsampler(y)
        ours = PowerSampler(y, q=0.0)
        pieces = {
            "PowerSampler(q=0)": ours.indices,
            "WeightedRandomSampler: its call of torch.multinomial": partial(
                torch.multinomial, w, LABELS, True
            ),
        }
        one_by_one = {
            "PowerSampler(q=0)": partial(exhaust, ours),
            "WeightedRandomSampler": partial(exhaust, WeightedRandomSampler(w, LABELS)),
        }
        if theirs is not None:
            one_by_one["torchsampler"] = partial(exhaust, theirs)
        out += table(f"{title}: one tensor of {LABELS:,} draws", race(pieces, repeats))
        out += table(
            f"{title}: {LABELS:,} Python numbers, one by one", race(one_by_one, max(repeats // 3, 1))
        )
    if theirs is None:
        out += ["torchsampler was not installed, and not compared.", ""]
    return out


def every_sampler(repeats: int) -> list[str]:
    y = labels(IMBALANCES["2 classes, 99 : 1"])
    w = weights(y)
    made = {
        "ShuffleSampler": ShuffleSampler(y),
        "PowerSampler(q=0)": PowerSampler(y, q=0.0),
        "PowerSampler(q=0.5)": PowerSampler(y, q=0.5),
        "ClassBalancedSampler, rotation": ClassBalancedSampler(y),
        "ClassBalancedSampler, random": ClassBalancedSampler(y, mode="random"),
        "OverSampler": OverSampler(y),
    }
    runs: dict[str, Callable[[], object]] = {name: sampler.indices for name, sampler in made.items()}
    runs["torch.multinomial (WeightedRandomSampler)"] = partial(torch.multinomial, w, LABELS, True)
    seconds = race(runs, repeats)
    build = race({"ours": partial(PowerSampler, y), "weights": partial(weights, y)}, repeats)
    nanoseconds = {
        name: 1e9 * value / (made[name].size if name in made else LABELS) for name, value in seconds.items()
    }
    last = nanoseconds["torch.multinomial (WeightedRandomSampler)"]
    return [
        f"## Every sampler: {LABELS:,} labels, 2 classes, 99 : 1",
        "",
        "| | draws in an epoch | ns a draw | times faster than torch.multinomial |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {made[name].size if name in made else LABELS:,} | {value:.0f} | {last / value:.1f} |"
            for name, value in nanoseconds.items()
        ),
        "",
        f"Building a sampler, once: {build['ours']:.2f} s; weights for WeightedRandomSampler: {build['weights']:.2f} s.",
        "",
    ]


def memory() -> list[str]:
    context = multiprocessing.get_context("spawn")
    out = [
        "## Memory",
        "",
        f"Peak memory of a process that builds the sampler and draws one epoch, less that of one that has the {LABELS:,} "
        "labels only, MiB. The draws themselves are 76 MiB.",
        "",
        "| | 2 classes | 1,000 classes |",
        "|---|---:|---:|",
    ]
    peaks: dict[str, list[float]] = {"PowerSampler(q=0)": [], "WeightedRandomSampler": []}
    for shares in IMBALANCES.values():
        found = {}
        for name in ("labels", *peaks):
            queue = context.Queue()
            process = context.Process(target=_peak, args=(name, shares, queue))
            process.start()
            found[name] = queue.get(timeout=600)
            process.join()
        for name, values in peaks.items():
            values.append(found[name] - found["labels"])
    return out + [f"| {name} | {a:.0f} | {b:.0f} |" for name, (a, b) in peaks.items()] + [""]


def _peak(name: str, shares: Any, queue: multiprocessing.Queue) -> None:
    torch.set_num_threads(1)
    y = labels(shares)
    if name == "PowerSampler(q=0)":
        PowerSampler(y, q=0.0).indices()
    elif name == "WeightedRandomSampler":
        torch.multinomial(weights(y), len(y), True)
    status = Path("/proc/self/status").read_text()  # VmHWM and not ru_maxrss, which is inherited. Linux only.
    queue.put(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def beyond_torch(repeats: int) -> list[str]:
    size = 20_000_000
    y = labels([0.99, 0.01], size)
    try:
        list(WeightedRandomSampler(weights(y), 1))
        refusal = "accepts them"
    except RuntimeError as error:
        refusal = f"refuses: “{str(error).splitlines()[0]}”"
    seconds = race({"ours": PowerSampler(y, q=0.0).indices}, repeats)["ours"]
    return [
        f"## {size:,} labels",
        "",
        f"PowerSampler(q=0): {seconds:.2f} s for an epoch. WeightedRandomSampler {refusal}.",
        "",
    ]


def smote(repeats: int) -> list[str]:
    from imblearn.over_sampling import SMOTE as Reference
    from sklearn.neighbors import NearestNeighbors

    out = [
        f"## SMOTE, {ROWS:,} rows × {WIDTH} features to equal classes",
        "",
        "Independent normal features, where no index structure helps either side. Without neighbours: the other part of the",
        "work, which is to draw the new rows and put the table together.",
        "",
        "| rows of the small class | dtype | metabalance, s | imbalanced-learn, s | ratio | neighbours alone: metabalance | scikit-learn | equal neighbour sets |",
        "|---:|---|---:|---:|---:|---:|---:|---|",
    ]
    for rows in (2_000, 10_000, 20_000):
        for dtype in (np.float64, np.float32):
            X = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(dtype)
            y = (np.arange(ROWS) < rows).astype(np.int64)
            tensors = torch.from_numpy(X), torch.from_numpy(y)
            near = NearestNeighbors(n_neighbors=5)
            seconds = race(
                {
                    "ours": partial(SMOTE().fit_resample, *tensors),
                    "theirs": partial(Reference(random_state=0).fit_resample, X, y),
                    "our neighbours": partial(nearest, tensors[0][:rows], 5),
                    "their neighbours": lambda near=near, X=X[:rows]: near.fit(X).kneighbors(
                        return_distance=False
                    ),
                },
                repeats,
            )
            sets = nearest(tensors[0][:rows], 5).sort(1).values.numpy()
            equal = (sets == np.sort(near.fit(X[:rows]).kneighbors(return_distance=False), 1)).all(1).mean()
            a, b, c, d = seconds.values()
            out.append(
                f"| {rows:,} | {dtype.__name__} | {a:.2f} | {b:.2f} | {b / a:.1f} | {c:.2f} | {d:.2f} | {equal:.2%} |"
            )
            print(out[-1], flush=True)
    return [*out, ""]


def table(title: str, seconds: dict[str, float]) -> list[str]:
    first = next(iter(seconds.values()))
    rows = [f"| {name} | {value:.2f} | {value / first:.1f} |" for name, value in seconds.items()]
    out = [f"### {title}", "", "| | s | times the first row |", "|---|---:|---:|", *rows, ""]
    print("\n".join(out), flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=("indices", "smote"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Speed of sampling",
        "",
        f"Measured on {time.strftime('%Y-%m-%d')} by `OMP_NUM_THREADS=1 python benchmarks/sampling.py`: one run, one thread of "
        f"{os.cpu_count()} shared cores ({platform.machine()}),",
        f"Python {platform.python_version()}, torch {torch.__version__}. Processor seconds, medians of {arguments.repeats}; contestants "
        "take turns. Compare ratios.",
        "",
    ]
    if arguments.only != "smote":
        lines += index_generation(arguments.repeats) + every_sampler(arguments.repeats)
        lines += beyond_torch(arguments.repeats) + memory()
    if arguments.only != "indices":
        lines += smote(arguments.repeats)
    if arguments.only is None:
        target = ROOT / "docs" / "results" / "speed-sampling.md"
        target.write_text("\n".join(lines))
        print(target)


if __name__ == "__main__":
    main()
