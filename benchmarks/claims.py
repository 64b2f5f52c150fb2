"""The results pages of claims: `python benchmarks/claims.py RUNS`, where RUNS is an --out of `metabalance reproduce`.

Puts together what `metabalance reproduce NAME --out RUNS` wrote for each claim into docs/results/claims.md, or with
--values, of claims about continuous targets, into docs/results/claims-regression.md.
"""

import argparse
import json
import re
from pathlib import Path

from metabalance import __version__
from metabalance.study.reproduce.claims import CLAIMS, EXPERIMENTS, VALUE_CLAIMS
from metabalance.study.reproduce.page import TITLES
from metabalance.study.store import write_atomically

RESULTS = Path(__file__).parents[1] / "docs" / "results"
VALUES = [*VALUE_CLAIMS, "balanced-mse-line", "lds-weights"]
assert set(VALUES) <= VALUE_CLAIMS.keys() | EXPERIMENTS.keys()
IMAGES = (
    "The training sets are some ten times smaller than the papers', so that a verdict says what happens *here*; the",
    "set-up stands in each section. *Not distinguishable* means that the interval of the difference holds zero.",
)
TABLES = (
    "The papers train on photographs, these runs on small tables and on sentences, so that a verdict says what happens *here*;",
    "the set-up stands in each section. *Not distinguishable* means that the interval of the difference holds zero; it is",
    "over seeds, and says nothing of other test rows. All recipes side by side: [regression](regression.md).",
)


def page(runs: Path, names: list[str], about: tuple[str, ...], option: str = "") -> str:
    found = {name: runs / f"{name}.md" for name in names if (runs / f"{name}.md").exists()}
    verdicts = {name: json.loads((runs / f"{name}.json").read_text())["verdict"] for name in found}
    missing = [f"`{name}`" for name in names if name not in found]
    lines = [
        f"# What held of what the papers say{' of rare target values' if option else ''}, at small size",
        "",
        f"Each by the command in its section, metabalance {__version__}, on two CPU cores; put together by `python benchmarks/claims.py",
        f"RUNS{option}`. {about[0]}",
        *about[1:],
        "",
        "| claim | verdict |",
        "|---|---|",
        *(
            f"| [{name}](#{name}) | {re.sub('; (?=[ivx]+[.])', '<br>', verdict)} |"
            for name, verdict in verdicts.items()
        ),
        "",
        f"Not run for this page: {', '.join(missing)}." if missing else "",
    ]
    if option:
        lines += by_statement({name: json.loads((runs / f"{name}.json").read_text()) for name in found})
    for name, path in found.items():
        # A heading that can be linked to; the verdict stands in the table.
        head, _, rest = path.read_text().partition("\n")
        verdict = head.partition(": ")[2]
        lines += ["", f"## {name}", *(["", f"*{verdict}*"] if verdict else []), rest.rstrip()]
    return "\n".join(lines).rstrip() + "\n"


def by_statement(results: dict[str, dict]) -> list[str]:
    """Where each statement held: the verdict on a claim asks for all of its statements under one condition."""
    words = ("held", "did not hold here", "not distinguishable here")
    lines = [
        "The verdict on a part asks for all of its statements under one condition; statement by statement:",
        "",
        "| claim | statement | held | did not hold | not distinguishable |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        places: dict[tuple[str, str], dict[str, list[str]]] = {}
        for c in result["contrasts"]:
            says = ("control: " if c["control"] else "") + c["says"]
            key = (says, TITLES.get(c["metric"], c["metric"]))
            places.setdefault(key, {word: [] for word in words})[c["verdict"]].append(c["condition"])
        for (says, metric), where in places.items():
            cells = " | ".join(", ".join(where[word]) or "-" for word in words)
            lines.append(f"| {name} | {says} ({metric}) | {cells} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("--values", action="store_true")
    given = parser.parse_args()
    path = RESULTS / ("claims-regression.md" if given.values else "claims.md")
    text = (
        page(given.runs, VALUES, TABLES, " --values")
        if given.values
        else page(given.runs, list(CLAIMS), IMAGES)
    )
    write_atomically(path, text.encode())
    print(path)


if __name__ == "__main__":
    main()
