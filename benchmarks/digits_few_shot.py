"""MetaBalance, over-sampling and plain training on few-shot digits, over many seeds with intervals.

One class keeps 110 images and each of the other nine 1 or 3 (scikit-learn's digits, 8×8 pixels); all others
are the test set. Every method makes the same 150 updates from M = 10 batches of 30 rows. Prints the tables
of docs/results/digits.md: ``OMP_NUM_THREADS=1 python benchmarks/digits_few_shot.py``.
"""

import argparse
import itertools

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.datasets import load_digits
from torch import nn

from metabalance.optimize import MetaBalance

UPDATES, ACCUMULATE, INNER_ROWS, OUTER_ROWS, CLASSES = 150, 10, 20, 30, 10


def few_shot_digits(shots: int, seed: int, majority_rows: int = 110) -> tuple[torch.Tensor, ...]:
    """Training and test images and labels; the majority class is drawn by the seed."""
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    majority = rng.integers(CLASSES)
    rows = np.concatenate(
        [
            rng.permutation(np.flatnonzero(labels == c))[: majority_rows if c == majority else shots]
            for c in range(CLASSES)
        ]
    )
    rest = np.setdiff1d(np.arange(len(labels)), rows)
    x, y = torch.as_tensor(images / 16, dtype=torch.float32), torch.as_tensor(labels)
    return x[rows], y[rows], x[rest], y[rest]


def natural(y: torch.Tensor, rows: int, generator: torch.Generator) -> torch.Tensor:
    """Rows as they come."""
    return torch.randperm(len(y), generator=generator)[:rows]


def balanced(y: torch.Tensor, rows: int, generator: torch.Generator) -> torch.Tensor:
    """As many rows of every class, drawn with replacement."""
    picks = []
    for c in range(CLASSES):
        own = torch.nonzero(y == c).flatten()
        picks.append(own[torch.randint(len(own), (rows // CLASSES,), generator=generator)])
    return torch.cat(picks)


def balanced_accuracy(shots: int, seed: int, outer: str = "balanced", **settings) -> float:
    """Trains once and tests the base weights; ``inner_lr=0`` is plain training on the outer stream."""
    x, y, x_test, y_test = few_shot_digits(shots, seed)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, CLASSES)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)
    trainer = MetaBalance(
        model,
        lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]),
        optimizer,
        accumulate=ACCUMULATE,
        vectorize=True,
        **settings,
    )
    # Own generators: every method sees the same outer batches.
    inner_rng, outer_rng = (torch.Generator().manual_seed(2 * seed + i) for i in range(2))
    for _ in range(UPDATES):
        for _ in range(ACCUMULATE):
            inner_rows = natural(y, INNER_ROWS, inner_rng)
            outer_rows = (balanced if outer == "balanced" else natural)(y, OUTER_ROWS, outer_rng)
            trainer.step((x[inner_rows], y[inner_rows]), (x[outer_rows], y[outer_rows]))
        schedule.step()
    with torch.no_grad():
        hit = (model(x_test).argmax(1) == y_test).double()
    return float(torch.stack([hit[y_test == c].mean() for c in range(CLASSES)]).mean())


def methods() -> dict[str, dict]:
    table: dict[str, dict] = {
        "plain training (ERM)": {"outer": "natural", "inner_lr": 0.0},
        "over-sampling": {"inner_lr": 0.0},
    }
    for inner_lr, leak, order in itertools.product((0.01, 0.1, 0.3), (0.0, 0.005, 0.02), (1, 2)):
        name = f"MetaBalance η={inner_lr:g}, λ={leak:g}, order {order}"
        table[name] = {"inner_lr": inner_lr, "leak": leak, "order": order}
    return table


def interval(values: np.ndarray) -> str:
    """Mean and 95 % t-interval."""
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return f"{values.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 3])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for shots in arguments.shots:
        scores = {
            name: np.array([balanced_accuracy(shots, seed, **settings) for seed in range(arguments.seeds)])
            for name, settings in methods().items()
        }
        print(f"\n### {shots} per minority class, {arguments.seeds} seeds\n")
        print("| | balanced accuracy (sd) | minus over-sampling | minus ERM |\n|---|---:|---:|---:|")
        erm, over = scores["plain training (ERM)"], scores["over-sampling"]
        for name, values in scores.items():
            versus = [" " if values is other else interval(values - other) for other in (over, erm)]
            print(f"| {name} | {values.mean():.3f} ({values.std(ddof=1):.3f}) | {versus[0]} | {versus[1]} |")


if __name__ == "__main__":
    main()
