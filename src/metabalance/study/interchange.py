"""Our results in the JSON of evidently: a snapshot that ``evidently.core.report.Snapshot.loads`` reads (0.7).

evidently documents no format for results of others; what is written here is the one its own snapshots are stored in.
Figures come through with names and settings. Its charts and its tests do not: they belong to its own calculations.
skore stores pickled reports of scikit-learn estimators and reads no JSON, so that there is nothing to write for it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from metabalance.data.errors import DataError
from metabalance.data.limits import parse_json

__all__ = ["evidently_of", "to_evidently"]


def to_evidently(result: dict[str, Any]) -> dict[str, Any]:
    """A comparison's ``advice.json``, or an entry of a monitor's history, as a snapshot.

    Args:
        result: As read from JSON; figures that are None are left out.

    Raises:
        DataError: Neither of the two.

    >>> entry = {"when": "2026-01-02T03:04:05+00:00", "rows": 9, "version": "0.1.0", "columns": [], "prior": {},
    ...          "score": {"psi": 0.25}, "expected": {"metrics": {}}, "performance": None, "findings": []}
    >>> snapshot = to_evidently(entry)
    >>> [m["value"] for m in snapshot["metric_results"].values()]
    [9, 0.25]
    """
    if "recipes" in result:
        figures, when, name = _of_comparison(result), result["created"], result["title"]
    elif "when" in result and "expected" in result:
        figures, when, name = _of_monitor(result), result["when"], "metabalance monitor"
    else:
        raise DataError(
            "this is neither a comparison's advice.json nor an entry of monitor's history; name one of them"
        )
    results: dict[str, Any] = {}
    for title, kind, settings, value in figures:
        if value is None:
            continue
        params = {"type": f"metabalance:{kind}", **settings}
        key = hashlib.md5(json.dumps(params, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
        results[key] = {
            "type": "evidently:metric_result_v2:SingleValue",
            "display_name": title,
            "metric_value_location": {"metric": {"metric_id": key, "params": params}, "param": {}},
            "widget": [],
            "tests": [],
            "value": value,
        }
    return {
        "report": {"items": []},
        "name": name,
        "timestamp": when,
        "metadata": {"metabalance": str(result.get("version", ""))},
        "tags": ["metabalance"],
        "metric_results": results,
        "top_level_metrics": list(results),
        "widgets": [],
        "tests_widgets": [],
    }


def evidently_of(path: Path) -> dict[str, Any]:
    """The snapshot of a run folder, or of the last entry of a history.

    Raises:
        DataError: Neither of the two.
    """
    from metabalance.study.history import read_entries

    if path.is_dir():
        try:
            return to_evidently(parse_json((path / "advice.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{path} holds no finished comparison; name the folder that metabalance compare wrote"
            ) from error
    if not path.exists():
        raise DataError(f"there is no {path}; name a run folder, or the JSON file of metabalance monitor")
    entries = read_entries(path)
    if not entries:
        raise DataError(f"{path} holds no entry yet; run metabalance monitor with --json first")
    return to_evidently(entries[-1])


Figure = tuple[str, str, dict[str, Any], Any]


def _of_comparison(result: dict[str, Any]) -> list[Figure]:
    found: list[Figure] = []
    for recipe in result["recipes"]:
        for name, figure in recipe["metrics"].items():
            for end in ("value", "low", "high"):
                title = f"{recipe['label']}: {result['metrics'][name]['title']}"
                title += "" if end == "value" else f", {end} end of the interval"
                settings = {"recipe": recipe["name"], "metric": name, "end": end}
                found.append((title, "compare", settings, figure.get(end)))
    return found


def _of_monitor(entry: dict[str, Any]) -> list[Figure]:
    found: list[Figure] = [("Rows", "rows", {}, entry["rows"])]
    for measure in ("psi", "distance", "wasserstein"):
        found.append(
            (f"Score drift: {measure}", "score_drift", {"measure": measure}, entry["score"].get(measure))
        )
    for column in entry["columns"]:
        for measure in ("psi", "distance", "p_holm"):
            title = f"Drift of {column['name']}: {measure}"
            settings = {"column": column["name"], "measure": measure}
            found.append((title, "column_drift", settings, column.get(measure)))
    for method in ("em", "bbse"):
        shares = entry["prior"].get(method, {}).get("prior", [])
        for label, share in zip(entry["prior"].get("classes", []), shares):
            settings = {"method": method, "class": label}
            found.append((f"Share of {label}, by {method.upper()}", "prior", settings, share))
    for name, figure in entry["expected"]["metrics"].items():
        found.append((f"Expected {name}", "expected", {"metric": name}, figure["value"]))
    for kept in entry["performance"] or []:
        found.append(
            (
                f"{kept['metric']} on labelled rows",
                "performance",
                {"metric": kept["metric"]},
                kept["now"]["value"],
            )
        )
    alarms = sum(bool(f["alarm"]) for f in entry["findings"])
    return [*found, ("Alarms", "alarms", {}, alarms)] if "status" in entry else found
