"""Ways of training one network, side by side on a CPU: ``OMP_NUM_THREADS=1 python benchmarks/one_big_fit.py``.

Wall seconds of a fit on made rows (200,000 x 50, three layers of 512, 3 epochs) by one process, by two, and through
torch.compile; and the memory that a large batch takes in one piece and accumulated. Each in a process of its own. On a
CPU these are smoke figures: they show what the ways cost, not what a GPU gains.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np

from metabalance import MetaBalanceClassifier

WAYS = {
    "one process": {},
    "two processes": {"devices": 2},
    "torch.compile": {"compile": True},
    "batch 16,384": {"batch_size": 16_384},
    "batch 2,048 x 8 accumulated": {"batch_size": 2048, "accumulate": 8},
}


def measure(recipe: str, settings: dict) -> dict[str, float]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200_000, 50), dtype=np.float32)
    y = (X[:, 0] + rng.standard_normal(len(X), dtype=np.float32) > 2.5).astype(int)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    options = {
        "hidden": (512, 512, 512),
        "epochs": 3,
        "batch_size": 2048,
        "preprocess": None,
        "device": "cpu",
    }
    model = MetaBalanceClassifier(recipe, validation_fraction=0.0, random_state=0, **(options | settings))
    started = time.perf_counter()
    model.fit(X, y)
    gained = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": time.perf_counter() - started, "gained": gained}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))))
        return
    print("| recipe | way | s | beside one process | MiB gained |\n|---|---|---:|---:|---:|")
    for recipe in ("erm", "metabalance"):
        base = 0.0
        for way, settings in WAYS.items():
            if recipe == "metabalance" and way not in ("one process", "two processes"):
                continue  # its step does not go with them, see docs/strategies.md
            command = [sys.executable, __file__, recipe, json.dumps(settings)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"| {recipe} | {way} | {done.stderr.strip().splitlines()[-1][:100]} | | |")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            base = base or found["seconds"]
            memory = "" if "devices" in settings else f"{found['gained']:.0f}"
            print(
                f"| {recipe} | {way} | {found['seconds']:.1f} | {found['seconds'] / base:.2f} | {memory} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
