"""All recipes for a continuous target on five public tables: `docs/results/regression.md`.

    python benchmarks/regression_results.py RUNS --seeds 3     # goes on where an earlier call stopped
    python benchmarks/regression_results.py RUNS --seeds 3 --page   # only writes the page, from what is finished

The data lie in the folder named by METABALANCE_DATA. Rows, networks and stored fits are those of `metabalance reproduce
lds-fds --out RUNS` and its like, so that what one has trained the other does not train again.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.recipes.regression import VALUE_RECIPES
from metabalance.study.reproduce.base import Fit
from metabalance.study.reproduce.claims.value_setups import SMALL
from metabalance.study.reproduce.run import FORMAT, FitStore, fit_and_store
from metabalance.study.reproduce.value_measure import regions_of, value_record
from metabalance.study.reproduce.value_sets import TABLES, make_value_split
from metabalance.study.reproduce.verdict import interval
from metabalance.study.store import RunStore, locked, write_atomically

PAGE = Path(__file__).parents[1] / "docs" / "results" / "regression.md"
BASELINES = ("ridge", "lightgbm")
METRICS = {
    "mae": "MAE", "mae@many": "many", "mae@medium": "medium", "mae@few": "few", "bmae": "bMAE", "rmse": "RMSE", "gm": "GM",
    "r2": "R²", "spearman": "Spearman",
}  # fmt: skip
HIGHER = ("r2", "spearman")
FIRST = ("erm", "l1", "huber")


@dataclass(frozen=True)
class Line:
    """One row of a table: a recipe or a baseline, and its options."""

    name: str
    recipe: str
    options: Mapping[str, Any]


def lines() -> list[Line]:
    """What is compared, the untouched baseline first."""
    names = [*FIRST, *(name for name in VALUE_RECIPES if name not in (*FIRST, "balanced_mse", "compose"))]
    found = [Line(name, name, {}) for name in names]
    found += [Line(f"balanced_mse({v})", "balanced_mse", {"variant": v}) for v in ("gai", "bmc", "bni")]
    return found + [Line(name, name, {}) for name in BASELINES]


def fit_baseline(fit: Fit, data: Path) -> dict[str, Any]:
    """Ridge and LightGBM on the same rows; trees stop early on the validation rows."""
    from metabalance.study.values.baselines import VALUE_FITTERS

    split = make_value_split(fit.setup.data, fit.seed, data)
    (X, y), (X_val, y_val), (X_test, _) = split.train, split.validation, split.test
    started = time.monotonic()
    model = VALUE_FITTERS[fit.recipe](X, y[:, None], (X_val, y_val[:, None]), fit.seed)
    seconds = time.monotonic() - started
    record = value_record(split, regions_of(fit.setup, split), model.predict(X_val), model.predict(X_test))
    return record | {"seconds": seconds, "device": "cpu", "notes": []}


def run(runs: Path, data: Path, seeds: int, names: list[str]) -> None:
    """Runs what is not stored, seed by seed; why a recipe refuses a table is kept for the page."""
    folder, store, refused = RunStore(runs), FitStore(runs), {}
    folder.open({"format": FORMAT, "kind": "reproduce", "version": __version__})
    with locked(runs):
        for seed in range(seeds):
            for name in names:
                for line in lines():
                    fit = Fit(SMALL[name], line.recipe, dict(line.options), seed)
                    if store.load(fit) is not None:
                        continue
                    started = time.monotonic()
                    try:
                        if line.recipe in BASELINES:
                            store.save(fit, fit_baseline(fit, data))
                        else:
                            fit_and_store(fit, data, runs)
                        told = f"{time.monotonic() - started:.1f} s"
                    except Exception as error:  # one recipe's fault is no reason to lose the others
                        told = f"failed: {error}"
                        refused.setdefault(name, {})[line.name] = str(error)
                    print(seed, name, line.name, told, flush=True)
        write_atomically(runs / "refused.json", json.dumps(refused, indent=1).encode())


def collected(store: FitStore, name: str, seeds: int) -> dict[str, list[dict[str, Any]]]:
    """The records of each line that has all seeds."""
    found = {}
    for line in lines():
        fits = [Fit(SMALL[name], line.recipe, dict(line.options), seed) for seed in range(seeds)]
        rows = [record for fit in fits if (record := store.load(fit)) is not None]
        if len(rows) == seeds:
            found[line.name] = rows
    return found


def values(rows: list[dict[str, Any]], metric: str) -> np.ndarray:
    return np.array([np.nan if r["raw"][metric] is None else r["raw"][metric] for r in rows], dtype=float)


def gap(records: Mapping[str, list[dict[str, Any]]], name: str, metric: str) -> Any:
    """The paired difference to the untouched baseline, with its interval over seeds."""
    return interval(values(records[name], metric) - values(records["erm"], metric))


def word(found: Any, metric: str) -> str:
    """``better``, ``worse`` or nothing, where the interval holds 0."""
    if not (found.low > 0 or found.high < 0):
        return ""
    return "better" if (found.value > 0) == (metric in HIGHER) else "worse"


def relative(records: Mapping[str, list[dict[str, Any]]], name: str, metric: str) -> float:
    """The change in percent of the untouched baseline's figure."""
    before = values(records["erm"], metric).mean()
    return float(100 * (values(records[name], metric).mean() / before - 1))


