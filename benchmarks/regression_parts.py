"""What the parts of imbalanced regression cost: ``OMP_NUM_THREADS=1 python benchmarks/regression_parts.py``.

A training step with feature distribution smoothing, ConR and RankSim beside the plain step, RankSim beside its own loop
over rows, and SMOGN on 30,000 rows of 60 columns. Writes docs/results/speed-regression.md. One thread; contestants take
turns; figures are medians of processor seconds.
"""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metabalance.data.augment import FeatureNoise, TwoViews
from metabalance.densities import bin_edges, bin_index
from metabalance.represent import ConRLoss, FeatureDistributionSmoothing, RankSimLoss
from metabalance.sample import SMOGN

PAGE = Path(__file__).parents[1] / "docs" / "results" / "speed-regression.md"
ROWS, WIDTH = 30_000, 60


def race(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each, in turns, after one warm-up."""
    seen: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, act in contestants.items():
            started = time.process_time()
            act()
            if turn:
                seen[name].append(time.process_time() - started)
    return {name: statistics.median(times) for name, times in seen.items()}


def steps(trunk: nn.Module, width: int, inputs: Tensor, target: Tensor) -> dict[str, Callable[[], object]]:
    """One step of each kind on one batch; ConR has its two views beside the view of the loss, as published."""
    head = nn.Linear(width, 1)
    optimizer = torch.optim.Adam([*trunk.parameters(), *head.parameters()])
    edges = bin_edges(target, num_bins=50)
    bins = bin_index(target, edges)
    fds, conr, ranksim = FeatureDistributionSmoothing(width, 50), ConRLoss(0.1), RankSimLoss()
    view, generator = TwoViews(FeatureNoise(0.1)), torch.Generator().manual_seed(0)
    with torch.no_grad():
        fds.collect(trunk(inputs), bins)
    fds.update()

    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def plain() -> None:
        step(F.l1_loss(head(trunk(inputs))[:, 0], target))

    def smoothed() -> None:
        z = trunk(inputs)
        fds.collect(z, bins)
        step(F.l1_loss(head(fds(z, bins))[:, 0], target))

    def contrasted() -> None:
        loss = F.l1_loss(head(trunk(inputs))[:, 0], target)
        views, targets = view(inputs, target, generator)
        z = trunk(views)
        step(loss + conr(z, targets, head(z)[:, 0]))

    def three_views() -> None:
        loss = F.l1_loss(head(trunk(inputs))[:, 0], target)
        views, targets = view(inputs, target, generator)
        step(loss + F.l1_loss(head(trunk(views))[:, 0], targets))

    def single_view() -> None:
        z = trunk(inputs)
        p = head(z)[:, 0]
        step(F.l1_loss(p, target) + conr(z, target, p))

    def ranked() -> None:
        z = trunk(inputs)
        step(F.l1_loss(head(z)[:, 0], target) + ranksim(z, target))

    return {
        "plain step": plain,
        "with FDS": smoothed,
        "three views, no penalty": three_views,
        "three views, ConR": contrasted,
        "with ConR, the loss's own view": single_view,
        "with RankSim": ranked,
    }


def networks() -> dict[str, dict[str, Callable[[], object]]]:
    g = torch.Generator().manual_seed(0)
    table, images = torch.randn(256, WIDTH, generator=g), torch.randn(64, 3, 32, 32, generator=g)
    mlp = nn.Sequential(
        nn.Linear(WIDTH, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU()
    )
    convolutions = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    return {
        "a table, 256 rows, MLP 512-512-256": steps(mlp, 256, table, torch.rand(256, generator=g) * 5),
        "images 32 × 32, 64 of them, three convolutions": steps(
            convolutions, 128, images, torch.rand(64, generator=g) * 5
        ),
    }


def ranksim_loop(z: Tensor, y: Tensor) -> Tensor:
    """RankSim row by row, as published code has it: the value alone."""
    z = F.normalize(z, dim=1)
    total = z.new_zeros(())
    for i in range(len(y)):
        found = (-(z[i] @ z.T)).argsort().argsort().float() / len(y)
        wanted = (y[i] - y).abs().argsort().argsort().float() / len(y)
        total = total + (found - wanted).square().mean()
    return total


def main() -> None:
    torch.manual_seed(0)
    lines = [
        "# What the parts of imbalanced regression cost",
        "",
        f"Measured on {time.strftime('%Y-%m-%d')}, one thread of {platform.machine()}, by",
        "`OMP_NUM_THREADS=1 python benchmarks/regression_parts.py`. Medians of processor seconds, contestants in turns.",
        "",
    ]
    for title, contestants in networks().items():
        found = race(contestants, 15)
        lines += [f"## A step: {title}", "", "| | ms | × plain |", "|---|---|---|"]
        lines += [f"| {n} | {1e3 * t:.1f} | {t / found['plain step']:.2f} |" for n, t in found.items()]
        lines += [""]
    lines += [
        "## RankSim without a loop over rows",
        "",
        "| rows | loop, forward, ms | ours, forward, ms | × |",
        "|---|---|---|---|",
    ]
    for rows in (64, 256, 1024):
        z, y = torch.randn(rows, 64), torch.rand(rows)
        loss = RankSimLoss()
        found = race(
            {"loop": lambda z=z, y=y: ranksim_loop(z, y), "ours": lambda z=z, y=y, loss=loss: loss(z, y)}, 9
        )
        lines.append(
            f"| {rows} | {1e3 * found['loop']:.1f} | {1e3 * found['ours']:.1f} | {found['loop'] / found['ours']:.1f} |"
        )
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.normal(size=(ROWS, WIDTH)))
    y = (X[:, 0] + X[:, 1]).exp()
    lines += [
        "",
        f"## SMOGN on {ROWS:,} × {WIDTH}",
        "",
        "| rare rows | new rows | seconds |",
        "|---|---|---|",
    ]
    for points in (None, [(float(y.median()), 0.0), (float(y.quantile(0.7)), 1.0)]):
        sampler = SMOGN(points=points, side="high", seed=0)
        started = time.process_time()
        sampler.fit_resample(X, y)
        spent = time.process_time() - started
        kept = sampler.source_index_[sampler.source_index_ >= 0]
        rare = len(kept) - ROWS // 2  # of two runs the common one is cut to half of all rows
        lines.append(f"| {rare:,} | {int((sampler.source_index_ < 0).sum()):,} | {spent:.1f} |")
    PAGE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
