"""The results page of claims: `python benchmarks/claims.py RUNS`, where RUNS is an --out of `metabalance reproduce`.

Puts together what `metabalance reproduce NAME --out RUNS` wrote for each claim into docs/results/claims.md.
"""

import argparse
import json
import re
from pathlib import Path

from metabalance import __version__
from metabalance.study.reproduce.claims import CLAIMS
from metabalance.study.store import write_atomically

PAGE = Path(__file__).parents[1] / "docs" / "results" / "claims.md"


def page(runs: Path) -> str:
    found = {name: runs / f"{name}.md" for name in CLAIMS if (runs / f"{name}.md").exists()}
    verdicts = {name: json.loads((runs / f"{name}.json").read_text())["verdict"] for name in found}
    missing = [f"`{name}`" for name in CLAIMS if name not in found]
    lines = [
        "# What held of what the papers say, at small size",
        "",
        f"Each by the command in its section, metabalance {__version__}, on two CPU cores; put together by `python benchmarks/claims.py",
        "RUNS`. The training sets are some ten times smaller than the papers', so that a verdict says what happens *here*; the",
        "set-up stands in each section. *Not distinguishable* means that the interval of the difference holds zero.",
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
    for name, path in found.items():
        # A heading that can be linked to; the verdict stands in the table.
        head, _, rest = path.read_text().partition("\n")
        verdict = head.partition(": ")[2]
        lines += ["", f"## {name}", *(["", f"*{verdict}*"] if verdict else []), rest.rstrip()]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    write_atomically(PAGE, page(parser.parse_args().runs).encode())
    print(PAGE)


if __name__ == "__main__":
    main()
