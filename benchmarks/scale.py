"""What things cost as data grow: ``OMP_NUM_THREADS=1 python benchmarks/scale.py rows features classes recipes startup``.

Each point is measured in a process of its own: processor seconds of the work alone (what it works on is made before) and
the memory that the process gained. The exponent of a row is the slope of log cost on log size over the sizes that took
at least a hundredth of a second, so that fixed costs do not hide growth: 1 is linear. Results are added to ``--store``,
a JSON file; points that it has are not measured again. ``benchmarks/scale_page.py`` makes docs/results/scale.md of it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Work = Callable[[], object]
LIMIT = 900  # seconds of one point

ROWS = {
    "read CSV": (10_000, 100_000, 1_000_000),
    "read Parquet": (10_000, 100_000, 1_000_000, 10_000_000),
    "check the table": (10_000, 100_000, 1_000_000),
    "audit": (10_000, 100_000, 1_000_000),
    "split, 5 folds": (10_000, 100_000, 1_000_000, 10_000_000),
    "equal rows across splits": (10_000, 100_000, 1_000_000),
    "preprocess": (10_000, 100_000, 1_000_000),
    "balanced sampler, one epoch": (10_000, 100_000, 1_000_000, 10_000_000),
    "train erm, one epoch": (10_000, 100_000, 1_000_000),
    "train metabalance, one epoch": (10_000, 100_000, 1_000_000),
    "predict": (10_000, 100_000, 1_000_000),
    "ROC AUC and AP, BCa intervals": (10_000, 100_000, 1_000_000, 10_000_000),
    "choose a threshold": (10_000, 100_000, 1_000_000, 10_000_000),
    "SMOTE": (10_000, 30_000, 100_000),
}
FEATURES = {
    "check the table": (10, 100, 1000),
    "audit": (10, 100, 1000),
    "preprocess": (10, 100, 1000),
    "train erm, one epoch": (10, 100, 1000),
    "train metabalance, one epoch": (10, 100, 1000),
}
CLASSES = {
    "audit": (2, 10, 100, 1000, 10_000),
    "split, 5 folds": (2, 10, 100, 1000, 10_000),
    "balanced sampler, one epoch": (2, 10, 100, 1000, 10_000),
    "train erm, one epoch": (2, 10, 100, 1000, 10_000),
    "train metabalance, one epoch": (2, 10, 100, 1000, 10_000),
    "macro ROC AUC and AP": (2, 10, 100, 1000),
    "confusion and macro F1": (2, 10, 100, 1000, 10_000),
    "calibrate, choose decisions": (2, 10, 100, 1000),
}
RECIPE_ROWS = (5_000, 20_000)


def make(rows: int, features: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Normal numbers; two classes with 1 % positives, or a long tail of ratio 100 with 2 rows of a class at least."""
    rng = np.random.default_rng(seed)
    share = np.array([0.99, 0.01]) if classes == 2 else 100.0 ** -np.linspace(0, 1, classes)
    least = min(5, rows // classes // 2)
    counts = least + np.floor(share / share.sum() * (rows - least * classes)).astype(int)
    counts[0] += rows - counts.sum()
    y = rng.permutation(np.repeat(np.arange(classes), counts))
    X = rng.standard_normal((rows, features), dtype=np.float32)
    X[:, 0] += y % 7
    return X, y


def frame(rows: int, features: int, classes: int) -> Any:
    import pandas as pd

    X, y = make(rows, features, classes)
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(features)]).assign(y=y)


def training(recipe: str, rows: int, features: int, classes: int, **settings: Any) -> Work:
    from metabalance import MetaBalanceClassifier

    X, y = make(rows, features, classes)
    options = {
        "epochs": 1,
        "batch_size": 256,
        "preprocess": None,
        "validation_fraction": 0.0,
        "random_state": 0,
    }
    model = MetaBalanceClassifier(recipe, **(options | settings))
    return lambda: model.fit(X, y)


