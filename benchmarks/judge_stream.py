"""Metrics of 10^8 rows in bounded memory, once: ``OMP_NUM_THREADS=1 python benchmarks/judge_stream.py``.

Rows are made, 0.2 % of them positive, and fed in pieces of a million, as float32 and int8; the making is not timed.
"""

import argparse
import resource
import time

import numpy as np

from metabalance.judge import ScoreStream

PIECE = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10**8)
    rows = parser.parse_args().rows
    rng, stream, seconds = np.random.default_rng(0), ScoreStream(), 0.0
    for start in range(0, rows, PIECE):
        size = min(PIECE, rows - start)
        target = (rng.random(size, dtype=np.float32) < 0.002).astype(np.int8)
        logit = rng.standard_normal(size, dtype=np.float32) + 2.5 * target - 6.2
        scores = 1 / (1 + np.exp(-logit))
        begun = time.process_time()
        stream.update(scores, target)
        seconds += time.process_time() - begun
    begun = time.process_time()
    values = {
        name: stream.value(name) for name in ("roc_auc", "average_precision", "brier", "log_loss", "ece")
    }
    asked = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:,} rows in {seconds:.1f} processor seconds, five metrics asked for in {asked:.2f} s")
    print(f"{peak:.0f} MiB at most in the whole process; {stream.counts.nbytes / 2**20:.0f} MiB kept")
    for name, value in values.items():
        print(f"{name}: {value.value:.9f}, at most {value.error:.1e} off")


if __name__ == "__main__":
    main()
