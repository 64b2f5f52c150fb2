"""From finished fits to an answer: metrics with intervals, paired differences, one sentence of advice."""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from metabalance import __version__
from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json, read_file
from metabalance.judge.intervals import corrected_resampled_interval
from metabalance.judge.paired import holm, paired_difference
from metabalance.plain import plain
from metabalance.study.compare import BASELINE, Run, as_plain, baseline_names
from metabalance.study.kinds import Measure, kind_of

__all__ = ["advice", "read_results", "summarise", "write_results"]

LEVEL = 0.95
FEW_FITS = 10  # below, intervals are so wide that only large differences show


def summarise(run: Run, command: str = "") -> dict[str, Any]:
    """The whole result of a comparison, as the report, ``advice.json`` and the terminal show it.

    Args:
        run: A finished or interrupted comparison.
        command: What reproduces it.
    """
    table, plan = run.table, run.plan
    labels = [c.label for c in run.candidates]
    keys = [(s.seed, s.fold) for s in run.splits]
    split_of = {(s.seed, s.fold): s for s in run.splits}
    kind = kind_of(table.kind)
    share = float(np.mean([len(s.test) / (len(s.test) + len(s.train)) for s in run.splits]))
    rows: list[dict[str, Any]] = []
    values: dict[str, dict[tuple[int, int], dict[str, float]]] = defaultdict(dict)
    pooled: dict[str, list[Any]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    notes: dict[str, dict[str, None]] = defaultdict(dict)
    trainings: dict[str, Any] = {}  # of the first fit
    for label, seed, fold, record in run.store.all(labels, keys):
        found = kind.fit_metrics(record, table, split_of[seed, fold], plan)
        values[label][seed, fold] = found
        seconds[label].append(record["seconds"])
        notes[label].update(dict.fromkeys(record["notes"]))
        trainings.setdefault(label, record.get("training"))
        rows.append(
            {"recipe": label, "seed": seed, "fold": fold, "status": "ok", "seconds": record["seconds"]}
            | {"options": str(record["options"])} | _searched(record) | found
        )  # fmt: skip
        if seed == 0:
            pooled[label].append(kind.pooled(record, table, split_of[seed, fold], plan))
    for (label, seed, fold), (status, message) in run.failures.items():
        rows.append({"recipe": label, "seed": seed, "fold": fold, "status": status, "note": message})

    names = kind.metrics(plan)
    measures = {name: kind.measure(name, plan) for name in names}
    timed = table.time is not None
    recipes: list[dict[str, Any]] = []
    for label in labels:
        status, note = _status(label, keys, values[label], run, list(notes[label]))
        recipes.append(
            {
                "name": label,
                "label": f"erm ({'tuned' if plan.tune else 'untouched'})" if label == BASELINE else label,
                "stage": _stage(label),
                "status": status,
                "note": note,
                "fits": len(values[label]),
                "seconds": {"mean": float(np.mean(seconds[label])) if seconds[label] else float("nan")},
                "metrics": {n: _interval(_series(n, timed, values[label]), measures[n], share) for n in names},
                "difference": {} if label == BASELINE else {
                    n: _difference(_series(n, timed, values[label], values[BASELINE]), share) for n in names
                },
            }
            | (kind.figures(pooled[label], table) if pooled[label] else {})
            | {"training": trainings.get(label)}
        )  # fmt: skip
    for name in names:
        others = [r for r in recipes if r["difference"] and np.isfinite(r["difference"][name]["p"])]
        adjusted: Any = holm([r["difference"][name]["p"] for r in others]) if others else []
        for recipe, p in zip(others, adjusted):
            recipe["difference"][name]["p_holm"] = float(p)

    result: dict[str, Any] = {
        "kind": kind.name,
        "title": table.name if table.image_shape else f"{table.name} · target {table.target_name}",
        "created": run.created,
        "version": __version__,
        "command": command,
        "seconds": run.seconds,
        "complete": run.complete,
        "data": {
            "rows": len(table.target),
            **table.facts(),
            "target": table.target_name,
            **kind.data(table),
            "fingerprint": table.fingerprint,
            "findings": [as_plain(f) for f in table.findings],
            "duplicates": run.duplicates,
        },
        "protocol": {
            "folds": plan.folds,
            "seeds": plan.seeds,
            "metric": plan.metric,
            "splits": "time-aware" if table.time is not None else "group-aware" if table.groups is not None else "stratified",
            "validation_fraction": plan.validation_fraction,
            "cost": None if plan.cost is None else [list(row) for row in plan.cost],
            "tune": plan.tune,
            "level": LEVEL,
            "interval_method": "corrected resampled t (Nadeau and Bengio 2003) over folds and seeds; Holm over recipes",
        },
        "metrics": {
            n: {"title": m.title, "greater_is_better": m.greater_is_better} for n, m in measures.items()
        },
        "recipes": recipes,
    }  # fmt: skip
    result["advice"] = advice(result)
    result["rows"] = rows
    return result


def advice(result: dict[str, Any]) -> dict[str, Any]:
    """One plain sentence, and what stands behind it.

    A recipe wins if its paired difference to the untouched baseline is better after Holm's correction over
    all recipes of the comparison. Among several winners the best mean is named, and those that cannot be told
    from it.
    """
    metric = result["protocol"]["metric"]
    title = result["metrics"][metric]["title"].lower()
    sign = 1 if result["metrics"][metric]["greater_is_better"] else -1
    by_name = {r["name"]: r for r in result["recipes"]}
    baseline = by_name[BASELINE]
    alpha = 1 - result["protocol"]["level"]
    images = "image" in result["data"]
    kind = kind_of(result.get("kind", "classes"))
    rows = "images" if images else "rows"
    judged = [
        r
        for r in result["recipes"]
        if r["difference"] and np.isfinite(r["difference"][metric].get("p_holm", np.nan))
    ]
    better = [
        r
        for r in judged
        if r["difference"][metric]["p_holm"] < alpha and sign * r["difference"][metric]["value"] > 0
    ]
    worse = [
        r
        for r in judged
        if r["difference"][metric]["p_holm"] < alpha and sign * r["difference"][metric]["value"] < 0
    ]
    details: list[str] = []
    winner = None
    if len(result["recipes"]) == 1:
        headline = "Only the untouched baseline was run; name recipes to compare with it."
    elif not judged:
        headline = (
            "Nothing can be said yet: no recipe has enough finished fits beside the untouched baseline."
        )
    elif not better:
        best = max(judged, key=lambda r: sign * r["difference"][metric]["value"])
        headline = (
            f"None of these beats the {kind.baseline} on "
            f"{'these images' if images else 'this table'} ({title} {shown(baseline['metrics'][metric])})."
        )
        details.append(_unproven(best, best["difference"][metric], len(judged)))
    else:
        ranked = sorted(better, key=lambda r: -sign * r["metrics"][metric]["value"])
        winner = ranked[0]["name"]
        top = ranked[0]
        headline = (
            f"Use {top['label']}: {title} {shown(top['metrics'][metric])} against "
            f"{shown(baseline['metrics'][metric])} of the plain baseline, a difference of {signed(top['difference'][metric])}."
        )
        if len(ranked) > 1:
            details.append(
                "Also better than the baseline: " + ", ".join(r["label"] for r in ranked[1:]) + "."
            )
        if winner.split("(")[0] == BASELINE:
            details.append(
                "The winner is the same plain network with other settings, not a remedy for imbalance."
            )
        elif _stage(winner) == "baseline":
            remedies = [r for r in ranked if _stage(r["name"]) != "baseline"]
            details.append(
                "The winner is another kind of model, not a remedy for imbalance. Among the remedies, "
                + (f"{remedies[0]['label']} is best ({signed(remedies[0]['difference'][metric])})." if remedies
                   else f"none beats the {kind.baseline}.")
            )  # fmt: skip
    if worse:
        details.append("Worse than the baseline: " + ", ".join(r["label"] for r in worse) + ".")
    for r in result["recipes"]:
        if r["status"] != "ok":
            details.append(f"{r['label']}: {r['status']} ({r['note']}).")
    duplicates = result["data"]["duplicates"]
    if duplicates.get("rows"):
        details.append(
            f"{duplicates['rows']} test {rows} ({100 * duplicates['share']:.1f} %) have an equal {rows[:-1]} in their "
            f"training part; if equal {rows} are the same case, run again with --dedupe."
        )
    if result["protocol"].get("tune"):
        details.append(
            f"Every recipe, the plain baseline and the other models alike were tuned in {result['protocol']['tune']} trials "
            "in each fold, on its validation part; the test parts played no part in it."
        )
    if not result["complete"]:
        details.append("The run is not complete: run the same command again to go on.")
    details.append(
        kind.evidence_told(result, baseline["fits"])
        + (
            " More repetitions (--seeds) would tell more."
            if winner is None and baseline["fits"] < FEW_FITS
            else ""
        )
    )
    return {"headline": headline, "details": details, "winner": winner}


def _unproven(recipe: dict[str, Any], gap: dict[str, Any], compared: int) -> str:
    seen = f"The largest gain seen, {recipe['label']}, is {signed(gap)}: "
    if gap["low"] <= 0 <= gap["high"]:
        return seen + "not distinguishable from chance here."
    return seen + (
        f"it stands out alone, but not among {compared} recipes compared (p = {gap['p_holm']:.3f} after Holm's correction)."
    )


def shown(interval: dict[str, float], form: str = ".3f") -> str:
    """``0.849 [0.672, 1.000]``."""
    value, low, high = (format(interval[key], form) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def signed(interval: dict[str, float]) -> str:
    """``+0.012 [-0.004, +0.028]``."""
    return shown(interval, "+.3f")


def _searched(record: dict[str, Any]) -> dict[str, int]:
    tuning = record.get("tuning") or {}
    return {name: tuning[name] for name in ("trials", "pruned", "failed") if name in tuning}


def _stage(label: str) -> str:
    from metabalance.methods import METHODS

    name = label.split("(")[0]
    stages = {method.name: method.stage for method in METHODS}
    # What is composed of several methods is none itself.
    return "baseline" if name in baseline_names() else stages.get(name, "several")


def _status(label: str, keys: list, values: dict, run: Run, notes: list[str]) -> tuple[str, str]:
    failed = [run.failures[label, *key] for key in keys if (label, *key) in run.failures]
    if failed and not values:
        return failed[0][0], failed[0][1]
    if failed:
        return "partial", f"{len(failed)} of {len(keys)} fits: {failed[0][1]}"
    if len(values) < len(keys):
        return "partial", f"{len(values)} of {len(keys)} fits finished in the time given"
    return "ok", "; ".join(notes)


def _series(name: str, timed: bool, *models: dict[tuple[int, int], dict[str, float]]) -> np.ndarray:
    """A metric on the splits that all of these models finished ``(models, splits)``.

    Splits in time do not depend on the seed: their repetitions are the same rows again, no new evidence, and
    are averaged first.
    """
    found = defaultdict(list)
    for key in sorted(set.intersection(*(set(values) for values in models))):
        found[key[1] if timed else key].append([values[key].get(name, np.nan) for values in models])
    return (
        np.array([np.mean(rows, axis=0) for rows in found.values()], dtype=float).reshape(-1, len(models)).T
    )


def _interval(series: np.ndarray, measure: Measure, share: float) -> dict[str, Any]:
    if not series.size:
        return {"value": float("nan"), "low": float("nan"), "high": float("nan"), "reason": "no finished fit"}
    interval = corrected_resampled_interval(series[0], share, level=LEVEL)
    low, high = interval.low, interval.high
    # A t interval does not know where a metric ends.
    if measure.low is not None:
        low = max(low, measure.low)
    if measure.high is not None:
        high = min(high, measure.high)
    return {"value": interval.value, "low": low, "high": high}


def _difference(series: np.ndarray, share: float) -> dict[str, Any]:
    if not series.size:
        return dict.fromkeys(("value", "low", "high", "p", "p_holm"), float("nan"))
    found = paired_difference(series[0], series[1], share, level=LEVEL)
    interval = found.interval
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "p": found.p_value,
        "p_holm": float("nan"),
    }


FIGURES = ("curves", "evidence", "training")  # of a recipe: large, and for the report alone


def write_results(result: dict[str, Any], folder: Path) -> None:
    """Writes a run's answers, each file atomically.

    ``results.parquet`` has a row a fit, ``advice.json`` everything but what is drawn, ``figures.json`` that, and
    ``report.html`` shows both.
    """
    import io
    import json

    import pandas as pd

    from metabalance.study.report import render_report
    from metabalance.study.store import write_atomically

    buffer = io.BytesIO()
    pd.DataFrame(result["rows"]).to_parquet(buffer, index=False)
    write_atomically(folder / "results.parquet", buffer.getvalue())
    shown = {key: value for key, value in result.items() if key != "rows"}
    shown["recipes"] = _best_evidence(
        shown["recipes"], shown["advice"]["winner"], shown["protocol"]["metric"], shown
    )
    lean = shown | {
        "recipes": [{k: v for k, v in r.items() if k not in FIGURES} for r in shown["recipes"]],
        "data": {k: v for k, v in shown["data"].items() if k != "samples"},
    }
    drawn = {
        "recipes": {r["name"]: {k: r[k] for k in FIGURES if r.get(k)} for r in shown["recipes"]},
        "samples": shown["data"].get("samples"),
    }
    advice = json.dumps(plain(lean), indent=1).encode()
    # Killed in between, the figures of one run would stand beside the advice of another.
    figures = plain(drawn) | {"of": hashlib.sha256(advice).hexdigest()}
    write_atomically(folder / "figures.json", json.dumps(figures, separators=(",", ":")).encode())
    write_atomically(folder / "advice.json", advice)
    render_report(shown, folder / "report.html")


def read_results(folder: Path) -> dict[str, Any]:
    """What :func:`write_results` wrote, ready for the report; an earlier release's run has no curves.

    Raises:
        DataError: The run has no readable results.
    """

    try:
        advice = read_file(folder / "advice.json")
        result, drawn = parse_json(advice), folder / "figures.json"
        figures = parse_json(read_file(drawn)) if drawn.exists() else {"recipes": {}}
        if figures.get("of", stated := hashlib.sha256(advice).hexdigest()) != stated:
            raise ValueError(
                "its figures are those of another moment: it was stopped while they were written"
            )
        for recipe in result["recipes"]:
            recipe.update(figures["recipes"].get(recipe["name"], {}))
        if figures.get("samples"):
            result["data"]["samples"] = figures["samples"]
        return result
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{folder} holds a run without readable results ({error}); run the same metabalance compare again"
        ) from error


def _best_evidence(
    recipes: list[dict[str, Any]], winner: str | None, metric: str, result: dict[str, Any]
) -> list[dict[str, Any]]:
    """Operating points stay with the recipe that the report lets one explore: the advised one, else the best."""
    sign = 1 if result["metrics"][metric]["greater_is_better"] else -1
    having = [r for r in recipes if "evidence" in r]
    best = max(
        having,
        key=lambda r: (r["name"] == winner, np.nan_to_num(sign * r["metrics"][metric]["value"], nan=-np.inf)),
        default=None,
    )
    return [r if r is best else {k: v for k, v in r.items() if k != "evidence"} for r in recipes]