def scored(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    _, y = make(rows, 1, classes)
    logits = np.random.default_rng(1).standard_normal((rows, classes), dtype=np.float32)
    logits[np.arange(rows), y] += 2
    logits -= logits.max(1, keepdims=True)
    scores = np.exp(logits)
    scores /= scores.sum(1, keepdims=True)
    return scores, y


def prepare(what: str, rows: int, features: int, classes: int, folder: Path) -> Work:
    """The work itself, ready to be timed."""
    if what.startswith("read "):
        from metabalance.data import read_table

        path = folder / ("table.csv" if what == "read CSV" else "table.parquet")
        table = frame(rows, features, classes)
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
        return lambda: read_table(path)
    if what == "check the table":
        from metabalance.study.load import make_table

        table = frame(rows, features, classes)
        return lambda: make_table(table, "y")
    if what == "audit":
        from metabalance.study.audit import audit_table

        table = frame(rows, features, classes)
        return lambda: audit_table(table, "y")
    if what == "split, 5 folds":
        from metabalance.study.splits import make_splits

        y = make(rows, 1, classes)[1]
        folds = 5 if np.bincount(y).min() >= 5 else 2
        return lambda: make_splits(y, folds=folds, seed=0)
    if what == "equal rows across splits":
        from metabalance.study.splits import duplicates_across, make_splits

        table = frame(rows, features, classes)
        y = table.pop("y").to_numpy()
        splits = make_splits(y, folds=5, seed=0)
        return lambda: duplicates_across(table, splits)
    if what == "preprocess":
        from metabalance.data.preprocess import TablePreprocessor

        table = frame(rows, features, classes).drop(columns="y")
        return lambda: TablePreprocessor().fit_transform(table)
    if what == "balanced sampler, one epoch":
        from metabalance.sample import ClassBalancedSampler

        y = make(rows, 1, classes)[1]
        return lambda: sum(1 for _ in ClassBalancedSampler(y))
    if what.startswith("train "):
        return training(what.split()[1].rstrip(","), rows, features, classes)
    if what == "predict":
        X, y = make(rows, features, classes)
        model = training("erm", 2000, features, classes)()
        return lambda: model.predict_proba(X)
    if what == "SMOTE":
        import torch

        from metabalance.sample import SMOTE

        X, y = (torch.from_numpy(a) for a in make(rows, features, classes))
        y = (torch.arange(len(y)) % 4 == 0).long()
        return lambda: SMOTE().fit_resample(X, y)
    if what == "ROC AUC and AP, BCa intervals":
        from metabalance.judge import bootstrap_interval

        scores, y = scored(rows, 2)
        return lambda: [
            bootstrap_interval(m, scores[:, 1], y, n_boot=1000, method="bca", seed=0)
            for m in ("roc_auc", "average_precision")
        ]
    if what == "choose a threshold":
        from metabalance.adjust import choose_decision

        scores, y = scored(rows, 2)
        return lambda: choose_decision(scores, y, "f1", positive=1)
    from metabalance.judge import get_metric

    scores, y = scored(rows, classes)
    if what == "macro ROC AUC and AP":
        given = scores[:, 1] if classes == 2 else scores
        return lambda: [get_metric(m)(given, y) for m in ("roc_auc", "average_precision")]
    if what == "confusion and macro F1":
        chosen = scores.argmax(1)
        return lambda: [get_metric(m)(chosen, y) for m in ("f1", "balanced_accuracy", "mcc")]
    if what == "calibrate, choose decisions":
        from metabalance.adjust import choose_decision, get_calibration

        logs = np.log(np.maximum(scores.astype(np.float64), 1e-30))

        def both() -> None:
            probabilities = get_calibration("bias_corrected").fit(logs, y)(logs)
            for goal in ("f1", "balanced_accuracy"):
                choose_decision(probabilities, y, goal, positive=1)

        return both
    raise ValueError(what)


def memory() -> float:
    """MiB of the process at its highest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def point(what: str, rows: int, features: int, classes: int) -> dict[str, float]:
    """Measures one point in this process: a small one first, which warms up."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        prepare(what, 1000, min(features, 20), min(classes, 20), Path(name))()
        work = prepare(what, rows, features, classes, Path(name))
        before, started = memory(), time.process_time()
        work()
        return {"seconds": time.process_time() - started, "gained": memory() - before, "peak": memory()}


def run_point(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same in a process of its own; an error or the time limit is a result too."""
    command = [sys.executable, __file__, "--point", json.dumps(arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return arguments | {"error": f"more than {LIMIT} s"}
    if done.returncode:
        return arguments | {"error": (done.stderr.strip().splitlines() or ["?"])[-1][:200]}
    return arguments | json.loads(done.stdout.splitlines()[-1])


def startup(repeats: int = 5) -> list[dict[str, Any]]:
    """Processor seconds and MiB from nothing to the end, of the commands and imports that come first."""
    starts = {
        "python -c pass": ["-c", "pass"],
        "import metabalance": ["-c", "import metabalance"],
        "metabalance --version": ["-m", "metabalance.cli", "--version"],
        "metabalance methods": ["-m", "metabalance.cli", "methods"],
        "import metabalance.judge": ["-c", "import metabalance.judge"],
        "import torch": ["-c", "import torch"],
        "import MetaBalanceClassifier": ["-c", "from metabalance import MetaBalanceClassifier"],
        "import sklearn.linear_model": ["-c", "import sklearn.linear_model"],
    }
    found = []
    for what, command in starts.items():
        seconds, peak = [], 0.0
        for _ in range(repeats):
            process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, what
            seconds.append(usage.ru_utime + usage.ru_stime)
            peak = max(peak, usage.ru_maxrss / 1024)
        found.append({"part": "startup", "what": what, "seconds": float(np.median(seconds)), "peak": peak})
    return found


def points(part: str) -> list[dict[str, Any]]:
    def at(what: str, rows: int, features: int = 20, classes: int = 2) -> dict[str, Any]:
        return {"part": part, "what": what, "rows": rows, "features": features, "classes": classes}

    if part == "rows":
        return [at(what, n) for what, sizes in ROWS.items() for n in sizes]
    if part == "features":
        return [at(what, 10_000, d) for what, sizes in FEATURES.items() for d in sizes]
    if part == "classes":
        return [at(what, 50_000, 20, c) for what, sizes in CLASSES.items() for c in sizes]
    from metabalance.recipes import RECIPES

    names = [name for name in RECIPES if name not in ("compose", "cutmix", "rotation_pretraining")]
    return [at(f"train {name}, one epoch", n) for name in names for n in RECIPE_ROWS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["rows", "features", "classes", "recipes", "startup"])
    parser.add_argument("--store", type=Path, default=Path("scale.json"))
    parser.add_argument("--point", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.point:
        wanted = json.loads(given.point)
        wanted.pop("part")
        print(json.dumps(point(**wanted)))
        return
    found = json.loads(given.store.read_text()) if given.store.exists() else []
    for part in given.parts:
        if part == "startup":
            found = [f for f in found if f["part"] != part] + startup()
        else:
            for wanted in points(part):
                if any(wanted.items() <= f.items() for f in found):
                    continue
                found.append(run_point(wanted))
                print({k: v for k, v in found[-1].items() if k != "part"}, flush=True)
                given.store.write_text(json.dumps(found, indent=1))
        given.store.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
