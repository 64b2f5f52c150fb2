"""The summary of an audit of values in plain words."""

from collections.abc import Iterator, Mapping
from typing import Any

from metabalance.study.audit.classes import percent
from metabalance.study.audit.parts import amount

__all__ = ["value_sentences"]


def value_sentences(facts: Mapping[str, Any]) -> Iterator[str]:
    """What the figures say, the most important first."""
    told = facts.get("values") or []
    for one in told[:5]:
        regions = one["regions"]
        low, middle, high = (amount(v) for v in (one["lowest"], one["quantiles"]["50 %"], one["highest"]))
        yield (
            f"{one['target']!r} goes from {low} to {high}, median {middle}: "
            f"{percent(regions['many']['share'])} of the rows have a frequent value, {percent(regions['medium']['share'])} a "
            f"middling one, and {regions['few']['rows']:,} ({percent(regions['few']['share'])}) a rare one."
        )
    if len(told) > 5:
        yield f"{len(told) - 5} more targets are in the figures (--json)."
    plan = facts.get("plan") or {}
    fewest = plan.get("fewest_in_a_test_part")
    if fewest:
        yield f"Each of {plan['folds']} test parts has at least {fewest['few']:,} rows of rare values."
    model = facts.get("quick_model")
    if model:
        figures = model["models"][model["name"]]
        left = (
            f", without {', '.join(map(repr, model['without_columns'][:3]))}"
            if model["without_columns"]
            else ""
        )
        sample = f" on {model['rows']:,} rows" if model["rows"] < model["of"] else ""
        unit = "" if len(told) == 1 else " in deviations of the targets"
        by_region = ", ".join(
            f"{_figure(figures[f'mae@{group}'])} among {word} values"
            for group, word in (("many", "frequent"), ("medium", "middling"), ("few", "rare"))
            if figures[f"mae@{group}"]["value"] == figures[f"mae@{group}"]["value"]
        )
        yield (
            f"A quick model ({model['name']}{sample}{left}) has an R² of {_figure(figures['r2'], 3)} and a mean absolute "
            f"error{unit} of {_figure(figures['mae'])}: {by_region}."
        )
    needs = facts.get("rare")
    if needs:
        enough = "enough in each test part" if needs["in_a_test_part"] >= needs["needed"] else (
            "enough when test parts are pooled" if needs["at_hand"] >= needs["needed"] else "more than there are"
        )  # fmt: skip
        yield (
            f"±{percent(needs['half_width'])} of the error among rare values needs about {needs['needed']:,} of their rows: "
            f"{enough}."
        )


def _figure(told: Mapping[str, float], digits: int = 4) -> str:
    value, low, high = told["value"], told["low"], told["high"]
    ends = f" [{amount(low, digits)}, {amount(high, digits)}]" if low == low else ""
    return f"{amount(value, digits)}{ends}"