def cell(records: Mapping[str, list[dict[str, Any]]], name: str, metric: str) -> str:
    value = values(records[name], metric).mean()
    if not np.isfinite(value):
        return "-"
    text = f"{value:.3f}"
    if name == "erm":
        return text
    found = gap(records, name, metric)
    mark = "**" if word(found, metric) else ""
    return f"{text}<br>{mark}Δ {found.value:+.3f} ({found.low:+.3f}, {found.high:+.3f}){mark}"


def told(records: Mapping[str, list[dict[str, Any]]], metric: str, title: str) -> str:
    """Which recipes change a figure distinguishably, and by how much."""
    names = [n for n in records if n not in ("erm", *BASELINES)]
    changes = {
        kind: sorted(
            (n for n in names if word(gap(records, n, metric), metric) == kind),
            key=lambda n: relative(records, n, metric),
        )
        for kind in ("better", "worse")
    }

    def several(found: list[str]) -> str:
        return ", ".join(f"`{n}` ({relative(records, n, metric):+.1f} %)" for n in found)

    if not changes["better"] and not changes["worse"]:
        return f"- **{title}**: no recipe is distinguishable from plain training."
    parts = [f"lower with {several(changes['better'])}" if changes["better"] else "lower with none"]
    if changes["worse"]:
        parts.append(f"higher with {several(changes['worse'])}")
    return f"- **{title}**: {'; '.join(parts)}."


def compared(records: Mapping[str, list[dict[str, Any]]]) -> str:
    """Plain training and the best recipe beside ridge and LightGBM, in words."""
    parts = []
    for metric, title in (("mae", "overall"), ("mae@few", "of the few")):
        nets = {n: values(r, metric).mean() for n, r in records.items() if n not in BASELINES}
        others = {n: values(r, metric).mean() for n, r in records.items() if n in BASELINES}
        if not np.isfinite(nets["erm"]) or not others:
            continue
        best = min(nets, key=lambda n: nets[n])
        rest = ", ".join(f"{n} {v:.3f}" for n, v in others.items())
        parts.append(
            f"MAE {title}: plain network {nets['erm']:.3f}, lowest of the recipes `{best}` {nets[best]:.3f}, {rest}"
        )
    return f"- **Beside the baselines**: {'; '.join(parts)}."


