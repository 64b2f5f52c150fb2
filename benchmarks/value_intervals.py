"""What intervals hold of rare values: `python benchmarks/value_intervals.py > docs/results/value-intervals.md`.

Needs the real data in METABALANCE_DATA.
"""

import os
from pathlib import Path

import numpy as np

from metabalance.adjust import ConformalIntervals, interval_coverage
from metabalance.data.preprocess import TablePreprocessor
from metabalance.data.tables import read_table
from metabalance.judge.regions import make_regions
from metabalance.study.values.baselines import VALUE_FITTERS
from metabalance.study.values.intervals import fit_intervals

SEEDS = 5
SETS = {  # file: how it is read, and the width of a bin of its target
    "cal_housing.arff.xz": (True, None),
    "abalone.csv.xz": (False, 1.0),
    "winequality-white.csv.xz": (False, 1.0),
}
TEXT = f"""# Intervals and rare values

`python benchmarks/value_intervals.py`: share of test rows whose 90 % interval holds the true value, by the region that this
value lies in, and the mean width in standard deviations of the target. {SEEDS} random splits into 60 % training, 20 %
validation (early stopping, margins) and 20 % test rows; mean ± standard deviation over the splits.

*One margin* is split conformal prediction as usual. *By prediction* has a margin for each region of the prediction, the
default of `metabalance predict`; *by target* is `--interval-by target`.

| data | model | intervals | all | many | medium | few | width |
|---|---|---|---|---|---|---|---|"""


def main() -> None:
    print(TEXT)
    notes = []
    for file, (header, width) in SETS.items():
        frame = read_table(
            Path(os.environ["METABALANCE_DATA"]) / "imbalanced-regression" / file, header=header
        )
        y = frame[frame.columns[-1]].to_numpy(dtype=float)[:, None]
        X = frame.drop(columns=frame.columns[-1])
        found: dict[tuple[str, str], list[dict[str, float]]] = {}
        few = []
        for seed in range(SEEDS):
            order, n = np.random.default_rng(seed).permutation(len(y)), len(y)
            fit, held, test = np.split(order, [n * 6 // 10, n * 8 // 10])
            preprocessor = TablePreprocessor()
            parts = (
                preprocessor.fit_transform(X.iloc[fit]),
                *(preprocessor.transform(X.iloc[rows]) for rows in (held, test)),
            )
            regions = make_regions(y[fit, 0], bin_width=width)
            few.append([int((regions.of(y[rows, 0]) == "few").sum()) for rows in (held, test)])
            for name in ("ridge", "lightgbm"):
                model = VALUE_FITTERS[name](parts[0], y[fit], (parts[1], y[held]), seed)
                before, now = model.predict(parts[1]), model.predict(parts[2])
                made = fit_intervals(before, None, y[held], [regions])
                assert made is not None
                plain = ConformalIntervals(0.1).fit(before[:, 0], y[held, 0])(now[:, 0])
                for how, ends in (
                    ("one margin", np.column_stack(plain)),
                    ("by prediction", made(now, None)[:, 0]),
                    ("by target", made(now, None, by="target")[:, 0]),
                ):
                    row = interval_coverage(*ends.T, y[test, 0], regions.of(y[test, 0]))
                    row["width"] = float((ends[:, 1] - ends[:, 0]).mean()) / regions.scale
                    found.setdefault((name, how), []).append(row)
        for (name, how), rows in found.items():
            cells = [spread([r[key] for r in rows if key in r]) for key in ("all", "many", "medium", "few")]
            print(
                f"| {file.split('.')[0]} | {name} | {how} | {' | '.join(cells)} | {np.mean([r['width'] for r in rows]):.2f} |"
            )
        held_few, test_few = np.array(few).T
        notes.append(
            f"- {file.split('.')[0]}: {held_few.min()} to {held_few.max()} few-shot validation rows, {test_few.min()} to "
            f"{test_few.max()} such test rows."
        )
    print(
        "\nFew-shot rows of a split (below 9 for validation, the margin is shared with medium-shot ones):\n"
    )
    print("\n".join(notes))


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


if __name__ == "__main__":
    main()
