"""Speed and memory of the main job: `python benchmarks/run.py`. The bilevel steps have their own, `bilevel_step.py`,
and so has sampling, `sampling.py`.

Writes docs/results/speed.md. Needs psutil; the real tables lie in the folder named by METABALANCE_DATA.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
DATA = Path(os.environ.get("METABALANCE_DATA", "../shared/data"))


def measured(*command: str) -> tuple[float, float]:
    """Wall seconds, and the peak memory of the whole process tree in GiB (proportional set size)."""
    started = time.monotonic()
    process = psutil.Popen([str(BIN / command[0]), *command[1:]], stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        total = 0
        try:
            for member in [process, *process.children(recursive=True)]:
                total += member.memory_full_info().pss
        except psutil.Error:
            pass
        peak = max(peak, total / 2**30)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - started, peak


def main() -> None:
    lines = [
        "# Speed and memory",
        "",
        f"Measured on {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({platform.machine()}), without a GPU, by `make bench`.",
        "The bilevel steps beside TorchOpt and higher are on [a page of their own](speed-bilevel.md), and so are",
        "[learned example weights](speed-learned-weights.md) and [sampling](speed-sampling.md).",
        "",
        "## Start-up",
        "",
        "| command | median of 7, seconds |",
        "|---|---|",
    ]
    for command in (
        ["metabalance", "--help"],
        ["metabalance", "methods"],
        ["metabalance", "cite", "metabalance"],
    ):
        lines.append(
            f"| `{' '.join(command)}` | {statistics.median(measured(*command)[0] for _ in range(7)):.2f} |"
        )
    lines += [
        "",
        "## The main job",
        "",
        "| command | wall seconds | peak memory, all processes, GiB |",
        "|---|---|---|",
    ]
    fraud = DATA / "creditcard-fraud-casecontrol" / "creditcard_casecontrol.csv.xz"
    http = DATA / "adbench-tabular" / "16_http.npz"
    scratch = Path(tempfile.mkdtemp())
    recipes = "erm,oversample,metabalance,lightgbm"
    jobs = [
        ("fit, fraud (27,975 rows)", ["metabalance", "fit", f"{fraud}", "--target", "Class", "--out", f"{scratch}/m"]),
        ("fit, fraud, order 2", ["metabalance", "fit", f"{fraud}", "--target", "Class", "--recipe", "metabalance(order=2)",
                                 "--out", f"{scratch}/m2"]),
        ("compare, http (567,498 rows), 4 recipes, 2 folds", ["metabalance", "compare", f"{http}", "--target", "y", "--recipes",
         recipes, "--folds", "2", "--seeds", "1", "--out", f"{scratch}/r"]),
    ]  # fmt: skip
    for title, command in jobs:
        if not DATA.is_dir():
            lines.append(f"| {title} | no data | |")
            continue
        seconds, memory = measured(*command)
        lines.append(f"| {title} | {seconds:.1f} | {memory:.2f} |")
    shutil.rmtree(scratch)
    lines += [
        "",
        "Preprocessing is done once per fold by one worker; all recipes map its arrays from the same file. Memory is the",
        "proportional set size summed over the command, its workers and their fork server, sampled every 0.1 s.",
        "",
    ]
    (ROOT / "docs" / "results" / "speed.md").write_text("\n".join(lines))
    print(ROOT / "docs" / "results" / "speed.md")


if __name__ == "__main__":
    main()
