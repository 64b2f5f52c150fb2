"""Which recipe goes with which way of training: the table of the documentation, and the refusal before any fit."""

from collections.abc import Iterable
from typing import Any

from metabalance.recipes import KINDS
from metabalance.recipes.needs import recipe_needs
from metabalance.strategies import STRATEGIES, asked_for, check, why_not
from metabalance.study.candidates import Candidate

__all__ = ["refuse_unfit", "strategies_markdown", "strategy_rows"]

HEADS = {
    "ddp": "DDP",
    "fsdp": "FSDP",
    "bf16-mixed": "bf16-mixed",
    "accumulate": "accumulate",
    "compile": "compile",
}

HEADER = """# Ways of training

Written by `metabalance methods --strategies --markdown`; do not edit. It follows from what each recipe's steps and
losses say they need, with the recipe's default options; an option can need more (`order=2` of `metabalance`
differentiates a gradient). What is not offered is refused before training, with the reason given here. How to
use each of these ways stands in [One big fit](guide/one-big-fit.md).
"""
TITLES = {"classes": "## Recipes for classes", "values": "## Recipes for values"}


def strategy_rows(kind: str = "classes") -> list[tuple[str, dict[str, str | None]]]:
    """Each recipe for that kind of target with, for each strategy, why it does not go with it; None where it does."""
    return [
        (name, {strategy: why_not(strategy, needs) for strategy in STRATEGIES})
        for name in KINDS[kind]
        for needs in [recipe_needs(name, kind=kind)]
    ]


def strategies_markdown() -> str:
    """The table as Markdown, and below it the reasons."""
    tables = {kind: strategy_rows(kind) for kind in KINDS}
    reasons = list(
        dict.fromkeys(
            reason for rows in tables.values() for _, why in rows for reason in why.values() if reason
        )
    )
    lines = [HEADER]
    for kind, rows in tables.items():
        lines += [
            *(TITLES[kind], ""),
            f"| recipe | {' | '.join(HEADS[s] for s in STRATEGIES)} |",
            "|---|" + "---|" * len(STRATEGIES),
        ]
        for name, why in rows:
            cells = [
                "yes" if reason is None else f"no ({reasons.index(reason) + 1})" for reason in why.values()
            ]
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
        lines.append("")
    lines += ["Why not:", "", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))]
    return "\n".join(lines)


def refuse_unfit(candidates: Iterable[Candidate], network: dict[str, Any], kind: str = "classes") -> None:
    """Raises ValueError for a recipe that does not go with what the network's settings ask for."""
    settings = ("devices", "strategy", "accumulate", "compile")
    wanted = asked_for(**{name: network[name] for name in settings if name in network})
    for candidate in candidates if wanted else ():
        if candidate.name in KINDS[kind]:
            known = {key: values[0] for key, values in candidate.options if key not in network}
            needs = recipe_needs(candidate.name, _options(candidate.name, known, kind), kind)
            check(wanted, needs, f"the recipe {candidate.name!r}")


def _options(name: str, given: dict[str, Any], kind: str) -> dict[str, Any]:
    from metabalance.recipes import recipe_options

    return {key: value for key, value in given.items() if key in recipe_options(name, kind)}
