"""What the pages of all comparisons say alike: protocol, how it was made, what a recipe is called."""

import math
from collections.abc import Mapping
from typing import Any

from metabalance.study.report.made import versions
from metabalance.study.report.words import count_of, number, percent


def label_of(recipe: Mapping[str, Any]) -> str:
    """What a recipe is called on the page."""
    return str(recipe.get("label", recipe["name"]))


def made_of(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    data, protocol = result["data"], result["protocol"]
    seeds = protocol.get("seeds")
    facts = [
        ("created", str(result.get("created", ""))),
        ("with", str(result.get("versions") or versions())),
        ("rows", count_of(data["rows"] if "rows" in data else sum(data["counts"]))),
        ("data fingerprint", str(data.get("fingerprint") or "")),
        ("seeds", f"0 to {seeds - 1}" if isinstance(seeds, int) and seeds > 1 else "0"),
        ("splits", f"{protocol.get('folds')} folds, {protocol.get('splits', '')}"),
        ("tuning", f"{tune} trials a fit, on the validation part" if (tune := protocol.get("tune")) else ""),
        ("seconds", f"{number(result.get('seconds')):.0f}" if result.get("seconds") else ""),
    ]
    return [(name, value) for name, value in facts if value]


def kind_of_rows(data: Mapping[str, Any]) -> str:
    if not data.get("image"):
        return f"rows, {count_of(data.get('columns', 0))} columns"
    channels, height, width = data["image"]
    return f"images of {height} × {width}, {'grey' if channels == 1 else 'colour'}"


def protocol_of(result: Mapping[str, Any]) -> dict[str, Any]:
    protocol = result["protocol"]
    cost = protocol.get("cost")
    if isinstance(cost, Mapping):
        cost = ", ".join(f"{key} = {value:g}" for key, value in cost.items())
    elif cost:
        cost = "a matrix, true class by predicted class: " + "; ".join(
            " ".join(f"{c:g}" for c in row) for row in cost
        )
    share = number(protocol.get("validation_fraction"))
    return {
        "folds": protocol.get("folds"),
        "seeds": protocol.get("seeds"),
        "splits": protocol.get("splits", ""),
        "validation": percent(share) if math.isfinite(share) else "",
        "cost": cost or "",
        "level": f"{100 * protocol.get('level', 0.95):g} %",
        "interval_method": protocol.get("interval_method", ""),
    }
