"""How a report was made: versions, and the papers behind what was used."""

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from metabalance import __version__
from metabalance.methods import METHODS, bibtex

PACKAGES = ("torch", "numpy", "scikit-learn", "pandas")


def versions(recorded: Mapping[str, str] | None = None) -> str:
    """``metabalance 0.2.0, torch 2.13.0, ...``, of this machine or as recorded."""
    if recorded:
        return ", ".join(f"{name} {number}" for name, number in recorded.items())
    found = [f"metabalance {__version__}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def cited(names: Iterable[str]) -> dict[str, Any]:
    """The papers of these methods, each once, in the order of the method table; unknown names are left out."""
    wanted = set(names)
    papers: dict[str, dict[str, Any]] = {}
    entries: dict[str, None] = {}
    for method in METHODS:
        if method.name not in wanted:
            continue
        entries.update(dict.fromkeys(bibtex(method.name).split("\n\n")))
        for paper in method.papers:
            entry = papers.setdefault(
                paper.key,
                {
                    "text": f"{', '.join(paper.authors)} ({paper.year}). {paper.title}. {paper.venue}.",
                    "url": paper.url,
                    "where": f"arXiv {paper.arxiv}" if paper.arxiv else f"doi {paper.doi}",
                    "methods": [],
                },
            )
            entry["methods"].append(method.name)
    for entry in papers.values():
        entry["used"] = ", ".join(entry.pop("methods"))
    return {"papers": list(papers.values()), "bibtex": "\n\n".join(entries)}