def section(name: str, records: Mapping[str, list[dict[str, Any]]], refused: Mapping[str, str]) -> list[str]:
    setup, first = SMALL[name], records["erm"][0]
    table, t = TABLES[setup.data.table], setup.training
    train, test = (", ".join(map(str, first["counts"][part])) for part in ("train", "test"))
    lacking = [line.name for line in lines() if line.name not in records]
    missing = [f"`{n}`" for n in lacking if n not in refused]
    reasons: dict[str, list[str]] = {}
    for n in lacking:
        if n in refused:
            reasons.setdefault(refused[n].partition(";")[0], []).append(f"`{n}`")
    bins = f"{table.num_bins} bins" if table.bin_width is None else f"bins of {table.bin_width:g}"
    out = [
        f"## {name}",
        "",
        f"Errors in {table.unit}; {bins}. Rows in many-, medium- and few-shot bins: {train} to train on (first seed), {test} to test on. "
        f"{t.epochs} epochs of batches of {t.batch_size}."
        + (f" Features: {table.features}." if table.features else ""),
        "",
        told(records, "mae@few", "Error of the few"),
        told(records, "bmae", "Balanced error"),
        told(records, "mae", "Error over all test rows"),
        told(records, "mae@many", "Error of the many"),
        compared(records),
        *(f"- {', '.join(names)} refused this table: {reason}." for reason, names in reasons.items()),
        *([f"- Not finished for this page: {', '.join(missing)}."] if missing else []),
        "",
        "| recipe | " + " | ".join(METRICS.values()) + " | s/fit |",
        "|---" * (len(METRICS) + 2) + "|",
    ]
    for line, rows in records.items():
        seconds = np.mean([r["seconds"] for r in rows])
        out.append(
            f"| `{line}` | " + " | ".join(cell(records, line, m) for m in METRICS) + f" | {seconds:.1f} |"
        )
    return [*out, ""]


def summary(found: Mapping[str, dict[str, list[dict[str, Any]]]]) -> list[str]:
    """All sets: how often each recipe is distinguishably better or worse, and by how much on average."""
    names = [
        line.name for line in lines() if line.name != "erm" and any(line.name in r for r in found.values())
    ]
    shown = {"mae@few": "few", "bmae": "balanced", "mae": "over all", "mae@many": "many"}
    rows, changes, wins = [], {}, {}
    for name in names:
        cells = []
        for metric in shown:
            sets = [r for r in found.values() if name in r and np.isfinite(values(r["erm"], metric)).all()]
            words = [word(gap(r, name, metric), metric) for r in sets]
            change = float(np.mean([relative(r, name, metric) for r in sets]))
            changes[name, metric], wins[name, metric] = (
                change,
                (words.count("better"), words.count("worse"), len(sets)),
            )
            cells.append(f"{change:+.1f} % ({words.count('better')} / {words.count('worse')} of {len(sets)})")
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    recipes = [n for n in names if n not in BASELINES]
    return [
        *sentences(recipes, changes, wins, len(found)),
        "",
        "| recipe | " + " | ".join(shown.values()) + " |",
        "|---" * (len(shown) + 1) + "|",
        *rows,
        "",
    ]


def failures(found: Mapping[str, dict[str, list[dict[str, Any]]]]) -> list[str]:
    """Recipes that predict worse than a constant where plain training does better than one."""
    bad = [
        f"`{n}` on {name} (R² {values(rows, 'r2').mean():.1f})"
        for name, records in found.items()
        for n, rows in records.items()
        if values(rows, "r2").mean() < 0 < values(records["erm"], "r2").mean()
    ]
    return [f"Worse than a constant, where plain training is not: {', '.join(bad)}.", ""] if bad else []


