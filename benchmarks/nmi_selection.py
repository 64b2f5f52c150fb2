"""What choosing among 1,300 features costs: ``OMP_NUM_THREADS=1 python benchmarks/nmi_selection.py [CHOSEN]``.

The selection as it is, on all cores, beside a loop over all pairs with scikit-learn's estimator. The loop is not run: its time is that
of a sample of pairs times the number of pairs, and it is divided by the cores as if it were parallel for nothing. Writes
docs/results/speed-nmi.md. Wall clock.
"""

import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.feature_selection import mutual_info_regression

from metabalance.systems.materials import NMIRelevanceRedundancy
from metabalance.systems.materials.nmi import Columns

PAGE = Path(__file__).parents[1] / "docs" / "results" / "speed-nmi.md"
ROWS, FEATURES, SAMPLE = 6000, 1300, 60


def data() -> tuple[np.ndarray, np.ndarray]:
    """Columns like descriptors of materials: mixtures of few causes, some bent, some counts."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(ROWS, 25))
    mixing = rng.normal(size=(25, FEATURES)) * (rng.uniform(size=(25, FEATURES)) < 0.2)
    X = causes @ mixing + 0.3 * rng.normal(size=(ROWS, FEATURES))
    X[:, ::5] = np.exp(X[:, ::5] / 3)
    X[:, ::7] = np.round(X[:, ::7])
    return X, causes[:, 0] + causes[:, 1] ** 2 + 0.5 * causes[:, 2] * causes[:, 3]


def main() -> None:
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    X, y = data()
    cores = os.cpu_count() or 1
    columns = Columns(X[:, :40], random_state=0)
    rng = np.random.default_rng(1)
    pairs = [tuple(map(int, rng.choice(40, 2, replace=False))) for _ in range(SAMPLE)]
    started = time.perf_counter()
    columns.of_pairs(pairs)
    ours = (time.perf_counter() - started) / SAMPLE
    started = time.perf_counter()
    for i, j in pairs:
        mutual_info_regression(X[:, [i]], X[:, j], random_state=0)
    theirs = (time.perf_counter() - started) / SAMPLE
    every = FEATURES * (FEATURES - 1) // 2
    started = time.perf_counter()
    selection = NMIRelevanceRedundancy(chosen, n_jobs=-1, random_state=0).fit(X, y)
    whole = time.perf_counter() - started
    lines = [
        "# Choosing features by mutual information",
        "",
        f"Written by `OMP_NUM_THREADS=1 python benchmarks/nmi_selection.py {chosen}`: {FEATURES:,} features, {ROWS:,} rows, "
        f"{chosen} to choose; {cores} cores ({platform.machine()}), wall clock, on a machine that others used too.",
        "",
        "| | pairs | ms a pair, one thread | all, on these cores |",
        "|---|---|---|---|",
        f"| scikit-learn's estimator, every pair (extrapolated from {SAMPLE}) | {every:,} | {theirs * 1e3:.1f} | "
        f"{theirs * every / cores / 3600:.1f} h |",
        f"| ours, every pair (extrapolated from {SAMPLE}) | {every:,} | {ours * 1e3:.1f} | {ours * every / cores / 60:.0f} min |",
        f"| `NMIRelevanceRedundancy({chosen}, n_jobs=-1)`, measured | {selection.pairs_:,} | | {whole / 60:.1f} min |",
        "",
        "The choice is the same: the estimates of a pair are scikit-learn's (`tests/systems/test_nmi.py`), and pairs are left out "
        "only where what they could say cannot change which feature is next.",
    ]
    PAGE.write_text("\n".join(lines) + "\n")
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
