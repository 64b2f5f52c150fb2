"""Which recipes come first, which get a curve, and when a difference counts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metabalance.study.report.drawing import LINES
from metabalance.study.report.words import number

MAX_CURVES = len(LINES)


def ranked(result: Mapping[str, Any], metric: str) -> list[dict[str, Any]]:
    """The baseline, then the others from best to worst, then those without a value."""
    sign = sign_of(result, metric)

    def key(recipe: Mapping[str, Any]) -> tuple[bool, bool, float]:
        value = value_of(recipe, metric)
        undefined = math.isnan(value)
        return (not is_baseline(recipe), undefined, 0.0 if undefined else -sign * value)

    return sorted(result.get("recipes", []), key=key)


def drawn_of(
    recipes: Sequence[Mapping[str, Any]], result: Mapping[str, Any], metric: str
) -> list[tuple[int, Mapping[str, Any]]]:
    """The recipes that get a curve and a colour: the baseline, the winner, then the best others."""
    winner = result.get("advice", {}).get("winner")
    usable = [r for r in recipes if r.get("confusion") or r.get("curves") or r.get("values")]
    first = [r for r in usable if is_baseline(r)][:1]
    rest = [r for r in usable if not is_baseline(r)]
    rest.sort(key=lambda r: r.get("name") != winner)  # stable: the others stay from best to worst
    return [(0, r) for r in first] + list(enumerate(rest[: MAX_CURVES - 1], start=1))


def is_baseline(recipe: Mapping[str, Any]) -> bool:
    return recipe.get("name") == "erm"


def sign_of(result: Mapping[str, Any], metric: str) -> int:
    return 1 if result.get("metrics", {}).get(metric, {}).get("greater_is_better", True) else -1


def verdict_of(difference: Mapping[str, Any], result: Mapping[str, Any], metric: str) -> str:
    """Whether a difference counts, after correction for the number of recipes looked at."""
    p, value = number(difference.get("p_holm")), number(difference.get("value"))
    if not p < 1 - result["protocol"].get("level", 0.95):
        return "same"
    return "better" if sign_of(result, metric) * value > 0 else "worse"


def value_of(recipe: Mapping[str, Any], metric: str) -> float:
    return number(((recipe.get("metrics") or {}).get(metric) or {}).get("value"))