def sentences(
    recipes: list[str],
    changes: Mapping[tuple[str, str], float],
    wins: Mapping[tuple[str, str], tuple[int, int, int]],
    sets: int,
) -> list[str]:
    """The verdict over all sets, in words that follow from the figures."""
    best = sorted(recipes, key=lambda n: changes[n, "mae@few"])[:3]
    out = [
        "- **The few.** The largest mean changes of their error: "
        + ", ".join(
            f"`{n}` {changes[n, 'mae@few']:+.1f} % (distinguishable on {wins[n, 'mae@few'][0]} of {wins[n, 'mae@few'][2]} sets; the many "
            f"{changes[n, 'mae@many']:+.1f} %)"
            for n in best
        )
        + "."
    ]
    everywhere = [n for n in recipes if wins[n, "mae@few"][0] == wins[n, "mae@few"][2] == sets]
    out.append(
        f"- Distinguishably lower for the few on every set: {', '.join(f'`{n}`' for n in everywhere)}."
        if everywhere
        else "- No recipe lowers the error of the few distinguishably on every set."
    )
    free = [
        n for n in recipes if wins[n, "mae@few"][0] and not wins[n, "mae"][1] and not wins[n, "mae@many"][1]
    ]
    out.append(
        "- Lower for the few on at least one set, and on no set distinguishably higher over all or for the many: "
        + (", ".join(f"`{n}`" for n in free) if free else "none")
        + "."
    )
    out.append("- **Over all test rows** the lowest mean change: " + ", ".join(
        f"`{n}` {changes[n, 'mae']:+.1f} % ({wins[n, 'mae'][0]} better, {wins[n, 'mae'][1]} worse of {wins[n, 'mae'][2]})"
        for n in sorted(recipes, key=lambda n: changes[n, "mae"])[:3]
    ) + ".")  # fmt: skip
    if "conr" in recipes:
        few, whole = changes["conr", "mae@few"], changes["conr", "mae"]
        helps = [n for n in ("lds_fds", "balanced_mse(bmc)") if n in recipes and changes[n, "mae@few"] < few]
        out.append(
            f"- **ConR** alone changes the error over all by {whole:+.1f} % and of the few by {few:+.1f} %; independent re-runs on "
            "photographs found that it helps overall, and that LDS + FDS or Balanced MSE help the few more: here "
            + (f"{' and '.join(f'`{n}`' for n in helps)} did." if helps else "neither did.")
        )
    return out


def page(runs: Path, seeds: int) -> str:
    store = FitStore(runs)
    found = {name: r for name in SMALL if "erm" in (r := collected(store, name, seeds))}
    fits = [r for records in found.values() for rows in records.values() for r in rows]
    total = sum(len(r) for r in found.values())
    lines_ = [
        "# Which remedy helps rare target values?",
        "",
        f"Five public tables, every recipe for a continuous target at its defaults on the same rows and from the same initial weights: {seeds}",
        "seeds, a network of 64 and 32 units, AdamW at 0.002 with a cosine, no epoch chosen. Test rows are even over the target where there are",
        "rows, and the same for all seeds; many, medium and few are bins with more than 100 and fewer than 20 *training* rows (30 for",
        "STS-B-DIR). Figures are means over seeds; Δ is the paired difference to `erm`, plain training with the squared error, with its 95 %",
        "t interval over seeds: what training again would give on these test rows. **Bold**: the interval does not hold 0. Nothing is",
        f"corrected for the number of comparisons: of {total - len(found)} lines about {0.05 * (total - len(found)):.0f} would be bold in each column by chance. bMAE is the mean over",
        "bins of the bins' errors, GM the geometric mean of errors.",
        "",
        f"Metabalance {__version__}, {os.cpu_count()} cores ({platform.machine()}) shared with other work, by",
        f"`python benchmarks/regression_results.py RUNS --seeds {seeds}`: {len(fits)} fits, {sum(r['seconds'] for r in fits) / 60:.0f} minutes of training. Set-ups and",
        "rows are those of [the claims](claims-regression.md). The default of MetaBalance's `power` was chosen after a look at "
        "abalone's test rows, where its figures are optimistic; no other option was chosen on any of these sets.",
        "",
        "## In short",
        "",
        "Mean change over the sets, and in brackets on how many it is distinguishably better / worse.",
        "",
        *summary(found),
        *failures(found),
    ]
    path = runs / "refused.json"
    refused = json.loads(path.read_text()) if path.exists() else {}
    unfinished = [name for name in SMALL if name not in found]
    if unfinished:
        lines_ += [f"Not finished for this page: {', '.join(unfinished)}.", ""]
    for name, records in found.items():
        lines_ += section(name, records, refused.get(name, {}))
    return "\n".join(lines_).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(SMALL))
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if not given.page:
        run(given.runs, Path(os.environ.get("METABALANCE_DATA", "../shared/data")), given.seeds, given.only)
    write_atomically(PAGE, page(given.runs, given.seeds).encode())
    print(PAGE)


if __name__ == "__main__":
    main()
