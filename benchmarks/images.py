"""The results page of images: every recipe on long-tailed images, then `docs/results/images.md` from their files.

    python benchmarks/images.py RUNS                       # all pieces, going on where an earlier call stopped
    python benchmarks/images.py RUNS --only fashion-100 --limit-seconds 3000 --workers 2
    python benchmarks/images.py RUNS --recipes erm drw     # only these
    python benchmarks/images.py RUNS --page                # only write the page from finished fits

The images lie in the folder named by METABALANCE_DATA. Each fit is a file that is written when it is finished; a
recipe that raises is written down with its reason, once.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.judge.paired import holm, paired_difference
from metabalance.recipes import RECIPES
from metabalance.study.candidates import parse_candidates
from metabalance.study.reproduce.base import Data, Fit, Setup, Training
from metabalance.study.reproduce.page import number
from metabalance.study.reproduce.run import FitStore, Progress, run_missing
from metabalance.study.reproduce.verdict import NO_OVERLAP, interval
from metabalance.study.store import write_atomically

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "images.md"
BASELINE = "erm"

# Recipes with options of their own, beside every recipe as it is.
VARIANTS = (
    "metabalance(order=2,inner_lr=0.1,leak=0.005)",
    "arb(counts=global)",
    "drw(loss=logit_adjustment)",
)
# A dozen, at least one for each place where a remedy can act.
REPRESENTATIVES = (
    "erm", "class_weight", "oversample", "balanced_batches", "focal", "class_balanced", "logit_adjustment",
    "drw", "ldam_drw", "remix", "crt", "metabalance(order=2,inner_lr=0.1,leak=0.005)",
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """One table of the page."""

    name: str
    title: str
    setup: Setup
    recipes: tuple[str, ...]

    def fits(self, seeds: int, only: Sequence[str] = ()) -> dict[tuple[str, int], Fit]:
        """By recipe and seed; seed by seed, the baseline first, so that an unfinished piece has whole pairs."""
        known = [c for text in self.recipes for c in parse_candidates(text)]
        chosen = [c for c in known if not only or c.label in only or c.name in only]
        return {
            (c.label, seed): Fit(self.setup, c.name, c.grid()[0], seed)
            for seed in range(seeds)
            for c in chosen
        }


FASHION = Setup(Data("fashion-mnist", "long_tail", n_max=500, ratio=100, validation=30, test=None))
CIFAR = Setup(
    Data("cifar10-jpeg", "long_tail", n_max=250, ratio=100, validation=30, test=200),
    Training("resnet32", epochs=20, batch_size=32, augment=True),
)
EVERY = (BASELINE, *(name for name in RECIPES if name != BASELINE), *VARIANTS)
PIECES = (
    Piece("fashion-100", "Fashion-MNIST-LT, ratio 100", FASHION, EVERY),
    *(
        Piece(f"fashion-{r}", f"Fashion-MNIST-LT, ratio {r}", FASHION.but(ratio=float(r)), REPRESENTATIVES)
        for r in (10, 50, 200)
    ),
    Piece("cifar-100", "CIFAR-10-LT, ratio 100", CIFAR, REPRESENTATIVES),
)


# ------------------------------------------------------------------------------------------------ running


def run(piece: Piece, runs: Path, data: Path, arguments: argparse.Namespace, deadline: float | None) -> None:
    store, failures = FitStore(runs), read_failures(runs)
    wanted = piece.fits(arguments.seeds, arguments.recipes).values()
    fits = [fit for fit in wanted if store.path(fit).name not in failures]

    def report(p: Progress) -> None:
        eta = "" if p.eta is None else f", {p.eta / 60:.0f} min to go"
        print(f"{piece.name}: {p.done}/{p.total} {p.recipe} {p.status} {p.message}{eta}", flush=True)

    failed = run_missing(fits, store, data=data, workers=arguments.workers, deadline=deadline, report=report)
    failures |= {path.name: reason for path, reason in failed.items()}
    write_atomically(runs / "failures.json", json.dumps(failures, indent=1).encode())


def read_failures(runs: Path) -> dict[str, str]:
    path = runs / "failures.json"
    return json.loads(path.read_text()) if path.exists() else {}


# --------------------------------------------------------------------------------------------------- page


def rows(piece: Piece, runs: Path, seeds: int) -> tuple[dict[str, dict[int, dict]], dict[str, str]]:
    """The finished records of each recipe by seed, and why others are missing."""
    store, failures = FitStore(runs), read_failures(runs)
    found: dict[str, dict[int, dict]] = {}
    missing: dict[str, str] = {}
    for (name, seed), fit in piece.fits(seeds).items():
        record = store.load(fit)
        if record is not None:
            found.setdefault(name, {})[seed] = record
        else:
            missing.setdefault(name, failures.get(store.path(fit).name, "not run"))
    return found, missing


def at_training_shares(record: Mapping[str, Any]) -> float:
    """Accuracy on data with the class shares of the training rows."""
    counts = np.array(record["counts"])
    return float(np.array(record["raw"]["recall"]) @ counts / counts.sum())


def seconds(records: Sequence[Mapping[str, Any]]) -> str:
    """Mean seconds of the fits on a GPU where there are some, else of those on a CPU, with the device."""
    gpu = [r["seconds"] for r in records if r.get("device", "cpu") != "cpu"]
    return f"{np.mean(gpu):.0f} gpu" if gpu else f"{np.mean([r['seconds'] for r in records]):.0f} cpu"


def table(piece: Piece, runs: Path, seeds: int) -> list[str]:
    found, missing = rows(piece, runs, seeds)
    base = found.get(BASELINE, {})
    lines = [f"## {piece.title}", ""]
    if base:
        counts = ", ".join(map(str, next(iter(base.values()))["counts"]))
        d, t = piece.setup.data, piece.setup.training
        tested = "all official test images" if d.test is None else f"{d.test} official test images per class"
        lines += [
            f"Training counts {counts}. {d.validation} validation images per class, {tested}. {t.module}, {t.epochs} epochs "
            f"of batches of {t.batch_size}, SGD with momentum 0.9, learning rate {t.lr:g} falling by a cosine, weight "
            f"decay {t.weight_decay:g}{', crops and mirroring' if t.augment else ''}.",
            "",
        ]
    entries = []
    for name, records in found.items():
        common = sorted(records.keys() & base.keys())
        gap = paired_difference(
            [records[s]["raw"]["balanced_accuracy"] for s in common],
            [base[s]["raw"]["balanced_accuracy"] for s in common],
            NO_OVERLAP,
        ) if name != BASELINE and len(common) > 1 else None  # fmt: skip
        entries.append((name, list(records.values()), gap))
    entries.sort(key=lambda e: -np.mean([r["raw"]["balanced_accuracy"] for r in e[1]]))
    p_values = (
        holm([float("nan") if gap is None else gap.p_value for _, _, gap in entries]) if entries else []
    )
    if entries:
        lines += [
            "| recipe | accuracy = balanced accuracy | minus `erm` | many | medium | few | at training shares | ROC-AUC | s/fit |",
            "|---" * 9 + "|",
        ]
    for (name, records, gap), p in zip(entries, p_values):

        def figure(metric: str, records: list[dict] = records) -> str:
            return f"{np.mean([r['raw'][metric] for r in records]):.3f}"

        mean = interval([r["raw"]["balanced_accuracy"] for r in records])
        cell = number({"value": mean.value, "low": mean.low, "high": mean.high})
        other = " "
        if gap is not None:
            g = gap.interval
            mark = "**" if p < 0.05 else ""
            other = f"{mark}{number({'value': g.value, 'low': g.low, 'high': g.high}, sign=True)}{mark}"
        shares = np.mean([at_training_shares(r) for r in records])
        few_seeds = f" ({len(records)} of {seeds} seeds)" if len(records) < seeds else ""
        lines.append(
            f"| `{name}`{few_seeds} | {cell} | {other} | {figure('many')} | {figure('medium')} | {figure('few')} | "
            f"{shares:.3f} | {figure('roc_auc')} | {seconds(records)} |"
        )
    absent = {name: why for name, why in missing.items() if name not in found}
    for reason in dict.fromkeys(absent.values()):
        names = ", ".join(f"`{name}`" for name, why in sorted(absent.items()) if why == reason)
        lines += ["", f"Not in the table: {names}: {reason}."]
    return [*lines, ""]


def reading(piece: Piece, runs: Path, seeds: int) -> str:
    """What the piece's differences say, in a sentence."""
    found, _ = rows(piece, runs, seeds)
    base = found.get(BASELINE, {})
    better, worse, total = [], [], 0
    for name, records in found.items():
        common = sorted(records.keys() & base.keys())
        if name == BASELINE or len(common) < 2:
            continue
        total += 1
        gap = interval(
            [records[s]["raw"]["balanced_accuracy"] - base[s]["raw"]["balanced_accuracy"] for s in common]
        )
        (better if gap.low > 0 else worse if gap.high < 0 else []).append((gap.value, name))
    if not total:
        return f"- {piece.title}: not run yet."
    best = ", ".join(f"`{name}` ({value:+.3f})" for value, name in sorted(better, reverse=True)[:5])
    return (
        f"- {piece.title}: of {total} recipes, {len(better)} with an interval above plain training"
        f"{f' (first: {best})' if better else ''}, {len(worse)} below, {total - len(better) - len(worse)} neither."
    )


