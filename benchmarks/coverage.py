"""How often 95 % intervals hold the truth: ``OMP_NUM_THREADS=1 python benchmarks/coverage.py``.

Scores are two normals, one negative population for each positive one, 19 negatives to a positive, so that every
truth is known. Samples have 20, 50 or 500 positives, once exactly (class shares fixed), once on average (rows
drawn). Writes docs/results/coverage.md; twenty minutes on one busy core.
"""

import argparse
import multiprocessing
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import integrate, stats

from metabalance.judge import interval_for
from metabalance.judge.bootstrap import interval_of
from metabalance.judge.replicates import replicates

ROOT = Path(__file__).parents[1]
SHARE = 0.05
RESAMPLES = 400
GAPS = {1.5: "overlapping", 3.0: "well separated"}
DESIGNS = ("fixed", "random")
RUNS = {20: 300, 50: 300, 500: 100}


def posterior(s: np.ndarray, gap: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(gap * s - gap**2 / 2 + np.log(SHARE / (1 - SHARE)))))


def threshold(gap: float) -> float:
    """Where the posterior is a quarter: a cost of 3 to 1."""
    return (np.log(0.25 / 0.75) - np.log(SHARE / (1 - SHARE)) + gap**2 / 2) / gap


def truths(gap: float) -> dict[str, float]:
    positive, negative = stats.norm(gap), stats.norm(0)

    def precision(t: float) -> float:
        found, false = SHARE * positive.sf(t), (1 - SHARE) * negative.sf(t)
        return found / (found + false)

    def error(t: float) -> float:
        p = float(posterior(np.float64(t), gap))
        return SHARE * positive.pdf(t) * (1 - p) ** 2 + (1 - SHARE) * negative.pdf(t) * p**2

    t = threshold(gap)
    p, r = precision(t), float(positive.sf(t))
    return {
        "roc_auc": float(stats.norm.cdf(gap / np.sqrt(2))),
        "average_precision": integrate.quad(lambda t: precision(t) * positive.pdf(t), -8, gap + 8, limit=200)[
            0
        ],
        "recall": r,
        "precision": p,
        "f1": 2 * p * r / (p + r),
        "brier": integrate.quad(error, -9, gap + 9, limit=200)[0],
    }


