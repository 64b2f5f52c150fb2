"""How often `metabalance monitor` is right where the truth is known: `python benchmarks/monitoring.py`.

Writes docs/results/monitoring.md. Each time a model is trained on 3,000 made rows, 15 % of them positive, of which 900
are held out; then 3,000 rows come that are of the same kind, or not.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from metabalance import __version__
from metabalance.judge import wilson_interval
from metabalance.study.load import make_table
from metabalance.study.monitor import monitor_rows
from metabalance.study.train import train_table

PAGE = Path(__file__).parents[1] / "docs" / "results" / "monitoring.md"
ROWS = 3000


def people(seed: int, share: float = 0.15, moved: float = 0.0, signal: float = 1.8) -> pd.DataFrame:
    """Made rows: ``share`` of positives, ages ``moved`` by years, amounts that tell them apart by ``signal``."""
    rng = np.random.default_rng(seed)
    y = rng.random(ROWS) < share
    return pd.DataFrame(
        {
            "amount": rng.normal(signal * y),
            "age": np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(40 + moved, 10, ROWS)),
            "city": rng.choice(["Bonn", "Rome", "Oslo"], ROWS),
            "y": np.where(y, "bad", "good"),
        }
    )


WORLDS = {
    "nothing has changed": {},
    "30 % positives, not 15 %": {"share": 0.3},
    "ages six years higher": {"moved": 6.0},
    "positives half as plain": {"signal": 0.9},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    arguments = parser.parse_args()
    alarms = {world: Counter() for world in WORLDS}
    covered: Counter = Counter()
    for time in range(arguments.times):
        trained = train_table(make_table(people(time), "y"), "logistic", holdout=0.3, seed=time).model
        for place, (world, changes) in enumerate(WORLDS.items()):
            rows = people(10_000 * (place + 1) + time, **changes)
            truth = np.array([trained.classes.index(label) for label in rows["y"]])
            found = monitor_rows(trained, rows, truth, n_boot=200)
            alarms[world]["any"] += bool(found.alarms())
            for kind in ("drift", "prior", "performance"):
                alarms[world][kind] += bool(found.alarms((kind,)))
            if not changes:
                for kept in found.kept:
                    if kept.metric in found.expected:
                        expected = found.expected[kept.metric]
                        covered[kept.metric] += expected.low <= kept.now.value <= expected.high
        print(f"{time + 1}/{arguments.times}", flush=True)
    PAGE.write_text(page(alarms, covered, arguments.times))
    print(PAGE)


def page(alarms: dict[str, Counter], covered: Counter, times: int) -> str:
    def share(count: int) -> str:
        i = wilson_interval(count, times)
        return f"{i.value:.2f} [{i.low:.2f}, {i.high:.2f}]"

    kinds = ("any", "drift", "prior", "performance")
    lines = [
        "# Is the monitor right?",
        "",
        f"`python benchmarks/monitoring.py --times {times}`, metabalance {__version__}: each time a model is trained on 3,000 made",
        "rows, 15 % of them positive, of which 900 are held out; then 3,000 rows come with their classes. The share of times that",
        "each kind of alarm was raised, with Wilson's 95 % interval.",
        "",
        "| what came | " + " | ".join(kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
        *(
            f"| {world} | " + " | ".join(share(found[k]) for k in kinds) + " |"
            for world, found in alarms.items()
        ),
        "",
        "Where nothing has changed, the interval of what was expected without labels held the figure that the labels then gave:",
        "",
        "| metric | nominal | held |",
        "|---|---|---|",
        *(f"| {metric} | 0.95 | {share(count)} |" for metric, count in covered.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