def page(pieces: Sequence[Piece], runs: Path, seeds: int) -> str:
    kept = [r for p in pieces for found in rows(p, runs, seeds)[0].values() for r in found.values()]
    gpus = sorted({r.get("device", "cpu") for r in kept} - {"cpu"})
    lines = [
        "# Which remedy wins on long-tailed images?",
        "",
        "Every recipe at its default options, on the same rows and from the same initial weights for each seed. Test images",
        "are balanced, so that accuracy is balanced accuracy; scores are the network's own, corrected for no prior, as in the",
        "published protocols. The last column but two is the accuracy that the same networks would have on data with the",
        "training shares. No epoch is chosen: the last weights are tested. The validation images, which training leaves over,",
        "serve only the recipes that ask for a class's recall. Many, medium and few are the 3 largest, the 4 middle and the 3",
        f"smallest classes. {seeds} seeds; intervals are 95 % t intervals over the seeds, differences are paired; bold stays",
        "distinguishable from `erm` after Holm's correction over the recipes of a table. With 3 seeds an interval has 2 degrees",
        "of freedom: little is distinguishable, and a bare interval above zero is no proof among so many recipes.",
        "",
        "`cifar10-jpeg` is CIFAR-10 stored with loss: compare methods with each other, not with published figures. The networks",
        "and training sets are small, so that a single core does a fit in seconds to minutes; published figures are at",
        "5,000 images of the largest class and 200 epochs.",
        "",
        f"Run with metabalance {__version__} by `python benchmarks/images.py RUNS`: most fits on one of two CPU cores, one thread",
        f"a fit, or on an {' or '.join(gpus) or 'unknown GPU'}, fifteen at a time. Seconds were taken beside other work, on both:",
        "recipes that do the same differ by half, and those of a GPU and of a CPU cannot be compared. They are a rough guide.",
        "",
        "## In short",
        "",
        *(reading(piece, runs, seeds) for piece in pieces),
        "",
    ]
    for piece in pieces:
        lines += table(piece, runs, seeds)
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument(
        "--only", nargs="*", choices=[p.name for p in PIECES], default=[p.name for p in PIECES]
    )
    parser.add_argument("--recipes", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit-seconds", type=float, help="Stop after this time; the next call goes on.")
    parser.add_argument("--epochs", type=int, help="Other than the page's, for a rehearsal.")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--page-to", type=Path, default=PAGE)
    arguments = parser.parse_args()
    pieces = PIECES
    if arguments.epochs:
        pieces = tuple(replace(p, setup=p.setup.but(epochs=arguments.epochs)) for p in PIECES)
    data = Path(os.environ.get("METABALANCE_DATA", "../shared/data"))
    deadline = None if arguments.limit_seconds is None else time.monotonic() + arguments.limit_seconds
    for piece in pieces:
        if piece.name in arguments.only and not arguments.page:
            run(piece, arguments.runs, data, arguments, deadline)
    arguments.page_to.parent.mkdir(parents=True, exist_ok=True)
    arguments.page_to.write_text(page(pieces, arguments.runs, arguments.seeds))
    print(arguments.page_to)


if __name__ == "__main__":
    main()