def f1(called: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Equal to metabalance.judge.f_beta, without its checks: they would be most of the simulation's time."""
    below = weight @ (called + y)
    return 2 * float(weight @ (called * y)) / below if weight @ y > 0 else float("nan")


def brier(p: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Likewise for metabalance.judge.brier."""
    return float(weight @ (p - y) ** 2 / weight.sum())


def one(setting: tuple[int, float, str, int]) -> dict[tuple[str, str], tuple[float, float]]:
    """The ends of every interval on one sample."""
    positives, gap, design, run = setting
    rng = np.random.default_rng([positives, int(10 * gap), DESIGNS.index(design), run])
    rows = round(positives / SHARE)
    y = (np.arange(rows) < positives if design == "fixed" else rng.random(rows) < SHARE).astype(np.int64)
    s = rng.normal(size=rows) + gap * y
    called = (s > threshold(gap)).astype(np.int64)
    ends = {}

    def keep(metric: str, method: str, interval: object) -> None:
        ends[metric, method] = (interval.low, interval.high)  # type: ignore[attr-defined]

    for method in ("DeLong", "Newcombe", "auto"):
        keep("roc_auc", method, interval_for("roc_auc", s, y, method=method.lower()))
    for metric in ("recall", "precision"):
        keep(metric, "Wilson", interval_for(metric, called, y))
    measured = {
        "roc_auc": ("roc_auc", s), "average_precision": ("average_precision", s),
        "f1": (f1, called), "brier": (brier, posterior(s, gap)),
    }  # fmt: skip
    for metric, (function, scores) in measured.items():
        for stratified in (True, False) if metric != "roc_auc" else (True,):
            source = replicates(function, [scores], y, stratified=stratified)
            drawn = source.draw(RESAMPLES, np.random.default_rng(run))
            for method in ("percentile", "bca"):
                interval = interval_of(source, drawn, lambda v: v[..., 0], 0.95, method)[0]
                name = {"percentile": "percentile", "bca": "BCa"}[method]
                keep(metric, f"{name}, {'stratified' if stratified else 'rows'}", interval)
    return ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs, for a trial")
    arguments = parser.parse_args()
    hits: dict[tuple, list[float]] = defaultdict(list)
    start = time.time()
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        for positives, full in RUNS.items():
            runs = max(2, int(full * arguments.scale))
            for gap in GAPS:
                truth = truths(gap)
                for design in DESIGNS:
                    settings = [(positives, gap, design, run) for run in range(runs)]
                    for ends in pool.imap_unordered(one, settings, chunksize=20):
                        for (metric, method), (low, high) in ends.items():
                            if np.isnan(low):
                                hits["none", metric, method, gap, design, positives].append(1)
                            else:
                                hits[metric, method, gap, design, positives].append(
                                    low <= truth[metric] <= high
                                )
                    print(positives, gap, design, f"{time.time() - start:.0f} s", flush=True)
    write(hits, arguments.scale)


def too_narrow(narrow: dict[tuple[str, str], list[float]], positives: int, error: float) -> list[str]:
    """The intervals whose worst setting lies more than three standard errors below what they claim."""
    bad = {key: min(values) for key, values in narrow.items() if min(values) < 95 - 3 * error}
    lines = [
        f"## Too narrow with {positives} positives",
        "",
        f"Three standard errors or more below 95 % ({95 - 3 * error:.1f} %) in the worst of the four settings:",
        "",
    ]
    return [*lines, *(f"- {metric}: {method}, {value:.1f} %" for (metric, method), value in bad.items()), ""]


def write(hits: dict[tuple, list[float]], scale: float) -> None:
    runs = {positives: max(2, int(full * scale)) for positives, full in RUNS.items()}
    lines = [
        "# Coverage of 95 % intervals",
        "",
        f"Made on {time.strftime('%Y-%m-%d')} by `OMP_NUM_THREADS=1 python benchmarks/coverage.py`. Two normals, {SHARE:.0%} positives,",
        "labels at a cost of 3 to 1, probabilities that are right; "
        + ", ".join(f"{count} samples with {positives} positives" for positives, count in runs.items())
        + ".",
        f"Bootstraps have {RESAMPLES} resamples. The Monte-Carlo standard error of a coverage of 95 % is "
        + ", ".join(f"{100 * np.sqrt(0.0475 / count):.1f}" for count in runs.values())
        + " points.",
        "",
        "*fixed*: every sample has exactly that many positives. *random*: rows are drawn, so that the number varies",
        "as it does in a sample of transactions. *stratified* and *rows* say how the bootstrap resamples; *auto* is what",
        "`interval_for` takes for the ROC AUC (for average precision, F1 and Brier score it takes BCa over rows). Samples",
        "without an interval (none called positive, all ranked right) are left out and counted as *none*.",
        "",
    ]
    narrow: dict[tuple[str, str], list[float]] = defaultdict(list)
    fewest = min(runs)
    for gap, title in GAPS.items():
        truth = truths(gap)
        lines += [f"## {title.capitalize()} classes", ""]
        lines += [
            "| metric | truth | interval | " + " | ".join(f"{d}, {p}" for d in DESIGNS for p in runs) + " |"
        ]
        lines += ["|---|---:|---|" + "---:|" * (len(DESIGNS) * len(runs))]
        rows = dict.fromkeys((k[0], k[1]) for k in hits if k[0] != "none")
        for metric, method in sorted(rows, key=lambda row: list(truth).index(row[0])):
            cells = []
            for design in DESIGNS:
                for positives in runs:
                    key = (metric, method, gap, design, positives)
                    if positives == fewest and hits[key]:
                        narrow[metric, method].append(100 * float(np.mean(hits[key])))
                    cell = f"{100 * np.mean(hits[key]):.1f}" if hits[key] else "-"
                    lost = len(hits[("none", *key)])
                    cells.append(cell + (f" (none: {lost})" if lost else ""))
            lines.append(f"| {metric} | {truth[metric]:.3f} | {method} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += too_narrow(narrow, fewest, 100 * np.sqrt(0.0475 / runs[fewest]))
    target = ROOT / "docs" / "results" / "coverage.md"
    target.write_text("\n".join(lines))
    print(target, f"{os.cpu_count()} cores")


if __name__ == "__main__":
    main()
